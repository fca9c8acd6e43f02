"""Values that do not come back as themselves are refused."""

from __future__ import annotations

import csv
import io
import mmap
import socket
import sys
from collections.abc import Mapping
from types import AsyncGeneratorType, CoroutineType, GeneratorType
from typing import Any

from s3kv_flows.store.errors import EncodingError

__all__ = ["YIELDS", "YIELDS_REMEDY", "require_lasting", "returned_generator"]

YIELDS = "a task that yields is never cached, because its caller gets each item before the task has ended"
YIELDS_REMEDY = "return a list of the items"

_FILE = ("an open file", "its path, or its content")
_ITEMS = "a list of its items"

_REFUSED: Mapping[type, tuple[str, str]] = {
    # Which cloudpickle would replace: by a StringIO of what the file holds, and by bytes.
    io.TextIOWrapper: _FILE,
    memoryview: ("a memoryview", "bytes of it, or the object that it views"),
    # Which cannot be pickled, in words that say no more than that.
    io.FileIO: _FILE,
    io.BufferedReader: _FILE,
    io.BufferedWriter: _FILE,
    io.BufferedRandom: _FILE,
    mmap.mmap: _FILE,
    type(csv.reader([])): ("a reader of CSV", "a list of its rows"),
    socket.socket: ("a socket", "the address that it is connected to"),
    GeneratorType: ("a generator", _ITEMS),
    AsyncGeneratorType: ("an asynchronous generator", _ITEMS),
    CoroutineType: ("a coroutine", "what it returns, by awaiting it"),
}


def require_lasting(value: Any) -> None:
    """Refuse a value that would not come back as itself.

    Iterators over data (``map``, ``zip``) come back as they were: they are pickled before their caller reads
    from them. The streams of the process (``sys.stdout``) come back as those of the process that reads.

    Raises:
        EncodingError: It would come back as something else, or cannot be pickled.
    """
    said = _REFUSED.get(type(value))
    if said is not None and not any(value is stream for stream in (sys.stdin, sys.stdout, sys.stderr)):
        raise _refusal(*said)


def returned_generator() -> EncodingError:
    """Return the refusal of a generator that a task returned, of which Prefect has made a list.

    The caller gets the generator, which has no items left, and a hit would give the list.
    """
    return _refusal(*_REFUSED[GeneratorType])


def _refusal(what: str, remedy: str) -> EncodingError:
    return EncodingError(f"{what} would not come back as one: return {remedy}")
