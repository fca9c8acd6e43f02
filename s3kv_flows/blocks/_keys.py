"""Changes to the keys of a saved store: rotated, trusted, removed."""

from __future__ import annotations

import os
from collections.abc import Sequence

from pydantic import SecretStr

from s3kv_flows.blocks._signing import Signing, key_name
from s3kv_flows.store import SigningKey
from s3kv_flows.store._seals.keys.sources import (
    FILE,
    SIGNING_KEY_VARIABLE,
    listed_keys,
    read_signing_key,
    split_keys,
)
from s3kv_flows.store._seals.keys.trust import TrustedKey

__all__ = ["rotated", "trusting"]


def rotated(
    store: Signing, name: str, *, until: str | None = None, revoke: bool = False
) -> tuple[SecretStr, list[str]]:
    """Return a new signing key for a store, and the keys that it is to trust then.

    Args:
        store: The store, which is not changed.
        name: Its name, which the key gets.
        until: When the old key ends, by the server's clock; None for never.
        revoke: Whether not to trust the old key any more.

    Raises:
        ValueError: The key is in a file, or in the environment; or ``until`` is no date.
    """
    own = store.signing_key.get_secret_value() if store.signing_key is not None else None
    if own is None and os.environ.get(SIGNING_KEY_VARIABLE, "").strip():
        raise ValueError(
            f"the key of the store is that of {SIGNING_KEY_VARIABLE}: change it there, and trust the old one"
        )
    if own is not None and own.strip().startswith(FILE):
        raise ValueError(f"the key of the store is in {own}: write a new one there, and trust the old one")
    trusted = list(store.trusted_keys)
    if own is not None:
        old = read_signing_key(own).public
        trusted = _without(trusted, {old.id})
        if not revoke:
            trusted.append(str(TrustedKey.parse(f"{old};until={until}" if until else str(old))))
    return SecretStr(SigningKey.generate(key_name(name)).reveal()), trusted


def trusting(store: Signing, keys: Sequence[str], remove: Sequence[str] = ()) -> list[str]:
    """Return the trusted keys of a store with these, and without those of some ids.

    Raises:
        ValueError: A key is malformed, or no key has an id that is to be removed.
    """
    added = [str(key) for key in listed_keys(keys)] + [
        one for text in keys for one in split_keys(text) if one.startswith(FILE)
    ]
    known = {key.key.id for key in listed_keys(store.trusted_keys)}
    if missing := [one for one in remove if one not in known]:
        raise ValueError(f"no trusted key has the id {', '.join(map(repr, missing))}")
    replaced = {key.key.id for key in listed_keys(added)}
    return _without(store.trusted_keys, replaced | set(remove)) + added


def _without(texts: Sequence[str], ids: set[str]) -> list[str]:
    """Return the keys that are left, each as a text of its own."""
    return [
        one
        for text in texts
        for one in split_keys(text)
        if one.startswith(FILE) or TrustedKey.parse(one).key.id not in ids
    ]
