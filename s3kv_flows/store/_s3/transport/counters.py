"""Count the requests and bytes of a client exactly."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

__all__ = ["Counters", "Counts"]


class Counts:
    """A snapshot of counts.

    The names in use: ``requests.<Operation>`` per attempt that was sent (retries are requests too),
    ``bytes.sent`` and ``bytes.received`` (bodies, without headers), and ``results.<outcome>``, counted by the
    cache.
    """

    __slots__ = ("_counts",)

    def __init__(self, counts: Mapping[str, float]) -> None:
        self._counts = {name: count for name, count in counts.items() if count}

    def __getitem__(self, name: str) -> float:
        return self._counts.get(name, 0)

    def __repr__(self) -> str:
        return f"Counts({self._counts!r})"

    @property
    def requests(self) -> int:
        """The number of requests of all operations."""
        return sum(self.by_operation.values())

    @property
    def by_operation(self) -> dict[str, int]:
        """Requests per S3 operation, such as ``{"GetObject": 3}``."""
        prefix = "requests."
        return {
            name.removeprefix(prefix): int(count)
            for name, count in self._counts.items()
            if name.startswith(prefix)
        }

    @property
    def bytes_sent(self) -> int:
        """Bytes of request bodies."""
        return int(self["bytes.sent"])

    @property
    def bytes_received(self) -> int:
        """Bytes of response bodies, as far as they were read."""
        return int(self["bytes.received"])


class Counters:
    """Thread-safe counters."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: Counter[str] = Counter()

    def add(self, name: str, amount: float = 1) -> None:
        """Add ``amount`` to the counter ``name``."""
        with self._lock:
            self._counts[name] += amount  # type: ignore[assignment]  # seconds are counted, too

    def read(self) -> Counts:
        """Return the counts since the client was created."""
        with self._lock:
            return Counts(self._counts)

    @contextmanager
    def measure(self) -> Iterator[list[Counts]]:
        """Measure the counts of a ``with`` block.

        Requests of other threads with the same client are counted too: measure one thing at a time.

        Yields:
            A list that holds one :class:`Counts` after the block has ended.
        """
        before = self.read()
        result: list[Counts] = []
        try:
            yield result
        finally:
            after = self.read()
            names = set(after._counts) | set(before._counts)  # noqa: SLF001  # of the same module
            result.append(Counts({name: after[name] - before[name] for name in names}))
