"""SIGTERM waits for a safe moment, and SIGKILL for nobody."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from s3kv_flows import S3KVStore
from s3kv_flows.checkpoints import Checkpoint
from s3kv_flows.checkpoints._snapshots import Snapshot, Snapshots
from tests.support.checkpointing import numbers
from tests.support.waiting import PATIENCE, until


def test_blocks_that_overlap_leave_the_handler_of_signals_as_it_was(block: S3KVStore) -> None:
    former = signal.getsignal(signal.SIGTERM)

    async def run() -> None:
        first, second = Checkpoint(block, "a"), Checkpoint(block, "b")
        await first.__aenter__()
        await second.__aenter__()
        await first.__aexit__(None, None, None)
        assert signal.getsignal(signal.SIGTERM) is not former
        await second.__aexit__(None, None, None)

    asyncio.run(run())
    assert signal.getsignal(signal.SIGTERM) is former


class TerminatedError(Exception):
    """What Prefect's handler raises, in a test."""


@pytest.fixture
def terminated() -> Iterator[None]:
    def handler(*_: object) -> None:
        raise TerminatedError

    former = signal.signal(signal.SIGTERM, handler)
    yield
    signal.signal(signal.SIGTERM, former)


@pytest.mark.usefixtures("terminated")
def test_a_signal_after_the_loop_ends_the_run_and_leaves_its_states(block: S3KVStore) -> None:
    def run() -> None:
        with Checkpoint(block, "train") as checkpoint:
            checkpoint.save(1)
            os.kill(os.getpid(), signal.SIGTERM)

    with pytest.raises(TerminatedError):
        run()
    assert len(numbers(block)) == 1


@pytest.mark.usefixtures("terminated")
def test_in_blocks_within_each_other_the_first_safe_moment_ends_both(block: S3KVStore) -> None:
    done: list[int] = []

    def run() -> None:
        with (
            Checkpoint(block, "outer", termination_seconds=PATIENCE),
            Checkpoint(block, "inner") as checkpoint,
        ):
            for item in checkpoint.iterate(range(50), lambda: done, every=40):
                done.append(item)
                if item == 10:
                    os.kill(os.getpid(), signal.SIGTERM)

    with pytest.raises(TerminatedError):
        run()
    assert done == list(range(11))
    with Checkpoint(block, "inner") as checkpoint:
        assert checkpoint.load() == done


@pytest.mark.usefixtures("terminated")
def test_a_signal_waits_no_longer_than_it_may_for_an_upload(
    block: S3KVStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    may_go = threading.Event()
    original = Snapshots.create

    def slow(*args: Any, **kwargs: Any) -> Any:
        assert may_go.wait(PATIENCE)
        return original(*args, **kwargs)

    monkeypatch.setattr(Snapshots, "create", slow)

    def run() -> None:
        with Checkpoint(block, "train", termination_seconds=0.1) as checkpoint:
            checkpoint.save(1, wait=False)
            os.kill(os.getpid(), signal.SIGTERM)
            checkpoint.save(2, wait=False)

    with pytest.raises(TerminatedError):
        run()
    assert not may_go.is_set()
    may_go.set()


def test_who_lives_on_after_a_signal_goes_on_saving(block: S3KVStore) -> None:
    heard: list[int] = []
    former = signal.signal(signal.SIGTERM, lambda signum, _: heard.append(signum))
    try:
        with Checkpoint(block, "train", keep_on_success=True, termination_seconds=0.01) as checkpoint:
            checkpoint.save(0)
            os.kill(os.getpid(), signal.SIGTERM)
            until(lambda: heard)
            for number in range(1, 4):
                checkpoint.save(number)
                assert not checkpoint._termination.is_over(), "it was honoured, and no longer ends anything"
    finally:
        signal.signal(signal.SIGTERM, former)
    store = block.checkpoints
    assert [store.get(key) for key in store.list_keys()][-1:] == [3], "the end of the block waits for it"


WORKER = """
import sys, time
from pathlib import Path
from s3kv_flows import S3KVStore
from s3kv_flows.checkpoints import Checkpoint

url, bucket, journal, may_go = sys.argv[1:]
block = S3KVStore(bucket_name=bucket, endpoint_url=url)
with Checkpoint(block, "train", keep_on_success=True, termination_seconds=3600) as checkpoint:
    seen = checkpoint.load(default=[])
    for item in checkpoint.iterate(range(60), lambda: seen, every=5):
        with open(journal, "a") as file:
            file.write(f"{item}\\n")
        while item == 22 and not Path(may_go).exists():
            time.sleep(0.02)
        seen.append(item)
    print("DONE", sum(seen), len(seen), flush=True)
"""


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    (tmp_path / "journal").touch()
    return tmp_path / "journal"


def begin(block: S3KVStore, journal: Path) -> subprocess.Popen[str]:
    """Begin, or go on; in the middle, it waits until it may go on, or is killed."""
    command = [
        sys.executable,
        "-c",
        WORKER,
        str(block.endpoint_url),
        block.bucket_name,
        str(journal),
        str(journal.with_name("may-go")),
    ]
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, env=os.environ | {"PREFECT_API_URL": ""}
    )


def done(journal: Path) -> list[int]:
    return [int(line) for line in journal.read_text().splitlines()]


@pytest.mark.parametrize(
    ("signum", "repeats"), [(signal.SIGKILL, 5), pytest.param(signal.SIGTERM, 0, marks=pytest.mark.slow)]
)
def test_a_process_that_was_killed_goes_on(
    block: S3KVStore,
    journal: Path,
    started: list[subprocess.Popen[str]],
    signum: signal.Signals,
    repeats: int,
) -> None:
    first = begin(block, journal)
    started.append(first)
    until(lambda: len(done(journal)) == 23)
    first.send_signal(signum)
    if signum == signal.SIGKILL:
        first.wait(PATIENCE)
    journal.with_name("may-go").touch()
    assert first.wait(timeout=PATIENCE) == -signum
    assert len(done(journal)) == 23, "the step was ended, and no other begun"
    second = begin(block, journal)
    started.append(second)
    out, _ = second.communicate(timeout=PATIENCE)
    assert out.strip() == f"DONE {sum(range(60))} 60"
    assert 60 <= len(done(journal)) <= 60 + repeats


def test_sigterm_is_honoured_in_the_end_also_by_a_step_that_never_ends(
    block: S3KVStore, started: list[subprocess.Popen[str]]
) -> None:
    script = """
import sys, threading
from s3kv_flows import S3KVStore
from s3kv_flows.checkpoints import Checkpoint
block = S3KVStore(bucket_name=sys.argv[2], endpoint_url=sys.argv[1])
with Checkpoint(block, "train", termination_seconds=0.2) as checkpoint:
    print("READY", flush=True)
    threading.Event().wait()
"""
    command = [sys.executable, "-c", script, str(block.endpoint_url), block.bucket_name]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    started.append(process)
    assert process.stdout
    assert process.stdout.readline() == "READY\n"
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=PATIENCE) == -signal.SIGTERM


@pytest.mark.usefixtures("terminated")
def test_a_signal_while_the_states_are_removed_leaves_the_newest(
    block: S3KVStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = Snapshots.remove

    def interrupted(states: Snapshots, snapshot: Snapshot) -> bool:
        monkeypatch.setattr(Snapshots, "remove", original)
        os.kill(os.getpid(), signal.SIGTERM)
        return original(states, snapshot)

    def run() -> None:
        with Checkpoint(block, "train") as checkpoint:
            for number in range(3):
                checkpoint.save(number)
            monkeypatch.setattr(Snapshots, "remove", interrupted)

    with pytest.raises(TerminatedError):
        run()
    assert len(numbers(block)) == 2


FORKING = """
import multiprocessing, sys, time
from s3kv_flows import Checkpoint, S3KVStore
forking = multiprocessing.get_context("fork")
begun = forking.Event()

def wait():
    begun.set()  # what arrives before, in the middle of a fork, Python forgets
    time.sleep(3600)

store = S3KVStore(bucket_name=sys.argv[1], endpoint_url=sys.argv[2])
with Checkpoint(store, "train", termination_seconds=3600):
    child = forking.Process(target=wait)
    child.start()
    begun.wait()
    child.terminate()
    child.join(120)
    print(child.exitcode)
    child.kill()
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there are no forks")
def test_a_child_process_is_terminated_at_once(block: S3KVStore) -> None:
    arguments = [block.bucket_name, block.endpoint_url or ""]
    done = subprocess.run(
        [sys.executable, "-c", FORKING, *arguments],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=True,
    )
    assert done.stdout.strip() == str(-signal.SIGTERM)


@pytest.mark.usefixtures("terminated")
def test_a_loop_in_another_thread_than_its_block_is_ended_as_well(block: S3KVStore) -> None:
    done: list[int] = []

    def train(checkpoint: Checkpoint) -> None:
        for item in checkpoint.iterate(range(1000), done.copy, every=1000):
            done.append(item)
            if item == 5:
                os.kill(os.getpid(), signal.SIGTERM)
                until(lambda: checkpoint._termination.requested)

    async def look_up() -> None:
        """Go on now and then: a signal that comes as the event loop lies down to sleep does not wake it."""
        while True:
            await asyncio.sleep(0.05)

    async def run() -> None:
        async with Checkpoint(
            block, "train", load_policy="latest", termination_seconds=PATIENCE
        ) as checkpoint:
            looking_up = asyncio.create_task(look_up())
            await asyncio.to_thread(train, checkpoint)
            looking_up.cancel()

    with pytest.raises(TerminatedError):
        asyncio.run(run())
    assert done == list(range(6))
    with Checkpoint(block, "train", load_policy="latest") as checkpoint:
        assert checkpoint.load() == done
