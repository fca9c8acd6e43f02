"""What a task can tell apart never shares a digest."""

from __future__ import annotations

import warnings
from itertools import combinations
from typing import Any

import pytest

from s3kv_flows._keys.contents.encoder import ContentEncoder
from tests.keys.contents.different import GROUPS
from tests.keys.contents.objects import encoder


def groups(room: str) -> dict[str, list[Any]]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of pandas and numpy, on what will be otherwise
        return GROUPS[room]()


@pytest.mark.parametrize("room", GROUPS)
def test_different_values_never_share_a_digest(room: str) -> None:
    shared = []
    for name, values in groups(room).items():
        digests = [encoder().digest(value) for value in values]
        shared += [
            f"{name}: {values[a]!r:.80} ({a}) and {values[b]!r:.80} ({b})"
            for a, b in combinations(range(len(values)), 2)
            if digests[a] == digests[b]
        ]
    assert shared == []


def test_there_are_many_of_them() -> None:
    assert sum(len(list(combinations(one, 2))) for room in GROUPS for one in groups(room).values()) > 3000


def test_the_code_of_a_class_counts_unless_it_is_ignored() -> None:
    class Priced:
        def __init__(self, price: int) -> None:
            self.price = price

    codes = iter([b"before" * 5, b"after" * 6])
    before, after = (ContentEncoder({Priced: next(codes)}.get).digest([Priced(1)]) for _ in range(2))  # type: ignore[arg-type]
    ignoring = [
        ContentEncoder(lambda _: b"x", ignore=[Priced]).digest([Priced(price)]) for price in (1, 1, 2)
    ]

    assert before != after
    assert ignoring[0] == ignoring[1] != ignoring[2]
