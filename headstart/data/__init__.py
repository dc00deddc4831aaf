"""Uploads read, checked and profiled into columnar tables. No torch, no SQL, no HTTP."""
