"""The process that does the work of one attempt: no database, no broker, no secrets; it talks to its supervisor alone."""
