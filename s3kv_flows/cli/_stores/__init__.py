"""Commands that save stores and change their keys."""
