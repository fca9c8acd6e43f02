"""Bytes to and from the server."""
