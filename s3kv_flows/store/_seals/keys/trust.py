"""Trusted keys: whose seals are accepted, for what, and until when.

The rules are those of Nix's ``trusted-public-keys``: a list of named public keys, the same for everybody,
from which a key that is not trusted any more is removed. Two limits are added::

    s3kv-pk1:<name>:<key>;until=2026-12-01;purposes=result,value

``until``: objects count that the *server* says were written earlier. Who may write to the bucket cannot set
that date, so what was written before a key leaked stays valid, also where a lock keeps it from being sealed
again. S3 dates an upload in parts from its beginning: whoever had the key *before* that date can complete an
upload after it that was begun earlier, until the upload is aborted.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timezone

from s3kv_flows.store._seals.keys.keys import PublicKey
from s3kv_flows.store._seals.purposes import PURPOSES, Purpose, parse_purpose
from s3kv_flows.store.errors import TamperedValueError

__all__ = ["TrustedKey", "TrustedKeys"]

_DATE = re.compile(r"([0-9]{4}-[0-9]{2}-[0-9]{2})(?:T([0-9]{2}:[0-9]{2}(?::[0-9]{2})?)Z)?")


@dataclass(frozen=True)
class TrustedKey:
    """A public key, and what it is trusted for.

    Attributes:
        key: The key.
        until: Objects that the server dates earlier are accepted; None for all.
        purposes: The purposes of objects that are accepted.
    """

    key: PublicKey
    until: datetime | None = None
    purposes: frozenset[Purpose] = frozenset(PURPOSES)

    @classmethod
    def parse(cls, text: str) -> TrustedKey:
        """Return the key of a text ``s3kv-pk1:<name>:<key>[;until=<date>][;purposes=<purpose>,...]``.

        Dates are in UTC: ``2026-12-01``, its first moment, or ``2026-12-01T18:30Z``.

        Raises:
            ValueError: It is none. The message does not quote the key: it may be a secret in the wrong place.
        """
        key_text, *options = text.split(";")
        key = PublicKey.parse(key_text)
        limits: dict[str, str] = {}
        for option in options:
            name, _, value = option.partition("=")
            if name not in ("until", "purposes") or name in limits:
                raise ValueError(f"trusted key {key.id}: ;until=<date> and ;purposes=<purpose>,... once each")
            limits[name] = value
        try:
            return cls(
                key,
                _parse_date(limits["until"]) if "until" in limits else None,
                _parse_purposes(limits["purposes"]) if "purposes" in limits else frozenset(PURPOSES),
            )
        except ValueError as exc:
            raise ValueError(f"trusted key {key.id}: {exc}") from None

    def __post_init__(self) -> None:
        if self.until is not None and self.until.tzinfo is None:
            raise ValueError(f"trusted key {self.key.id}: until has no time zone")

    def accepts(self, purpose: Purpose) -> bool:
        """Return whether the key is trusted for a purpose."""
        return purpose in self.purposes

    def has_ended(self, written: datetime | None) -> bool:
        """Return whether the key did not count any more when an object was written.

        Args:
            written: When, by the server's clock; None where it is not known, which may be after the end.
        """
        if self.until is None:
            return False
        return written is None or written.tzinfo is None or written >= self.until

    def __str__(self) -> str:
        until = ""
        if self.until:
            moment = self.until.astimezone(timezone.utc).replace(tzinfo=None)
            until = f";until={moment.isoformat(timespec='seconds')}Z"
        named = [purpose for purpose in PURPOSES if purpose in self.purposes]
        purposes = "" if len(named) == len(PURPOSES) else f";purposes={','.join(named)}"
        return f"{self.key}{until}{purposes}"


class TrustedKeys:
    """Trusted keys, found by their ids.

    Args:
        keys: The keys.
        own: The public key of the own signing key, which is trusted where no limits are given.

    Raises:
        ValueError: A key is listed twice with different limits, or two keys have the same id.
    """

    def __init__(self, keys: Iterable[TrustedKey], own: PublicKey | None = None) -> None:
        self._by_id: dict[str, TrustedKey] = {}
        for trusted in keys:
            if self._by_id.setdefault(trusted.key.id, trusted) != trusted:
                raise ValueError(
                    f"trusted key {trusted.key.id} is listed twice, with different limits or keys"
                )
        if own is not None and self._by_id.setdefault(own.id, TrustedKey(own)).key != own:
            raise ValueError(f"trusted key {own.id} has the id of the signing key, and is another key")

    def __len__(self) -> int:
        return len(self._by_id)

    def __iter__(self) -> Iterator[TrustedKey]:
        return iter(self._by_id.values())

    def __getitem__(self, key_id: str) -> TrustedKey:
        return self._by_id[key_id]

    def require(self, key_id: str, purpose: Purpose, written: datetime | None, where: str) -> PublicKey:
        """Return the key of this id.

        Args:
            key_id: The key id.
            purpose: What the object is.
            written: When it was written, by the server's clock.
            where: The object in messages.

        Raises:
            TamperedValueError: The key is not trusted (``untrusted_key``), or had ended (``key_ended``).
        """
        trusted = self._by_id.get(key_id)
        if trusted is None:
            raise TamperedValueError(
                f"{where} was sealed with key {key_id}, which is not trusted here", reason="untrusted_key"
            )
        if not trusted.accepts(purpose):
            raise TamperedValueError(
                f"{where} was sealed with key {key_id}, which is not trusted for a {purpose}",
                reason="untrusted_key",
            )
        if trusted.has_ended(written):
            raise TamperedValueError(
                f"{where} was sealed with key {key_id}, which counts until {trusted.until}, and the server "
                f"says that it was written {written or 'nobody knows when'}",
                reason="key_ended",
            )
        return trusted.key


def _parse_date(text: str) -> datetime:
    match = _DATE.fullmatch(text)
    if match is None:
        raise ValueError("until is a date such as 2026-12-01, or a time such as 2026-12-01T18:30Z")
    return datetime.fromisoformat(f"{match[1]}T{match[2] or '00:00'}+00:00")


def _parse_purposes(text: str) -> frozenset[Purpose]:
    return frozenset(parse_purpose(name) for name in text.split(","))
