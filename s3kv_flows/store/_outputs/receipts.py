"""Receipts of published versions, and the results of verifying them.

A receipt is plain data: it can be kept anywhere, and checked by anybody.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from datetime import datetime
from typing import Any, Literal

__all__ = ["Outcome", "Receipt", "Verification"]

Outcome = Literal["written", "unchanged", "locked", "superseded"]

_VERSION = 1
_DATES = ("retain_until", "written_at")


@dataclass(frozen=True)
class Receipt:
    """The receipt of one published version: its digest, its size and its lock.

    Attributes:
        bucket: The bucket.
        endpoint: The URL of the server, or the name of AWS in messages (with its partition, unless that is
            ``aws``).
        key: The key, as the caller named it.
        object_name: The object name.
        version_id: The version.
        sha256: The SHA-256 of the stored body, in hex.
        size: The size of the stored body, in bytes.
        mode: ``"GOVERNANCE"`` or ``"COMPLIANCE"``; None under a legal hold alone.
        retain_until: The end of the retention, as the server returned it.
        legal_hold: Whether it is under a legal hold.
        written_at: When the version was written, by the server's clock.
        outcome: The effect of the call that returned the receipt: ``"written"``; ``"superseded"`` an older
            version, which stays; or, for a key with the same content, ``"unchanged"``, or ``"locked"``
            longer.
        superseded_version_id: The version that this one superseded.
        flow_run_id: The Prefect flow run that published it.
        code_version: The version of the code of that run.
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
        """Return the receipt with facts that the store cannot know."""
        return replace(self, flow_run_id=flow_run_id, code_version=code_version, store=store)

    def as_dict(self) -> dict[str, Any]:
        """Return the receipt as a dict that JSON can encode."""
        data = {"receipt": _VERSION, **asdict(self)}
        return {key: item.isoformat() if isinstance(item, datetime) else item for key, item in data.items()}

    def to_json(self) -> str:
        """Return the receipt as JSON."""
        return json.dumps(self.as_dict(), indent=2)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Receipt:
        """Return the receipt of :meth:`as_dict`.

        Raises:
            ValueError: This is not a receipt, or it has another format version.
        """
        if data.get("receipt") != _VERSION:
            raise ValueError(f"this is not a receipt that this package can read: {str(data)[:80]} ...")
        known = {field.name for field in fields(cls)}
        values = {key: value for key, value in data.items() if key in known}
        try:
            for name in _DATES:
                if values.get(name) is not None:
                    values[name] = datetime.fromisoformat(values[name])
            return cls(**values)
        except (TypeError, ValueError) as exc:
            raise ValueError(f"this receipt cannot be read: {exc}") from exc

    @classmethod
    def from_json(cls, text: str) -> Receipt:
        """Return the receipt of :meth:`to_json`.

        Raises:
            ValueError: This is not a receipt.
        """
        try:
            data = json.loads(text)
        except ValueError as exc:
            raise ValueError(f"this is not a receipt: {exc}") from exc
        return cls.from_dict(data if isinstance(data, dict) else {})


@dataclass(frozen=True)
class Verification:
    """The result of verifying a receipt.

    Attributes:
        receipt: The receipt.
        problems: The differences between the receipt and the bucket; empty where the receipt holds.
        notes: Changes that are no problem: the version was superseded, or is locked longer.
    """

    receipt: Receipt
    problems: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def holds(self) -> bool:
        """Whether the version of the receipt exists, unchanged, locked, and not hidden."""
        return not self.problems
