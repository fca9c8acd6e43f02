"""What names a result: the identity of the code that made it, and of the inputs it was made of."""
