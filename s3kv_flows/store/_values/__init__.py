"""Codecs, checksums and the local cache: values to bytes and back."""
