"""What has no content that could be told: it would be used up, or is nothing outside of its process."""

from __future__ import annotations

from typing import Any, NoReturn

from s3kv_flows._keys.contents.parts.kinds import Parts, PartsOf, Walk
from s3kv_flows._keys.errors import Unkeyable
from s3kv_flows._keys.project import module_of

__all__ = ["PARTS", "cannot_be_told", "iterator"]


def iterator(walk: Walk, value: Any) -> Parts:  # noqa: ARG001
    """Refuse an iterator: to tell its content would use it up.

    Raises:
        Unkeyable: Always.
    """
    raise Unkeyable(
        f"a {_said(type(value))} is an iterator, which can be read only once",
        "pass a list of what it yields, or what it is made from",
    )


def cannot_be_told(kind: type, exc: Exception) -> Unkeyable:
    """Return the refusal of a value whose class cannot be pickled."""
    return Unkeyable(
        f"the content of a {_said(kind)} cannot be told ({type(exc).__name__}: {exc})",
        "pass plain data, or make it inside of the task",
    )


def _said(kind: type) -> str:
    module = module_of(kind)
    return kind.__qualname__ if module == "builtins" else f"{module}.{kind.__qualname__}"


def _as(what: str, remedy: str) -> PartsOf:
    def refuse(walk: Walk, value: Any) -> NoReturn:  # noqa: ARG001
        raise Unkeyable(f"a {_said(type(value))} is {what}", remedy)

    return refuse


_file = _as("an open file or stream", "pass its path, or the bytes that were read")
_lock = _as("a lock, which means something in this process only", "make it inside of the task")
_connection = _as("a connection, or the end of one", "pass what it takes to connect, and do so in the task")
_process = _as("something that runs", "pass what it returns")
_reference = _as("a reference that does not keep its object", "pass the object")
_cursor = _as("a reader, which can be read only once", "pass a table, or what it is made from")

PARTS: dict[str, PartsOf] = {
    "_io._IOBase": _file,
    "mmap.mmap": _file,
    "pyarrow.NativeFile": _file,
    "pandas.HDFStore": _file,
    "pyarrow.RecordBatchReader": _cursor,
    "pyarrow.Scanner": _cursor,
    "_csv.writer": _file,
    "_thread.lock": _lock,
    "_thread.RLock": _lock,
    **{f"asyncio.{name}": _lock for name in ("Lock", "Event", "Condition", "Semaphore", "Barrier", "Queue")},
    "multiprocessing.SemLock": _lock,
    "multiprocessing._ConnectionBase": _connection,
    "multiprocessing.BaseProxy": _connection,
    "multiprocessing.SharedMemory": _connection,
    "socket.socket": _connection,
    "_socket.socket": _connection,
    "ssl.SSLContext": _connection,
    "sqlite3.Connection": _connection,
    "http.HTTPConnection": _connection,
    "distributed.Client": _connection,
    "contextlib._GeneratorContextManagerBase": iterator,
    "builtins.coroutine": _process,
    "threading.Thread": _process,
    "multiprocessing.BaseProcess": _process,
    "subprocess.Popen": _process,
    "asyncio.AbstractEventLoop": _process,
    "asyncio.Future": _process,
    "_asyncio.Future": _process,
    "concurrent.Future": _process,
    "concurrent.Executor": _process,
    "distributed.Future": _process,
    "weakref.ReferenceType": _reference,
    "weakref.ProxyType": _reference,
    "weakref.CallableProxyType": _reference,
}
