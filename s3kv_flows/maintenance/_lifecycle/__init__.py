"""Cleanup rules as lifecycle rules that S3 carries out itself."""
