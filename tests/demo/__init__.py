"""The demo and its servers."""
