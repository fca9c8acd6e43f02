"""Checkpoint: save the state of a long task or flow, and resume.

Opening and ending the ``with`` block is in :mod:`s3kv_flows.checkpoints._context`.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable, Iterator, Mapping, Sized
from concurrent.futures import Future
from operator import length_hint
from threading import Event
from typing import Any, TypeVar

from s3kv_flows._prefect import automatic_tags, is_runner_ending, run_logger, task_name, with_automatic_tags
from s3kv_flows.blocks import S3KVStore
from s3kv_flows.checkpoints._background import close_left_loops, each, wait_for_future
from s3kv_flows.checkpoints._context import NOT_LOADED, CheckpointContext
from s3kv_flows.checkpoints._loop import LoopProgress, MutatedState, SavingPace
from s3kv_flows.checkpoints._promotion import promote_state
from s3kv_flows.checkpoints._snapshots import Snapshot
from s3kv_flows.checkpoints._states import SavedState
from s3kv_flows.store._layout.tags import validate_tags
from s3kv_flows.store._locks.retention import Retention
from s3kv_flows.store._outputs.receipts import Receipt
from s3kv_flows.store.errors import KeyNotFoundError

__all__ = ["Checkpoint"]

T = TypeVar("T")

_REPLACED = object()


class Checkpoint(CheckpointContext):
    """The states of one run, in ``s3kv-checkpoints/<name>/<number>``; used in a ``with`` block.

    ::

        with Checkpoint("lake", "train/{flow_run.id}") as checkpoint:
            model = checkpoint.load(default=SGDClassifier())
            for batch in checkpoint.iterate(batches, lambda: model, every=100):
                model.partial_fit(*batch)

    Numbers only grow, and each is created once. A run that was replaced while it was suspended gets
    StaleWriterError when it saves, and so does the second of two runs that use one name at once. On
    success, the states are removed; after an error or a kill they stay for the next attempt. Within
    a run, the artifacts ``s3kv-checkpoints`` and ``s3kv-checkpoint-progress`` show the existing states.

    A SIGTERM is deferred if the block is in the main thread: in a flow, or a task that it calls. Python
    lets no other thread handle signals: if the flow of a submitted task is ended by one (or has ended),
    the loop of the task continues, and saves after the item and every second from then on, until it
    is killed; on Dask, a task resumes from its last save. A run that got StaleWriterError should not be
    retried (``@task(retry_condition_fn=...)``): it would replace its successor.

    Args:
        store: The name of a saved store, or a saved store.
        name: A name, or a format string of ``flow_run``, ``task_run``, ``deployment`` and ``parameters``.
            Runs at the same time need different names: calls of one task differ by their parameters.
            (``task_run.id`` changes with each attempt of a flow. A subflow is a new run in each attempt of
            its parent: give it retries of its own, or a name of its parameters, and the policy
            ``"latest"``.)
        keep: How many states of this run stay, the newest ones; with the policy ``"latest"``, of all runs.
        load_policy: Which states :meth:`load` accepts: ``"own"``, those of this run's earlier attempts
            (retries of a task or flow, a resumed flow); ``"latest"``, those of any run under this name;
            ``"fresh"``, none.
        tags: Tags of the objects; ``flow`` and ``task`` are added, so that a cleanup rule can select the
            states of runs that were never resumed.
        keep_on_success: Keep the states also if the block ends without an error. They stay in any case if
            another run has continued from them, and, unless the policy is ``"latest"``, so do those of
            other runs.
        termination_seconds: For how long a SIGTERM may be deferred, for the end of a step and one more save.

    Raises:
        ValueError: ``keep`` is less than 1, the name is not a format string, or tags are illegal.
        LookupError: At the beginning of the block: a field of the name has no value, such as
            ``flow_run.id`` outside of flows.
    """

    # --- states --------------------------------------------------------------------------------

    def load(self, default: Any = None) -> Any:
        """Return the newest state that the load policy accepts, or the default.

        One request for each state that is tried. Damaged ones are skipped.

        Raises:
            CorruptValueError: There are such states, and none can be read.
        """
        states = self._states
        states.saving.wait()
        found = states.resume()
        self._loop.reset(states.saved_position)
        if found is None:
            self._loaded = default
            return default
        value, snapshot = found
        self._loaded = value
        saved = f"{snapshot.saved_at:%Y-%m-%d %H:%M:%S}"
        name = states.states.name
        run_logger().info(
            "Resuming from the checkpoint of %s UTC of %r, %d items done", saved, name, states.saved_position
        )
        return value

    async def aload(self, default: Any = None) -> Any:
        """Do as :meth:`load`, in a worker thread."""
        return await asyncio.to_thread(self.load, default)

    def save(self, state: Any, *, tags: Mapping[str, str] | None = None, wait: bool = True) -> None:
        """Save a state: one PUT and one LIST, and two requests for each state that is pruned.

        If no state exists at all, the first save lists once more, before its PUT. One HEAD, once, for each
        state that may be of another run.

        Args:
            state: The state. It is encoded before this returns, and may be changed after that.
            tags: Additional tags of this state, or other values of the common ones.
            wait: Wait until it is saved. Without, it is uploaded in the background, one at a time, and the
                newest replaces a waiting one; errors are raised by the next save, whose upload has then
                begun, or at the end of the block. After a later save that was waited for, they no longer
                matter.

        Raises:
            StaleWriterError: Another run has saved under this name since.
            EncodingError: The state cannot be pickled.
            InvalidTagError: A tag is illegal, or there are more than 10.
            UnsupportedByServerError: The bucket cannot carry the condition that a number is new.
        """
        abandoned = Event()
        future = self._offer(state, tags, in_background=not wait, is_copied=not wait, abandoned=abandoned)
        if wait or self._termination.requested:
            try:
                self._states.saving.wait_for(future, self._termination.is_over)
            except BaseException:
                if wait:  # the caller continues, and may change the state during the upload
                    abandoned.set()
                raise
        else:
            self._states.saving.check()
        self._termination.honour()

    async def asave(self, state: Any, *, tags: Mapping[str, str] | None = None, wait: bool = True) -> None:
        """Do as :meth:`save`; other coroutines run while the state, once encoded, is uploaded."""
        # Other coroutines may change the state in the meantime.
        future = self._offer(state, tags, in_background=not wait, is_copied=True, abandoned=Event())
        if wait or self._termination.requested:
            await wait_for_future(future)
            self._states.saving.wait_for(future)
        else:
            self._states.saving.check()
        self._termination.honour()

    def history(self) -> list[SavedState]:
        """Return the existing states, the oldest first: one LIST, and two requests each."""
        return self._states.history()

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
        """Publish a state as a finalized output: ``s3kv-results/<key>``, locked by the PUT that writes it.

        The state is read and verified first. S3 then copies it if it can lock copies (AWS); otherwise it is
        written again. ``S3KVStore.load(...).results.get(key)`` returns the output. The state itself is no
        longer pruned.

        Args:
            key: The key of the result.
            retention: Until when; may be omitted with ``legal_hold``.
            number: The number of the state, from :meth:`history`; by default the newest one that was
                saved or loaded here. If a loop has ended since, its state is saved first. Within a loop
                it is required.
            tags: Tags of the output; ``flow`` and ``task`` are added.
            legal_hold: Whether to forbid deletion until the hold is released, too.
            accept_races: Publish also if the server cannot exclude a second writer.

        Raises:
            KeyNotFoundError: No such state exists.
            CorruptValueError: The state is damaged.
            ConflictError: The key has another content.
            RuntimeError: A loop has not ended, and no number is given.
            UnsupportedByServerError: The bucket has no Object Lock, or cannot exclude a second writer.
        """
        states, ended = self._states, self._loop.end
        if number is None and self._loop.is_open:
            raise RuntimeError(
                "a loop has not ended, and its state is not saved: promote after the loop, close its "
                "iterator, or give the number= of a state"
            )
        if number is None and ended is not None and not states.includes_loop_end:
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
        await close_left_loops()
        return await asyncio.to_thread(self.promote, key, retention, **options)

    def clear(self) -> list[Snapshot]:
        """Remove the states of all runs, promoted ones included; locked states, and all outputs, stay.

        Waits for uploads under way. This run may save again; another run that has not ended cannot.
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
        """Yield the items that are not done yet, and save the state at intervals, in the background.

        The loaded state holds how many items are done: they must come in the same order again. An
        item is done when the next one is requested. So let the loop save: a :meth:`save` within the loop
        counts the current item as not done, and so does one after a ``break``. On SIGTERM, the state is
        saved once more at the end of the item; see :class:`Checkpoint` for tasks in threads.

        Args:
            items: The items, from the first one on.
            state: Returns the state to save. By default, that is the object that :meth:`load` returned, which
                the loop must change in place: a list, a dict, a model with ``partial_fit``. A loop whose only
                state is its position needs neither: the position is loaded by this. (At the beginning and
                before the first save, a digest of that object is made, to warn if it does not change.)
            every: How many items a run that dies repeats at most. Saving begins after half as many, and the
                loop waits for the upload if the other half is done first.
            seconds: Save when so many seconds have passed since the last save; items that are done until the
                upload ends may be repeated, too.

        Raises:
            ValueError: Neither ``every`` nor ``seconds`` is given, or one is not positive.
            TypeError: No ``state`` is given, and the loaded object is immutable, such as a number or a tuple,
                or another object was saved since.
            RuntimeError: Another loop has begun before, within this block: only one is counted. To iterate
                over the same items several times, chain them.
        """
        if state is None and self._must_load():
            self.load()
        state = self._state_getter(state)
        loop = self._begin_loop(items, every, seconds)
        with loop.until_end(state):
            for item in items:
                if loop.passes():
                    continue
                self._states.wait_until_saved(loop.required_position)
                yield item
                if self._must_save(loop):
                    self.save(state(), wait=self._termination.requested)
        if self._must_save_end(loop):
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
        if state is None and self._must_load():
            await self.aload()
        state = self._state_getter(state)
        loop = self._begin_loop(items, every, seconds)
        with loop.until_end(state):
            async for item in each(items):
                if loop.passes():
                    continue
                if self._states.saved_position < loop.required_position:
                    await asyncio.to_thread(self._states.wait_until_saved, loop.required_position)
                yield item
                if self._must_save(loop):
                    await self.asave(state(), wait=self._termination.requested)
        if self._must_save_end(loop):
            await self.asave(state(), wait=False)

    # --- how -----------------------------------------------------------------------------------

    def _must_load(self) -> bool:
        return self._loaded is NOT_LOADED and not self._loop.has_begun

    def _state_getter(self, given: Callable[[], Any] | None) -> Callable[[], Any]:
        """Return a function that returns the state of a loop."""
        if given is not None:
            return given
        if self._loop.has_begun:
            return _no_state  # the loop is refused
        if self._loaded is _REPLACED:
            raise TypeError(
                "another object than load() returned was saved last: give iterate() a function that returns "
                "the state to save, as its second argument"
            )
        return MutatedState(self._loaded)

    def _offer(
        self,
        state: Any,
        tags: Mapping[str, str] | None,
        *,
        in_background: bool,
        is_copied: bool,
        abandoned: Event,
    ) -> Future[BaseException | None]:
        """Offer a state for saving; return a future."""
        done = self._loop.done
        if state is not self._loaded:
            self._loaded = _REPLACED
        future = self._states.offer(
            state,
            done,
            with_automatic_tags(validate_tags({**self._given_tags, **(tags or {})}), self._automatic_tags),
            in_background=in_background,
            is_copied=is_copied,
            is_end=self._loop.end is not None,
            abandoned=abandoned,
        )
        self._loop.offered = done
        return future

    def _begin_loop(self, items: object, every: int | None, seconds: float | None) -> LoopProgress:
        pace = SavingPace(every, seconds)
        # An object may have a __len__ that raises TypeError, which counts as no length.
        length = length_hint(items, -1) if isinstance(items, Sized) else -1
        self._loop.begin(length if length >= 0 else None, pace)
        self._loaded = _REPLACED  # so that the object can be freed
        return self._loop

    def _must_save(self, loop: LoopProgress) -> bool:
        """Count an item as done; return whether to save."""
        if loop is not self._loop:
            raise RuntimeError("the block of this loop has ended, and another one has begun")
        return loop.finish_item(hurry=is_runner_ending()) or self._termination.requested

    def _must_save_end(self, loop: LoopProgress) -> bool:
        """Return whether to save the state at the end of a loop, which was not offered yet."""
        loop.warn_if_shorter()
        return self.keep_on_success and self._loop.done != self._loop.offered


def _no_state() -> None:
    return None
