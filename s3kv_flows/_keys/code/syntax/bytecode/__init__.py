"""What bytecode says, on each version of Python."""
