"""The states of one run: what it goes on from, what it saves in the background, and what it removes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from threading import Event
from typing import Any, Literal

from s3kv_flows._runs import run_logger
from s3kv_flows.checkpoints._background import LatestOnly
from s3kv_flows.checkpoints._snapshots import Snapshot, Snapshots
from s3kv_flows.checkpoints._writer import SnapshotWriter
from s3kv_flows.store._layout.marks import POSITION
from s3kv_flows.store._s3.bodies import Body, Pieces, SpareMemory
from s3kv_flows.store._s3.concurrency import run_in_background_priority
from s3kv_flows.store._s3.types import ObjectInfo
from s3kv_flows.store.errors import KeyNotFoundError, S3KVError, StaleWriterError

__all__ = ["LoadPolicy", "RunStates", "position_of"]

LoadPolicy = Literal["own", "latest", "fresh"]

_LOOKS = 5
"""How often the states are listed anew where all that were listed have been pruned."""

_LARGE = 1 << 20
"""Bytes from which on it matters in which memory a state is copied."""


@dataclass(frozen=True)
class _Encoded:
    """A state that is to be saved."""

    body: Body
    tags: Mapping[str, str]
    position: int
    in_background: bool
    is_end: bool
    memory: memoryview | None
    is_left: Event


class RunStates:
    """What one run sees of the states of a name, and does to them.

    Args:
        states: The states of the name.
        identity: Metadata, of which one equal pair makes a state this run's own.
        keep: How many states stay, the newest ones.
        policy: Which states to go on from.
        then: Done after each save, when those who waited for it have been told.
        given_up: Tells whether nobody waits any more for what is under way.

    Attributes:
        saving: What is under way.
        there: The states that were there when it was last looked.
        current: The newest state that was saved here, or gone on from.
        positions: How many items were done, by the numbers of these states.
        safe: How many items are done in the newest of them.
        holds_end: Whether it was given to be saved after a loop had ended.
    """

    there: list[Snapshot]
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
        self._takes_part = False
        self.saving = LatestOnly(self._upload, "s3kv-checkpoint", then=then, replaced=self._let_go)
        self._forget()

    def go_on(self) -> tuple[Any, Snapshot] | None:
        """Return the newest state that the policy takes, and save above all that are there from now on.

        One LIST, and one request for each state that is looked at. Where it fails, nothing has changed.

        Raises:
            CorruptValueError: There are such states, and none can be read.
            StaleWriterError: All that were listed were gone when they were asked for, again and again.
        """
        there, found = self._newest()
        self._writer.go_on_above(there)
        self._forget()
        self.there, self._takes_part = there, True
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
        is_left: Event,
    ) -> Future[BaseException | None]:
        """Save a state next, instead of what waits: one PUT and one LIST, and two for each that is pruned.

        Args:
            state: The state, which is encoded at once.
            position: How many items are done.
            tags: The tags of the object.
            in_background: Whether something else goes on meanwhile.
            is_copied: Whether the state may change before it is saved.
            is_end: Whether a loop has ended before.
            is_left: Is set where nobody waits any more, and the state may be changed while it is sent: it is
                to be passed over then, and no older one is removed for it.

        Returns:
            What to wait for; see :meth:`LatestOnly.offer`.

        Raises:
            EncodingError: The state cannot be pickled.
        """
        body, memory = self.states.store.codec.encode(state), None
        if is_copied and isinstance(body, Pieces):  # it views the memory of the state
            memory = self._memory.take(len(body)) if len(body) >= _LARGE else None
            body = bytes(body) if memory is None else body.copy_to(memory)
        self._takes_part = True
        return self.saving.offer(_Encoded(body, tags, position, in_background, is_end, memory, is_left))

    def wait_until_safe(self, position: int) -> None:
        """Wait until a state has arrived in which so many items are done, or nothing is under way."""
        if self.safe < position:
            self.saving.wait(lambda: self.safe >= position or self._given_up())

    def end(self) -> bool:
        """Wait for what is under way; tell whether it has arrived before it was to be given up."""
        try:
            return self.saving.wait(self._given_up)
        finally:
            self._memory.close()

    def is_own(self, metadata: Mapping[str, str]) -> bool:
        """Tell by the metadata of a state whether this run, or a former attempt of it, has saved it."""
        return any(metadata.get(name) == own for name, own in self._identity.items())

    def clear(self) -> list[Snapshot]:
        """Remove all states, and go on above those that stay; return what was removed."""
        self.saving.wait()
        removed, left = self._writer.clear()
        self._forget()
        self.there = left
        return removed

    def clear_own(self, stop: Callable[[], bool]) -> None:
        """Remove the states of a run that needs them no more, the newest last.

        One LIST, and one HEAD for each that was not saved here. Where another run has gone on from them, they
        stay; where they cannot be removed, a warning says so. Who has neither saved nor gone on removes none.
        """
        removed: list[Snapshot] = []
        if not self._takes_part:
            return
        try:
            there = self.states.listed()
            if not self._writer.is_foremost(there):
                run_logger().warning("Another run goes on from %r: its checkpoints stay", self.states.name)
                return
            for one in there:
                if stop():
                    break
                if self._is_of_this_run(one) and self.states.remove(one):
                    removed.append(one)
        except S3KVError as exc:  # what was to be done is, and a cleanup finds them
            run_logger().warning("The checkpoints were not removed: %s", exc)
        self.there = [one for one in self.there if one not in removed]

    # --- how -----------------------------------------------------------------------------------

    def _forget(self) -> None:
        self.there, self.current, self.positions = [], None, {}
        self.safe, self.holds_end = 0, False

    def _newest(self) -> tuple[list[Snapshot], tuple[Snapshot, Any, ObjectInfo] | None]:
        for _ in range(_LOOKS):
            there = self.states.listed()
            if self._policy == "fresh":
                return there, None
            with suppress(KeyNotFoundError):  # all of them were pruned meanwhile: there are newer ones
                found = self.states.newest(there, wanted=self._is_wanted)
                if found and found[0] != there[-1]:
                    run_logger().warning("Newer checkpoints are of other runs, or damaged, and passed over")
                return there, found
        raise StaleWriterError(f"{self.states.name!r}: another run saves faster than this one reads")

    def _is_wanted(self, info: ObjectInfo) -> bool:
        return self._policy == "latest" or self.is_own(info.metadata)

    def _is_of_this_run(self, snapshot: Snapshot) -> bool:
        """Tell whether a state is this run's to remove: with "latest", any; with one HEAD, once."""
        if self._policy == "latest" or snapshot.number in self.positions:
            return True
        if snapshot.number not in self._of_this_run:
            self._of_this_run[snapshot.number] = self.is_own(self.states.metadata(snapshot) or {})
        return self._of_this_run[snapshot.number]

    def _upload(self, encoded: _Encoded) -> None:
        metadata = {**self._identity, POSITION: str(encoded.position)}
        save = partial(self._writer.save, encoded.body, metadata=metadata, tags=encoded.tags)
        try:
            number, there = run_in_background_priority(save) if encoded.in_background else save()
        finally:
            self._let_go(encoded)
        if encoded.is_left.is_set():
            self.there = there
            return
        self.current = next((one for one in there if one.number == number), None)
        self._arrived(number, encoded.position, is_end=encoded.is_end)
        # Who has given it up may have changed the state since: the older ones may be needed.
        removed = [] if self._given_up() else self._pruned(there)
        self.there = [one for one in there if one not in removed]

    def _arrived(self, number: int, position: int, *, is_end: bool) -> None:
        self.safe = self.positions[number] = position
        self.holds_end = is_end

    def _let_go(self, encoded: _Encoded) -> None:
        if encoded.memory is not None:
            self._memory.give_back(encoded.memory)

    def _pruned(self, there: list[Snapshot]) -> list[Snapshot]:
        try:
            return self.states.prune([one for one in there if self._is_of_this_run(one)], self._keep)
        except S3KVError as exc:  # what was to be saved is
            run_logger().warning("Older checkpoints were not removed: %s", exc)
            return []


def position_of(metadata: Mapping[str, str]) -> int:
    """Return how many items were done in a state."""
    return int(metadata.get(POSITION, "0"))
