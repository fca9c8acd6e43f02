"""Stores by their names, for commands: what is missing is one clear line."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from prefect.client.orchestration import SyncPrefectClient

    from s3kv_flows.blocks import S3KVStore

__all__ = ["is_name", "is_saved", "prefect_client", "saved_store"]


def saved_store(name: str) -> S3KVStore:
    """Return the saved store; end the command where there is none, or it cannot be asked for."""
    from pydantic import ValidationError

    from s3kv_flows.blocks import S3KVStore

    if not is_saved(name):
        raise ValueError(f"no store is saved as {name!r}: s3kv init {name} --bucket ... saves one")
    try:
        return S3KVStore.of(name)
    except RuntimeError as exc:  # what is saved is not valid, or not any more
        why = exc.__cause__ if isinstance(exc.__cause__, ValidationError) else None
        if why is None:
            raise
        said = "; ".join(f"{'.'.join(map(str, one['loc'])) or 'store'}: {one['msg']}" for one in why.errors())
        raise ValueError(f"the store that is saved as {name!r} is not valid: {said}") from exc


def is_saved(name: str) -> bool:
    """Tell whether Prefect knows a store of this name; end the command where it cannot be asked."""
    import httpx
    from prefect.exceptions import ObjectNotFound

    from s3kv_flows.blocks import SLUG

    if not is_name(name):
        raise ValueError(f"{name!r} is no name of a block: lower-case letters, digits and hyphens")
    try:
        with prefect_client() as client:
            client.read_block_document_by_name(name, block_type_slug=SLUG)
    except ObjectNotFound:
        return False
    except (httpx.HTTPError, RuntimeError) as exc:
        sys.exit(f"s3kv: cannot ask Prefect's API for the store: {exc}")
    return True


def is_name(text: str) -> bool:
    """Tell whether a store can be saved under this name."""
    return re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", text) is not None


@contextmanager
def prefect_client() -> Iterator[SyncPrefectClient]:
    """Yield a client of Prefect's API; where that is a temporary server, say so first, once."""
    from prefect.client.orchestration import get_client
    from prefect.settings import PREFECT_API_URL, PREFECT_SERVER_ALLOW_EPHEMERAL_MODE

    if not PREFECT_API_URL.value() and PREFECT_SERVER_ALLOW_EPHEMERAL_MODE.value():
        _tell_of_temporary_server()
    with get_client(sync_client=True) as client:
        yield client


@cache
def _tell_of_temporary_server() -> None:
    print(  # noqa: T201
        "s3kv: no Prefect API is set, so this starts a temporary server, which takes a while: "
        "set PREFECT_API_URL, or: prefect config set PREFECT_API_URL=http://127.0.0.1:4200/api",
        file=sys.stderr,
        flush=True,
    )
