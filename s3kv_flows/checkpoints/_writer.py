"""Snapshot writer: save states in order, and detect a newer writer."""

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
    """Saves states under consecutive numbers. Thread-safe. Begins with a LIST.

    After an error it is unknown whether the state was saved: the next save finds out. A replaced writer
    stays replaced, until it continues after the newer states.

    Args:
        states: The states of the name.
    """

    _replaced: StaleWriterError | None

    def __init__(self, states: Snapshots) -> None:
        self.states = states
        self._mark = secrets.token_hex(8)
        self._lock = threading.Lock()
        self.continue_after(states.listed())

    def continue_after(self, existing: list[Snapshot]) -> None:
        """Save under numbers above these states from now on, also after another writer had continued.

        Args:
            existing: The existing states, as :meth:`Snapshots.listed` returns them.
        """
        with self._lock:
            self._continue_after(existing)

    def clear(self) -> tuple[list[Snapshot], list[Snapshot]]:
        """Remove all states, and continue after the locked ones; return removed and remaining ones."""
        with self._lock:  # so that no save happens in between
            existing = self.states.listed()
            removed = [one for one in existing if self.states.remove(one)]
            remaining = [one for one in existing if one not in removed]
            self._continue_after(remaining)
            return removed, remaining

    def is_latest_writer(self, existing: list[Snapshot]) -> bool:
        """Return whether no other writer has continued: one HEAD, if it is unknown whether a save arrived.

        Args:
            existing: The existing states, as :meth:`Snapshots.listed` returns them.
        """
        newest = existing[-1].number if existing else 0
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
            Its number, and the existing states, the oldest first.

        Raises:
            StaleWriterError: Another writer has continued, now or at an earlier save.
        """
        with self._lock:
            try:
                return self._save(body, {**(metadata or {}), WRITER: self._mark}, tags or {})
            except StaleWriterError as exc:
                self._replaced = exc
                raise

    def _continue_after(self, existing: list[Snapshot]) -> None:
        self._next, self._begins = self.states.following(existing), not existing
        self._after = existing[-1].number if existing else None
        self._is_unsure = False
        self._replaced = None

    def _save(
        self, body: Body, metadata: Mapping[str, str], tags: Mapping[str, str]
    ) -> tuple[int, list[Snapshot]]:
        if self._replaced is not None:
            raise self._replaced
        if self._is_unsure:
            self._resolve_last_save()
        self._is_unsure, number = True, self._next
        existing = self.states.create(
            number,
            body,
            metadata=metadata,
            tags=tags,
            begins=self._begins,
            after=self._after,
        )
        self._confirm()
        return number, existing

    def _resolve_last_save(self) -> None:
        """Find out whether the last state was saved: one HEAD, and one LIST if it was."""
        writer = self.states.writer_of(self._next, WRITER)
        if writer == self._mark:
            self.states.require_newest(self._next, self._after)
            self._confirm()
        elif writer is not None:
            raise self.states.stale(self._next)

    def _confirm(self) -> None:
        self._is_unsure = self._begins = False
        self._after = self._next
        self._next += 1
