"""Frames: the buffers of a value as one body, which is checked before it is believed."""
