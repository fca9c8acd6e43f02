"""The identity of code: what a function reaches, without its formatting."""
