"""Names, tags and metadata of objects, without requests."""
