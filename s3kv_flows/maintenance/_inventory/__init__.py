"""What a store holds: listings, and lookups of what they do not show."""
