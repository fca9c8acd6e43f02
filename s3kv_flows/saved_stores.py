"""Stores by their names, for commands: what is missing is one clear line."""

from __future__ import annotations

import re
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from s3kv_flows.blocks import S3KVStore

__all__ = ["is_saved", "saved_store"]


def saved_store(name: str) -> S3KVStore:
    """Return the saved store; end the command where there is none, or it cannot be asked for."""
    from s3kv_flows.blocks import S3KVStore

    if not is_saved(name):
        raise ValueError(f"no store is saved as {name!r}: s3kv init {name} --bucket ... saves one")
    return S3KVStore.of(name)


def is_saved(name: str) -> bool:
    """Tell whether Prefect knows a store of this name; end the command where it cannot be asked."""
    import httpx
    from prefect.client.orchestration import get_client
    from prefect.exceptions import ObjectNotFound

    from s3kv_flows.blocks import SLUG

    if not re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", name):
        raise ValueError(f"{name!r} is no name of a block: lower-case letters, digits and hyphens")
    try:
        with get_client(sync_client=True) as client:
            client.read_block_document_by_name(name, block_type_slug=SLUG)
    except ObjectNotFound:
        return False
    except (httpx.HTTPError, RuntimeError) as exc:
        sys.exit(f"s3kv: cannot ask Prefect's API for the store: {exc}")
    return True
