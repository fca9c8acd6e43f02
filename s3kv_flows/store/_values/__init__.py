"""Values to bytes and back, and copies on local disk."""
