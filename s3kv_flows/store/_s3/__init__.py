"""The S3 API, with one method per operation, and server capabilities."""
