"""Which objects go, and why: pure functions, no requests."""
