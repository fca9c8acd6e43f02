"""Load saved stores by name; errors are one line."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING

from s3kv_flows.cli._terminal import as_lines

if TYPE_CHECKING:
    from prefect.client.orchestration import SyncPrefectClient
    from pydantic import ValidationError

    from s3kv_flows.blocks import S3KVStore

__all__ = ["endpoint_of", "in_one_line", "is_name", "is_saved", "prefect_client", "saved_store"]

_OTHER_REGION = {
    *("AuthorizationHeaderMalformed", "IllegalLocationConstraintException", "PermanentRedirect", "301"),
}
"""The codes of a request that was signed for, or sent to, another region than that of the bucket."""

_NO_REASON = "400"
"""The code of a bad HEAD request, whose response has no body: S3 says nothing else about a wrong region."""


def saved_store(name: str) -> S3KVStore:
    """Return the saved store of a name.

    Raises:
        ValueError: No store is saved under this name, or it is not valid.
        SystemExit: Prefect's API is not reachable.
    """
    from pydantic import ValidationError

    from s3kv_flows.blocks import S3KVStore

    if not is_saved(name):
        raise ValueError(f"no store is saved as {name!r}: save one with s3kv init {name} --bucket ...")
    try:
        return S3KVStore.of(name)
    except RuntimeError as exc:  # the saved fields are not valid, or not any more
        cause = exc.__cause__ if isinstance(exc.__cause__, ValidationError) else None
        if cause is None:
            raise
        raise ValueError(f"the store that is saved as {name!r} is not valid: {_problems(cause)}") from exc


def is_saved(name: str) -> bool:
    """Return whether a store is saved under this name.

    Raises:
        ValueError: It is not a valid name.
        SystemExit: Prefect's API is not reachable.
    """
    import httpx
    from prefect.exceptions import ObjectNotFound

    from s3kv_flows.blocks import SLUG

    if not is_name(name):
        raise ValueError(f"{name!r} is not a valid block name: use lower-case letters, digits and hyphens")
    try:
        with prefect_client() as client:
            client.read_block_document_by_name(name, block_type_slug=SLUG)
    except ObjectNotFound:
        return False
    except (httpx.HTTPError, RuntimeError) as exc:
        sys.exit(f"s3kv: cannot load the store from Prefect's API: {as_lines(exc)}")
    return True


def endpoint_of(store: S3KVStore) -> str | None:
    """Return the endpoint that a store uses, None for AWS itself.

    boto3 also finds one in the environment and in profiles, which other processes do not have.
    """
    from s3kv_flows.store._s3.config import is_aws

    if store.endpoint_url:
        return store.endpoint_url
    used = str(store.values.client.boto3_client.meta.endpoint_url)
    named = (os.environ.get("AWS_ENDPOINT_URL_S3"), os.environ.get("AWS_ENDPOINT_URL"))
    return used if used in named or not is_aws(used) else None


def in_one_line(exc: Exception) -> str:
    """Return the message of an error, with what to do about a region, which servers do not say."""
    from pydantic import ValidationError

    if isinstance(exc, ValidationError):
        return _problems(exc)
    code = getattr(exc, "code", "")
    if code in _OTHER_REGION or code == _NO_REASON:
        is_about = "is about" if code in _OTHER_REGION else "may be about"
        return f"{exc}. This {is_about} the region: give that of the bucket (s3kv init --region, AWS_REGION)"
    return str(exc)


def _problems(exc: ValidationError) -> str:
    return "; ".join(
        f"{'.'.join(map(str, one['loc'])) or 'store'}: {one['msg'].removeprefix('Value error, ')}"
        for one in exc.errors()
    )


def is_name(text: str) -> bool:
    """Return whether a store can be saved under this name."""
    return re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", text) is not None


@contextmanager
def prefect_client() -> Iterator[SyncPrefectClient]:
    """Yield a client of Prefect's API; print a notice once if that starts a temporary server."""
    from prefect.client.orchestration import get_client
    from prefect.settings import PREFECT_API_URL, PREFECT_SERVER_ALLOW_EPHEMERAL_MODE

    if not PREFECT_API_URL.value() and PREFECT_SERVER_ALLOW_EPHEMERAL_MODE.value():
        _print_temporary_server_notice()
    with get_client(sync_client=True) as client:
        yield client


@cache
def _print_temporary_server_notice() -> None:
    print(  # noqa: T201
        "s3kv: no Prefect API is set, so this starts a temporary server, which takes a while. "
        "Set PREFECT_API_URL, or run: prefect config set PREFECT_API_URL=http://127.0.0.1:4200/api",
        file=sys.stderr,
        flush=True,
    )
