"""Mutations of small documents, by dice with a seed."""

from __future__ import annotations

import os
import random
from collections.abc import Iterator, Sequence

__all__ = ["COUNT", "mutations"]

COUNT = int(os.environ.get("S3KV_TEST_MUTATIONS", "10000"))
"""How many mutations of each kind of document are tried."""

_PIECES = (
    *(b"null", b"true", b"false", b"NaN", b"-Infinity", b"1e999", b"-1", b"0", b"1.5", b"9" * 400, b'""'),
    *(b"{", b"}", b"[", b"]", b",", b":", b'"', b"\\", b"\\ud800", b"\\u202e", b"\x00", b"\x1b[2J", b"\n"),
    *(b"\xff", b"\xed\xa0\x80", b"[" * 200, b'{"a":' * 40, b"x" * 5000, b'"receipt": 1,', b'"number": 3,'),
    *(b"&a ", b"*a", b"<<: *a\n", b"!!python/object:os.system ", b"!!int ", b"!!timestamp ", b"!!binary "),
    *(b"9999-12-31T23:59:59-23:59", b"0001-01-01T00:00:00+23:59", b"2026-01-01T00:00:00", b"2026-02-31"),
    *(b"- ", b"? ", b"| ", b"---\n", b"%YAML 9.9\n", b"#", b"'", b"30d", b"99999999999999d", b"0x", b"1:30"),
)


def mutations(seeds: Sequence[bytes], count: int, seed: int = 1) -> Iterator[bytes]:
    """Yield damaged, cut, joined and rearranged documents."""
    dice = random.Random(seed)
    for _ in range(count):
        body = bytearray(dice.choice(seeds))
        for _ in range(dice.randrange(1, 5)):
            _mutate(body, dice, seeds)
        yield bytes(body)


def _mutate(body: bytearray, dice: random.Random, seeds: Sequence[bytes]) -> None:
    at = dice.randrange(len(body) + 1)
    end = min(len(body), at + dice.randrange(1, 24))
    match dice.randrange(6):
        case 0:
            del body[at:end]
        case 1:
            body[at:at] = dice.choice(_PIECES)
        case 2:
            body[at:end] = dice.choice(_PIECES)
        case 3 if at < len(body):
            body[at] ^= 1 << dice.randrange(8)
        case 4:
            body[at:at] = body[at:end] * dice.randrange(1, 4)
        case 5:
            other = dice.choice(seeds)
            body[at:] = other[dice.randrange(len(other) + 1) :]
