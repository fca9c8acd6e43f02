from __future__ import annotations

import threading

import pytest

from s3kv_flows.store.bulk import batched, concurrently


def test_results_come_in_order_and_lazily() -> None:
    taken = []

    def source() -> object:
        for number in range(1000):
            taken.append(number)
            yield number

    results = concurrently(lambda number: number * 2, source(), workers=4)  # type: ignore[arg-type]
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
        list(concurrently(work, range(1000), workers=2))
    assert len(done) < 20


def test_one_within_another_adds_no_threads() -> None:
    most = []

    def inner(number: int) -> int:
        most.append(threading.active_count())
        return number

    def outer(number: int) -> int:
        return sum(concurrently(inner, range(number)))

    before = threading.active_count()
    assert list(concurrently(outer, range(40), workers=4)) == [sum(range(number)) for number in range(40)]
    assert max(most) <= before + 4
    assert threading.active_count() == before


def test_batches_are_of_the_size_but_the_last() -> None:
    assert list(batched(range(5), 2)) == [[0, 1], [2, 3], [4]]
