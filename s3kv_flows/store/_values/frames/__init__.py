"""Frames: the buffers of a value as one body, checked whole first."""
