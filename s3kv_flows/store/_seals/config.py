"""Seals as a user configures them: keys as texts, what is accepted."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import lru_cache

from s3kv_flows.store._layout.secrets import SecretRecord
from s3kv_flows.store._seals.keys.sources import (
    SIGNING_KEY_VARIABLE,
    TRUSTED_KEYS_VARIABLE,
    read_signing_key,
    read_trusted_keys,
)
from s3kv_flows.store._seals.policy import SealPolicy

__all__ = ["SealConfig"]

_KEPT = 32


@dataclass(frozen=True)
class SealConfig(SecretRecord):
    """The seals of a store, as a user configures them: it may be copied and pickled as the credentials may.

    Attributes:
        signing_key: The text of the key that seals what is written, or ``file:`` and a path.
        trusted_keys: The texts of the keys whose seals are accepted, or of files.
        scope: Tells apart environments that sign with the same key.
        accept_unsealed: Whether objects without a seal are accepted, for a migration.
    """

    signing_key: str | None = field(default=None, repr=False)
    trusted_keys: tuple[str, ...] = ()
    scope: str = ""
    accept_unsealed: bool = False

    def has_secrets(self) -> bool:
        """Tell whether it contains a signing key."""
        return self.signing_key is not None

    @classmethod
    def of(
        cls,
        signing_key: str | None,
        trusted_keys: Iterable[str] | None,
        *,
        scope: str = "",
        accept_unsealed: bool = False,
    ) -> SealConfig:
        """Return what is given; keys that are not given are those of the environment.

        Raises:
            ValueError: A key is malformed, or its file cannot be read; the secret is in no message.
        """
        if signing_key is None:
            signing_key = os.environ.get(SIGNING_KEY_VARIABLE) or None
        if trusted_keys is None:
            trusted_keys = [os.environ.get(TRUSTED_KEYS_VARIABLE, "")]
        made = cls(signing_key, tuple(trusted_keys), scope, accept_unsealed)
        made.policy()
        return made

    def policy(self) -> SealPolicy:
        """Return the policy, which is made once per process; files are read then.

        Raises:
            ValueError: As of :meth:`of`.
        """
        return _policy(self)


@lru_cache(_KEPT)
def _policy(config: SealConfig) -> SealPolicy:
    key = read_signing_key(config.signing_key) if config.signing_key else None
    trusted = read_trusted_keys(config.trusted_keys)
    return SealPolicy(key, trusted, scope=config.scope, accept_unsealed=config.accept_unsealed)
