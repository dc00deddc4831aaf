"""What users say and get, as pydantic models: the shapes of the public contract. No torch, no SQL, no HTTP."""
