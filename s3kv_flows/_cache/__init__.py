"""Caching of task runs: keys, lookups, preflight checks, single flight."""
