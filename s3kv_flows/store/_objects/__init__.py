"""Reads and writes that never hide or delete a locked version."""
