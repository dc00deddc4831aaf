"""What people use today, each in a file of its own that prints one JSON line; run in a process of its own."""
