"""Names, tags and metadata of objects: data, no requests."""
