"""What would be used up, or means nothing elsewhere, is refused before anything is taken from it."""

from __future__ import annotations

import asyncio
import collections
import concurrent.futures
import contextlib
import csv
import io
import itertools
import mmap
import multiprocessing.connection
import os
import queue
import re
import socket
import tarfile
import tempfile
import threading
import types
import weakref
import zipfile
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from s3kv_flows._keys.errors import Unkeyable
from tests.keys.contents import objects as o
from tests.keys.contents.objects import encoder

ITEMS = [1, 2, 3]


def generator() -> Iterator[int]:
    yield from ITEMS


async def asynchronous() -> AsyncIterator[int]:
    yield 1


@contextlib.contextmanager
def managed() -> Iterator[int]:
    yield 1


def reading_closure() -> Callable[[], int]:
    source = iter(ITEMS)
    return lambda: next(source)


def rows() -> Any:
    connection = o.database()
    return connection.execute("select 1 union select 2 union select 3")


def batches() -> Any:
    table = pa.table({"a": ITEMS})
    return pa.RecordBatchReader.from_batches(table.schema, table.to_batches(max_chunksize=1))


ITERATORS: dict[str, Callable[[], Any]] = {
    "generator": generator,
    "generator expression": lambda: (one for one in ITEMS),
    "iter(list)": lambda: iter(ITEMS),
    "iter(tuple)": lambda: iter((1, 2, 3)),
    "iter(range)": lambda: iter(range(3)),
    "iter(str)": lambda: iter("abc"),
    "iter(bytes)": lambda: iter(b"abc"),
    "iter(set)": lambda: iter({1, 2, 3}),
    "iter(dict)": lambda: iter({1: 1, 2: 2, 3: 3}),
    "iter(values)": lambda: iter({1: 1, 2: 2, 3: 3}.values()),
    "iter(items)": lambda: iter({1: 1, 2: 2, 3: 3}.items()),
    "iter(deque)": lambda: iter(collections.deque(ITEMS)),
    "iter(function)": lambda: iter([3, 2, 1, 0].pop, 3),
    "reversed": lambda: reversed(ITEMS),
    "reversed dict": lambda: reversed({1: 1, 2: 2, 3: 3}),
    "map": lambda: map(str, ITEMS),
    "filter": lambda: filter(None, ITEMS),
    "zip": lambda: zip(ITEMS, ITEMS, strict=True),
    "enumerate": lambda: enumerate(ITEMS),
    "count": lambda: itertools.islice(itertools.count(), 3),
    "cycle": lambda: itertools.islice(itertools.cycle(ITEMS), 3),
    "chain": lambda: itertools.chain(ITEMS),
    "accumulate": lambda: itertools.accumulate(ITEMS),
    "product": lambda: itertools.product(ITEMS),
    "permutations": lambda: itertools.islice(itertools.permutations(ITEMS), 3),
    "groupby": lambda: itertools.groupby(ITEMS),
    "tee": lambda: itertools.tee(ITEMS)[0],
    "zip_longest": lambda: itertools.zip_longest(ITEMS),
    "starmap": lambda: itertools.starmap(max, [(1, 2)] * 3),
    "takewhile": lambda: itertools.takewhile(bool, ITEMS),
    "user's": lambda: o.Countdown(3),
    "finditer": lambda: re.finditer("a", "aaa"),
    "csv reader": lambda: csv.reader(["a", "b", "c"]),
    "csv dict reader": lambda: csv.DictReader(["a", "1", "2", "3"]),
    "cursor": rows,
    "itertuples": lambda: pd.DataFrame({"a": ITEMS}).itertuples(),
    "iterrows": lambda: pd.DataFrame({"a": ITEMS}).iterrows(),
    "text file reader": lambda: pd.read_csv(io.StringIO("a\n1\n2\n3"), chunksize=1),
    "nditer": lambda: np.nditer(np.array(ITEMS)),
    "flat": lambda: np.array(ITEMS).flat,
    "ndenumerate": lambda: np.ndenumerate(np.array(ITEMS)),
    "ndindex": lambda: np.ndindex(3),
    "batches": batches,
    "scandir": lambda: os.scandir(Path(__file__).parent),
    "glob": lambda: Path(__file__).parent.glob("*.py"),
}

NESTED: dict[str, Callable[[Any], Any]] = {
    "list": lambda one: [1, one],
    "key": lambda one: {(1, one): 1},
    "value": lambda one: {"a": {"b": (one,)}},
    "attribute": o.Reader,
    "dataclass": lambda one: o.Point([one]),
    "model": lambda one: o.Model.model_construct(a=one),
    "hidden in a model": lambda one: o.Model().with_hidden([one]),
    "array": lambda one: np.array([None, one, 1], object)[:2],
    "frame": lambda one: pd.DataFrame({"a": [{"x": one}]}),
    "namespace": lambda one: types.SimpleNamespace(a=one),
    "error": lambda one: ValueError(one),
    "default": lambda one: o.with_note(one),
    "large list": lambda one: [*range(30_000), one],
    "cycle": lambda one: o.own_parent(one),
    "proxy": lambda one: types.MappingProxyType({"a": one}),
    "view": lambda one: {"a": one}.values(),
    "slot": lambda one: o.Slotted(one),
    "partial": lambda one: __import__("functools").partial(o.double, one),
    "deque": lambda one: collections.deque([one]),
    "chain map": lambda one: collections.ChainMap({"a": one}),
}


def close(value: Any) -> None:
    if hasattr(value, "close"):
        value.close()


@pytest.mark.parametrize("name", ITERATORS)
def test_an_iterator_is_refused_whole(name: str) -> None:
    value, other = ITERATORS[name](), ITERATORS[name]()

    with pytest.raises(Unkeyable, match="read only once") as refused:
        encoder().digest(value)

    assert len(list(value)) == len(list(other)) >= 2
    assert refused.value.remedy
    close(value)
    close(other)


@pytest.mark.parametrize("name", NESTED)
def test_an_iterator_within_something_is_refused_whole(name: str) -> None:
    value = generator()

    with pytest.raises(Unkeyable, match="iterator"):
        encoder().digest(NESTED[name](value))

    assert list(value) == ITEMS


def test_an_endless_iterator_is_refused() -> None:
    with pytest.raises(Unkeyable):
        encoder().digest({"a": [itertools.count(), itertools.repeat(1)]})


def test_what_closes_over_an_iterator_is_refused() -> None:
    reading = reading_closure()

    with pytest.raises(Unkeyable):
        encoder().digest(reading)
    assert reading() == 1


def test_an_iterator_of_python_that_is_not_read_yet_is_refused() -> None:
    stream = asynchronous()
    with pytest.raises(Unkeyable):
        encoder().digest(stream)
    with pytest.raises(Unkeyable):
        encoder().digest([managed()])


@pytest.mark.parametrize("mode", ["r", "rb", "r+b", "w"])
def test_open_files_are_refused(tmp_path: Path, mode: str) -> None:
    path = tmp_path / "file"
    path.write_text("abc")
    with path.open(mode) as stream:
        with pytest.raises(Unkeyable, match="open file") as refused:
            encoder().digest([stream])
        assert stream.tell() == 0
    assert "path" in refused.value.remedy


def test_what_holds_an_open_file_is_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("a", "text")
        with pytest.raises(Unkeyable):
            encoder().digest(archive)
    with zipfile.ZipFile(tmp_path / "a.zip") as archive, archive.open("a") as member:
        with pytest.raises(Unkeyable):
            encoder().digest(member)
        assert member.read() == b"text"
    with tarfile.open(tmp_path / "a.tar", "w") as tape, pytest.raises(Unkeyable):
        encoder().digest(tape)
    with tempfile.NamedTemporaryFile() as named, pytest.raises(Unkeyable):
        encoder().digest(named)
    with tempfile.TemporaryFile() as file:
        file.write(b"abc")
        file.flush()
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped, pytest.raises(Unkeyable):
            encoder().digest(mapped)


LIVE: dict[str, Callable[[], Any]] = {
    "lock": threading.Lock,
    "recursive lock": threading.RLock,
    "condition": threading.Condition,
    "event": threading.Event,
    "semaphore": threading.Semaphore,
    "thread": threading.Thread,
    "local": threading.local,
    "queue": queue.Queue,
    "asynchronous lock": asyncio.Lock,
    "asynchronous queue": asyncio.Queue,
    "future": concurrent.futures.Future,
    "reference": lambda: weakref.ref(o.Point),
    "proxy": lambda: weakref.proxy(o.Point),
    "holder": o.lock_holder,
    "csv writer": lambda: csv.writer(io.StringIO()),
    "unpicklable": o.Unpicklable,
    "match": lambda: re.match("a", "a"),
    "frame": lambda: __import__("sys")._getframe(),
    "scope": lambda: __import__("contextvars").copy_context(),
    "property": lambda: property(len),
}


@pytest.mark.parametrize("name", LIVE)
def test_what_lives_in_its_process_is_refused(name: str) -> None:
    with pytest.raises(Unkeyable) as refused:
        encoder().digest({"a": [LIVE[name]()]})
    assert refused.value.reason
    assert refused.value.remedy


def test_connections_are_refused() -> None:
    database = o.database()
    here, there = socket.socketpair()
    read, write = multiprocessing.connection.Pipe()
    for value in (database, here, read, o.Reader(there)):
        with pytest.raises(Unkeyable):
            encoder().digest(value)
    for one in (database, here, there, read, write):
        one.close()


def test_what_runs_is_refused() -> None:
    async def later() -> None: ...

    coroutine = later()
    loop = asyncio.new_event_loop()
    future: asyncio.Future[None] = loop.create_future()
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        for value in (coroutine, future, loop, pool):
            with pytest.raises(Unkeyable):
                encoder().digest([value])
    coroutine.close()
    loop.close()


def test_streams_in_memory_stay_where_they_are() -> None:
    stream, text = io.BytesIO(b"abc"), io.StringIO("abc")
    stream.read(1)
    text.read(2)

    encoder().digest([stream, text])

    assert (stream.read(), text.read()) == (b"bc", "c")


def test_a_chain_of_objects_that_is_too_deep_is_refused() -> None:
    chain: Any = None
    for _ in range(100_000):
        chain = [chain]

    with pytest.raises(Unkeyable, match="deep"):
        encoder().digest(chain)
    while chain:
        chain = chain[0]


def test_to_look_leaves_no_trace_in_a_class() -> None:
    class Fresh:
        __slots__ = ("__dict__", "x")

    before = set(vars(Fresh))
    encoder().digest([Fresh(), Fresh()])

    assert set(vars(Fresh)) == before
