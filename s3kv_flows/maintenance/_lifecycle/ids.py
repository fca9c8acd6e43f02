"""Name lifecycle rules so that a store recognises its own.

They read ``s3kv:<prefix of the values>:<name of the rule> [<part>]``. A prefix ends with a slash, so that
``/:`` ends the prefix, and does not occur after it: the rules of a store with the prefix ``s3kv/:x/`` do not
belong to the store with the prefix ``s3kv/``.
"""

from __future__ import annotations

import re

from s3kv_flows.store._layout.keys import fingerprint

__all__ = ["is_ours", "rule_id", "short_id"]

_MAX_BYTES = 255
"""S3 says characters; Ceph counts bytes."""

_MAX_START = 128
_MAX_SHORTENED = 40
_END_OF_PREFIX = "/:"
_UNFIT = re.compile(r"[^\x20-\x7e]|/:")


def rule_id(prefix: str, name: str, part: str) -> str:
    """Return the ID of a lifecycle rule.

    Args:
        prefix: The prefix of the values of the store.
        name: The name of the cleanup rule; empty for housekeeping.
        part: The part of the store, and the class of lifetimes.
    """
    whole = f"{_start(prefix)}{name} [{part}]"
    if name.isprintable() and _END_OF_PREFIX not in name and len(whole.encode()) <= _MAX_BYTES:
        return whole
    shortened = f"{_UNFIT.sub('_', name)[:_MAX_SHORTENED]}~{fingerprint(name)}"
    return f"{_start(prefix)}{shortened} [{part}]"


def is_ours(identity: str, prefix: str) -> bool:
    """Return whether a lifecycle rule belongs to the store with this prefix, by its ID."""
    start = _start(prefix)
    return identity.startswith(start) and _END_OF_PREFIX not in identity[len(start) :]


def short_id(identity: str, prefix: str) -> str:
    """Return the ID without the part that all rules of the store share."""
    return identity.removeprefix(_start(prefix)).strip() if is_ours(identity, prefix) else identity


def _start(prefix: str) -> str:
    start = f"s3kv:{prefix}:"
    return start if len(start.encode()) <= _MAX_START else f"s3kv:{fingerprint(prefix)}{_END_OF_PREFIX}"
