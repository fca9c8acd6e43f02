"""Shards of the work of a cleanup: what one task of many lists, asks or deletes.

They are classes of their own, and no lists or dataclasses, so that Prefect hands them to its tasks as they
are, instead of looking for futures in each of a million entries.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Generic, TypeVar

__all__ = ["Shard", "split"]

T = TypeVar("T")


class Shard(Generic[T]):
    """Some of many items."""

    def __init__(self, items: Sequence[T]) -> None:
        self.items = items


def split(items: Sequence[T], count: int, least: int) -> Iterator[Shard[T]]:
    """Yield shards of about one size, in order; fewer, where they would be smaller than ``least``.

    Args:
        items: The items.
        count: How many shards at most.
        least: How many items are worth a task of their own.
    """
    size = max(-(-len(items) // count), least)
    for start in range(0, len(items), size):
        yield Shard(items[start : start + size])
