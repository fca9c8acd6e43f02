"""Results as objects: storage, serializer, records."""
