"""Time and traffic, in rounds in which each peer has its turn: what counts are ratios within a round."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from statistics import median, quantiles
from typing import Any, Literal

from tests.benchmarks.distance import DistantServer, Traffic
from tests.benchmarks.place import Place
from tests.benchmarks.results.cases import Case
from tests.benchmarks.results.peers import OURS, Peer

__all__ = ["OPERATIONS", "Measured", "Operation", "Spread", "compare", "remove_objects"]

Operation = Literal["hit", "miss"]
OPERATIONS: tuple[Operation, Operation] = ("hit", "miss")

_LEAST_ROUNDS = 3
_MOST_ROUNDS = 40


@dataclass(frozen=True)
class Spread:
    """The median of some figures, and the half of them that lies around it."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, figures: list[float]) -> Spread:
        low, _, high = quantiles(figures, n=4, method="inclusive")
        return cls(median(figures), low, high)


@dataclass
class Measured:
    """What one operation cost a peer, round for round."""

    seconds: list[float] = field(default_factory=list)
    traffic: list[Traffic] = field(default_factory=list)

    def times_slower_than(self, other: Measured) -> Spread:
        """Return the ratio within each round that both took part in."""
        return Spread.of([mine / its for mine, its in zip(self.seconds, other.seconds, strict=False)])

    def usual_traffic(self) -> Traffic:
        """Return the medians: a new connection now and then belongs to no single operation."""
        return Traffic(
            *(
                round(median(getattr(traffic, name) for traffic in self.traffic))
                for name in ("requests", "wire_bytes", "connections")
            )
        )


def compare(
    case: Case,
    peers: dict[str, type[Peer]],
    server: DistantServer,
    near: Place,
    far: Place,
    *,
    budget: float,
) -> dict[Operation, dict[str, Measured]]:
    """Measure the hits and misses of all peers: at least three rounds, and at most forty.

    Args:
        case: The value.
        peers: The peers, by name; ours among them.
        server: The line to the server.
        near: The server without the line, to clean up.
        far: The server at the end of it.
        budget: Seconds that an operation of a peer may take in all; one that has used them up sits out.
    """
    value = case.make()
    ready = {name: peer(far, value) for name, peer in peers.items() if peer.takes(case)}
    for name, peer in ready.items():
        _prove(case, name, peer, value)
    gc.collect()
    gc.freeze()  # so that a collection within a turn goes through what the turn made, and nothing else
    found: dict[Operation, dict[str, Measured]] = {
        operation: {name: Measured() for name in ready} for operation in OPERATIONS
    }
    for operation, measured in found.items():
        for number in range(_MOST_ROUNDS):
            playing = list(_playing(measured, budget))
            if playing == [OURS]:
                break
            for name in _rotated(playing, number):
                key = f"{name}-hit" if operation == "hit" else f"{name}-miss-{number}"
                _turn(ready[name], key, operation, value, server, measured[name])
            if operation == "miss":
                remove_objects(near, "-miss-")
    remove_objects(near)
    for name, peer in ready.items():
        peer.forget(f"{name}-hit")
    gc.unfreeze()
    return found


def _prove(case: Case, name: str, peer: Peer, value: Any) -> None:
    """Keep the value that hits are to find, and look whether they find it."""
    with peer.run(f"{name}-hit") as run:
        run.miss(value)
    with peer.run(f"{name}-hit") as run:
        back = run.hit()
    if not isinstance(back, bytes) and not case.equal(value, back):
        raise AssertionError(f"{name} gives another {case.name} back")


def _turn(
    peer: Peer, key: str, operation: Operation, value: Any, server: DistantServer, measured: Measured
) -> None:
    with peer.run(key) as run:
        work: Callable[[], Any] = run.hit if operation == "hit" else lambda: run.miss(value)
        before, started = server.traffic(), time.perf_counter()
        back = work()
        measured.seconds.append(time.perf_counter() - started)
        measured.traffic.append(server.traffic() - before)
        del back
    if operation == "miss":
        peer.forget(key)


def _playing(measured: dict[str, Measured], budget: float) -> Iterator[str]:
    """Yield who takes part in the next round: ours always does, for the others to be compared with."""
    for name, its in measured.items():
        if name == OURS or len(its.seconds) < _LEAST_ROUNDS or sum(its.seconds) < budget:
            yield name


def _rotated(names: list[str], number: int) -> list[str]:
    """Let another one begin each round: what it leaves behind falls on all alike."""
    start = number % len(names)
    return names[start:] + names[:start]


def remove_objects(place: Place, part: str = "") -> None:
    """Delete the objects whose names contain this."""
    client = place.boto3()
    for page in client.get_paginator("list_objects_v2").paginate(Bucket=place.bucket):
        for item in page.get("Contents", []):
            if part in item["Key"]:
                client.delete_object(Bucket=place.bucket, Key=item["Key"])
