"""Classes among the code that counts, and the state of their instances."""
