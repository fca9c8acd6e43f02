"""Results come back as they were returned, or are refused with what to return instead."""

from __future__ import annotations

import asyncio
import csv
import io
import mmap
import re
import socket
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from prefect import flow, task
from prefect.cache_policies import INPUTS
from prefect.states import Completed
from prefect.transactions import transaction

from s3kv_flows import caching
from s3kv_flows.store.errors import EncodingError, InvalidKeyError
from tests.support.lake import WEEK, Lake, in_flow

pytestmark = pytest.mark.usefixtures("prefect_api")


def text_file(path: Path) -> Any:
    return path.open()


def binary_file(path: Path) -> Any:
    return path.open("rb")


def unbuffered_file(path: Path) -> Any:
    return path.open("rb", buffering=0)


def written_file(path: Path) -> Any:
    return path.open("w")


def mapped_file(path: Path) -> Any:
    with path.open("rb") as file:
        return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)


def rows(path: Path) -> Any:
    return csv.reader(["a,b"])


def open_socket(path: Path) -> Any:
    return socket.socket()


def coroutine(path: Path) -> Any:
    async def later() -> int:
        return 1

    return later()


def agenerator(path: Path) -> Any:
    async def later() -> AsyncIterator[int]:
        yield 1

    return later()


def view(path: Path) -> Any:
    return memoryview(b"content")


def nested_generator(path: Path) -> Any:
    return [(letter for letter in "ab")]


REFUSED: list[tuple[Callable[[Path], Any], str]] = [
    (text_file, "an open file .* return its path, or its content"),
    (binary_file, "an open file .* return its path, or its content"),
    (unbuffered_file, "an open file .* return its path, or its content"),
    (written_file, "an open file .* return its path, or its content"),
    (mapped_file, "an open file .* return its path, or its content"),
    (rows, "a reader of CSV .* return a list of its rows"),
    (open_socket, "a socket .* return the address"),
    (coroutine, "a coroutine .* return what it returns"),
    (agenerator, "an asynchronous generator .* return a list"),
    (view, "a memoryview .* return bytes of it"),
    (nested_generator, "a generator .* return a list"),
]


def lines(logged: pytest.LogCaptureFixture, text: str) -> list[str]:
    """Return the lines that hold a text; a line may have come by two handlers."""
    return [record.getMessage() for record in dict.fromkeys(logged.records) if text in record.getMessage()]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    made = tmp_path / "file.txt"
    made.write_text("content")
    return made


@pytest.mark.parametrize(("make", "said"), REFUSED, ids=[make.__name__ for make, _ in REFUSED])
@pytest.mark.parametrize(
    "within", [lambda value: value, lambda value: {"of a dict": [value]}], ids=["", "in"]
)
def test_what_would_not_come_back_as_itself_is_not_saved(
    locked_lake: Lake,
    path: Path,
    logged: pytest.LogCaptureFixture,
    make: Callable[[Path], Any],
    said: str,
    within: Callable[[Any], Any],
) -> None:
    value = within(make(path))
    try:
        plain: Any = task(**caching(locked_lake.name, code="none"))(lambda: value)
        assert plain() is value
        (line,) = lines(logged, "was not saved")
        assert re.search(said, line)
        locked: Any = task(**caching(locked_lake.name, code="none", retention=WEEK))(lambda: value)
        with pytest.raises(EncodingError, match=said):
            locked()
        assert not [info for info in locked_lake.objects() if info.lock_mode]
    finally:
        for one in (value, *(value.get("of a dict", []) if isinstance(value, dict) else [])):
            with suppress(AttributeError):
                one.close()


@pytest.mark.parametrize(
    "make",
    [
        lambda: map(str, [1, 2]),
        lambda: zip([1], [2], strict=True),
        lambda: iter([1, 2]),
        lambda: enumerate("ab"),
        lambda: io.StringIO("text"),
        lambda: io.BytesIO(b"bytes"),
        lambda: {"a": 1}.keys(),
    ],
    ids=["map", "zip", "list", "enumerate", "StringIO", "BytesIO", "keys"],
)
def test_what_can_be_read_again_comes_back_as_it_was(lake: Lake, make: Callable[[], Any]) -> None:
    run: Any = task(**caching(lake.name, code="none"))(lambda: make())
    first = run()
    items = list(first)  # the caller reads what it was given
    again = run()
    assert (type(again), list(again)) == (type(first), items)
    assert len(items) > 0
    assert len(lake.objects()) == 1


class Printing:
    """Prints to a stream of its process."""

    def __init__(self) -> None:
        self.stream = sys.stdout


def test_the_streams_of_the_process_are_those_of_the_process_that_reads(
    lake: Lake, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run: Any = task(**caching(lake.name, code="none"))(lambda: Printing())
    for _ in range(2):
        with path.open("w") as stream, monkeypatch.context() as patch:
            patch.setattr(sys, "stdout", stream)
            assert run().stream is stream
    assert len(lake.objects()) == 1


# --- generators -------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["called", "submitted", "in a transaction", "async"])
def test_a_generator_that_a_task_returns_is_not_saved(
    lake: Lake, logged: pytest.LogCaptureFixture, kind: str
) -> None:
    def body() -> Any:
        return (number for number in range(3))

    async def abody() -> Any:
        return body()

    run: Any = task(**caching(lake.name, code="none"))(abody if kind == "async" else body)
    if kind == "called":
        run()
    elif kind == "submitted":
        in_flow(lambda: run.submit().wait())
    elif kind == "async":
        asyncio.run(run())
    else:
        with transaction():
            assert list(run()) == []
    assert "a generator would not come back as one: return a list of its items" in logged.text
    assert lake.objects() == []


@pytest.mark.parametrize("options", [{"retention": WEEK}, {"on_unsaved": "fail"}], ids=repr)
def test_a_generator_that_must_be_saved_fails_its_run(locked_lake: Lake, options: dict[str, Any]) -> None:
    run: Any = task(**caching(locked_lake.name, **options))(lambda: (number for number in range(3)))
    with pytest.raises(EncodingError, match="return a list of its items"):
        run()
    assert not [info for info in locked_lake.objects() if info.lock_mode]


def items_of(run: Any, *arguments: Any) -> list[Any]:
    """Return what a task yields, be it asynchronous or not."""

    async def collect() -> list[Any]:
        return [item async for item in run(*arguments)]

    return asyncio.run(collect()) if run.isasync else list(run(*arguments))


def counting(kind: str, **options: Any) -> tuple[Any, list[int]]:
    """Return a task that yields numbers, and those that it has computed."""
    computed: list[int] = []

    def numbers(count: int) -> Iterator[int]:
        for number in range(count):
            computed.append(number)
            yield number

    async def anumbers(count: int) -> AsyncIterator[int]:
        for number in numbers(count):
            yield number

    return task(**options)(numbers if kind == "sync" else anumbers), computed


@pytest.mark.parametrize("kind", ["sync", "async"])
def test_a_task_that_yields_computes_each_time_and_says_so_once(
    lake: Lake, logged: pytest.LogCaptureFixture, kind: str
) -> None:
    name = f"yields in {lake.name}"
    run, computed = counting(kind, name=name, **caching(lake.name))
    wire = lake.count(lambda: [items_of(run, 2), items_of(run, 2), items_of(run, 3)])
    assert computed == [0, 1, 0, 1, 0, 1, 2]
    (line,) = [one for one in lines(logged, "never cached") if name in one]
    assert "return a list of the items" in line
    assert (lake.objects(), dict(wire.requests)) == ([], {})


@pytest.mark.parametrize("kind", ["sync", "async"])
@pytest.mark.parametrize(
    "options",
    [{"retention": WEEK}, {"legal_hold": True}, {"key": "name"}, {"single_flight": True}],
    ids=repr,
)
def test_a_task_that_yields_and_is_locked_named_or_alone_fails_before_it_computes(
    locked_lake: Lake, kind: str, options: dict[str, Any]
) -> None:
    run, computed = counting(kind, **caching(locked_lake.name, **options))
    with pytest.raises(Exception, match="a task that yields is never cached"):
        items_of(run, 2)
    assert computed == []


@pytest.mark.parametrize("kind", ["sync", "async"])
def test_a_task_that_yields_and_must_be_saved_fails(lake: Lake, kind: str) -> None:
    run, computed = counting(kind, **caching(lake.name, on_unsaved="fail"))
    with pytest.raises(InvalidKeyError, match="a task that yields is never cached"):
        items_of(run, 2)
    assert computed == []


# --- states -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["caching", "persistence of Prefect"])
def test_a_state_that_a_task_returns_is_found_as_its_data_as_in_prefect(lake: Lake, how: str) -> None:
    options = (
        caching(lake.name, code="none", cache_policy=INPUTS)
        if how == "caching"
        else {"result_storage": lake.block, "persist_result": True, "cache_policy": INPUTS}
    )

    @task(**options)
    def complete(number: int) -> Any:
        return Completed(data=number, message="computed")

    @flow
    def run() -> list[Any]:
        first, again = complete(1), complete(1)
        futures = [complete.submit(2).result() for _ in range(2)]
        return [type(first).__name__, again, *futures]

    assert run() == ["State", 1, 2, 2]
