"""Control routes, one noun a file."""
