"""Turns of those in one process that want one key."""

from __future__ import annotations

import threading
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor

from s3kv_flows.store._leases.local_queue import LocalQueue
from tests.support.waiting import PATIENCE, until


def waiting_ones(turns: LocalQueue, *holders: str) -> list[Future[None]]:
    waiting = [turns.enter("key", holder) for holder in holders]
    assert all(waiting)
    return [one for one in waiting if one]


def test_one_has_the_turn_and_the_others_wait() -> None:
    turns = LocalQueue()
    assert turns.enter("key", "first") is None
    assert turns.enter("another key", "other") is None
    second, third = waiting_ones(turns, "second", "third")
    assert not second.done()
    turns.release("key", "somebody else", result_ready=True)
    assert not second.done(), "it is not their turn to end"
    turns.release("key", "first", result_ready=False)
    assert second.done()
    assert not third.done(), "one after the other"
    assert turns.enter("key", "second") is None


def test_all_are_told_when_it_is_settled() -> None:
    turns = LocalQueue()
    turns.enter("key", "first")
    waiting = waiting_ones(turns, "second", "third")
    turns.release("key", "first", result_ready=True)
    assert all(one.done() for one in waiting)
    assert turns.enter("key", "fourth") is None


def test_who_was_told_and_does_not_try_lets_the_next_one() -> None:
    turns = LocalQueue()
    turns.enter("key", "first")
    second, third, fourth = waiting_ones(turns, "second", "third", "fourth")
    turns.release("key", "first", result_ready=False)
    assert second.done()
    turns.leave("key", second)
    assert third.done()
    turns.leave("key", third, result_ready=True)
    assert fourth.done()
    assert turns._lines == {}


def test_who_gives_up_is_not_told() -> None:
    turns = LocalQueue()
    turns.enter("key", "first")
    second, third = waiting_ones(turns, "second", "third")
    turns.leave("key", second)
    turns.release("key", "first", result_ready=False)
    assert not second.done()
    assert third.done()


def test_who_is_interrupted_while_it_waits_leaves_the_line() -> None:
    turns = LocalQueue()

    def wait() -> None:
        with turns.turn("key", "interrupted"):
            raise AssertionError("it was not its turn")

    with ThreadPoolExecutor(1) as pool, turns.turn("key", "first"):
        waiting = pool.submit(wait)
        until(lambda: turns._lines["key"].waiting)
        turns._lines["key"].waiting[0].cancel()
        assert isinstance(waiting.exception(PATIENCE), CancelledError)
    assert turns._lines == {}
    with turns.turn("key", "next"):
        assert turns.enter("key", "later")


def test_many_threads_have_their_turns_one_by_one() -> None:
    turns = LocalQueue()
    inside, most = 0, 0
    lock = threading.Lock()

    def work(number: int) -> int:
        nonlocal inside, most
        while waiting := turns.enter("key", str(number)):
            waiting.result(timeout=PATIENCE)
        with lock:
            inside += 1
            most = max(most, inside)
        with lock:
            inside -= 1
        turns.release("key", str(number), result_ready=number % 3 == 0)
        return number

    with ThreadPoolExecutor(16) as pool:
        assert sorted(pool.map(work, range(200))) == list(range(200))
    assert most == 1
    assert turns._lines == {}
