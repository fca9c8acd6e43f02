"""A storage, a lock manager, a serializer and a cache policy that note how Prefect calls them."""

from __future__ import annotations

import asyncio
import threading
import uuid
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any, ClassVar

from prefect import task
from prefect.cache_policies import CachePolicy
from prefect.client.schemas.objects import State
from prefect.context import TaskRunContext
from prefect.filesystems import WritableFileSystem
from prefect.results import ResultStore
from prefect.serializers import Serializer
from prefect.transactions import BaseTransaction, get_transaction
from pydantic import PrivateAttr

KEY = "the-key"
VALUE = {"a": "value"}


@dataclass(frozen=True)
class Call:
    """One call of Prefect: what it was, and where it was made."""

    name: str
    args: tuple[Any, ...]
    run: TaskRunContext | None
    before: str | None  # what the call before it has left in a context variable
    thread: int
    in_loop: bool
    transaction: BaseTransaction | None


class Journal:
    """What Prefect has called, in order; what it has stored; and what it is to meet with."""

    def __init__(self) -> None:
        self.all: list[Call] = []
        self.stored: dict[str, Any] = {}
        self.raising: dict[str, BaseException] = {}
        self.doing: dict[str, Callable[..., object]] = {}
        self._left: ContextVar[str | None] = ContextVar("left", default=None)

    def __deepcopy__(self, _: object) -> Journal:
        return self

    def note(self, name: str, *args: Any) -> None:
        call = Call(
            name,
            args,
            TaskRunContext.get(),
            self._left.get(),
            threading.get_ident(),
            in_event_loop(),
            get_transaction(),
        )
        self.all.append(call)
        self._left.set(name)
        if name in self.doing:
            self.doing[name](*args)
        if name in self.raising:
            raise self.raising[name]

    @property
    def names(self) -> list[str]:
        return [call.name for call in self.all]

    def of(self, name: str) -> list[Call]:
        return [call for call in self.all if call.name == name]

    def the(self, name: str) -> Call:
        (call,) = self.of(name)
        return call

    def come_in_order(self, *names: str) -> bool:
        places = [self.names.index(name) for name in names]
        return places == sorted(places)

    def forget(self) -> None:
        self.all.clear()


def in_event_loop() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


JOURNALS: dict[str, Journal] = {}
"""By the names that blocks and serializers carry: Prefect makes others of them out of their fields."""


class Storage(WritableFileSystem):
    """Keeps what it is given in its journal, under its own name and the path."""

    _block_type_name: ClassVar[str | None] = "S3KV Contract Storage"
    _block_type_slug: ClassVar[str | None] = "s3kv-contract-storage"

    journal: str
    role: str

    def read_path(self, path: str, *, _sync: bool | None = None) -> Any:
        return self._read(path, _sync)

    async def aread_path(self, path: str) -> Any:
        return self._read(path, "async")

    def write_path(self, path: str, content: Any, *, _sync: bool | None = None) -> None:  # type: ignore[override]  # as in S3KVStore
        self._write(path, content, _sync)

    async def awrite_path(self, path: str, content: Any) -> None:
        self._write(path, content, "async")

    def _resolve_path(self, path: str) -> None:
        JOURNALS[self.journal].note(f"{self.role} resolve", path)

    def _read(self, path: str, how: Any) -> Any:
        JOURNALS[self.journal].note(f"{self.role} read", path, how)
        return JOURNALS[self.journal].stored[f"{self.role} {path}"]

    def _write(self, path: str, content: Any, how: Any) -> None:
        JOURNALS[self.journal].note(f"{self.role} write", path, how)
        JOURNALS[self.journal].stored[f"{self.role} {path}"] = content


class Dumped(bytes):
    """What the serializer returns: more than bytes."""

    value: Any


class Marking(Serializer):
    """Wraps values instead of encoding them, and notes what Prefect knows when it is asked."""

    type: str = "s3kv-contract"
    journal: str = ""
    _run: str = PrivateAttr(default="")

    def dumps(self, obj: Any) -> bytes:
        JOURNALS[self.journal].note("dumps", obj, self._run)
        dumped = Dumped(b"dumped")
        dumped.value = obj
        return dumped

    def loads(self, blob: Any) -> Any:
        JOURNALS[self.journal].note("loads", blob)
        return getattr(blob, "value", blob)


class Locks:
    """A lock manager by its methods alone, that gives every lock to everybody."""

    def __init__(self, journal: Journal, name: str = "lock", *, is_holder: bool = True) -> None:
        self.journal, self.name, self.is_holder = journal, name, is_holder

    def acquire_lock(
        self,
        key: str,
        holder: str,
        acquire_timeout: float | None = None,
        hold_timeout: float | None = None,
    ) -> bool:
        self.journal.note(f"{self.name} acquire", key, holder, acquire_timeout, hold_timeout)
        return False

    async def aacquire_lock(
        self,
        key: str,
        holder: str,
        acquire_timeout: float | None = None,
        hold_timeout: float | None = None,
    ) -> bool:
        return self.acquire_lock(key, holder, acquire_timeout, hold_timeout)

    def release_lock(self, key: str, holder: str) -> None:
        self.journal.note(f"{self.name} release", key, holder)

    def is_locked(self, key: str) -> bool:
        self.journal.note(f"{self.name} is locked", key)
        return True

    def is_lock_holder(self, key: str, holder: str) -> bool:
        self.journal.note(f"{self.name} is holder", key, holder)
        return self.is_holder

    def wait_for_lock(self, key: str, timeout: float | None = None) -> bool:
        self.journal.note(f"{self.name} wait", key, timeout)
        return True

    async def await_for_lock(self, key: str, timeout: float | None = None) -> bool:
        return self.wait_for_lock(key, timeout)


@dataclass
class Policy(CachePolicy):
    """Always has the same key, and does something to the context of the run before."""

    journal: Journal = field(default_factory=Journal)
    key: str | None = KEY
    doing: Callable[[TaskRunContext], object] = lambda _: None

    def compute_key(
        self,
        task_ctx: TaskRunContext,
        inputs: dict[str, Any],
        flow_parameters: dict[str, Any],
        **_: Any,
    ) -> str | None:
        self.journal.note("key", task_ctx, inputs, flow_parameters)
        self.doing(task_ctx)
        return self.key


class Stage:
    """A storage, and tasks that keep their results there; of sync or of async tasks.

    It has the id of the one saved block, whose fields are others: what loads it needs :meth:`save`.
    """

    def __init__(self, kind: str, saved: Storage) -> None:
        self.kind, self.name = kind, f"contract-{uuid.uuid4().hex[:8]}"
        self.journal = JOURNALS[self.name] = Journal()
        self.storage = saved.model_copy(update={"journal": self.name})
        self.records = Storage(journal=self.name, role="record")
        self.locks = Locks(self.journal)
        self.serializer = Marking(journal=self.name)

    def save(self) -> None:
        """Save a storage of these fields under the name of the stage."""
        self.storage = Storage(journal=self.name, role="result")
        self.storage.save(self.name)

    def policy(self, *, locks: Any = None, **options: Any) -> Policy:
        policy = Policy(journal=self.journal, **options).configure(key_storage=self.records)
        return (
            policy if locks is None else policy.configure(lock_manager=locks, isolation_level="SERIALIZABLE")
        )

    def options(self, **options: Any) -> dict[str, Any]:
        return {
            "cache_policy": self.policy(locks=self.locks),
            "result_storage": self.storage,
            "result_serializer": self.serializer,
            "persist_result": True,
            "cache_result_in_memory": False,
            **options,
        }

    def task(self, body: Callable[[], Any] = lambda: VALUE, **options: Any) -> Any:
        """Return a task that notes that it computes, and then does something."""

        def compute() -> Any:
            self.journal.note("compute")
            return body()

        async def acompute() -> Any:
            return compute()

        return task(**self.options(**options))(compute if self.kind == "sync" else acompute)

    def run(self, body: Callable[[], Any] = lambda: VALUE, **options: Any) -> State[Any]:
        """Run such a task; return the state it ends in."""
        state: State[Any] = self.wait(self.task(body, **options)(return_state=True))
        return state

    def wait(self, outcome: Any) -> Any:
        async def wait(outcome: Awaitable[Any]) -> Any:
            return await outcome

        return asyncio.run(wait(outcome)) if self.kind == "async" else outcome

    def hit(self, **options: Any) -> State[Any]:
        """Let a run find what another one has stored; only the former is in the journal."""
        self.run(**options)
        self.journal.forget()
        return self.run(**options)


class Noting(ResultStore):
    """The result store of one run, which notes what it is asked for: a level, and records of its results."""

    def supports_isolation_level(self, level: Any) -> bool:
        JOURNALS[self.serializer.journal].note("level asked", level)  # type: ignore[attr-defined]
        return super().supports_isolation_level(level)

    def create_result_record(self, obj: Any, key: str | None = None, expiration: Any = None) -> Any:
        journal = JOURNALS[self.serializer.journal]  # type: ignore[attr-defined]
        run = TaskRunContext.get()
        journal.note("record made", obj, key, run and run.task_run.state)
        return super().create_result_record(obj, key=key, expiration=expiration)

    @classmethod
    def instead_of_its_own(cls, context: TaskRunContext) -> None:
        context.result_store = cls.model_construct(**dict(context.result_store))
