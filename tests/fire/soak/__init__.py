"""Minutes of work on a real server, whose workers are killed and stopped."""
