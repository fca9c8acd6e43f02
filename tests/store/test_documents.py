"""Small documents that others may have written: leases and receipts."""

from __future__ import annotations

import json
from dataclasses import fields, replace
from datetime import timezone
from io import BytesIO
from typing import Any

import pytest

from s3kv_flows.store._layout.documents import MAX_NUMBER, read_document
from s3kv_flows.store._layout.marks import final_mark, mark_of
from s3kv_flows.store._leases.records import MAX_LEASE_SECONDS, LeaseRecord, new_record
from s3kv_flows.store._outputs.receipts import _CHECKS, Receipt
from s3kv_flows.store.errors import CorruptValueError
from tests.support.mutations import COUNT, mutations
from tests.support.receipts import MOMENT, RECEIPT

LEASE = {
    "format": 1,
    "holder": "a",
    "host": "b",
    "seconds": 30.0,
    "number": 7,
    "token": "c",
    "released": False,
}


# --- any document -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[" * 100_000, "nested more than"),
        ('{"a":' * 30_000, "nested more than"),
        ('{"a": 1, "a": 2}', "two values for one key"),
        ('{"a": {"b": 1, "b": 1}}', "two values for one key"),
        ("NaN", "NaN is no number"),
        ("[-Infinity]", "-Infinity is no number"),
        (" " * 200_001, "more than 200,000 bytes"),
        ("", "Expecting value"),
        ("1" * 5000, "digits"),
        (b"\xff", "utf-8"),
        ('"' + '\\"' * 90_000, "Unterminated"),
        ('"' * 199_999, "Extra data"),
    ],
)
def test_a_document_beyond_its_bounds_is_refused(text: str | bytes, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        read_document(text, max_bytes=200_000)


def test_brackets_within_text_are_no_depth() -> None:
    assert read_document(json.dumps(["[{" * 100]), max_bytes=1000) == ["[{" * 100]


# --- leases -------------------------------------------------------------------------------------------

JUNK: dict[str, object] = {
    "no mapping": [],
    "seconds is a flag": LEASE | {"seconds": True},
    "seconds is text": LEASE | {"seconds": "30"},
    "seconds is 0": LEASE | {"seconds": 0},
    "seconds is negative": LEASE | {"seconds": -1},
    "seconds is NaN": LEASE | {"seconds": float("nan")},
    "number is a flag": LEASE | {"number": True},
    "number is a float": LEASE | {"number": 7.0},
    "number is text": LEASE | {"number": "7"},
    "number is negative": LEASE | {"number": -1},
    "number is too large": LEASE | {"number": MAX_NUMBER + 1},
    "holder is a list": LEASE | {"holder": ["a"]},
    "holder is empty": LEASE | {"holder": ""},
    "holder is long": LEASE | {"holder": "a" * 513},
    "holder moves the cursor": LEASE | {"holder": "\x1b[2J"},
    "holder turns around": LEASE | {"holder": "a\u202eb"},
    "holder is no text": LEASE | {"holder": "\ud800"},
    "host is missing": {key: value for key, value in LEASE.items() if key != "host"},
    "token is a number": LEASE | {"token": 1},
    "released is a number": LEASE | {"released": 0},
    "released is text": LEASE | {"released": "false"},
    "large": LEASE | {"more": "x" * 4096},
}


@pytest.mark.parametrize("found", JUNK.values(), ids=JUNK)
def test_what_is_no_lease_is_refused(found: object) -> None:
    with pytest.raises(CorruptValueError, match="is no lease"):
        LeaseRecord.from_json("name", json.dumps(found).encode())


@pytest.mark.parametrize("seconds", ["1e999", "1e300", "9" * 400, "3601"])
def test_no_lease_holds_for_ever(seconds: str) -> None:
    body = json.dumps(LEASE).replace("30.0", seconds).encode()
    assert LeaseRecord.from_json("name", body).seconds == MAX_LEASE_SECONDS


def test_what_is_written_can_be_read() -> None:
    record = new_record("\x1b[2J" * 200, "", 30.0, 1, "token")
    assert LeaseRecord.from_json("name", record.to_json()) == record
    assert LeaseRecord.from_json("name", json.dumps(LEASE | {"later": {}}).encode()).holder == "a"


def lease_of(body: bytes) -> LeaseRecord | None:
    try:
        return LeaseRecord.from_json("name", body)
    except CorruptValueError:
        return None


def test_no_damage_to_a_lease_raises_anything_else() -> None:
    seeds = [json.dumps(LEASE).encode(), new_record("a sweep 1", "host", 10.0, 2**50, "ab-cd").to_json()]
    found = [record for record in map(lease_of, mutations(seeds, COUNT)) if record is not None]
    assert COUNT // 50 < len(found) < COUNT * 49 // 50, "both are tried"
    for record in found:
        assert 0 < record.seconds <= MAX_LEASE_SECONDS
        assert 0 <= record.number <= MAX_NUMBER
        assert type(record.number) is int
        assert f"{record.holder}{record.host}{record.token}".isprintable()


# --- receipts -----------------------------------------------------------------------------------------


def test_every_field_of_a_receipt_is_checked() -> None:
    assert [field.name for field in fields(Receipt)] == list(_CHECKS)
    assert Receipt.from_json(RECEIPT.to_json()) == RECEIPT
    held = replace(RECEIPT, mode=None, retain_until=None, legal_hold=True, key="\u202e|", store="lake")
    assert Receipt.from_json(held.to_json()) == held


WRONG: list[dict[str, Any]] = [
    {"receipt": True},
    {"receipt": 1.0},
    {"bucket": "http://elsewhere/"},
    {"bucket": 3},
    {"endpoint": None},
    {"key": ""},
    {"object_name": "x" * 1025},
    {"object_name": "\ud800"},
    {"version_id": None},
    {"sha256": "0" * 63},
    {"sha256": "G" * 64},
    {"size": True},
    {"size": -1},
    {"size": 1e3},
    {"size": 2**53},
    {"mode": "FOREVER"},
    {"mode": []},
    {"retain_until": 3},
    {"retain_until": "2026-01-01"},
    {"retain_until": "2026-01-01T00:00:00"},
    {"retain_until": "9999-12-31T23:59:59-23:59"},
    {"written_at": None},
    {"written_at": "0001-01-01T00:00:00+23:59"},
    {"written_at": "2026-02-31T00:00:00+00:00"},
    {"legal_hold": 0},
    {"outcome": "gone"},
    {"outcome": []},
    {"store": {}},
    {"flow_run_id": "x" * 3000},
]


@pytest.mark.parametrize("wrong", WRONG, ids=str)
def test_a_receipt_with_a_wrong_field_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"this receipt cannot be read|this is not a receipt"):
        Receipt.from_dict(RECEIPT.as_dict() | wrong)


@pytest.mark.parametrize(
    "text", ["[" * 100_000, "{}" + " " * 70_000, '{"receipt": 1, "receipt": 1}', "3", "[]"]
)
def test_what_is_no_receipt_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="this is not a receipt"):
        Receipt.from_json(text)


def receipt_of(body: bytes) -> Receipt | None:
    try:
        return Receipt.read(BytesIO(body))
    except ValueError:
        return None


def test_no_damage_to_a_receipt_raises_anything_else() -> None:
    seeds = [RECEIPT.to_json().encode(), json.dumps(RECEIPT.as_dict()).encode()]
    found = [receipt for receipt in map(receipt_of, mutations(seeds, COUNT)) if receipt is not None]
    assert COUNT // 100 < len(found) < COUNT * 99 // 100, "both are tried"
    for receipt in found:
        assert receipt.written_at.astimezone(timezone.utc)
        assert Receipt.from_json(receipt.to_json()) == receipt


# --- marks --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("until", ["2026-01-01", "2026-01-01T00:00:00", "9999-12-31T23:59:59-23:59", "soon"])
def test_the_end_of_a_final_mark_has_a_zone(until: str) -> None:
    (key,) = made = final_mark("name", MOMENT)
    digest, _, _ = made[key].partition(" ")
    assert mark_of("name", made) is not None
    assert mark_of("name", {key: f"{digest} {until}"}) is None
