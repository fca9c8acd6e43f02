"""Checkpoint: the state of a long task or flow, so that a run that dies goes on where it was."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable, Iterator, Mapping, Sized
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any, Literal, TypeVar

from typing_extensions import Self

from s3kv_flows.background import Newest
from s3kv_flows.blocks import S3KVStore
from s3kv_flows.checkpoint_artifacts import CheckpointArtifacts
from s3kv_flows.promotion import promote_state
from s3kv_flows.result_names import formatted_key, validate_key
from s3kv_flows.runs import (
    automatic_tags,
    run_identity,
    run_logger,
    run_parameters,
    task_name,
    task_run_id,
    with_automatic_tags,
)
from s3kv_flows.saving_pace import SavingPace
from s3kv_flows.store.errors import KeyNotFoundError, S3KVError, StaleWriterError
from s3kv_flows.store.keys import fingerprint
from s3kv_flows.store.locks import Retention
from s3kv_flows.store.pieces import Body, Pieces
from s3kv_flows.store.receipts import Receipt
from s3kv_flows.store.s3_types import ObjectInfo
from s3kv_flows.store.snapshot_writer import SnapshotWriter
from s3kv_flows.store.snapshots import Snapshot, Snapshots
from s3kv_flows.store.tags import validate_tags
from s3kv_flows.termination import PutOff

__all__ = ["POSITION", "Checkpoint", "LoadPolicy", "SavedState"]

T = TypeVar("T")

LoadPolicy = Literal["own", "latest", "fresh"]

_RUN = "s3kv-run"
_TASK_RUN = "s3kv-task-run"
POSITION = "s3kv-position"
"""The metadata that says how many items were done."""

_LOOKS = 5
"""How often the states are listed anew where all that were listed have been pruned."""


@dataclass(frozen=True)
class SavedState:
    """A state that was saved.

    Attributes:
        number: Its number; of two, the higher is the newer.
        key: Its key among the checkpoints of the store.
        size: Bytes, as it is stored.
        saved_at: When, by the server's clock.
        position: How many items :meth:`Checkpoint.iterate` had done.
        is_own: Whether this run, or a former attempt of it, saved it.
    """

    number: int
    key: str
    size: int
    saved_at: datetime
    position: int
    is_own: bool


@dataclass(frozen=True)
class _Encoded:
    """A state that is to be saved."""

    body: Body
    position: int
    in_background: bool
    is_end: bool


class Checkpoint:
    """The states of one run, in ``s3kv-checkpoints/<name>/<number>``; to be used in a ``with`` block.

    ::

        with Checkpoint("lake", "train/{flow_run.id}") as checkpoint:
            model = checkpoint.load(default=SGDClassifier())
            for batch in checkpoint.iterate(batches, lambda: model, every=100):
                model.partial_fit(*batch)

    Numbers only grow, and each is created once. A run that was replaced while it stood still gets
    StaleWriterError when it saves, and so does the second of two that run under one name at once. On
    success, the states are removed; after an error or a kill they are there for the next attempt. Within
    a run, the artifacts ``s3kv-checkpoints`` and ``s3kv-checkpoint-progress`` show what there is.

    A SIGTERM is put off where the block is in the main thread: in a flow, or a task that it calls. Python
    lets no other thread handle signals: a task in a thread (``submit``, ``map``, Dask) goes on from its last
    save instead. Who got StaleWriterError should not be retried (``@task(retry_condition_fn=...)``): it would
    replace its successor.

    Args:
        store: The name of a saved store, or a saved store.
        name: A name, or a format string of ``flow_run``, ``task_run``, ``deployment`` and ``parameters``. It
            has to tell apart what runs at once: calls of one task by their parameters.
        keep: How many states stay, the newest ones.
        load_policy: Which states :meth:`load` takes: ``"own"``, of this run's former attempts (retries of a
            task or flow, a flow that was resumed); ``"latest"``, of any run under this name; ``"fresh"``,
            none.
        tags: Tags of the objects; ``flow`` and ``task`` are added, so that a cleanup rule finds what nobody
            came back for.
        keep_on_success: Leave the states where they are also when the block ends without an error. They stay
            anyway where another run has gone on from them, and, unless the policy is ``"latest"``, those of
            other runs do.
        termination_seconds: For how long a SIGTERM may wait for the end of a step, and for one more save.

    Raises:
        ValueError: ``keep`` is less than 1, the name is no format string, or tags are illegal.
        LookupError: At the beginning of the block: what the name names is not known, as ``flow_run.id``
            outside of flows.
    """

    def __init__(
        self,
        store: str | S3KVStore,
        name: str,
        keep: int = 3,
        load_policy: LoadPolicy = "own",
        *,
        tags: Mapping[str, str] | None = None,
        keep_on_success: bool = False,
        termination_seconds: float = 20.0,
    ) -> None:
        if keep < 1:
            raise ValueError(f"keep is 1 or more, got {keep}: the newest state stays")
        if load_policy not in ("own", "latest", "fresh"):
            raise ValueError(f"load_policy is 'own', 'latest' or 'fresh', got {load_policy!r}")
        self.store, self.name = store, validate_key(name)
        self.keep, self.load_policy, self.keep_on_success = keep, load_policy, keep_on_success
        self._given_tags = validate_tags(tags or {})
        self._tags: dict[str, str] = {}
        self._termination = PutOff(termination_seconds)
        self._artifacts: CheckpointArtifacts | None = None
        self._identity: dict[str, str] = {}
        self._there: list[Snapshot] = []
        self._writer: SnapshotWriter | None = None
        self._current: Snapshot | None = None
        self._position = self._safe = self._offered = 0
        self._positions: dict[int, int] = {}
        self._total: int | None = None
        self._has_looped = False
        self._end: Callable[[], Any] | None = None
        self._end_is_saved = False
        self._saving: Newest[_Encoded]

    # --- the block -----------------------------------------------------------------------------

    def __enter__(self) -> Self:
        self._open()
        self._termination.__enter__()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: object) -> None:
        try:
            self._finish(error)
        finally:
            self._termination.__exit__()
            self._termination.heed()

    async def __aenter__(self) -> Self:
        await asyncio.to_thread(self._open)
        self._termination.__enter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: object
    ) -> None:
        try:
            await asyncio.to_thread(self._finish, error)
        finally:  # signals are for this thread
            self._termination.__exit__()
            self._termination.heed()

    # --- states --------------------------------------------------------------------------------

    def load(self, default: Any = None) -> Any:
        """Return the newest state that the load policy takes, or the default.

        One request for each state that is looked at. A damaged one is passed over.

        Raises:
            CorruptValueError: There are such states, and none can be read.
        """
        writer = self._required()
        self._saving.wait()
        found = self._newest(writer)
        if found is None:
            return default
        snapshot, value, info = found
        self._current = snapshot
        self._position = self._safe = self._offered = int(info.metadata.get(POSITION, "0"))
        self._positions[snapshot.number] = self._position
        saved = f"{snapshot.saved_at:%Y-%m-%d %H:%M:%S}"
        run_logger().info(
            "Going on from the checkpoint of %s UTC of %r, %d items done",
            saved,
            writer.states.name,
            self._position,
        )
        return value

    async def aload(self, default: Any = None) -> Any:
        """Do as :meth:`load`, in a worker thread."""
        return await asyncio.to_thread(self.load, default)

    def save(self, state: Any, *, wait: bool = True) -> None:
        """Save a state: one PUT and one LIST, and two requests for each that is not kept any more.

        Where there was no state at all, the first save lists once more, before it.

        Args:
            state: The state. It is encoded before this returns, and may be changed after that.
            wait: Wait until it is saved. Without, it is uploaded in the background, one at a time, and the
                newest replaces what waits; errors surface at the next save, which is under way by then, or at
                the end of the block. Where a later save was waited for, they do not matter any more.

        Raises:
            StaleWriterError: Another run has saved under this name since.
            EncodingError: The state cannot be pickled.
            UnsupportedByServerError: The bucket cannot carry the condition that a number is new.
        """
        encoded = self._encoded(state, copied=not wait, in_background=not wait)
        told = self._saving.offer(encoded)
        if wait or self._termination.requested:
            self._saving.wait_for(told, self._termination.is_over)
        else:
            self._saving.check()
        self._termination.heed()

    async def asave(self, state: Any, *, wait: bool = True) -> None:
        """Do as :meth:`save`; other coroutines go on while the state, once encoded, is uploaded."""
        # Others go on while this waits, and may change the state.
        told = self._saving.offer(self._encoded(state, copied=True, in_background=not wait))
        if wait or self._termination.requested:
            await _until_done(told)
            self._saving.wait_for(told)
        else:
            self._saving.check()
        self._termination.heed()

    def history(self) -> list[SavedState]:
        """Return the states that are there, the oldest first: one LIST, and one request each."""
        states, found = self._required().states, []
        for one in states.listed():
            if (metadata := states.metadata(one)) is None:
                continue  # it was pruned meanwhile
            position, is_own = int(metadata.get(POSITION, "0")), self._is_own(metadata)
            found.append(SavedState(one.number, one.key, one.size, one.saved_at, position, is_own))
        return found

    async def ahistory(self) -> list[SavedState]:
        """Do as :meth:`history`, in a worker thread."""
        return await asyncio.to_thread(self.history)

    def promote(
        self,
        key: str,
        retention: Retention | None = None,
        *,
        number: int | None = None,
        tags: Mapping[str, str] | None = None,
        legal_hold: bool = False,
        accept_races: bool = False,
    ) -> Receipt:
        """Publish a state as a finalized output: ``s3kv-results/<key>``, locked from birth.

        S3 copies it where it can lock copies (AWS); elsewhere it is written again. It is read and verified
        before. ``S3KVStore.load(...).results.get(key)`` returns the output. The state itself is not pruned
        any more.

        Args:
            key: The key of the result.
            retention: Until when; may be left out with ``legal_hold``.
            number: The number of the state, as :meth:`history` tells it; by default the newest one that was
                saved or loaded here. Where a loop has ended since, its state is saved first. Within a loop
                it has to be given.
            tags: Tags of the output; ``flow`` and ``task`` are added.
            legal_hold: Whether to forbid deletion until the hold is released, too.
            accept_races: Publish also where two writers at once could not be told apart.

        Raises:
            KeyNotFoundError: There is no such state.
            CorruptValueError: It is damaged.
            ConflictError: The key has another content.
            RuntimeError: A loop has not ended, and no number is given.
            UnsupportedByServerError: The bucket has no Object Lock, or excludes no second writer.
        """
        if number is None and self._has_looped and self._end is None:
            raise RuntimeError(
                "a loop has not ended, so that its state is not saved: promote after it, close it if you "
                "hold it, or give the number= of a state"
            )
        states, block = self._required().states, S3KVStore.of(self.store)
        if number is None and self._end is not None and not self._end_is_saved:
            self.save(self._end())
        self._saving.wait()
        chosen = self._current
        if number is not None:
            chosen = next((one for one in states.listed() if one.number == number), None)
        if chosen is None:
            raise KeyNotFoundError(f"there is no state of {states.name!r} to promote")
        automatic = automatic_tags(task_name())
        return promote_state(
            block,
            states,
            chosen,
            key,
            retention,
            tags=with_automatic_tags(validate_tags(tags or {}), automatic),
            legal_hold=legal_hold,
            accept_races=accept_races,
        )

    async def apromote(self, key: str, retention: Retention | None = None, **options: Any) -> Receipt:
        """Do as :meth:`promote`, in a worker thread."""
        for _ in range(2):  # in which the event loop closes a loop that was left by break
            await asyncio.sleep(0)
        return await asyncio.to_thread(self.promote, key, retention, **options)

    def clear(self) -> list[Snapshot]:
        """Remove the states, promoted ones too, whose outputs stay; what is locked stays."""
        return self._required().states.clear()

    async def aclear(self) -> list[Snapshot]:
        """Do as :meth:`clear`, in a worker thread."""
        return await asyncio.to_thread(self.clear)

    # --- loops ---------------------------------------------------------------------------------

    def iterate(
        self,
        items: Iterable[T],
        state: Callable[[], Any],
        *,
        every: int | None = None,
        seconds: float | None = None,
    ) -> Iterator[T]:
        """Yield the items that are not done yet, and save the state now and then, in the background.

        What :meth:`load` returned tells how many are done: items have to come in the same order again. An
        item is done when the next one is asked for, so that saving is left to this: what :meth:`save` puts
        within the loop counts the current item as not done. On SIGTERM, the state is saved once more at the
        end of the item.

        Args:
            items: The items, from the first one on.
            state: Returns the state to save.
            every: How many items a run that dies may have to repeat at most. Saving begins after half as
                many, and the loop waits for it where the other half is done before it has arrived.
            seconds: Save when so many seconds have passed since the last time; what is done until that has
                arrived may have to be repeated, too.

        Raises:
            ValueError: Neither ``every`` nor ``seconds`` is given, or one is not positive.
            RuntimeError: There was a loop before, or there is one around this: what was done is counted in
                one. To go over the same items several times, give them in a row.
        """
        pace = self._paced(items, every, seconds)
        with self._looping(state):
            for position, item in enumerate(items, 1):
                if position <= self._position:
                    continue
                self._wait_for(pace.oldest(position))
                yield item
                self._position = position
                if pace.is_due() or self._termination.requested:
                    self.save(state(), wait=self._termination.requested)
        if self._is_to_be_kept():
            self.save(state(), wait=False)

    async def aiterate(
        self,
        items: AsyncIterable[T] | Iterable[T],
        state: Callable[[], Any],
        *,
        every: int | None = None,
        seconds: float | None = None,
    ) -> AsyncIterator[T]:
        """Do as :meth:`iterate`, over an iterable of either kind."""
        pace, position = self._paced(items, every, seconds), 0
        with self._looping(state):
            async for item in _each(items):
                position += 1
                if position <= self._position:
                    continue
                if self._safe < (oldest := pace.oldest(position)):
                    await asyncio.to_thread(self._wait_for, oldest)
                yield item
                self._position = position
                if pace.is_due() or self._termination.requested:
                    await self.asave(state(), wait=self._termination.requested)
        if self._is_to_be_kept():
            await self.asave(state(), wait=False)

    # --- how -----------------------------------------------------------------------------------

    def _open(self) -> None:
        name = formatted_key(self.name, run_parameters())
        self._writer = writer = SnapshotWriter(Snapshots(S3KVStore.of(self.store).checkpoints, name))
        self._artifacts = CheckpointArtifacts(name)
        self._identity = {_RUN: fingerprint(run_identity())}
        if own := task_run_id():  # also where a task changes what it was called with, and is retried
            self._identity[_TASK_RUN] = fingerprint(own)
        self._tags = with_automatic_tags(self._given_tags, automatic_tags(task_name()))
        self._saving = Newest(partial(self._upload, writer), "s3kv-checkpoint", then=self._show)
        self._there = []
        self._begin()

    def _begin(self) -> None:
        """Forget what was done: nothing is, until a state is loaded."""
        self._current = None
        self._position = self._safe = self._offered = 0
        self._positions = {}
        self._has_looped, self._end, self._end_is_saved = False, None, False

    def _finish(self, error: BaseException | None) -> None:
        """Wait for what is under way, and remove the states of a run that has succeeded."""
        try:
            if not self._saving.wait(self._termination.is_over):
                run_logger().error("The last checkpoint was not saved in time")
        except Exception as exc:
            if error is None:
                raise
            run_logger().error("The last checkpoint was not saved: %s", exc)  # what ended the block is raised
        succeeded = error is None and not self._termination.requested
        if succeeded and not self.keep_on_success:
            removed = self._cleared()
            self._there = [one for one in self._there if one not in removed]
        self._show(_ending(failed=not succeeded, kept=bool(self._there)))

    def _cleared(self) -> list[Snapshot]:
        """Remove the states of a run that needs them no more, the newest last; return what was removed.

        One LIST, and one HEAD for each that was not saved here.
        """
        writer, last = self._required(), self._current
        removed: list[Snapshot] = []
        if last is None:
            return removed
        try:
            there = writer.states.listed()
            if there and there[-1].number > last.number:
                run_logger().warning("Another run goes on from %r: its checkpoints stay", writer.states.name)
                return removed
            for one in there:
                if self._termination.requested:
                    break
                if self._is_to_be_cleared(one) and writer.states.remove(one):
                    removed.append(one)
        except S3KVError as exc:  # what was to be done is, and a cleanup finds them
            run_logger().warning("The checkpoints were not removed: %s", exc)
        return removed

    def _is_to_be_cleared(self, snapshot: Snapshot) -> bool:
        if self.load_policy == "latest" or snapshot.number in self._positions:
            return True
        return self._is_own(self._required().states.metadata(snapshot) or {})

    def _newest(self, writer: SnapshotWriter) -> tuple[Snapshot, Any, ObjectInfo] | None:
        """Look which states there are, to go on above them, and return the one to go on from."""
        for _ in range(_LOOKS):
            self._there = there = writer.look()
            self._begin()
            if self.load_policy == "fresh":
                return None
            with suppress(KeyNotFoundError):  # all of them were pruned meanwhile: there are newer ones
                found = writer.states.newest(there, wanted=self._is_wanted)
                if found and found[0] != there[-1]:
                    run_logger().warning("Newer checkpoints are of other runs, or damaged, and passed over")
                return found
        raise StaleWriterError(f"{writer.states.name!r}: another run saves faster than this one reads")

    def _paced(self, items: object, every: int | None, seconds: float | None) -> SavingPace:
        if self._has_looped:
            raise RuntimeError(
                "there was a loop before, or there is one around this, and a checkpoint counts what is done "
                "in one: give the items of both in a row, or load() again to begin anew"
            )
        pace = SavingPace(every, seconds)
        self._has_looped, self._total = True, len(items) if isinstance(items, Sized) else None
        return pace

    @contextmanager
    def _looping(self, state: Callable[[], Any]) -> Iterator[None]:
        """Note that a loop has ended, also by ``break``."""
        try:
            yield
        finally:
            self._end = state

    def _is_to_be_kept(self) -> bool:
        """Tell whether the state at the end of a loop is to be saved although nothing more is done."""
        return self.keep_on_success and self._position != self._offered

    def _required(self) -> SnapshotWriter:
        if self._writer is None:
            raise RuntimeError("a Checkpoint is used within its block: with Checkpoint(...) as checkpoint")
        return self._writer

    def _is_wanted(self, info: ObjectInfo) -> bool:
        return self.load_policy == "latest" or self._is_own(info.metadata)

    def _is_own(self, metadata: Mapping[str, str]) -> bool:
        return any(metadata.get(name) == own for name, own in self._identity.items())

    def _encoded(self, state: Any, *, copied: bool, in_background: bool) -> _Encoded:
        body = self._required().states.store.codec.encode(state)
        if copied and isinstance(body, Pieces):
            body = body.copied()  # it views the memory of the state, which goes on to change
        self._offered = self._position
        return _Encoded(body, self._position, in_background, is_end=self._end is not None)

    def _wait_for(self, position: int) -> None:
        """Wait until a state has arrived in which so many items are done, or nothing is under way."""
        if self._safe < position:
            self._saving.wait(lambda: self._safe >= position or self._termination.is_over())

    def _upload(self, writer: SnapshotWriter, encoded: _Encoded) -> None:
        number, there = writer.save(
            encoded.body,
            metadata={**self._identity, POSITION: str(encoded.position)},
            tags=self._tags,
            in_background=encoded.in_background,
        )
        if writer is not self._writer:
            return  # of a block before, which did not wait for its end
        self._current = next((one for one in there if one.number == number), None)
        self._safe = self._positions[number] = encoded.position
        self._end_is_saved = encoded.is_end
        removed = self._pruned(there)
        self._there = [one for one in there if one not in removed]

    def _pruned(self, there: list[Snapshot]) -> list[Snapshot]:
        try:
            return self._required().states.prune(there, self.keep)
        except S3KVError as exc:  # what was to be saved is
            run_logger().warning("Older checkpoints were not removed: %s", exc)
            return []

    def _show(self, told: str = "") -> None:
        if self._artifacts is not None and (self._there or self._position):
            self._artifacts.show(
                self._there, self._positions, position=self._position, total=self._total, told=told
            )


def _ending(*, failed: bool, kept: bool) -> str:
    if failed:
        return ". It has failed: the next attempt goes on from the newest."
    return ". It has ended, and they are kept." if kept else ". It has ended, and they were removed."


async def _until_done(told: Future[BaseException | None]) -> None:
    """Wait for a future of threads, which goes on where the one that waits is cancelled."""
    loop, is_done = asyncio.get_running_loop(), asyncio.Event()
    told.add_done_callback(lambda _: loop.call_soon_threadsafe(is_done.set))
    await is_done.wait()


async def _each(items: AsyncIterable[T] | Iterable[T]) -> AsyncIterator[T]:
    if isinstance(items, AsyncIterable):
        async for item in items:
            yield item
    else:
        for item in items:
            yield item
