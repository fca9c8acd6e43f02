"""The S3 API: one method per operation, and what a server can do."""
