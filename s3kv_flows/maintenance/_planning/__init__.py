"""Decide what to remove, and why: pure functions, no requests."""
