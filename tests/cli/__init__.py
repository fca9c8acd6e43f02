"""The `s3kv` command."""
