"""Prefect artifacts of checkpoints: a progress bar and a table of states."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from time import monotonic
from typing import Any
from uuid import UUID

from httpx import HTTPError
from prefect.artifacts import create_progress_artifact, create_table_artifact
from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import ArtifactUpdate
from prefect.context import FlowRunContext, TaskRunContext
from prefect.exceptions import PrefectException

from s3kv_flows._prefect import SYNC, run_logger
from s3kv_flows.checkpoints._background import LatestOnly
from s3kv_flows.checkpoints._snapshots import Snapshot
from s3kv_flows.store._layout.markdown import code
from s3kv_flows.store._layout.printable import printable

__all__ = ["CheckpointArtifacts"]

_SECONDS = 2.0
"""The time between two updates."""

_PATIENCE_SECONDS = 5.0
"""How long the end of a run waits for its last update."""


@dataclass(frozen=True)
class _Update:
    rows: list[dict[str, Any]]
    description: str
    percent: float | None


class CheckpointArtifacts:
    """The artifacts ``s3kv-checkpoint-progress`` and ``s3kv-checkpoints`` of a run, kept up to date.

    Each is created once, and updated in a background thread. Outside of runs, and if Prefect's API cannot
    be reached, there are none: no loop waits for an update, or fails with one.

    Args:
        name: The name of the states.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._ids: dict[str, UUID] = {}
        self._updates = LatestOnly(self._apply, "s3kv-artifacts")
        self._is_begun = False
        self._shown_at = -_SECONDS
        self._is_shown = TaskRunContext.get() is not None or FlowRunContext.get() is not None

    def show(
        self,
        states: list[Snapshot],
        positions: Mapping[int, int],
        *,
        position: int,
        total: int | None,
        outcome: str = "",
    ) -> None:
        """Show states soon, unless they were shown a moment ago, or none has ever been saved.

        Args:
            states: The states, the oldest first.
            positions: How many items are done in each state, by its number, as far as known.
            position: How many items are done.
            total: The number of items, if known.
            outcome: The end of the description; with it, the update is not skipped as too early.
        """
        if not self._is_shown or (not outcome and monotonic() - self._shown_at < _SECONDS):
            return
        if not (states or position or self._is_begun):
            return
        self._shown_at, self._is_begun = monotonic(), True
        done = f"{position:,} items done" if total is None else f"{position:,} of {total:,} items done"
        description = f"{code(self._name)}: {done}, {len(states)} states{outcome}"
        rows = [_row(one, positions) for one in reversed(states)]
        self._updates.offer(_Update(rows, description, 100.0 * position / total if total else None))

    def wait(self, give_up: Callable[[], bool]) -> None:
        """Wait for the last update, for a few seconds at most.

        Args:
            give_up: Returns whether to stop waiting.
        """
        until = monotonic() + _PATIENCE_SECONDS
        self._updates.wait(lambda: give_up() or monotonic() > until)

    def _apply(self, update: _Update) -> None:
        if not self._is_shown:
            return
        try:
            self._table(update.rows, update.description)
            if update.percent is not None:
                self._progress(update.percent, update.description)
        except (
            HTTPError,
            PrefectException,
            RuntimeError,
            ValueError,
            OSError,
        ) as exc:  # of Prefect's clients
            self._is_shown = False
            run_logger().warning("The checkpoints of this run are no longer shown: %s", exc)

    def _table(self, rows: list[dict[str, Any]], description: str) -> None:
        self._put(
            "s3kv-checkpoints",
            json.dumps(rows),
            description,
            lambda key: create_table_artifact(key=key, table=rows, description=description, **SYNC),
        )

    def _progress(self, percent: float, description: str) -> None:
        self._put(
            "s3kv-checkpoint-progress",
            percent,
            description,
            lambda key: create_progress_artifact(percent, key=key, description=description, **SYNC),
        )

    def _put(self, key: str, data: str | float, description: str, create: Callable[[str], Any]) -> None:
        if key in self._ids:
            changed = ArtifactUpdate(data=data, description=description)
            with get_client(sync_client=True) as client:
                client.update_artifact(self._ids[key], changed)
        else:
            self._ids[key] = create(key)


def _row(one: Snapshot, positions: Mapping[int, int]) -> dict[str, Any]:
    return {
        "saved": one.saved_at.isoformat(timespec="seconds"),
        "items done": positions.get(one.number, ""),
        "bytes": one.size,
        "key": printable(one.key),
    }
