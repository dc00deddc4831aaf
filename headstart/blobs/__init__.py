"""Where files that outlive a process are kept: one interface, atomic writes. No torch, no SQL, no HTTP."""
