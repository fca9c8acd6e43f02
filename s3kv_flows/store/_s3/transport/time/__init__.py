"""Time: limits of operations, retries, and servers that are down."""
