"""Limits on time: of operations, of their attempts, and of a server that is down."""
