"""What makes a cache key: the identity of code and of inputs."""
