"""What must hold after a soak, and the figures of it."""

from __future__ import annotations

import json
from collections import defaultdict
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any

from s3kv_flows.store import S3KV
from s3kv_flows.store._outputs.receipts import Receipt

__all__ = ["computed_twice", "growth", "unequal_outputs"]

_MOST_GROWTH = 1.05
_SPARE = 4  # connections that are kept open, or not


def computed_twice(journal: Path, stopped: list[int]) -> list[str]:
    """Return, in words, where two computed a key at once, or where it had two values.

    A process that was stopped for longer than its lease may go on computing; what it made is refused then.
    """
    events: dict[int, list[dict[str, Any]]] = defaultdict(list)
    for line in journal.read_text().splitlines():
        event = json.loads(line)
        events[event["key"]].append(event)
    return [text for key, of_key in events.items() for text in _of_key(key, of_key, stopped)]


def _of_key(key: int, events: list[dict[str, Any]], stopped: list[int]) -> list[str]:
    values = {one["token"] for one in events if one["event"] == "returned"}
    found = [f"{key} had {len(values)} values"] if len(values) > 1 else []
    ends = {one["token"]: one["at"] for one in events if one["event"] == "end"}
    spans = sorted(
        (one["at"], ends[one["token"]])
        for one in events
        if one["event"] == "begin" and one["token"] in ends and one["pid"] not in stopped
    )
    for (_, end), (begin, _) in pairwise(spans):
        if begin < end:
            found.append(f"{key} was computed by two at once")
    return found


def unequal_outputs(store: S3KV, receipts: set[str]) -> list[str]:
    """Return what differs between outputs and their receipts."""
    known = {(one.key, one.version_id): one for one in map(Receipt.from_json, receipts)}
    return [problem for one in known.values() for problem in store.outputs.verify(one).problems]


def growth(samples: list[tuple[float, dict[str, Any]]], warm_up: float) -> tuple[str, list[str]]:
    """Return how memory, files and threads of a process grew after its first minute, and what is too much."""
    warm = [report for at, report in samples if at >= warm_up]
    if not warm:
        return "", ["the first worker did nothing after it was warm"]
    third = max(1, len(warm) // 3)
    texts, problems = [], []
    for what in ("rss", "fds", "threads"):
        first, last = (median(one[what] for one in part) for part in (warm[:third], warm[-third:]))
        texts.append(f"{what} {first:.0f} to {last:.0f}")
        if last > (first * _MOST_GROWTH if what == "rss" else first + _SPARE):
            problems.append(texts[-1])
    return ", ".join(texts), problems
