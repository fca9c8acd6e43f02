"""Transport of requests and responses to and from the server."""
