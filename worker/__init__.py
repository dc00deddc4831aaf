"""The worker: hears the doorbell, claims work from the table, has it done in a child process, writes what came of it."""
