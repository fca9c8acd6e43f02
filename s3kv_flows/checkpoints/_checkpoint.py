"""Checkpoint: the state of a long task or flow, so that a run that dies goes on where it was."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable, Iterator, Mapping, Sized
from concurrent.futures import Future
from dataclasses import dataclass
from datetime import datetime
from operator import length_hint
from threading import Event
from typing import Any, TypeVar

from typing_extensions import Self

from s3kv_flows._cache.naming import format_key, validate_key
from s3kv_flows._runs import (
    automatic_tags,
    is_runner_ending,
    run_identity,
    run_logger,
    run_parameters,
    task_name,
    task_run_id,
    with_automatic_tags,
)
from s3kv_flows.blocks import S3KVStore
from s3kv_flows.checkpoints._artifacts import CheckpointArtifacts
from s3kv_flows.checkpoints._background import each, left_loops_are_closed, to_the_end, until_done
from s3kv_flows.checkpoints._loop import LoopProgress, MutatedState, SavingPace
from s3kv_flows.checkpoints._promotion import promote_state
from s3kv_flows.checkpoints._sigterm import Deferred
from s3kv_flows.checkpoints._snapshots import Snapshot, Snapshots
from s3kv_flows.checkpoints._states import LoadPolicy, RunStates, position_of
from s3kv_flows.store._layout.keys import fingerprint
from s3kv_flows.store._layout.marks import RUN, TASK_RUN
from s3kv_flows.store._layout.tags import validate_tags
from s3kv_flows.store._locks.retention import Retention
from s3kv_flows.store._outputs.receipts import Receipt
from s3kv_flows.store.errors import KeyNotFoundError

__all__ = ["Checkpoint", "LoadPolicy", "SavedState"]

T = TypeVar("T")

_NOT_LOADED = object()
_REPLACED = object()


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
        tags: Its tags.
    """

    number: int
    key: str
    size: int
    saved_at: datetime
    position: int
    is_own: bool
    tags: Mapping[str, str]


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
    lets no other thread handle signals: where the flow of a submitted task is ended by one (or has come to
    its end), the loop of the task goes on, and saves after the item and every second from then on, until it
    is killed; on Dask, a task goes on from its last save. Who got StaleWriterError should not be retried
    (``@task(retry_condition_fn=...)``): it would replace its successor.

    Args:
        store: The name of a saved store, or a saved store.
        name: A name, or a format string of ``flow_run``, ``task_run``, ``deployment`` and ``parameters``. It
            has to tell apart what runs at once: calls of one task by their parameters. (``task_run.id`` is
            another one in each attempt of a flow. A subflow is another run in each attempt of its parent:
            give it retries of its own, or a name of its parameters, and the policy ``"latest"``.)
        keep: How many states of this run stay, the newest ones; with the policy ``"latest"``, of all runs.
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

    _block: object  # is there while a block is open

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
        if not hasattr(keep, "__index__") or keep < 1:
            raise ValueError(f"keep is a whole number from 1 on, got {keep}: the newest state stays")
        if load_policy not in ("own", "latest", "fresh"):
            raise ValueError(f"load_policy is 'own', 'latest' or 'fresh', got {load_policy!r}")
        self.store, self.name = store, validate_key(name)
        self.keep, self.load_policy, self.keep_on_success = keep, load_policy, keep_on_success
        self._given_tags = validate_tags(tags or {})
        self._automatic_tags: dict[str, str] = {}
        self._termination = Deferred(termination_seconds)
        self._artifacts: CheckpointArtifacts | None = None
        self._opened: RunStates | None = None
        self._loop = LoopProgress()
        self._loaded: Any = _NOT_LOADED

    # --- the block -----------------------------------------------------------------------------

    def __enter__(self) -> Self:
        self._open()
        self._termination.__enter__()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: object) -> None:
        try:
            self._finish(error)
        finally:
            self._close()

    async def __aenter__(self) -> Self:
        await to_the_end(asyncio.to_thread(self._open), self._release)
        self._termination.__enter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: object
    ) -> None:
        try:
            await to_the_end(self._afinish(error), self._release)
        except asyncio.CancelledError:  # what ends the block goes on
            self._end_signals()
            raise
        except BaseException:
            self._close()
            raise
        self._close()

    # --- states --------------------------------------------------------------------------------

    def load(self, default: Any = None) -> Any:
        """Return the newest state that the load policy takes, or the default.

        One request for each state that is looked at. A damaged one is passed over.

        Raises:
            CorruptValueError: There are such states, and none can be read.
        """
        states = self._states
        states.saving.wait()
        found = states.go_on()
        self._loop.begin_anew(states.safe)
        if found is None:
            self._loaded = default
            return default
        value, snapshot = found
        self._loaded = value
        saved = f"{snapshot.saved_at:%Y-%m-%d %H:%M:%S}"
        name = states.states.name
        run_logger().info(
            "Going on from the checkpoint of %s UTC of %r, %d items done", saved, name, states.safe
        )
        return value

    async def aload(self, default: Any = None) -> Any:
        """Do as :meth:`load`, in a worker thread."""
        return await asyncio.to_thread(self.load, default)

    def save(self, state: Any, *, tags: Mapping[str, str] | None = None, wait: bool = True) -> None:
        """Save a state: one PUT and one LIST, and two requests for each that is not kept any more.

        Where there was no state at all, the first save lists once more, before it. One HEAD, once, for each
        state that may be of another run.

        Args:
            state: The state. It is encoded before this returns, and may be changed after that.
            tags: More tags of this state, or other values of those that all have.
            wait: Wait until it is saved. Without, it is uploaded in the background, one at a time, and the
                newest replaces what waits; errors surface at the next save, which is under way by then, or at
                the end of the block. Where a later save was waited for, they do not matter any more.

        Raises:
            StaleWriterError: Another run has saved under this name since.
            EncodingError: The state cannot be pickled.
            InvalidTagError: A tag is illegal, or there are more than 10.
            UnsupportedByServerError: The bucket cannot carry the condition that a number is new.
        """
        is_left = Event()
        told = self._offered(state, tags, in_background=not wait, is_copied=not wait, is_left=is_left)
        if wait or self._termination.requested:
            try:
                self._states.saving.wait_for(told, self._termination.is_over)
            except BaseException:
                if wait:  # the caller goes on, and may change the state while it is sent
                    is_left.set()
                raise
        else:
            self._states.saving.check()
        self._termination.honour()

    async def asave(self, state: Any, *, tags: Mapping[str, str] | None = None, wait: bool = True) -> None:
        """Do as :meth:`save`; other coroutines go on while the state, once encoded, is uploaded."""
        # Others go on while this waits, and may change the state.
        told = self._offered(state, tags, in_background=not wait, is_copied=True, is_left=Event())
        if wait or self._termination.requested:
            await until_done(told)
            self._states.saving.wait_for(told)
        else:
            self._states.saving.check()
        self._termination.honour()

    def history(self) -> list[SavedState]:
        """Return the states that are there, the oldest first: one LIST, and two requests each."""
        states, found = self._states, []
        for one in states.states.listed():
            metadata, tags = states.states.metadata(one), states.states.tags(one)
            if metadata is None or tags is None:
                continue  # it was pruned meanwhile
            position, is_own = position_of(metadata), states.is_own(metadata)
            found.append(SavedState(one.number, one.key, one.size, one.saved_at, position, is_own, tags))
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
        states, ended = self._states, self._loop.end
        if number is None and self._loop.is_open:
            raise RuntimeError(
                "a loop has not ended, so that its state is not saved: promote after it, close it if you "
                "hold it, or give the number= of a state"
            )
        if number is None and ended is not None and not states.holds_end:
            self.save(ended())
        states.saving.wait()
        chosen = states.current
        if number is not None:
            chosen = next((one for one in states.states.listed() if one.number == number), None)
        if chosen is None:
            raise KeyNotFoundError(f"there is no state of {states.states.name!r} to promote")
        automatic = automatic_tags(task_name())
        return promote_state(
            S3KVStore.of(self.store),
            states.states,
            chosen,
            key,
            retention,
            tags=with_automatic_tags(validate_tags(tags or {}), automatic),
            legal_hold=legal_hold,
            accept_races=accept_races,
        )

    async def apromote(self, key: str, retention: Retention | None = None, **options: Any) -> Receipt:
        """Do as :meth:`promote`, in a worker thread."""
        await left_loops_are_closed()
        return await asyncio.to_thread(self.promote, key, retention, **options)

    def clear(self) -> list[Snapshot]:
        """Remove the states of all runs, promoted ones too, whose outputs stay; what is locked stays.

        What is under way is waited for. This run may save again; another one that is under way cannot.
        """
        self._loop.offered = 0
        return self._states.clear()

    async def aclear(self) -> list[Snapshot]:
        """Do as :meth:`clear`, in a worker thread."""
        return await asyncio.to_thread(self.clear)

    # --- loops ---------------------------------------------------------------------------------

    def iterate(
        self,
        items: Iterable[T],
        state: Callable[[], Any] | None = None,
        *,
        every: int | None = None,
        seconds: float | None = None,
    ) -> Iterator[T]:
        """Yield the items that are not done yet, and save the state now and then, in the background.

        What :meth:`load` returned tells how many are done: items have to come in the same order again. An
        item is done when the next one is asked for, so that saving is left to this: what :meth:`save` puts
        within the loop counts the current item as not done, and so does what is saved after a ``break``. On
        SIGTERM, the state is saved once more at the end of the item; see :class:`Checkpoint` for tasks in
        threads.

        Args:
            items: The items, from the first one on.
            state: Returns the state to save. Without it, that is what :meth:`load` returned, which the loop
                has to change in place: a list, a dict, a model with ``partial_fit``. A loop that needs no
                state but how far it is, neither loads nor gives one: it is loaded for it. (At the beginning
                and before the first save, a digest of that object is made, to warn where nothing changes it.)
            every: How many items a run that dies may have to repeat at most. Saving begins after half as
                many, and the loop waits for it where the other half is done before it has arrived.
            seconds: Save when so many seconds have passed since the last time; what is done until that has
                arrived may have to be repeated, too.

        Raises:
            ValueError: Neither ``every`` nor ``seconds`` is given, or one is not positive.
            TypeError: No ``state`` is given, and what was loaded cannot be changed, as a number or a tuple,
                or something else was saved since.
            RuntimeError: There was a loop before, or there is one around this: what was done is counted in
                one. To go over the same items several times, give them in a row.
        """
        if state is None and self._has_to_load():
            self.load()
        state = self._state_of(state)
        loop = self._begun(items, every, seconds)
        with loop.until_end(state):
            for item in items:
                if loop.passes():
                    continue
                self._states.wait_until_safe(loop.must_be_safe)
                yield item
                if self._is_to_be_saved(loop):
                    self.save(state(), wait=self._termination.requested)
        if self._is_to_be_kept(loop):
            self.save(state(), wait=False)

    async def aiterate(
        self,
        items: AsyncIterable[T] | Iterable[T],
        state: Callable[[], Any] | None = None,
        *,
        every: int | None = None,
        seconds: float | None = None,
    ) -> AsyncIterator[T]:
        """Do as :meth:`iterate`, over an iterable of either kind."""
        if state is None and self._has_to_load():
            await self.aload()
        state = self._state_of(state)
        loop = self._begun(items, every, seconds)
        with loop.until_end(state):
            async for item in each(items):
                if loop.passes():
                    continue
                if self._states.safe < loop.must_be_safe:
                    await asyncio.to_thread(self._states.wait_until_safe, loop.must_be_safe)
                yield item
                if self._is_to_be_saved(loop):
                    await self.asave(state(), wait=self._termination.requested)
        if self._is_to_be_kept(loop):
            await self.asave(state(), wait=False)

    # --- how -----------------------------------------------------------------------------------

    @property
    def _states(self) -> RunStates:
        if self._opened is None:
            raise RuntimeError("a Checkpoint is used within its block: with Checkpoint(...) as checkpoint")
        return self._opened

    def _open(self) -> None:
        block = object()
        if self.__dict__.setdefault("_block", block) is not block:  # of several threads, one comes first
            raise RuntimeError("this Checkpoint is in use: each run, and each block, has one of its own")
        try:
            self._open_states()
        except BaseException:
            del self._block
            raise

    def _release(self) -> None:
        self._opened, self._loaded = None, _NOT_LOADED
        self.__dict__.pop("_block", None)

    def _end_signals(self) -> None:
        self._termination.__exit__()
        self._termination.honour()

    def _close(self) -> None:
        self._release()
        self._end_signals()

    def _open_states(self) -> None:
        name = format_key(self.name, run_parameters())
        identity = {RUN: fingerprint(run_identity())}
        if own := task_run_id():  # also where a task changes what it was called with, and is retried
            identity[TASK_RUN] = fingerprint(own)
        self._automatic_tags = automatic_tags(task_name())
        self._artifacts = CheckpointArtifacts(name)
        self._loop, self._loaded = LoopProgress(), _NOT_LOADED
        self._opened = RunStates(
            Snapshots(S3KVStore.of(self.store).checkpoints, name),
            identity=identity,
            keep=self.keep,
            policy=self.load_policy,
            then=self._show,
            given_up=self._termination.is_over,
        )

    def _finish(self, error: BaseException | None) -> None:
        """Wait for what is under way, and remove the states of a run that has succeeded."""
        try:
            if not self._states.end():
                run_logger().error("The last checkpoint was not saved in time")
        except Exception as exc:
            if error is None:
                raise
            run_logger().error("The last checkpoint was not saved: %s", exc)  # what ended the block is raised
        succeeded = error is None and not self._termination.requested
        if succeeded and not self.keep_on_success:
            self._states.clear_own(lambda: self._termination.requested)
        self._show(self._ending(failed=not succeeded))
        if self._artifacts is not None:
            self._artifacts.wait(self._termination.is_over)

    async def _afinish(self, error: BaseException | None) -> None:
        await left_loops_are_closed()
        await asyncio.to_thread(self._finish, error)

    def _has_to_load(self) -> bool:
        return self._loaded is _NOT_LOADED and not self._loop.has_begun

    def _state_of(self, given: Callable[[], Any] | None) -> Callable[[], Any]:
        """Return what returns the state of a loop."""
        if given is not None:
            return given
        if self._loop.has_begun:
            return _nothing  # which is refused
        if self._loaded is _REPLACED:
            raise TypeError(
                "what was saved last is not what load() returned: give iterate() a function that returns the "
                "state to save, as its second argument"
            )
        return MutatedState(self._loaded)

    def _offered(
        self,
        state: Any,
        tags: Mapping[str, str] | None,
        *,
        in_background: bool,
        is_copied: bool,
        is_left: Event,
    ) -> Future[BaseException | None]:
        """Give a state to be saved; return what to wait for."""
        done = self._loop.done
        if state is not self._loaded:
            self._loaded = _REPLACED
        told = self._states.offer(
            state,
            done,
            with_automatic_tags(validate_tags({**self._given_tags, **(tags or {})}), self._automatic_tags),
            in_background=in_background,
            is_copied=is_copied,
            is_end=self._loop.end is not None,
            is_left=is_left,
        )
        self._loop.offered = done
        return told

    def _begun(self, items: object, every: int | None, seconds: float | None) -> LoopProgress:
        pace = SavingPace(every, seconds)
        # An object may have __len__, and yet no length: that raises TypeError, and counts as none.
        length = length_hint(items, -1) if isinstance(items, Sized) else -1
        self._loop.begin(length if length >= 0 else None, pace)
        self._loaded = _REPLACED  # and is held no longer
        return self._loop

    def _is_to_be_saved(self, loop: LoopProgress) -> bool:
        """Note that an item is done; tell whether to save."""
        if loop is not self._loop:
            raise RuntimeError("the block of this loop has ended, and another one has begun")
        return loop.has_done(in_a_hurry=is_runner_ending()) or self._termination.requested

    def _is_to_be_kept(self, loop: LoopProgress) -> bool:
        """Tell whether the state at the end of a loop is to be saved although nothing more is done."""
        loop.compare()
        return self.keep_on_success and self._loop.done != self._loop.offered

    def _ending(self, *, failed: bool) -> str:
        if failed:
            next_one = "" if self.load_policy == "fresh" else ": the next attempt goes on from the newest"
            return f". It has failed{next_one}."
        kept = "they are kept" if self._states.there else "they were removed"
        return f". It has ended, and {kept}."

    def _show(self, told: str = "") -> None:
        if self._artifacts is not None and self._opened is not None:
            states, loop = self._opened, self._loop
            self._artifacts.show(
                states.there, states.positions, position=loop.done, total=loop.total, told=told
            )


def _nothing() -> None:
    return None
