"""What the page of a run shows of its checkpoints: a bar of progress, and a table of the states."""

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

from s3kv_flows._runs import run_logger
from s3kv_flows.checkpoints._background import LatestOnly
from s3kv_flows.checkpoints._snapshots import Snapshot

__all__ = ["CheckpointArtifacts"]

_SECONDS = 2.0
"""Between two updates: who looks at the page does not look more often."""

_PATIENCE_SECONDS = 5.0
"""How long the end of a run waits for its last picture."""


@dataclass(frozen=True)
class _Picture:
    rows: list[dict[str, Any]]
    description: str
    percent: float | None


class CheckpointArtifacts:
    """The artifacts ``s3kv-checkpoint-progress`` and ``s3kv-checkpoints`` of a run, kept up to date.

    Each is made once, and changed in place, in a thread of their own. Outside of runs, and where Prefect's
    API cannot be reached, there are none: no loop waits for a picture, or ends for want of one.

    Args:
        name: The name of the states.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._ids: dict[str, UUID] = {}
        self._drawing = LatestOnly(self._draw, "s3kv-artifacts")
        self._is_begun = False
        self._shown_at = -_SECONDS
        self._is_shown = TaskRunContext.get() is not None or FlowRunContext.get() is not None

    def show(
        self,
        there: list[Snapshot],
        positions: Mapping[int, int],
        *,
        position: int,
        total: int | None,
        told: str = "",
    ) -> None:
        """Show states soon, unless it has just been done, or there is nothing to show, and never was.

        Args:
            there: The states, the oldest first.
            positions: How many items were done in states, by their numbers, as far as known.
            position: How many items are done.
            total: How many there are, where that is known.
            told: What the description says at the end; with it, it is shown however short ago that was done.
        """
        if not self._is_shown or (not told and monotonic() - self._shown_at < _SECONDS):
            return
        if not (there or position or self._is_begun):
            return
        self._shown_at, self._is_begun = monotonic(), True
        done = f"{position:,} items done" if total is None else f"{position:,} of {total:,} items done"
        description = f"`{self._name}`: {done}, {len(there)} states{told}"
        rows = [_row(one, positions) for one in reversed(there)]
        self._drawing.offer(_Picture(rows, description, 100.0 * position / total if total else None))

    def wait(self, give_up: Callable[[], bool]) -> None:
        """Wait for the last picture, for a few seconds at most.

        Args:
            give_up: Tells whether to wait no longer.
        """
        until = monotonic() + _PATIENCE_SECONDS
        self._drawing.wait(lambda: give_up() or monotonic() > until)

    def _draw(self, picture: _Picture) -> None:
        if not self._is_shown:
            return
        try:
            self._table(picture.rows, picture.description)
            if picture.percent is not None:
                self._progress(picture.percent, picture.description)
        except (
            HTTPError,
            PrefectException,
            RuntimeError,
            ValueError,
            OSError,
        ) as exc:  # of Prefect's clients
            self._is_shown = False
            run_logger().warning("The checkpoints of this run are not shown any more: %s", exc)

    def _table(self, rows: list[dict[str, Any]], description: str) -> None:
        self._put(
            "s3kv-checkpoints",
            json.dumps(rows),
            description,
            lambda key: create_table_artifact(key=key, table=rows, description=description, _sync=True),  # type: ignore[call-arg]  # Prefect's switch of its async_dispatch
        )

    def _progress(self, percent: float, description: str) -> None:
        self._put(
            "s3kv-checkpoint-progress",
            percent,
            description,
            lambda key: create_progress_artifact(percent, key=key, description=description, _sync=True),  # type: ignore[call-arg]  # as above
        )

    def _put(self, key: str, data: str | float, description: str, create: Callable[[str], Any]) -> None:
        if key in self._ids:
            update = ArtifactUpdate(data=data, description=description)
            with get_client(sync_client=True) as client:
                client.update_artifact(self._ids[key], update)
        else:
            self._ids[key] = create(key)


def _row(one: Snapshot, positions: Mapping[int, int]) -> dict[str, Any]:
    return {
        "saved": one.saved_at.isoformat(timespec="seconds"),
        "items done": positions.get(one.number, ""),
        "bytes": one.size,
        "key": one.key,
    }
