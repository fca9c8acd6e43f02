"""Direct reads: signed and sent by botocore, and nothing around that."""
