"""Results as one object each: serializer, record, reading and writing."""
