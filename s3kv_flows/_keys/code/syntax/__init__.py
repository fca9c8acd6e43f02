"""Source text and bytecode: digests and names of code objects."""
