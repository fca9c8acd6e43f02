"""A training that is killed, again and again, ends with the model of one that was not."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import uuid
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from s3kv_flows import S3KVStore
from tests import training
from tests.waiting import until

EVERY = 8
KILLS = 10
SEEDS = range(1, 1 + int(os.environ.get("S3KV_TEST_SEEDS", "1")))


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("flights") / "batches.npz"
    training.prepare(path)
    return path


def attempts(journal: Path) -> list[list[int]]:
    """Return the batches that each attempt began."""
    found: list[list[int]] = []
    for line in journal.read_text().splitlines():
        if line == "begin":
            found.append([])
        else:
            found[-1].append(int(line))
    return found


def attempt(block: S3KVStore, data: Path, journal: Path, die: str) -> subprocess.Popen[bytes]:
    arguments = [str(block.endpoint_url), block.bucket_name, str(data), str(journal), str(EVERY), die]
    return subprocess.Popen(
        [sys.executable, "-m", "tests.training", *arguments],
        cwd=Path(__file__).parents[1],
        env=os.environ | {"PREFECT_API_URL": "", "OMP_NUM_THREADS": "1"},
    )


def kill(block: S3KVStore, data: Path, journal: Path, dice: random.Random, moment: str, share: int) -> None:
    """Let an attempt go on for about its share of the batches, and die."""
    at_a_save = moment != "any moment"
    die = f"{moment}:{max(1, 2 * share // EVERY - dice.randrange(2))}" if at_a_save else "-"
    begun = len(attempts(journal))
    process = attempt(block, data, journal, die)
    try:
        if not at_a_save:
            wanted = dice.randrange(1, 2 * share)

            def is_so_far() -> bool:
                there = attempts(journal)
                return len(there) > begun and len(there[-1]) >= wanted

            until(is_so_far, seconds=60)
            process.kill()
        assert process.wait(timeout=60) == -signal.SIGKILL
    finally:
        process.kill()
        process.wait()


@pytest.mark.slow
@pytest.mark.parametrize("seed", SEEDS)
def test_killed_at_ten_moments_it_ends_with_the_model_of_an_uninterrupted_run(
    s3_url: str, data: Path, tmp_path: Path, seed: int
) -> None:
    dice = random.Random(seed)
    block = S3KVStore(bucket_name=f"bucket-{uuid.uuid4().hex[:16]}", endpoint_url=s3_url)
    block.values.create_bucket()
    journal = tmp_path / "journal"
    journal.touch()
    there = training.batches(data)
    moments = ["uploaded", "published", "uploaded", *["any moment"] * (KILLS - 3)]
    dice.shuffle(moments)
    for moment in moments:
        kill(block, data, journal, dice, moment, len(there) // (KILLS + 1))
    last = attempt(block, data, journal, "-")
    assert last.wait(timeout=120) == 0

    model = training.new_model()
    for batch in there:
        training.learn(model, batch)
    ended = block.values.get("model")
    for name, expected in training.parameters(model).items():
        assert np.array_equal(np.asarray(ended[name]), expected), name
    begun = attempts(journal)
    assert len(begun) == KILLS + 1
    for died, went_on in pairwise(begun):
        repeated = died[-1] - went_on[0] + 1
        assert 0 <= repeated <= EVERY
    assert {number for one in begun for number in one} == set(range(len(there)))
    assert block.checkpoints.list_keys() == []
    left = list(block.values.client.list_multipart_uploads(block.bucket_name, ""))
    assert len(left) == moments.count("uploaded"), "which a cleanup gives up"
