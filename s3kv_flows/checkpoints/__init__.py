"""Checkpoints: save the state within a long task, and resume from it."""

from s3kv_flows.checkpoints._checkpoint import Checkpoint
from s3kv_flows.checkpoints._states import LoadPolicy, SavedState

__all__ = ["Checkpoint", "LoadPolicy", "SavedState"]
