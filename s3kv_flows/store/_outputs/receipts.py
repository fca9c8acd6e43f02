"""Receipts: what was published, exactly, as data that can be kept anywhere and checked by anybody."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from datetime import datetime
from typing import Any, Literal

__all__ = ["Outcome", "Receipt", "Verification"]

Outcome = Literal["written", "unchanged", "locked", "superseded"]

_VERSION = 1
_MOMENTS = ("retain_until", "written_at")


@dataclass(frozen=True)
class Receipt:
    """One version of one object, what it holds, and until when it is locked.

    Attributes:
        bucket: The bucket.
        endpoint: The server: its URL, or what messages call AWS (a partition of it, where it is another than
            ``aws``).
        key: The key, as it was given.
        object_name: The name of the object.
        version_id: The version.
        sha256: Of the body as it is stored, in hex.
        size: The same in bytes.
        mode: ``"GOVERNANCE"`` or ``"COMPLIANCE"``; None under a legal hold alone.
        retain_until: The end of the retention, as the server says it.
        legal_hold: Whether it is under a legal hold.
        written_at: When the version was written, by the server's clock.
        outcome: What the call that gave the receipt did: ``"written"``; ``"superseded"`` an older version,
            which stays; found the same content, and left it ``"unchanged"``, or ``"locked"`` it longer.
        superseded_version_id: The version that it superseded.
        flow_run_id: The Prefect flow run that published it.
        code_version: What that run calls the version of its code.
        store: The name of the saved store.
    """

    bucket: str
    endpoint: str
    key: str
    object_name: str
    version_id: str
    sha256: str
    size: int
    mode: str | None
    retain_until: datetime | None
    legal_hold: bool
    written_at: datetime
    outcome: Outcome = "written"
    superseded_version_id: str | None = None
    flow_run_id: str | None = None
    code_version: str | None = None
    store: str | None = None

    def published_by(
        self, *, flow_run_id: str | None, code_version: str | None, store: str | None
    ) -> Receipt:
        """Return the receipt with what the store cannot know."""
        return replace(self, flow_run_id=flow_run_id, code_version=code_version, store=store)

    def as_dict(self) -> dict[str, Any]:
        """Return the receipt as what JSON can hold."""
        data = {"receipt": _VERSION, **asdict(self)}
        return {key: one.isoformat() if isinstance(one, datetime) else one for key, one in data.items()}

    def to_json(self) -> str:
        """Return the receipt as JSON."""
        return json.dumps(self.as_dict(), indent=2)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Receipt:
        """Return the receipt of :meth:`as_dict`.

        Raises:
            ValueError: This is no receipt, or one of another version of this package.
        """
        if data.get("receipt") != _VERSION:
            raise ValueError(f"this is no receipt that this package can read: {str(data)[:80]} ...")
        known = {one.name for one in fields(cls)}
        values = {key: value for key, value in data.items() if key in known}
        try:
            for name in _MOMENTS:
                if values.get(name) is not None:
                    values[name] = datetime.fromisoformat(values[name])
            return cls(**values)
        except (TypeError, ValueError) as exc:
            raise ValueError(f"this receipt cannot be read: {exc}") from exc

    @classmethod
    def from_json(cls, text: str) -> Receipt:
        """Return the receipt of :meth:`to_json`.

        Raises:
            ValueError: This is no receipt.
        """
        try:
            data = json.loads(text)
        except ValueError as exc:
            raise ValueError(f"this is no receipt: {exc}") from exc
        return cls.from_dict(data if isinstance(data, dict) else {})


@dataclass(frozen=True)
class Verification:
    """What came of checking a receipt.

    Attributes:
        receipt: The receipt.
        problems: How what is there differs from it; empty where it holds.
        notes: What else there is to know: that it was superseded, or is held longer.
    """

    receipt: Receipt
    problems: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def holds(self) -> bool:
        """Whether exactly that version is there, unchanged and locked, and nothing hides it."""
        return not self.problems
