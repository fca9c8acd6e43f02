"""Two processes under one name, and what Prefect's worker does to a run: SIGTERM, then SIGKILL."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from s3kv_flows import S3KVStore
from s3kv_flows.checkpoints import Checkpoint
from s3kv_flows.checkpoints._snapshots import Snapshots
from s3kv_flows.checkpoints._states import position_of
from tests.support.waiting import PATIENCE, until


def start(script: str, *arguments: str, api: str = "") -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", script, *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"PREFECT_API_URL": api, "PREFECT_LOGGING_LEVEL": "WARNING"},
        cwd=Path(__file__).parents[2],
    )


RIVAL = """
import sys
from s3kv_flows import S3KVStore
from s3kv_flows.checkpoints import Checkpoint
from s3kv_flows.store.errors import StaleWriterError

url, bucket, who, *names = sys.argv[1:]
block = S3KVStore(bucket_name=bucket, endpoint_url=url)
for name in names:
    try:
        with Checkpoint(block, name, keep=100, keep_on_success=True) as checkpoint:
            seen = checkpoint.load(default=[])
            print(len(seen), flush=True)
            sys.stdin.readline()
            for item in checkpoint.iterate(range(40), lambda: seen, every=2):
                seen.append(who)
        print("won", flush=True)
    except StaleWriterError as exc:
        print("lost:", " ".join(str(exc).split()), flush=True)
"""


def say(process: subprocess.Popen[str], line: str) -> None:
    assert process.stdin
    process.stdin.write(line)
    process.stdin.flush()


def heard(process: subprocess.Popen[str]) -> str:
    assert process.stdout
    return process.stdout.readline()


def test_of_two_that_resume_at_once_one_wins_and_the_states_are_its_own(
    block: S3KVStore, started: list[subprocess.Popen[str]]
) -> None:
    saved_before = {"new": 0, "begun": 10}
    with Checkpoint(block, "begun", keep_on_success=True) as checkpoint:
        seen: list[str] = []
        for _ in checkpoint.iterate(range(saved_before["begun"]), seen.copy, every=2):
            seen += ["before"]
    arguments = (str(block.endpoint_url), block.bucket_name)
    started.extend(start(RIVAL, *arguments, who, *saved_before) for who in "ab")
    for name, count in saved_before.items():
        assert [heard(process) for process in started] == [f"{count}\n"] * 2
        for process in started:  # both at once
            say(process, "go\n")
        assert_one_wins(block, name, count, [heard(process) for process in started])


def assert_one_wins(block: S3KVStore, name: str, saved_before: int, outcomes: list[str]) -> None:
    assert sorted(outcome.split()[0] for outcome in outcomes) == ["lost:", "won"]
    lost = next(outcome for outcome in outcomes if outcome.startswith("lost"))
    assert f"'{name}' was saved by another run" in lost
    assert "two runs have one name" in lost
    winner = "ab"[outcomes.index("won\n")]

    states = Snapshots(block.checkpoints, name)
    newest = states.newest(states.listed())
    assert newest is not None
    assert newest[1] == ["before"] * saved_before + [winner] * (40 - saved_before)
    for one in states.listed():
        info = block.checkpoints.objects.head(block.checkpoints.namespace.name_of(one.key))
        value = block.checkpoints.get(one.key)
        assert len(value) == position_of(info.metadata)
        assert len(set(value) - {"before"}) <= 1, "what one has done is never mixed with what the other has"


FLOW = """
import asyncio, sys, time
from prefect import flow
from s3kv_flows import S3KVStore
from s3kv_flows.checkpoints import Checkpoint

url, bucket, kind = sys.argv[1:]
block = S3KVStore(bucket_name=bucket, endpoint_url=url)

@flow
def run():
    with Checkpoint(block, "train", termination_seconds=3600) as checkpoint:
        seen = checkpoint.load(default=[])
        for item in checkpoint.iterate(range(10_000_000), lambda: seen, every=5_000_000):
            seen.append(item)
            time.sleep(0.002)
            print(item, flush=True)

@flow
async def arun():
    async with Checkpoint(block, "train", termination_seconds=3600) as checkpoint:
        seen = await checkpoint.aload(default=[])
        async for item in checkpoint.aiterate(range(10_000_000), lambda: seen, every=5_000_000):
            seen.append(item)
            await asyncio.sleep(0.002)
            print(item, flush=True)

if __name__ == "__main__":
    asyncio.run(arun()) if kind == "async" else run()
"""


@pytest.mark.parametrize("kind", ["sync", "async"])
def test_a_flow_that_gets_sigterm_saves_once_more_and_ends_as_prefect_wants(
    block: S3KVStore, started: list[subprocess.Popen[str]], prefect_api: str, tmp_path: Path, kind: str
) -> None:
    script = tmp_path / "pipeline.py"
    script.write_text(FLOW)
    runner = (
        f"import runpy, sys; sys.argv[0] = {str(script)!r}; runpy.run_path(sys.argv[0], run_name='__main__')"
    )
    process = start(runner, str(block.endpoint_url), block.bucket_name, kind, api=prefect_api)
    started.append(process)
    assert process.stdout
    seen = [process.stdout.readline() for _ in range(20)]
    assert seen[-1] == "19\n"
    process.send_signal(signal.SIGTERM)
    out, errors = process.communicate(timeout=PATIENCE)
    assert process.returncode != 0
    last = int((out.split() or ["19"])[-1])
    states = Snapshots(block.checkpoints, "train")
    (saved,) = states.listed()
    assert block.checkpoints.get(saved.key) == list(range(last + 1)), "to the last item, and whole"
    assert "aborted by a termination signal" in errors, "as Prefect ends a run"


SUBMITTING = """
import sys, time
from prefect import flow, task
from s3kv_flows import S3KVStore
from s3kv_flows.checkpoints import Checkpoint

url, bucket = sys.argv[1:]
block = S3KVStore(bucket_name=bucket, endpoint_url=url)

@task
def train(name):
    with Checkpoint(block, name) as checkpoint:
        seen = checkpoint.load(default=[])
        for item in checkpoint.iterate(range(10_000_000), lambda: seen, every=5_000_000):
            seen.append(item)
            time.sleep(0.002)
            if name == "b":
                print(item, flush=True)

@flow
def run():
    train.map(["a", "b"]).wait()

run()
"""


def test_submitted_tasks_save_until_they_are_killed(
    block: S3KVStore, started: list[subprocess.Popen[str]], prefect_api: str
) -> None:
    process = start(SUBMITTING, str(block.endpoint_url), block.bucket_name, api=prefect_api)
    started.append(process)
    assert process.stdout
    while process.stdout.readline() != "20\n":
        assert process.poll() is None
    process.send_signal(signal.SIGTERM)
    names = {name: Snapshots(block.checkpoints, name) for name in "ab"}
    until(lambda: all(len(states.listed()) >= 2 for states in names.values()))
    process.kill()
    out, _ = process.communicate(timeout=PATIENCE)
    saved = {}
    for name, states in names.items():
        newest = states.newest(states.listed())
        assert newest is not None
        saved[name] = newest[1]
        assert saved[name] == list(range(len(saved[name])))
    assert 20 < len(saved["b"]) <= int(out.split()[-1]) + 1, "saved since the signal"
