"""Measurements beside what people use today; each file prints the table that RESULTS.md keeps."""
