"""Values without a digest: iterators, files, locks, connections, running things."""

from __future__ import annotations

from typing import Any, NoReturn

from s3kv_flows._keys.contents.parts.kinds import Parts, PartsOf, Walk
from s3kv_flows._keys.errors import Unkeyable
from s3kv_flows._keys.project import module_of

__all__ = ["PARTS", "iterator", "undigestible"]


def iterator(walk: Walk, value: Any) -> Parts:  # noqa: ARG001
    """Refuse an iterator: to digest its items would consume them.

    Raises:
        Unkeyable: Always.
    """
    raise Unkeyable(
        f"a {_shown(type(value))} is an iterator, which can be read only once",
        "pass a list of its items, or the data that it iterates over",
    )


def undigestible(kind: type, exc: Exception) -> Unkeyable:
    """Return the refusal of a value whose class cannot be pickled."""
    return Unkeyable(
        f"a {_shown(kind)} cannot be digested ({type(exc).__name__}: {exc})",
        "pass plain data, or create it inside the task",
    )


def _shown(kind: type) -> str:
    module = module_of(kind)
    return kind.__qualname__ if module == "builtins" else f"{module}.{kind.__qualname__}"


def _as(what: str, remedy: str) -> PartsOf:
    def refuse(walk: Walk, value: Any) -> NoReturn:  # noqa: ARG001
        raise Unkeyable(f"a {_shown(type(value))} is {what}", remedy)

    return refuse


_file = _as("an open file or stream", "pass its path, or its content as bytes")
_lock = _as("a lock, which exists in this process only", "create it inside the task")
_connection = _as("a connection, or an end of one", "pass its address, and connect inside the task")
_process = _as("running, or about to run", "pass its result")
_reference = _as("a weak reference", "pass the object")
_anonymous = _as("a name that a SQL expression has in this process only", "pass its text: str(query)")
_cursor = _as("a reader, which can be read only once", "pass a table, or the path of its data")

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
    "sqlalchemy._anonymous_label": _anonymous,
    "weakref.ReferenceType": _reference,
    "weakref.ProxyType": _reference,
    "weakref.CallableProxyType": _reference,
}
