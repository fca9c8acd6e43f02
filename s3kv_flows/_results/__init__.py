"""A result as one object in S3: encoding, record, reading and writing."""
