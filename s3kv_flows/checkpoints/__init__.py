"""Checkpoints: the state within a long task, saved and gone on from."""

from s3kv_flows.checkpoints._checkpoint import Checkpoint, LoadPolicy, SavedState

__all__ = ["Checkpoint", "LoadPolicy", "SavedState"]
