"""Numbered states: who has been replaced cannot roll them back, and what is torn is not loaded."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from s3kv_flows.checkpoints._snapshots import PROMOTED, Snapshots
from s3kv_flows.store import S3KV
from s3kv_flows.store.errors import CorruptValueError, StaleWriterError
from tests.support.proxy import CountingProxy


@pytest.fixture
def states(make_store: Callable[..., S3KV]) -> Snapshots:
    store = make_store(prefix="s3kv-checkpoints/", suffix="", codec="cloudpickle")
    return Snapshots(store, "train/run-1")


def save(states: Snapshots, number: int, value: object) -> list[int]:
    body = states.store.codec.encode(value)
    return [one.number for one in states.create(number, body, metadata={"s3kv-run": str(value)})]


def loaded(states: Snapshots) -> object:
    found = states.newest(states.listed())
    return None if found is None else found[1]


def test_the_newest_state_comes_back(states: Snapshots) -> None:
    assert loaded(states) is None
    for number in range(1, 4):
        assert save(states, number, {"step": number})[-1] == number
    assert loaded(states) == {"step": 3}
    assert [one.number for one in states.listed()] == [1, 2, 3]


def test_a_number_is_created_once(states: Snapshots) -> None:
    save(states, 1, "first")
    with pytest.raises(StaleWriterError, match="state 1 of 'train/run-1' was saved by another run"):
        save(states, 1, "second")
    assert loaded(states) == "first"


def test_a_writer_that_wakes_up_after_its_number_was_pruned_cannot_roll_back(states: Snapshots) -> None:
    for number in range(1, 7):
        there = states.create(number, states.store.codec.encode(number))
        states.prune(there, keep=2)
    assert [one.number for one in states.listed()] == [5, 6]
    with pytest.raises(StaleWriterError):
        save(states, 3, "from long ago")
    assert [one.number for one in states.listed()] == [5, 6]
    assert loaded(states) == 6


def test_of_two_that_go_on_at_once_one_wins(states: Snapshots) -> None:
    save(states, 1, "both saw this")
    barrier = threading.Barrier(4)

    def go_on(who: int) -> object:
        barrier.wait()
        try:
            return save(states, 2, f"writer {who}")
        except StaleWriterError:
            return None

    with ThreadPoolExecutor(4) as pool:
        outcomes = list(pool.map(go_on, range(4)))
    (winner,) = [who for who, outcome in enumerate(outcomes) if outcome is not None]
    assert loaded(states) == f"writer {winner}"


def test_a_damaged_state_is_passed_over_and_damage_of_all_is_an_error(states: Snapshots) -> None:
    client, bucket = states.store.client, states.store.bucket_name
    for number in (1, 2):
        save(states, number, np.arange(number * 10))
    client.put_object(bucket, f"s3kv-checkpoints/{states.listed()[-1].key}", b"torn", content_type="x")
    value = loaded(states)
    assert isinstance(value, np.ndarray)
    assert value.size == 10
    client.copy_object(
        bucket, "s3kv-checkpoints/train/run-1/000000000000001", "s3kv-checkpoints/train/run-1/000000000000003"
    )
    assert isinstance(loaded(states), np.ndarray), "a copy under another name is no state of that number"
    client.put_object(bucket, "s3kv-checkpoints/train/run-1/000000000000001", b"torn", content_type="x")
    with pytest.raises(CorruptValueError):
        loaded(states)


def test_what_is_not_wanted_is_not_downloaded(states: Snapshots) -> None:
    for number in range(1, 4):
        save(states, number, number)
    found = states.newest(states.listed(), wanted=lambda info: info.metadata["s3kv-run"] == "2")
    assert found is not None
    assert (found[0].number, found[1]) == (2, 2)


def test_clearing_removes_its_own_and_nothing_else(states: Snapshots) -> None:
    other = Snapshots(states.store, "train/run-10")
    for number in range(1, 4):
        save(states, number, number)
    save(other, 1, "other")
    states.store.add("train/run-1/notes", "no state")
    assert [one.number for one in states.clear()] == [1, 2, 3]
    assert states.listed() == []
    assert loaded(other) == "other"
    assert states.store.get("train/run-1/notes") == "no state"


def test_what_is_promoted_is_not_pruned_and_is_asked_about_once(
    make_store: Callable[..., S3KV], proxy: CountingProxy
) -> None:
    store = make_store(endpoint_url=proxy.url, prefix="s3kv-checkpoints/", suffix="", codec="cloudpickle")
    states = Snapshots(store, "train")
    save(states, 1, 1)
    store.tag_key(states.listed()[0].key, {PROMOTED: "models/best"})
    with proxy.counting() as wire:
        for number in range(2, 6):
            states.prune(states.create(number, store.codec.encode(number)), keep=2)
    assert [one.number for one in states.listed()] == [1, 4, 5]
    assert sum(path.endswith("?tagging") for path in wire.paths if path.startswith("GET")) == 3


def test_numbers_grow_over_clears_so_that_who_slept_through_one_stays_replaced(states: Snapshots) -> None:
    first = states.following([])
    save(states, first, "of a run that falls asleep")
    states.clear()
    following = states.following(states.listed())
    assert following > first + 1
    save(states, following, "of the next run")
    with pytest.raises(StaleWriterError):
        save(states, first + 1, "of the run that wakes up")
    assert loaded(states) == "of the next run"


def test_who_begins_and_finds_that_another_one_has_begun_writes_nothing(states: Snapshots) -> None:
    number = states.following([])
    save(states, number - 100, "began a moment before")
    with pytest.raises(StaleWriterError):
        states.create(number, states.store.codec.encode("begins, too"), begins=True)
    assert loaded(states) == "began a moment before"
    assert len(states.listed()) == 1


@pytest.mark.parametrize("name", ["", "train/", "bell\x07", "x" * 1010])
def test_a_name_that_makes_no_key_is_refused(states: Snapshots, name: str) -> None:
    with pytest.raises(ValueError, match=r"name|key"):
        Snapshots(states.store, name)
