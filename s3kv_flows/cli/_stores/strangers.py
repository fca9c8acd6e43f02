"""Refuse to save a store over objects that strangers have signed."""

from __future__ import annotations

from contextlib import suppress
from itertools import islice
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from s3kv_flows.blocks import S3KVStore
    from s3kv_flows.store import S3KV
    from s3kv_flows.store._seals.policy import SealPolicy
    from s3kv_flows.store._seals.statement import Head

__all__ = ["refuse_strangers"]

_LOOKED_AT = 5


def refuse_strangers(block: S3KVStore) -> None:
    """Refuse a prefix under which somebody signs whom the store would not trust.

    The store would compute their results anew and write them over, and they those of the store. It looks at
    a few results, values and checkpoints: a LIST of each, and a HEAD of each object; at none where these
    credentials may not.

    Raises:
        ValueError: There is such a result.
    """
    from s3kv_flows.store.errors import AccessDeniedError

    try:
        for store in (block.results, block.values, block.checkpoints):
            _refuse_in(store)
    except AccessDeniedError:
        return


def _refuse_in(store: S3KV) -> None:
    from s3kv_flows.store._seals.statement import Head
    from s3kv_flows.store.errors import KeyNotFoundError

    policy, client, bucket = store.seals.policy(), store.client, store.bucket_name
    if not policy.has_keys:
        return
    for listed in islice(client.list_objects(bucket, store.namespace.prefix), _LOOKED_AT):
        with suppress(KeyNotFoundError):  # deleted meanwhile
            head = Head.of(store.purpose, client.head_object(bucket, listed.name))
            _refuse_untrusted(policy, head)


def _refuse_untrusted(policy: SealPolicy, head: Head) -> None:
    from s3kv_flows.store.errors import TamperedValueError

    try:
        policy.verify_head(head)
    except TamperedValueError as exc:
        if exc.reason == "untrusted_key":
            raise ValueError(
                f"{exc}. Trust that key (--trust), sign with it (--signing-key, S3KV_SIGNING_KEY), or choose "
                "another --prefix"
            ) from exc
