"""Who saves the states of a name, one after another, and knows when it has been replaced."""

from __future__ import annotations

import secrets
import threading
from collections.abc import Mapping

from s3kv_flows.checkpoints._snapshots import Snapshot, Snapshots
from s3kv_flows.store._layout.marks import WRITER
from s3kv_flows.store._s3.bodies import Body
from s3kv_flows.store.errors import StaleWriterError

__all__ = ["SnapshotWriter"]


class SnapshotWriter:
    """Saves states under numbers that follow each other. May be used by several threads. Begins with a LIST.

    After an error it is not known whether the state has arrived: the next save finds out. Who was replaced
    stays so, until it is to go on above the newer ones.

    Args:
        states: The states of the name.
    """

    _replaced: StaleWriterError | None

    def __init__(self, states: Snapshots) -> None:
        self.states = states
        self._mark = secrets.token_hex(8)
        self._lock = threading.Lock()
        self.go_on_above(states.listed())

    def go_on_above(self, there: list[Snapshot]) -> None:
        """Save above these states from now on, also after others had gone on.

        Args:
            there: The states that are there, as :meth:`Snapshots.listed` returns them.
        """
        with self._lock:
            self._go_on_above(there)

    def clear(self) -> tuple[list[Snapshot], list[Snapshot]]:
        """Remove all states, and go on above the locked ones; return what was removed, and what stays."""
        with self._lock:  # no save comes in between
            there = self.states.listed()
            removed = [one for one in there if self.states.remove(one)]
            left = [one for one in there if one not in removed]
            self._go_on_above(left)
            return removed, left

    def is_foremost(self, there: list[Snapshot]) -> bool:
        """Tell whether nobody has gone on since: one HEAD, where it is not known whether a save has arrived.

        Args:
            there: The states that are there, as :meth:`Snapshots.listed` returns them.
        """
        newest = there[-1].number if there else 0
        with self._lock:
            if newest <= (self._after or 0):
                return True
            unsure = self._is_unsure and newest == self._next
            return unsure and self.states.writer_of(newest, WRITER) == self._mark

    def save(
        self,
        body: Body,
        *,
        metadata: Mapping[str, str] | None = None,
        tags: Mapping[str, str] | None = None,
    ) -> tuple[int, list[Snapshot]]:
        """Save a state; see :meth:`Snapshots.create`.

        Returns:
            Its number, and the states that are there now, the oldest first.

        Raises:
            StaleWriterError: Somebody else has gone on, now or at a former save.
        """
        with self._lock:
            try:
                return self._save(body, {**(metadata or {}), WRITER: self._mark}, tags or {})
            except StaleWriterError as exc:
                self._replaced = exc
                raise

    def _go_on_above(self, there: list[Snapshot]) -> None:
        self._next, self._begins = self.states.following(there), not there
        self._after = there[-1].number if there else None
        self._is_unsure = False
        self._replaced = None

    def _save(
        self, body: Body, metadata: Mapping[str, str], tags: Mapping[str, str]
    ) -> tuple[int, list[Snapshot]]:
        if self._replaced is not None:
            raise self._replaced
        if self._is_unsure:
            self._find_out()
        self._is_unsure, number = True, self._next
        there = self.states.create(
            number,
            body,
            metadata=metadata,
            tags=tags,
            begins=self._begins,
            after=self._after,
        )
        self._confirm()
        return number, there

    def _find_out(self) -> None:
        """Find out whether what was sent last has arrived: one HEAD, and one LIST where it has."""
        writer = self.states.writer_of(self._next, WRITER)
        if writer == self._mark:
            self.states.require_foremost(self._next, self._after)
            self._confirm()
        elif writer is not None:
            raise self.states.stale(self._next)

    def _confirm(self) -> None:
        self._is_unsure = self._begins = False
        self._after = self._next
        self._next += 1
