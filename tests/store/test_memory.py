"""Memory that is taken, given back, and taken again."""

from __future__ import annotations

import pytest

from s3kv_flows.store._s3.bodies import SpareMemory

MIB = 1 << 20


def test_what_is_given_back_is_taken_again() -> None:
    spare = SpareMemory()
    first = spare.take(3 * MIB)
    first[:3] = b"abc"
    spare.give_back(first)
    again = spare.take(3 * MIB - 7)
    assert len(again) == 3 * MIB - 7
    assert again[:3].tobytes() == b"abc"


def test_what_is_not_given_back_is_nobody_elses() -> None:
    spare = SpareMemory()
    first, second = spare.take(MIB), spare.take(MIB)
    first[:] = bytes(MIB)
    second[:3] = b"abc"
    assert first[:3].tobytes() == bytes(3)
    spare.give_back(first)
    third = spare.take(MIB)
    assert third.obj is first.obj
    assert spare.take(MIB).obj not in (first.obj, second.obj), "it is given once"


@pytest.mark.parametrize("size", [8 * MIB + 1, MIB])
def test_what_is_too_small_or_far_too_large_is_not_taken(size: int) -> None:
    spare = SpareMemory()
    spare.give_back(spare.take(8 * MIB))
    assert len(spare.take(size)) == size
    assert len(spare.take(8 * MIB)) == 8 * MIB


@pytest.mark.parametrize("is_late", [False, True])
def test_nothing_is_kept_once_it_is_closed(is_late: bool) -> None:  # noqa: FBT001
    spare = SpareMemory()
    first = spare.take(MIB)
    first[:3] = b"abc"
    if is_late:
        spare.close()
    spare.give_back(first)
    spare.close()
    assert spare.take(MIB)[:3].tobytes() == bytes(3)


def test_a_state_may_be_empty() -> None:
    assert len(SpareMemory().take(0)) == 0
