"""The keys that a store signs with, settled when it is saved.

A key is made only where the object, the environment and the saved store have none, and a store that is
saved over another one keeps that one's keys: else each run of a program that saves its store would leave all
results behind, signed by nobody who is trusted. ``s3kv keys rotate`` changes them.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Protocol

from prefect.logging import get_logger
from pydantic import SecretStr

from s3kv_flows.store import SigningKey
from s3kv_flows.store._seals.keys.keys import PublicKey
from s3kv_flows.store._seals.keys.sources import (
    FILE,
    SIGNING_KEY_VARIABLE,
    TRUSTED_KEYS_VARIABLE,
    listed_keys,
)
from s3kv_flows.store._seals.keys.trust import TrustedKeys

__all__ = ["Signing", "key_name", "require_parsed", "restored_on_failure", "settle"]

_NOT_IN_A_NAME = re.compile(r"[^A-Za-z0-9._-]+")
_NAME_LENGTH = 32


class Signing(Protocol):
    """A store with keys."""

    signing_key: SecretStr | None
    trusted_keys: list[str]


def require_parsed(signing_key: SecretStr | None, trusted_keys: Sequence[str]) -> None:
    """Refuse malformed keys; those in files are read where they are used.

    Raises:
        ValueError: A key is malformed. The message contains no part of it.
    """
    own = None if signing_key is None else _public_of(signing_key.get_secret_value())
    TrustedKeys(listed_keys(trusted_keys), own)


def settle(store: Signing, name: str, saved: Mapping[str, Any] | None) -> None:
    """Give a store that is about to be saved the keys that it is to have.

    Args:
        store: The store, whose keys are set.
        name: The name that it is saved under.
        saved: The fields of the store that it replaces; None where there is none.
    """
    if saved is not None:
        _keep(store, name, saved)
    if store.signing_key is None and not store.trusted_keys and not _has_environment_keys():
        made = SigningKey.generate(key_name(name))
        store.signing_key = SecretStr(made.reveal())
        get_logger("s3kv_flows").info(
            "The store %r signs what it writes with a new key. Who reads it without this block sets "
            "S3KV_TRUSTED_KEYS=%s",
            name,
            made.public,
        )


@contextmanager
def restored_on_failure(store: Signing) -> Iterator[None]:
    """Give a store its keys back where saving it fails: it is not to keep one that is saved nowhere."""
    signing_key, trusted_keys = store.signing_key, store.trusted_keys
    try:
        yield
    except BaseException:
        store.signing_key, store.trusted_keys = signing_key, trusted_keys
        raise


def _keep(store: Signing, name: str, saved: Mapping[str, Any]) -> None:
    """Keep the keys of the store that is replaced, as far as the new one does not name its own."""
    saved_key: str | None = saved.get("signing_key") or None
    saved_trusted: list[str] = list(saved.get("trusted_keys") or [])
    own = store.signing_key.get_secret_value() if store.signing_key is not None else None
    if own is not None and own != saved_key and _is_listed(own, saved_trusted):
        get_logger("s3kv_flows").warning(
            "The key of the store %r was changed since this one was loaded: the changed keys stay", name
        )
        store.signing_key = SecretStr(saved_key) if saved_key else None
        store.trusted_keys = saved_trusted
        return
    if own is None and saved_key is not None:
        store.signing_key = SecretStr(saved_key)
    if not store.trusted_keys:
        replaced = _public_of(saved_key) if own is not None and own != saved_key else None
        store.trusted_keys = saved_trusted + ([str(replaced)] if replaced else [])


def _is_listed(own: str, trusted: Sequence[str]) -> bool:
    """Tell whether the saved store trusts a key, and so has once signed with it."""
    public = _public_of(own)
    return public is not None and any(one.key == public for one in listed_keys(trusted))


def _public_of(text: str | None) -> PublicKey | None:
    """Return the public key of a signing key; None where it is in a file, which may be on other machines."""
    text = (text or "").strip()
    return None if not text or text.startswith(FILE) else SigningKey.parse(text).public


def _has_environment_keys() -> bool:
    return any(os.environ.get(name, "").strip() for name in (SIGNING_KEY_VARIABLE, TRUSTED_KEYS_VARIABLE))


def key_name(name: str) -> str:
    """Return the name of a key for the store of a name."""
    return _NOT_IN_A_NAME.sub("-", name).strip("._-")[:_NAME_LENGTH] or "store"
