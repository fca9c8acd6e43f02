"""Promotion: publish a checkpoint's state as a finalized output."""

from __future__ import annotations

from collections.abc import Mapping

import prefect

from s3kv_flows._outputs import keep_receipt
from s3kv_flows._results.records import Record
from s3kv_flows.blocks import S3KVStore
from s3kv_flows.checkpoints._snapshots import PROMOTED, Snapshot, Snapshots
from s3kv_flows.store._layout.tags import MAX_TAGS, normalize_tag_value
from s3kv_flows.store._locks.retention import Retention
from s3kv_flows.store._outputs.receipts import Receipt
from s3kv_flows.store.errors import S3KVError

__all__ = ["promote_state"]


def promote_state(
    block: S3KVStore,
    states: Snapshots,
    snapshot: Snapshot,
    key: str,
    retention: Retention | None,
    *,
    tags: Mapping[str, str] | None = None,
    legal_hold: bool = False,
    accept_races: bool = False,
) -> Receipt:
    """Publish a state as the result with a key: ``s3kv-results/<key>``, locked by the PUT that writes it.

    The state is read and verified first, so that a damaged one is not locked for years. It then gets the tag
    ``promoted``, which keeps it from being pruned.

    Args:
        block: The store of the state and of the result.
        states: The states of the name.
        snapshot: The state.
        key: The key of the result.
        retention: Until when; None together with ``legal_hold``.
        tags: Tags of the result; those of the state stay with the state.
        legal_hold: Whether to forbid deletion until the hold is released, too.
        accept_races: Publish also if the server cannot exclude a second writer.

    Raises:
        KeyNotFoundError: The state no longer exists.
        CorruptValueError: The state is damaged.
        ConflictError: The key has another content.
        KeyLockedError: A locked version of the key is hidden.
        UnsupportedByServerError: The bucket has no Object Lock, or cannot exclude a second writer.
    """
    results, name = block.results, block.results.namespace.name_of(key)
    source = states.read(snapshot)
    tags_before = states.store.get_tags(snapshot.key)
    states.store.tag_key(snapshot.key, _promoted(tags_before, key))  # first, so that no run prunes it
    try:
        receipt = results.outputs.finalize_copy(
            source,
            key,
            retention,
            metadata=Record(prefect.__version__).to_metadata(name),
            tags=tags,
            legal_hold=legal_hold,
            accept_races=accept_races,
        )
    except (S3KVError, ValueError):
        states.store.tag_key(snapshot.key, tags_before)
        raise
    return keep_receipt(block, receipt)


def _promoted(tags: Mapping[str, str], key: str) -> dict[str, str]:
    """Return the tags with ``promoted`` added; it replaces the last one if S3's maximum is reached."""
    others = {name: tag for name, tag in tags.items() if name != PROMOTED}
    return {**dict(list(others.items())[: MAX_TAGS - 1]), PROMOTED: normalize_tag_value(key)}
