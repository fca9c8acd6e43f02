"""Receipts of published versions, and the results of verifying them.

A receipt is plain data: it can be kept anywhere, and checked by anybody.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime, timezone
from typing import Any, BinaryIO, Literal, get_args

from s3kv_flows.store._layout.documents import is_date_text, is_number, is_text, read_document
from s3kv_flows.store._layout.keys import MAX_NAME_BYTES, validate_bucket_name

__all__ = ["Outcome", "Receipt", "Verification"]

Outcome = Literal["written", "unchanged", "locked", "superseded"]

_VERSION = 1
_DATES = ("retain_until", "written_at")
_MAX_BYTES = 64 * 1024
_MAX_TEXT = 2048
_SHA256 = re.compile("[0-9a-f]{64}")


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
        seal: Says who published it, and that nothing of this was changed; None from a store without keys.
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
    seal: str | None = None

    def published_by(
        self, *, flow_run_id: str | None, code_version: str | None, store: str | None
    ) -> Receipt:
        """Return the receipt with facts that the store cannot know; it is to be sealed again."""
        return replace(self, flow_run_id=flow_run_id, code_version=code_version, store=store, seal=None)

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
            ValueError: This is not a receipt, it has another format version, or a field is missing or of
                another type. Fields that are not known are left out.
        """
        if type(data.get("receipt")) is not int or data["receipt"] != _VERSION:
            raise ValueError("this is not a receipt that this package can read")
        values: dict[str, Any] = {key: data.get(key) for key in _CHECKS}
        for key, is_right in _CHECKS.items():
            if not is_right(values[key]):
                raise ValueError(f"this receipt cannot be read: its {key} is missing, or of another kind")
        try:
            validate_bucket_name(data["bucket"])
            values |= {name: _date(values[name]) for name in _DATES}
        except ValueError as exc:
            raise ValueError(f"this receipt cannot be read: {exc}") from exc
        return cls(**values)

    @classmethod
    def from_json(cls, text: str) -> Receipt:
        """Return the receipt of :meth:`to_json`.

        Raises:
            ValueError: This is not a receipt.
        """
        try:
            data = read_document(text, max_bytes=_MAX_BYTES)
        except ValueError as exc:
            raise ValueError(f"this is not a receipt: {exc}") from exc
        return cls.from_dict(data if isinstance(data, dict) else {})

    @classmethod
    def read(cls, stream: BinaryIO) -> Receipt:
        """Return the receipt in a file, of which no more is read than a receipt has.

        Raises:
            ValueError: This is not a receipt.
        """
        try:
            return cls.from_json(stream.read(_MAX_BYTES + 1).decode())
        except UnicodeDecodeError as exc:
            raise ValueError(f"this is not a receipt: it is not UTF-8: {exc.reason}") from exc


def _date(text: str | None) -> datetime | None:
    """Return a date with its offset, which has a place among the dates in UTC.

    Raises:
        ValueError: It is no such date.
    """
    if text is None:
        return None
    date = datetime.fromisoformat(text)
    try:
        date.astimezone(timezone.utc)
    except OverflowError as exc:
        raise ValueError(f"{text} is out of range") from exc
    return date


def _is_name(value: object) -> bool:
    return is_text(value, MAX_NAME_BYTES, printable=False)


def _is_some_text(value: object) -> bool:
    return is_text(value, _MAX_TEXT, printable=False)


def _is_optional_text(value: object) -> bool:
    return value is None or value == "" or _is_some_text(value)


def _is_flag(value: object) -> bool:
    return type(value) is bool


_CHECKS: Mapping[str, Callable[[Any], bool]] = {
    "bucket": _is_some_text,
    "endpoint": _is_some_text,
    "key": _is_name,
    "object_name": _is_name,
    "version_id": _is_some_text,
    "sha256": lambda value: isinstance(value, str) and _SHA256.fullmatch(value) is not None,
    "size": is_number,
    "mode": lambda value: value in (None, "GOVERNANCE", "COMPLIANCE"),
    "retain_until": lambda value: value is None or is_date_text(value),
    "legal_hold": _is_flag,
    "written_at": is_date_text,
    "outcome": lambda value: isinstance(value, str) and value in get_args(Outcome),
    "superseded_version_id": _is_optional_text,
    "flow_run_id": _is_optional_text,
    "code_version": _is_optional_text,
    "store": _is_optional_text,
    "seal": _is_optional_text,
}
"""Tells of each field of a receipt whether a value can be one."""


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
