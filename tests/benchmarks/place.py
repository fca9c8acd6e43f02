"""Where benchmarks keep what they measure: a home of their own, and a bucket at a distance."""

from __future__ import annotations

import os
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

__all__ = ["Place", "make_home"]


def make_home() -> Path:
    """Make a directory for this run, and keep what the machine is configured to out of it.

    It has to be called before Prefect or boto3 are imported.
    """
    home = Path(tempfile.mkdtemp(prefix="s3kv-bench-"))
    os.environ.update(
        {
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
            "AWS_DEFAULT_REGION": "us-east-1",
            "XDG_CACHE_HOME": str(home / "cache"),
            "PREFECT_HOME": str(home / "prefect"),
            "PREFECT_SERVER_ALLOW_EPHEMERAL_MODE": "false",
            "DO_NOT_TRACK": "1",
        }
    )
    return home


@dataclass(frozen=True)
class Place:
    """Where values are kept."""

    url: str
    access_key: str
    secret_key: str
    bucket: str
    directory: Path

    def boto3(self) -> Any:
        """Return a client of boto3."""
        import boto3
        from botocore.config import Config

        return boto3.client(
            "s3",
            endpoint_url=self.url,
            aws_access_key_id=self.access_key,
            aws_secret_access_key=self.secret_key,
            region_name="us-east-1",
            config=Config(s3={"addressing_style": "path"}),
        )
