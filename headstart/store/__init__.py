"""The rows: SQLAlchemy tables, sessions, the job state machine and leases. No torch, no HTTP."""
