"""A training that is killed, again and again, and has to end with the model of one that was not."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Literal

import numpy as np

from s3kv_flows import S3KVStore
from tests.support import training
from tests.support.waiting import PATIENCE, until

EVERY = 8
KILLS = int(os.environ.get("S3KV_TEST_KILLS", "4"))
"""How often, at least four: ten take three minutes of a core, and show hardly more."""
SEEDS = range(1, 1 + int(os.environ.get("S3KV_TEST_SEEDS", "1")))

Way = Literal["parts", "put"]


@dataclass(frozen=True)
class Training:
    """A training that saves its states in a bucket.

    Attributes:
        block: The store of the bucket.
        data: The file of the batches.
        journal: Where each attempt notes what it begins.
        way: How a state is sent.
    """

    block: S3KVStore
    data: Path
    journal: Path
    way: Way

    def attempt(self, when: str) -> subprocess.Popen[bytes]:
        """Begin, or go on, in a process that dies where it is told to; see ``tests.support.training``."""
        arguments = [str(self.block.endpoint_url), self.block.bucket_name, str(self.data), str(self.journal)]
        return subprocess.Popen(
            [sys.executable, "-m", "tests.support.training", *arguments, str(EVERY), self.way, when],
            cwd=Path(__file__).parents[2],
            env=os.environ | {"PREFECT_API_URL": "", "OMP_NUM_THREADS": "1", "S3KV_SIGNING_KEY": self.key},
        )

    @property
    def key(self) -> str:
        """The key that it signs with, as the store does."""
        return self.block.signing_key.get_secret_value() if self.block.signing_key else ""

    def attempts(self) -> list[list[int]]:
        """Return the batches that each attempt began."""
        found: list[list[int]] = []
        for line in self.journal.read_text().splitlines():
            if line == "begin":
                found.append([])
            else:
                found[-1].append(int(line))
        return found

    def kill(self, dice: random.Random, moment: str, share: int) -> None:
        """Let an attempt go on for about its share of the batches, and die."""
        at_a_save = moment != "any moment"
        if at_a_save:
            when = f"{moment}:{max(1, 2 * share // EVERY - dice.randrange(2))}"
        else:
            wanted = dice.randrange(1, 2 * share)
            # It goes on for a while when it is to be killed, and not to its end, however late that happens.
            when = f"killed:{wanted + EVERY}"
        begun = len(self.attempts())
        process = self.attempt(when)
        try:
            if not at_a_save:

                def is_so_far() -> bool:
                    there = self.attempts()
                    return len(there) > begun and len(there[-1]) >= wanted

                until(is_so_far)
                process.kill()
            assert process.wait(timeout=PATIENCE) == -signal.SIGKILL
        finally:
            process.kill()
            process.wait()


def assert_ends_as_if_never_killed(block: S3KVStore, data: Path, journal: Path, way: Way, seed: int) -> None:
    """Kill a training at some moments, let it end, and hold it against one that was not killed."""
    dice = random.Random(seed)
    journal.touch()
    killed, there = Training(block, data, journal, way), training.batches(data)
    moments = ["uploaded", "published", "uploaded", *["any moment"] * (KILLS - 3)]
    dice.shuffle(moments)
    for moment in moments:
        killed.kill(dice, moment, len(there) // (KILLS + 1))
    last = killed.attempt("-")
    assert last.wait(timeout=PATIENCE) == 0

    model = training.new_model()
    for batch in there:
        training.learn(model, batch)
    ended = block.values.get("model")
    for name, expected in training.parameters(model).items():
        assert np.array_equal(np.asarray(ended[name]), expected), name
    begun = killed.attempts()
    assert len(begun) == KILLS + 1
    for died, went_on in pairwise(begun):
        repeated = died[-1] - went_on[0] + 1
        assert 0 <= repeated <= EVERY
    assert {number for one in begun for number in one} == set(range(len(there)))
    assert block.checkpoints.list_keys() == []
    left = len(list(block.values.client.list_multipart_uploads(block.bucket_name, "")))
    assert left >= moments.count("uploaded") if way == "parts" else left == 0, "which a cleanup gives up"
