"""Object Lock: what protects a version, and who can see that."""
