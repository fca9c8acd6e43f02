"""The ``s3kv`` command."""

from s3kv_flows.cli._main import app, main

__all__ = ["app", "main"]
