"""From what a user asks to what the engine will do, as arithmetic. No torch, no SQL, no HTTP."""
