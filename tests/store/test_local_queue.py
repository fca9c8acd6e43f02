"""The queue of holders in one process that want the same key."""

from __future__ import annotations

import threading
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor

from s3kv_flows.store._leases.local_queue import LocalQueue
from tests.support.waiting import PATIENCE, until


def waiting_ones(queue: LocalQueue, *holders: str) -> list[Future[None]]:
    waiting = [queue.enter("key", holder) for holder in holders]
    assert all(waiting)
    return [one for one in waiting if one]


def test_one_tries_and_the_others_wait() -> None:
    queue = LocalQueue()
    assert queue.enter("key", "first") is None
    assert queue.enter("another key", "other") is None
    second, third = waiting_ones(queue, "second", "third")
    assert not second.done()
    queue.release("key", "somebody else", result_ready=True)
    assert not second.done(), "it was not the current holder"
    queue.release("key", "first", result_ready=False)
    assert second.done()
    assert not third.done(), "one after the other"
    assert queue.enter("key", "second") is None


def test_all_are_woken_when_the_result_is_ready() -> None:
    queue = LocalQueue()
    queue.enter("key", "first")
    waiting = waiting_ones(queue, "second", "third")
    queue.release("key", "first", result_ready=True)
    assert all(one.done() for one in waiting)
    assert queue.enter("key", "fourth") is None


def test_a_waiter_that_was_woken_and_leaves_wakes_the_next_one() -> None:
    queue = LocalQueue()
    queue.enter("key", "first")
    second, third, fourth = waiting_ones(queue, "second", "third", "fourth")
    queue.release("key", "first", result_ready=False)
    assert second.done()
    queue.leave("key", second)
    assert third.done()
    queue.leave("key", third, result_ready=True)
    assert fourth.done()
    assert queue._queues == {}


def test_a_waiter_that_has_left_is_not_woken() -> None:
    queue = LocalQueue()
    queue.enter("key", "first")
    second, third = waiting_ones(queue, "second", "third")
    queue.leave("key", second)
    queue.release("key", "first", result_ready=False)
    assert not second.done()
    assert third.done()


def test_a_waiter_that_is_interrupted_leaves_the_queue() -> None:
    queue = LocalQueue()

    def wait() -> None:
        with queue.entered("key", "interrupted"):
            raise AssertionError("another holder was current")

    with ThreadPoolExecutor(1) as pool, queue.entered("key", "first"):
        waiting = pool.submit(wait)
        until(lambda: queue._queues["key"].waiting)
        queue._queues["key"].waiting[0].cancel()
        assert isinstance(waiting.exception(PATIENCE), CancelledError)
    assert queue._queues == {}
    with queue.entered("key", "next"):
        assert queue.enter("key", "later")


def test_many_threads_try_one_by_one() -> None:
    queue = LocalQueue()
    inside, most = 0, 0
    lock = threading.Lock()

    def work(number: int) -> int:
        nonlocal inside, most
        while waiting := queue.enter("key", str(number)):
            waiting.result(timeout=PATIENCE)
        with lock:
            inside += 1
            most = max(most, inside)
        with lock:
            inside -= 1
        queue.release("key", str(number), result_ready=number % 3 == 0)
        return number

    with ThreadPoolExecutor(16) as pool:
        assert sorted(pool.map(work, range(200))) == list(range(200))
    assert most == 1
    assert queue._queues == {}
