from __future__ import annotations

import gc
import subprocess
import sys
import threading
import weakref
from contextlib import suppress
from contextvars import ContextVar

import pytest

from s3kv_flows.store._s3.concurrency import batched, map_concurrently, run_in_background_priority
from tests.support.waiting import until


def test_results_come_in_order_and_lazily() -> None:
    taken = []

    def source() -> object:
        for number in range(1000):
            taken.append(number)
            yield number

    results = map_concurrently(lambda number: number * 2, source(), workers=4)  # type: ignore[arg-type]
    assert [next(results) for _ in range(3)] == [0, 2, 4]
    assert len(taken) <= 3 + 2 * 4
    results.close()  # type: ignore[attr-defined]


def test_the_first_error_ends_it() -> None:
    done = []

    def work(number: int) -> int:
        if number == 5:
            raise ValueError("five")
        done.append(number)
        return number

    with pytest.raises(ValueError, match="five"):
        list(map_concurrently(work, range(1000), workers=2))
    assert len(done) < 20


def test_one_within_another_adds_no_threads() -> None:
    most = []

    def inner(number: int) -> int:
        most.append(threading.active_count())
        return number

    def outer(number: int) -> int:
        return sum(map_concurrently(inner, range(number)))

    before = threading.active_count()
    assert list(map_concurrently(outer, range(40), workers=4)) == [sum(range(number)) for number in range(40)]
    assert max(most) <= before + 4
    assert threading.active_count() == before


def test_batches_are_of_the_size_but_the_last() -> None:
    assert list(batched(range(5), 2)) == [[0, 1], [2, 3], [4]]


def test_background_work_keeps_no_process_from_exiting() -> None:
    context: ContextVar[str] = ContextVar("context")
    context.set("of the caller")
    caller = threading.current_thread()

    def work() -> tuple[bool, str, set[str]]:
        thread = threading.current_thread()
        names = set(map_concurrently(lambda _: threading.current_thread().name, range(5)))
        return thread.daemon and thread is not caller, context.get(), names - {thread.name}

    assert run_in_background_priority(work) == (True, "of the caller", set())


def test_background_work_raises_its_errors() -> None:
    def fail() -> None:
        raise MemoryError("no room")

    with pytest.raises(MemoryError, match="no room"):
        run_in_background_priority(fail)


def test_background_work_that_failed_is_not_referred_to() -> None:
    class Held:
        def __call__(self) -> None:
            raise MemoryError("no room")

    held = Held()
    gone = weakref.ref(held)
    gc.disable()
    try:
        with suppress(MemoryError):
            run_in_background_priority(held)
        del held
        assert until(lambda: gone() is None)
    finally:
        gc.enable()


_AT_EXIT = """
import atexit
from s3kv_flows.store._s3.concurrency import map_concurrently, run_in_background_priority

def last() -> None:
    print(sum(map_concurrently(lambda number: number, range(100), workers=4)))
    print(run_in_background_priority(lambda: sum(map_concurrently(int, range(10)))))
    try:
        list(map_concurrently(lambda number: 1 // number, range(3)))
    except ZeroDivisionError as exc:
        print(exc)

atexit.register(last)
"""


def test_when_the_interpreter_exits_all_is_done_one_by_one() -> None:
    done = subprocess.run([sys.executable, "-c", _AT_EXIT], capture_output=True, text=True, check=True)
    assert done.stdout.split("\n")[:2] == ["4950", "45"]
    assert "by zero" in done.stdout
    assert done.stderr == ""
