"""Context manager of checkpoints: open states, defer SIGTERM, finish.

At the end of a block, uploads under way are waited for, and the states of a run that has succeeded are
removed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from typing_extensions import Self

from s3kv_flows._cache.naming import format_key, validate_key
from s3kv_flows._keys.errors import Unkeyable
from s3kv_flows._keys.identity import Identity
from s3kv_flows._keys.parts import KeyParts
from s3kv_flows._prefect import (
    automatic_tags,
    run_identity,
    run_logger,
    run_parameters,
    task_name,
    task_run_id,
)
from s3kv_flows.blocks import S3KVStore
from s3kv_flows.checkpoints._artifacts import CheckpointArtifacts
from s3kv_flows.checkpoints._background import close_left_loops, run_to_end
from s3kv_flows.checkpoints._loop import LoopProgress
from s3kv_flows.checkpoints._sigterm import Deferred
from s3kv_flows.checkpoints._snapshots import Snapshots
from s3kv_flows.checkpoints._states import LoadPolicy, RunStates
from s3kv_flows.store._layout.keys import fingerprint
from s3kv_flows.store._layout.marks import RUN, TASK_RUN
from s3kv_flows.store._layout.tags import validate_tags

__all__ = ["NOT_LOADED", "CheckpointContext"]

NOT_LOADED = object()
"""The loaded state before the first load."""


class CheckpointContext:
    """The configuration of a checkpoint, and what is open within its ``with`` block.

    See :class:`~s3kv_flows.checkpoints.Checkpoint` for the arguments.
    """

    _entered: object  # set while a block is open

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
            raise ValueError(f"keep must be a whole number, at least 1, got {keep}: the newest state stays")
        if load_policy not in ("own", "latest", "fresh"):
            raise ValueError(f"load_policy must be 'own', 'latest' or 'fresh', got {load_policy!r}")
        self.store, self.name = store, validate_key(name)
        self.keep, self.load_policy, self.keep_on_success = keep, load_policy, keep_on_success
        self._given_tags = validate_tags(tags or {})
        self._automatic_tags: dict[str, str] = {}
        self._termination = Deferred(termination_seconds)
        self._artifacts: CheckpointArtifacts | None = None
        self._opened: RunStates | None = None
        self._loop = LoopProgress()
        self._loaded: Any = NOT_LOADED

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
        await run_to_end(asyncio.to_thread(self._open), self._release)
        self._termination.__enter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: object
    ) -> None:
        try:
            await run_to_end(self._afinish(error), self._release)
        except asyncio.CancelledError:  # the uploads continue in their threads
            self._end_signals()
            raise
        except BaseException:
            self._close()
            raise
        self._close()

    # --- how -----------------------------------------------------------------------------------

    @property
    def _states(self) -> RunStates:
        if self._opened is None:
            raise RuntimeError("a Checkpoint is used within its block: with Checkpoint(...) as checkpoint")
        return self._opened

    def _open(self) -> None:
        entered = object()
        if self.__dict__.setdefault("_entered", entered) is not entered:  # atomic: one thread wins
            raise RuntimeError("this Checkpoint is in use: make one for each run, and for each block")
        try:
            self._open_states()
        except BaseException:
            del self._entered
            raise

    def _release(self) -> None:
        self._opened, self._loaded = None, NOT_LOADED
        self.__dict__.pop("_entered", None)

    def _end_signals(self) -> None:
        self._termination.__exit__()
        self._termination.honour()

    def _close(self) -> None:
        self._release()
        self._end_signals()

    def _open_states(self) -> None:
        name = format_key(self.name, run_parameters())
        identity = {RUN: fingerprint(run_identity(_digest_of))}
        if run_id := task_run_id():  # for retries of a task that has changed its parameters in place
            identity[TASK_RUN] = fingerprint(run_id)
        self._automatic_tags = automatic_tags(task_name())
        self._artifacts = CheckpointArtifacts(name)
        self._loop, self._loaded = LoopProgress(), NOT_LOADED
        store = S3KVStore.of(self.store).checkpoints
        store.seals_of_objects.require_can_seal()  # before anything is computed that could not be saved
        self._opened = RunStates(
            Snapshots(store, name),
            identity=identity,
            keep=self.keep,
            policy=self.load_policy,
            then=self._show,
            given_up=self._termination.is_over,
        )

    def _finish(self, error: BaseException | None) -> None:
        """Wait for uploads under way; after a success, remove the states of the run."""
        try:
            if not self._states.end():
                run_logger().error("The last checkpoint was not saved in time")
        except Exception as exc:
            if error is None:
                raise
            run_logger().error(
                "The last checkpoint was not saved: %s", exc
            )  # the error that ended the block is raised
        succeeded = error is None and not self._termination.requested
        if succeeded and not self.keep_on_success:
            self._states.clear_this_run(lambda: self._termination.requested)
        self._show(self._outcome(failed=not succeeded))
        if self._artifacts is not None:
            self._artifacts.wait(self._termination.is_over)

    async def _afinish(self, error: BaseException | None) -> None:
        await close_left_loops()
        await asyncio.to_thread(self._finish, error)

    def _outcome(self, *, failed: bool) -> str:
        if failed:
            next_one = "" if self.load_policy == "fresh" else ": the next attempt resumes from the newest"
            return f". It has failed{next_one}."
        kept = "they are kept" if self._states.existing else "they were removed"
        return f". It has ended, and {kept}."

    def _show(self, outcome: str = "") -> None:
        if self._artifacts is not None and self._opened is not None:
            states, loop = self._opened, self._loop
            self._artifacts.show(
                states.existing, states.positions, position=loop.done, total=loop.total, outcome=outcome
            )


def _digest_of(parameters: Mapping[str, Any]) -> str:
    """Return a digest of parameters that is the same in all processes; empty if one has no content."""
    try:
        return KeyParts(inputs=Identity().inputs(parameters)).key()
    except Unkeyable:
        return ""
