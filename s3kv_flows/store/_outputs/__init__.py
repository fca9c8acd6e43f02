"""Outputs that are published once, locked, verified and audited."""
