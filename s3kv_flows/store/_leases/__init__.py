"""Leases on keys, as objects in S3."""
