"""Who may work on a key: leases as objects in S3."""
