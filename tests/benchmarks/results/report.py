"""What was measured, as tables in Markdown, as JSON, and as a plot."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

from tests.benchmarks.distance import Traffic
from tests.benchmarks.results.cases import Case
from tests.benchmarks.results.peers import OURS
from tests.benchmarks.results.rounds import OPERATIONS, Measured, Operation, Spread

__all__ = ["Cell", "Report"]

_TITLES = {"hit": "Hits", "miss": "Misses"}
_TICKS = {1 << 10: "1 KiB", 1 << 16: "64 KiB", 1 << 20: "1 MiB", 1 << 24: "16 MiB", 1 << 27: "128 MiB"}
_PACKAGES = ("prefect", "prefect-aws", "boto3", "s3kv", "joblib", "numpy", "pandas")


@dataclass(frozen=True)
class Cell:
    """One operation of one peer with one value, from one distance.

    Attributes:
        round_trip: In seconds.
        value_bytes: The size of the value in memory.
        seconds: How long it took.
        ratio: How many times as long as this package, round for round.
        traffic: What went over the wire.
        rounds: How often it was measured.
    """

    round_trip: float
    operation: Operation
    case: str
    peer: str
    value_bytes: int
    seconds: Spread
    ratio: Spread
    traffic: Traffic
    rounds: int


@dataclass
class Report:
    """All of one run.

    Attributes:
        server: What was asked.
        cells: The times and the traffic.
        memory: Of each case and peer, the peak of each operation, as a multiple of the value.
    """

    server: str
    cells: list[Cell] = field(default_factory=list)
    memory: dict[str, dict[str, dict[Operation, float]]] = field(default_factory=dict)

    def add(
        self, round_trip: float, case: Case, size: int, found: dict[Operation, dict[str, Measured]]
    ) -> list[Cell]:
        """Add what was measured of one value from one distance."""
        cells = [
            Cell(
                round_trip,
                operation,
                case.name,
                peer,
                size,
                Spread.of(its.seconds),
                its.times_slower_than(measured[OURS]),
                its.usual_traffic(),
                len(its.seconds),
            )
            for operation, measured in found.items()
            for peer, its in measured.items()
        ]
        self.cells += cells
        return cells

    def write(self, directory: Path) -> None:
        """Write ``results.md``, ``results.json`` and ``results.svg``."""
        directory.mkdir(parents=True, exist_ok=True)
        (directory / "results.md").write_text(self.markdown())
        (directory / "results.json").write_text(json.dumps(self._as_json(), indent=1) + "\n")
        self._plot(directory / "results.svg")

    def markdown(self) -> str:
        """Return the tables."""
        return "\n".join([*self._head(), *self._summary(), *self._times(), *self._wire(), *self._memory()])

    def _head(self) -> Iterator[str]:
        packages = ", ".join(f"{name} {version(name)}" for name in _PACKAGES)
        yield "# What a cached result costs"
        yield ""
        yield (
            f"Made by `make bench`: {self.server}, client and a counting proxy that adds the round trip on "
            f"one machine with {os.cpu_count()} cores; Python {platform.python_version()}, {packages}."
        )
        yield ""
        yield (
            "Medians of one run. In brackets, how many times as long as `s3kv_flows` it took: the median of "
            "the ratios within each round, and the half of them that lies around it. Prefect's run itself, "
            "equal for all, is not in the figures: a hit is what a run asks of its `ResultStore` (`exists`, "
            "then `read`), a miss is `exists`, then the result is written. *boto3* moves the bytes that this "
            "package stores, without making or reading them: by `get_object` and `put_object`, or by "
            "s3transfer, in parts."
        )

    def _summary(self) -> Iterator[str]:
        far = max(self._distances())
        yield ""
        yield f"## In short, {far * 1000:.0f} ms away"
        yield ""
        yield "Times of `s3kv_flows`; of the others, how many times as long they take."
        yield ""
        short = [peer for peer in self._peers() if "JSON" not in peer]
        yield "| | " + " | ".join(short) + " |"
        yield "|---|" + "---:|" * len(short)
        by_place = {
            (cell.operation, cell.case, cell.peer): cell for cell in self.cells if cell.round_trip == far
        }
        for operation in OPERATIONS:
            for case in dict.fromkeys(cell.case for cell in self.cells):
                row = [by_place.get((operation, case, peer)) for peer in short]
                yield f"| {operation}, {case} | " + " | ".join(_in_short(cell) for cell in row) + " |"

    def _times(self) -> Iterator[str]:
        for round_trip in self._distances():
            for operation in OPERATIONS:
                cells = [
                    cell
                    for cell in self.cells
                    if (cell.round_trip, cell.operation) == (round_trip, operation)
                ]
                yield ""
                yield f"## {_TITLES[operation]}, {round_trip * 1000:.0f} ms away"
                yield ""
                yield from _table(cells, _time_of)

    def _wire(self) -> Iterator[str]:
        yield ""
        yield "## On the wire"
        yield ""
        yield "Requests, and bytes in both directions as a multiple of the value in memory."
        far = max(self._distances())
        for operation in OPERATIONS:
            cells = [cell for cell in self.cells if (cell.round_trip, cell.operation) == (far, operation)]
            yield ""
            yield f"{_TITLES[operation]}:"
            yield ""
            yield from _table(cells, _traffic_of)

    def _memory(self) -> Iterator[str]:
        if not self.memory:
            return
        yield ""
        yield "## Memory"
        yield ""
        yield (
            "The peak in a fresh process, as a multiple of the value: of a hit all, the value included; of a "
            "miss what comes beside the value."
        )
        yield ""
        yield "| value | | " + " | ".join(self._peers()) + " |"
        yield "|---|---|" + "---:|" * len(self._peers())
        for case, peaks in self.memory.items():
            for operation in OPERATIONS:
                row = [f"{peaks[peer][operation]:.2f}x" if peer in peaks else "" for peer in self._peers()]
                yield f"| {case} | {operation} | " + " | ".join(row) + " |"
        yield ""

    def _distances(self) -> list[float]:
        return sorted({cell.round_trip for cell in self.cells})

    def _peers(self) -> list[str]:
        return list(dict.fromkeys(cell.peer for cell in self.cells))

    def _as_json(self) -> dict[str, Any]:
        return {
            "server": self.server,
            "python": platform.python_version(),
            "cores": os.cpu_count(),
            "packages": {name: version(name) for name in _PACKAGES},
            "times": [asdict(cell) for cell in self.cells],
            "memory": self.memory,
        }

    def _plot(self, path: Path) -> None:
        import matplotlib as mpl

        mpl.use("svg")
        from matplotlib import pyplot

        far = max(self._distances())
        figure, axes = pyplot.subplots(1, 2, figsize=(10, 4.4), sharey=True, layout="constrained")
        for axis, operation in zip(axes, OPERATIONS, strict=True):
            for peer in self._peers():
                points = self._curve(far, operation, peer)
                if points:
                    sizes, seconds = zip(*points, strict=True)
                    style = {"linewidth": 3, "zorder": 3} if peer == OURS else {"linewidth": 1.4}
                    axis.plot(sizes, seconds, marker="o", markersize=4, label=peer, **style)
            axis.set(xscale="log", yscale="log", title=f"{_TITLES[operation]}, {far * 1000:.0f} ms away")
            axis.set_xticks(list(_TICKS), list(_TICKS.values()))
            axis.set_yticks([0.001, 0.01, 0.1, 1, 10], ["1 ms", "10 ms", "100 ms", "1 s", "10 s"])
            axis.minorticks_off()
            axis.set_xlabel("array of random floats")
            axis.grid(alpha=0.3)
        figure.legend(
            *axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=3, frameon=False
        )
        figure.savefig(path, metadata={"Date": None})
        pyplot.close(figure)

    def _curve(self, round_trip: float, operation: Operation, peer: str) -> list[tuple[int, float]]:
        """Return sizes and seconds of the arrays."""
        return [
            (cell.value_bytes, cell.seconds.median)
            for cell in self.cells
            if (cell.round_trip, cell.operation, cell.peer) == (round_trip, operation, peer)
            and cell.case.startswith("array")
        ]


def _table(cells: list[Cell], text: Any) -> Iterator[str]:
    peers = list(dict.fromkeys(cell.peer for cell in cells))
    by_place = {(cell.case, cell.peer): cell for cell in cells}
    yield "| value | " + " | ".join(peers) + " |"
    yield "|---|" + "---:|" * len(peers)
    for case in dict.fromkeys(cell.case for cell in cells):
        found = [by_place.get((case, peer)) for peer in peers]
        yield f"| {case} | " + " | ".join(text(cell) if cell else "" for cell in found) + " |"


def _in_short(cell: Cell | None) -> str:
    if cell is None:
        return ""
    return _duration(cell.seconds.median) if cell.peer == OURS else _ratio(cell.ratio.median)


def _time_of(cell: Cell) -> str:
    ratio = cell.ratio
    within = (
        f" ({_ratio(ratio.median)}, {_ratio(ratio.low)}-{_ratio(ratio.high)})" if cell.peer != OURS else ""
    )
    return f"{_duration(cell.seconds.median)}{within}"


def _traffic_of(cell: Cell) -> str:
    traffic = cell.traffic
    return (
        f"{traffic.requests}, {_ratio(traffic.wire_bytes / cell.value_bytes)}x" if traffic.requests else "0"
    )


def _ratio(ratio: float) -> str:
    return f"{ratio:.0f}" if ratio >= 20 else f"{ratio:.1f}" if ratio >= 9.95 else f"{ratio:.2f}"


def _duration(seconds: float) -> str:
    return f"{seconds:.2f} s" if seconds >= 1 else f"{seconds * 1000:.3g} ms"
