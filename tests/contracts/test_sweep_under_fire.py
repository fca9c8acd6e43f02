"""Sweeps that are killed, that meet each other and writers, and what they free: on every server."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from s3kv_flows.maintenance import sweep
from s3kv_flows.store import S3KV, Retention
from s3kv_flows.store._s3.concurrency import map_concurrently
from tests.contracts.sweeping import RAW, planned
from tests.support.waiting import until

ROOT = Path(__file__).parents[2]


def stored(store: S3KV) -> dict[tuple[str, str], int]:
    """Return the bytes of every version of the values."""
    listed = store.client.list_versions(store.bucket_name, store.namespace.prefix)
    return {(one.name, one.version_id): one.size for one in listed}


def currents(store: S3KV) -> dict[str, str]:
    """Return the version that each key reads as."""
    listed = store.client.list_versions(store.bucket_name, store.namespace.prefix)
    return {one.name: one.version_id for one in listed if one.is_latest and not one.is_delete_marker}


def settled(store: S3KV) -> None:
    """Wait until the server is done with what it was asked by whom was killed."""
    seen: list[dict[tuple[str, str], int]] = []

    def same_twice() -> bool:
        seen.append(stored(store))
        return len(seen) > 2 and seen[-1] == seen[-2] == seen[-3]

    until(same_twice)


def fill_chains(store: S3KV, count: int) -> None:
    """Write keys of one, two and five versions; every tenth has a locked one beneath."""

    def write(number: int) -> None:
        for version in range((1, 2, 5)[number % 3]):
            lock = Retention(days=1) if number % 10 == 0 and version == 0 else None
            body = {"number": number, "version": version}
            if lock is None:
                store.client.put_object(
                    store.bucket_name,
                    f"s3kv/{number:05}.json",
                    str(body).encode() * (version + 1),
                    content_type="application/json",
                    tagging="stage=raw" if number % 4 else "stage=final",
                )
            else:
                store.add(f"{number:05}", body, tags=RAW, retention=lock)

    list(map_concurrently(write, range(count)))


@contextmanager
def worker(store: S3KV, per_second: float) -> Iterator[subprocess.Popen[str]]:
    command = [
        *(sys.executable, "-m", "tests.contracts.sweep_worker"),
        *(str(store.config.endpoint_url), store.bucket_name, str(per_second)),
    ]
    with subprocess.Popen(
        command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout
        assert int(process.stdout.readline()) > 0, "it has planned"
        try:
            yield process
        finally:
            process.kill()


def go(process: subprocess.Popen[str]) -> None:
    assert process.stdin
    process.stdin.write("\n")
    process.stdin.flush()


def test_the_bytes_fall_by_what_the_report_says(locking_store: S3KV) -> None:
    fill_chains(locking_store, 60)
    before = stored(locking_store)
    made = planned(locking_store)
    report = sweep(locking_store, made)
    after = stored(locking_store)
    assert sum(before.values()) - sum(after.values()) == report.freed_bytes == made.bytes_to_free
    assert len(before) - len(after) == report.deleted_versions == made.versions_to_delete
    assert report.removed == [one.entry.name for one in made.removals]
    gone = {name for name, _ in before} - {name for name, _ in after}
    assert gone == set(report.removed), "whole chains, or nothing of them"
    assert any(len(one.going) == 5 for one in made.remove)
    assert any("GOVERNANCE" in one.reason for one in made.protected)


@pytest.mark.parametrize("share", [0.05, 0.4, 0.8])
@pytest.mark.parametrize("object_lock", [True, False])
@pytest.mark.slow
def test_killed_in_the_middle_and_run_again_it_ends_as_if_nothing_had_been(
    make_store: Callable[..., S3KV],
    object_lock: bool,  # noqa: FBT001
    share: float,
) -> None:
    store = make_store(object_lock=object_lock)
    if object_lock:
        fill_chains(store, 90)
    else:
        list(map_concurrently(lambda n: store.add(f"{n:05}", n, tags=RAW if n % 4 else {}), range(90)))
    before, tops = stored(store), currents(store)
    made = planned(store)
    going = {(one.entry.name, version.version_id) for one in made.removals for version in one.going}
    names = {name for name, _ in going}
    with worker(store, per_second=150) as process:
        go(process)
        until(lambda: len(stored(store)) <= len(before) - share * len(going))
        process.kill()
        process.wait()
    settled(store)
    left = currents(store)
    assert all(tops[name] == version_id for name, version_id in left.items()), "no old value came back"
    sweep(store, planned(store))
    assert {name for name, _ in stored(store)} == {name for name, _ in before} - names
    assert currents(store) == {name: top for name, top in tops.items() if name not in names}


@pytest.mark.slow
@pytest.mark.parametrize("object_lock", [False, True])
def test_two_sweeps_at_once_and_a_pipeline_that_writes_lose_nothing(
    make_store: Callable[..., S3KV],
    object_lock: bool,  # noqa: FBT001
) -> None:
    """The writer puts a new value wherever one was swept, and between plan and sweep: they all survive."""
    store = make_store(object_lock=object_lock)
    list(map_concurrently(lambda n: store.add(f"{n:05}", "old", tags=RAW), range(120)))
    rewritten: set[str] = set()
    done = threading.Event()

    def write() -> None:
        number = 0
        while not done.is_set():
            key = f"{number % 120:05}"
            if number < 20 or not store.exists(key):
                store.add(key, "new", tags=RAW)
                rewritten.add(key)
            number += 1

    with worker(store, per_second=200) as first, worker(store, per_second=200) as second:
        writer = threading.Thread(target=write)
        writer.start()
        try:
            until(lambda: len(rewritten) >= 20)
            go(first)
            go(second)
            for process in (first, second):
                assert process.stdout
                assert process.stdout.readline()
        finally:
            done.set()
            writer.join()
    values = {key: store.get(key) for key in store.list_keys()}
    assert set(rewritten) <= values.keys()
    assert set(values.values()) == {"new"}
