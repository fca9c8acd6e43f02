"""Classes of scripts in results: found again where they are read."""
