"""What the contracts share: a look from outside, and interference at the right moment."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import boto3
import pytest
from botocore.config import Config

from s3kv_flows.store import S3KV, Retention
from s3kv_flows.store._outputs.receipts import Receipt
from s3kv_flows.store._s3.client import S3Client
from s3kv_flows.store._s3.types import Written

WEEK = Retention(days=7)
NAME = "s3kv/key.json"


def chain(store: S3KV, name: str = NAME) -> list[tuple[str, bool, bool]]:
    """Return version id, is it current, is it a delete marker, of all versions of a key, by boto3 itself."""
    page = outside(store).list_object_versions(Bucket=store.bucket_name, Prefix=name)
    assert not page["IsTruncated"]
    return sorted(
        (item["VersionId"], item["IsLatest"], kind == "DeleteMarkers")
        for kind in ("Versions", "DeleteMarkers")
        for item in page.get(kind, ())
        if item["Key"] == name
    )


def outside(store: S3KV) -> Any:
    """Return a client of boto3, as somebody has who does not use this package."""
    return _client(store.config.endpoint_url)


@cache  # boto3 takes as long to make one as for ten requests
def _client(endpoint_url: str | None) -> Any:
    return boto3.client(
        "s3",
        endpoint_url=endpoint_url,
        region_name="us-east-1",
        config=Config(s3={"addressing_style": "path"}),
    )


def enable_versions(store: S3KV) -> None:
    outside(store).put_bucket_versioning(
        Bucket=store.bucket_name, VersioningConfiguration={"Status": "Enabled"}
    )


def just_before(monkeypatch: pytest.MonkeyPatch, operation: str, act: Callable[[], object]) -> None:
    """Let something happen in the moment before the next call of an operation."""
    original = getattr(S3Client, operation)

    def intercepted(self: S3Client, *args: Any, **kwargs: Any) -> Any:
        monkeypatch.setattr(S3Client, operation, original)
        act()
        return original(self, *args, **kwargs)

    monkeypatch.setattr(S3Client, operation, intercepted)


def answer_puts(monkeypatch: pytest.MonkeyPatch, change: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
    """Let a server do with PUTs what ``change`` makes of their arguments."""
    original = S3Client.put_object

    def intercepted(self: S3Client, *args: Any, **kwargs: Any) -> Written:
        return original(self, *args, **change(kwargs))

    monkeypatch.setattr(S3Client, "put_object", intercepted)


def is_no_path(key: str) -> bool:
    """Tell whether SeaweedFS, which takes names for paths of files, refuses a key or takes it for another."""
    parts = key.split("/")
    return (
        "\\" in key
        or bool({"", ".", ".."} & set(parts[:-1]))
        or any(len(one.encode()) > 250 for one in parts)
    )


def carries_updates(store: S3KV) -> bool:
    """Tell whether compare-and-swap can work in this bucket."""
    capabilities = store.client.capabilities
    return capabilities.conditional_puts(store.bucket_name, store.namespace.prefix).carry_updates


def excludes(store: S3KV) -> bool:
    """Tell whether the server keeps all writers but one from creating a key in this bucket."""
    puts = store.client.capabilities.conditional_puts(store.bucket_name, store.namespace.prefix)
    return puts.create == "atomic"


def finalize(
    store: S3KV, key: str, value: Any, retention: Retention | None = WEEK, **options: Any
) -> Receipt:
    """Finalize, and accept races where the server leaves no choice."""
    options.setdefault("accept_races", not excludes(store))
    return store.outputs.finalize(key, value, retention, **options)


def hide(store: S3KV, how: str, name: str = NAME) -> None:
    """Do what S3 lets everybody do to a locked key."""
    target = {"Bucket": store.bucket_name, "Key": name}
    if how == "delete marker":
        outside(store).delete_object(**target)
    else:
        outside(store).put_object(**target, Body=b'"another"')
