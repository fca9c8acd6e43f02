"""The demo: a pipeline on real data, and temporary servers for it."""
