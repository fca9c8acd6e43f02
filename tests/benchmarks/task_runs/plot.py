"""A plot of what a user waits for: hits and misses, bar by bar."""

from __future__ import annotations

from pathlib import Path
from statistics import median
from typing import Any

from tests.benchmarks.task_runs.peers import NO_OP, OURS
from tests.benchmarks.task_runs.report import RAW, Measured

__all__ = ["plot"]

_LABELS = {
    NO_OP: "without a cache",
    RAW: "boto3 get_object alone",
    "Prefect, local disk": "Prefect, results on local disk",
    "prefect-aws, instance": "prefect-aws, a saved block",
    "prefect-aws, by name": "prefect-aws, a block by its name",
}
_ORDER = [NO_OP, RAW, OURS, "Prefect, local disk", "prefect-aws, instance", "prefect-aws, by name"]
_OURS, _OTHERS = "#1f6feb", "#9aa4b2"


def plot(path: Path, found: dict[str, dict[str, dict[str, Measured]]]) -> None:
    """Write a plot of the hits of synchronous tasks, one part for each distance.

    Args:
        path: Where to.
        found: What was measured, by distance, operation and peer.
    """
    import matplotlib as mpl

    mpl.use("svg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(1, len(found), figsize=(10, 2.9), sharey=True, layout="constrained")
    for axis, (distance, one) in zip([axes] if len(found) == 1 else axes, found.items(), strict=True):
        _bars(axis, distance, {**one["hit, sync"], **one["no-op, sync"]})
    figure.savefig(path, metadata={"Date": None})
    pyplot.close(figure)


def _bars(axis: Any, distance: str, peers: dict[str, Measured]) -> None:
    names = [name for name in reversed(_ORDER) if name in peers]
    times = [1000 * median(peers[name].seconds) for name in names]
    colours = [_OURS if name == OURS else _OTHERS for name in names]
    drawn = axis.barh([_LABELS.get(name, name) for name in names], times, color=colours, height=0.7)
    axis.bar_label(drawn, [f"{time:.1f}" for time in times], padding=3)
    axis.set(title=f"a hit on 1 KiB, S3 {distance} away", xlabel="milliseconds for a whole task run")
    axis.margins(x=0.12)
    axis.spines[["top", "right"]].set_visible(False)
