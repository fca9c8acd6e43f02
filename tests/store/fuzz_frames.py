"""Frames and metadata, damaged at random: what escapes of it must be a documented error.

``python -m tests.store.fuzz_frames 1000000`` runs as many, and prints how they ended.
"""

from __future__ import annotations

import random
import sys
import time
from collections import Counter
from collections.abc import Callable
from datetime import datetime, timedelta, timezone

from s3kv_flows._results.payload import fence_of
from s3kv_flows._results.records import FoundResult, Record
from s3kv_flows.checkpoints._states import position_of
from s3kv_flows.store._layout.marks import final_mark, mark_of
from s3kv_flows.store._layout.ttl import recorded_ttl
from s3kv_flows.store._s3.types import ObjectInfo
from s3kv_flows.store._values.frames.frames import about, unpack
from s3kv_flows.store.errors import CorruptValueError
from tests.support.frames import CODEC, HEAD, format3, format4, repaired

Dice = random.Random
Mutation = Callable[[bytearray, Dice], bytearray]

MAX_BYTES = 1 << 20
REPAIRED = 0.85

_BUFFERS: list[list[bytes]] = [
    [b"value"],
    [bytes(5000), b"stored as it is", b""],
    [bytes([number]) * (number * 50) for number in range(12)],
    [],
]
BODIES = [make(buffers, said) for make in (format3, format4) for buffers in _BUFFERS for said in (b"", b"x")]

EDGES = [0, 1, 2, 3, 15, 16, 17, 63, 64, 127, 128, 255, 256, 2**16 - 1, 4 << 20, (4 << 20) + 1, 2**31]
EDGES += [2**32 - 1, 2**53, 2**63 - 1, 2**63, 2**64 - 1, 10**18]
TEXTS = [
    b"1e999",
    b"NaN",
    b"-1",
    b"true",
    b"null",
    b"[]",
    b'""',
    b"1.0",
    b"0x10",
    b"9" * 400,
    b"18446744073709551616",
]


def flip(body: bytearray, dice: Dice) -> bytearray:
    for _ in range(dice.randint(1, 4)):
        body[dice.randrange(len(body))] ^= 1 << dice.randrange(8)
    return body


def flip_early(body: bytearray, dice: Dice) -> bytearray:
    body[dice.randrange(8, min(len(body), 160))] = dice.randrange(256)
    return body


def truncate(body: bytearray, dice: Dice) -> bytearray:
    return body[: dice.randrange(len(body))]


def insert(body: bytearray, dice: Dice) -> bytearray:
    place = dice.randrange(len(body) + 1)
    return body[:place] + dice.randbytes(dice.choice([1, 4, 8, 16, 64])) + body[place:]


def remove(body: bytearray, dice: Dice) -> bytearray:
    place = dice.randrange(len(body))
    return body[:place] + body[place + dice.choice([1, 4, 8, 16]) :]


def set_number(body: bytearray, dice: Dice) -> bytearray:
    """Set a number of the head or the tables to an edge value, or near to what it was."""
    size = dice.choice([1, 2, 4, 8])
    place = dice.randrange(8, min(len(body), 200) - size)
    before = int.from_bytes(body[place : place + size], "little")
    number = dice.choice([*EDGES, before + 1, before - 1, before ^ (1 << (8 * size - 1))])
    body[place : place + size] = (number % (1 << 8 * size)).to_bytes(size, "little")
    return body


def set_length(body: bytearray, dice: Dice) -> bytearray:
    """Change the size of a frame, and let its head say so."""
    changed = dice.choice([truncate, insert, remove])(body, dice)
    if len(changed) >= HEAD.size:
        changed[32:40] = len(changed).to_bytes(8, "little")
    return changed


def set_text(body: bytearray, dice: Dice) -> bytearray:
    """Put another text in the place of a number in the header of format 3, whose size stays."""
    digits = [place for place, byte in enumerate(body[21:200], 21) if chr(byte).isdigit()]
    place, text = dice.choice(digits or [8]), dice.choice(TEXTS)
    return body[:place] + text + body[place + len(text) :]


MUTATIONS: list[Mutation] = [
    flip, flip_early, truncate, insert, remove, set_number, set_number, set_length, set_text
]  # fmt: skip


def of_frame(dice: Dice) -> str:
    """Damage a frame, read it, and say what came of it."""
    body = bytearray(dice.choice(BODIES))
    for _ in range(dice.choice([1, 1, 1, 2, 3])):
        if len(body) > 32:
            body = dice.choice(MUTATIONS)(body, dice)
    if dice.random() < REPAIRED:
        body = repaired(body)
    checked = dice.random() < REPAIRED
    try:
        if dice.random() < 0.2:
            about(body, verify_checksum=checked, max_bytes=MAX_BYTES)
        else:
            unpack(CODEC, body, verify_checksum=checked, max_bytes=MAX_BYTES)
    except CorruptValueError as exc:
        return exc.reason
    return "read"


NAME = "s3kv-results/key"
_NOW = datetime(2026, 11, 1, tzinfo=timezone.utc)
METADATA = {
    **Record("3.8.1", _NOW, timedelta(days=1), 1.5, "a" * 64, "1;n=x;c=y", 7).to_metadata(NAME),
    **final_mark(NAME, _NOW),
    "s3kv-position": "12",
}
VALUES = ["", "-", "nan", "inf", "-inf", "1e999", "-1", "1_000", "0x1", "٣", "9" * 20, "9" * 400, " 1", "1 "]
VALUES += [
    "1.5",
    "True",
    str(2**53),
    str(2**53 - 1),
    "9" * 15,
    "-" + "9" * 15,
    "2026-11-01",
    "\0",
    "é" * 9000,
]
VALUES += [
    f"{year}-12-31T23:59:59.999999{zone}" for year in ("0001", "1969", "9999") for zone in ("-23:59", "")
]
VALUES += [
    "2026-02-30T00:00:00+00:00",
    "2026-11-01T00:00:00",
    "2026-11-01T00:00:00+99:99",
    "20261101T000000Z",
]


def of_metadata(dice: Dice) -> str:
    """Damage the metadata of a result, read all of it, and say what came of it."""
    metadata = dict(METADATA)
    for _ in range(dice.choice([1, 1, 2, 3])):
        name = dice.choice(sorted(METADATA))
        text = metadata.get(name, "")
        place = dice.randrange(len(text) + 1)
        changed = [text[:place], text[:place] + chr(dice.randrange(1, 0x250)) + text[place + 1 :], text * 2]
        metadata[name] = dice.choice([*VALUES, *changed])
        if dice.random() < 0.1:
            del metadata[name]
    now = _NOW.replace(year=dice.choice([1970, 2026, 2026, 2026, 9999]))
    written = _NOW.replace(year=dice.choice([1970, 2026, 2026, 2026, 9999]))
    info = ObjectInfo(NAME, "", 5, written, now, metadata=metadata, is_dated=dice.random() < 0.9)
    mark_of(NAME, metadata), recorded_ttl(metadata), fence_of(metadata)
    try:
        position_of(metadata)
        record = Record.from_info(info)
        remaining = record.remaining(info)
    except CorruptValueError as exc:
        return exc.reason
    found = FoundResult(record, remaining, None, 5, was_locked=False)
    assert (found.expiration is None) == (remaining is None)
    assert record.seconds is None or 0 <= record.seconds < 4e9
    return "read"


def outcomes(count: int, seed: int = 4) -> dict[str, Counter[str]]:
    """Return how many of so many damaged frames and sets of metadata ended how."""
    dice = random.Random(seed)
    found: dict[str, Counter[str]] = {"frames": Counter(), "metadata": Counter()}
    for number in range(count):
        if number % 5:
            found["frames"][of_frame(dice)] += 1
        else:
            found["metadata"][of_metadata(dice)] += 1
    return found


def main() -> None:
    """Run as many as the command line says."""
    count, began = int(sys.argv[1]), time.monotonic()
    for what, counted in outcomes(count, seed=int(sys.argv[2]) if len(sys.argv) > 2 else 4).items():
        print(what)  # noqa: T201
        for outcome, number in counted.most_common():
            print(f"{number:9,}  {outcome}")  # noqa: T201
    print(f"{time.monotonic() - began:.0f} s")  # noqa: T201


if __name__ == "__main__":
    main()
