"""States of one run: resumed from, saved in the background, pruned."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from threading import Event
from typing import Any, Literal

from s3kv_flows._prefect import run_logger
from s3kv_flows.checkpoints._background import LatestOnly
from s3kv_flows.checkpoints._snapshots import Snapshot, Snapshots, has_position
from s3kv_flows.checkpoints._writer import SnapshotWriter
from s3kv_flows.store._layout.marks import POSITION
from s3kv_flows.store._s3.bodies import Body, Pieces, SpareMemory
from s3kv_flows.store._s3.concurrency import run_in_background_priority
from s3kv_flows.store._s3.types import ObjectInfo
from s3kv_flows.store.errors import KeyNotFoundError, S3KVError, StaleWriterError

__all__ = ["LoadPolicy", "RunStates", "SavedState", "position_of"]

LoadPolicy = Literal["own", "latest", "fresh"]

_LISTINGS = 5
"""How often the states are listed again if all listed ones have been pruned."""

_LARGE = 1 << 20
"""Bytes from which on a state is copied into reused memory."""


@dataclass(frozen=True)
class SavedState:
    """A saved state.

    Attributes:
        number: Its number; the higher, the newer.
        key: Its key among the checkpoints of the store.
        size: Its stored size in bytes.
        saved_at: When it was saved, by the server's clock.
        position: How many items :meth:`Checkpoint.iterate` had done.
        is_own: Whether this run, or an earlier attempt of it, saved it.
        tags: Its tags.
    """

    number: int
    key: str
    size: int
    saved_at: datetime
    position: int
    is_own: bool
    tags: Mapping[str, str]


@dataclass(frozen=True)
class _Encoded:
    """An encoded state to save."""

    body: Body
    tags: Mapping[str, str]
    position: int
    in_background: bool
    is_end: bool
    memory: memoryview | None
    abandoned: Event


class RunStates:
    """Loads, saves and removes the states of a name, for one run.

    Args:
        states: The states of the name.
        identity: Metadata; a state that has one of these pairs belongs to this run.
        keep: How many states stay, the newest ones.
        policy: Which states to resume from.
        then: Called after each save, once its future is set.
        given_up: Returns whether the run no longer waits for the upload under way.

    Attributes:
        saving: The uploads in the background.
        existing: The states at the last LIST.
        current: The newest state that this run saved or resumed from.
        positions: How many items were done, by the numbers of these states.
        saved_position: How many items are done in the newest of them.
        includes_loop_end: Whether that one was offered after a loop had ended.
    """

    existing: list[Snapshot]
    current: Snapshot | None
    positions: dict[int, int]

    def __init__(
        self,
        states: Snapshots,
        *,
        identity: Mapping[str, str],
        keep: int,
        policy: LoadPolicy,
        then: Callable[[], object],
        given_up: Callable[[], bool],
    ) -> None:
        self.states = states
        self._writer = SnapshotWriter(states)
        self._identity, self._keep, self._policy, self._given_up = identity, keep, policy, given_up
        self._memory = SpareMemory()
        self._of_this_run: dict[int, bool] = {}
        self._is_active = False
        self.saving = LatestOnly(self._upload, "s3kv-checkpoint", then=then, replaced=self._return_memory)
        self._reset()

    def resume(self) -> tuple[Any, Snapshot] | None:
        """Return the newest state that the policy accepts, and save above all existing states from now on.

        One LIST, and one request for each state that is tried. If it fails, nothing has changed.

        Raises:
            CorruptValueError: There are such states, and none can be read.
            StaleWriterError: All listed states were removed before they could be read, again and again.
        """
        existing, found = self._newest()
        self._writer.continue_after(existing)
        self._reset()
        self.existing, self._is_active = existing, True
        if found is None:
            return None
        snapshot, value, info = found
        self._arrived(snapshot.number, position_of(info.metadata), is_end=False)
        self.current = snapshot
        return value, snapshot

    def offer(
        self,
        state: Any,
        position: int,
        tags: Mapping[str, str],
        *,
        in_background: bool,
        is_copied: bool,
        is_end: bool,
        abandoned: Event,
    ) -> Future[BaseException | None]:
        """Save a state next, instead of a waiting one: one PUT and one LIST, and two for each pruned state.

        Args:
            state: The state, which is encoded at once.
            position: How many items are done.
            tags: The tags of the object.
            in_background: Whether the run continues during the upload.
            is_copied: Whether the state may change before it is saved.
            is_end: Whether a loop has ended before.
            abandoned: Set if the caller no longer waits, and may change the state during the upload: the
                uploaded state then does not count, and no older one is removed for it.

        Returns:
            A future; see :meth:`LatestOnly.offer`.

        Raises:
            EncodingError: The state cannot be pickled.
        """
        body, memory = self.states.store.codec.encode(state), None
        if is_copied and isinstance(body, Pieces):  # which refers to the memory of the state
            memory = self._memory.take(len(body)) if len(body) >= _LARGE else None
            body = bytes(body) if memory is None else body.copy_to(memory)
        self._is_active = True
        return self.saving.offer(_Encoded(body, tags, position, in_background, is_end, memory, abandoned))

    def wait_until_saved(self, position: int) -> None:
        """Wait until a saved state includes so many items, or no upload is under way."""
        if self.saved_position < position:
            self.saving.wait(lambda: self.saved_position >= position or self._given_up())

    def end(self) -> bool:
        """Wait for the uploads under way; return whether they ended before the run gave up."""
        try:
            return self.saving.wait(self._given_up)
        finally:
            self._memory.close()

    def is_own(self, metadata: Mapping[str, str]) -> bool:
        """Return whether this run, or an earlier attempt of it, saved the state with this metadata."""
        return any(metadata.get(name) == value for name, value in self._identity.items())

    def history(self) -> list[SavedState]:
        """Return the existing states, the oldest first: one LIST, and two requests each."""
        found = []
        for one in self.states.listed():
            metadata, tags = self.states.metadata(one), self.states.tags(one)
            if metadata is None or tags is None:
                continue  # it was pruned since
            position, is_own = position_of(metadata), self.is_own(metadata)
            found.append(SavedState(one.number, one.key, one.size, one.saved_at, position, is_own, tags))
        return found

    def clear(self) -> list[Snapshot]:
        """Remove all states, and continue after those that stay; return the removed ones."""
        self.saving.wait()
        removed, left = self._writer.clear()
        self._reset()
        self.existing = left
        return removed

    def clear_this_run(self, stop: Callable[[], bool]) -> None:
        """Remove the states of this run, which has succeeded, the newest last.

        One LIST, and one HEAD for each that was not saved here. If another run has continued from them, they
        stay; if they cannot be removed, a warning is logged. A run that has neither saved nor resumed removes
        none.
        """
        removed: list[Snapshot] = []
        if not self._is_active:
            return
        try:
            existing = self.states.listed()
            if not self._writer.is_latest_writer(existing):
                run_logger().warning("Another run continues from %r: its checkpoints stay", self.states.name)
                return
            for one in existing:
                if stop():
                    break
                if self._is_of_this_run(one) and self.states.remove(one):
                    removed.append(one)
        except S3KVError as exc:  # the run has succeeded, and a cleanup will find them
            run_logger().warning("The checkpoints were not removed: %s", exc)
        self.existing = [one for one in self.existing if one not in removed]

    # --- how -----------------------------------------------------------------------------------

    def _reset(self) -> None:
        self.existing, self.current, self.positions = [], None, {}
        self.saved_position, self.includes_loop_end = 0, False

    def _newest(self) -> tuple[list[Snapshot], tuple[Snapshot, Any, ObjectInfo] | None]:
        for _ in range(_LISTINGS):
            existing = self.states.listed()
            if self._policy == "fresh":
                return existing, None
            with suppress(KeyNotFoundError):  # all of them were pruned since: newer ones exist
                found = self.states.newest(existing, wanted=self._is_wanted)
                if found and found[0] != existing[-1]:
                    run_logger().warning("Newer checkpoints are of other runs, or damaged, and were skipped")
                return existing, found
        raise StaleWriterError(f"{self.states.name!r}: another run saves faster than this one reads")

    def _is_wanted(self, info: ObjectInfo) -> bool:
        return self._policy == "latest" or self.is_own(info.metadata)

    def _is_of_this_run(self, snapshot: Snapshot) -> bool:
        """Return whether this run may remove a state: any with "latest", else one HEAD, once per state."""
        if self._policy == "latest" or snapshot.number in self.positions:
            return True
        if snapshot.number not in self._of_this_run:
            self._of_this_run[snapshot.number] = self.is_own(self.states.metadata(snapshot) or {})
        return self._of_this_run[snapshot.number]

    def _upload(self, encoded: _Encoded) -> None:
        metadata = {**self._identity, POSITION: str(encoded.position)}
        save = partial(self._writer.save, encoded.body, metadata=metadata, tags=encoded.tags)
        try:
            number, existing = run_in_background_priority(save) if encoded.in_background else save()
        finally:
            self._return_memory(encoded)
        if encoded.abandoned.is_set():
            self.existing = existing
            return
        self.current = next((one for one in existing if one.number == number), None)
        self._arrived(number, encoded.position, is_end=encoded.is_end)
        # A run that has given up may have changed the state since, and may need the older ones.
        removed = [] if self._given_up() else self._pruned(existing)
        self.existing = [one for one in existing if one not in removed]

    def _arrived(self, number: int, position: int, *, is_end: bool) -> None:
        self.saved_position = self.positions[number] = position
        self.includes_loop_end = is_end

    def _return_memory(self, encoded: _Encoded) -> None:
        if encoded.memory is not None:
            self._memory.give_back(encoded.memory)

    def _pruned(self, existing: list[Snapshot]) -> list[Snapshot]:
        try:
            return self.states.prune([one for one in existing if self._is_of_this_run(one)], self._keep)
        except S3KVError as exc:  # the state itself is saved
            run_logger().warning("Older checkpoints were not removed: %s", exc)
            return []


def position_of(metadata: Mapping[str, str]) -> int:
    """Return how many items are done in the state with this metadata; 0 where that is malformed.

    A state with a malformed position is damaged, and no run continues from it.
    """
    return int(metadata.get(POSITION, "0")) if has_position(metadata) else 0
