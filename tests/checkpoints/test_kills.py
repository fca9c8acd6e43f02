"""A training that is killed, again and again, ends with the model of one that was not."""

from __future__ import annotations

from pathlib import Path

import pytest

from s3kv_flows import S3KVStore
from tests.support.killing import SEEDS, assert_ends_as_if_never_killed


@pytest.mark.slow
@pytest.mark.long  # a minute; on Ceph, tests/contracts kills the same training
@pytest.mark.timeout(1800)  # a dozen processes, one after another
@pytest.mark.parametrize("seed", SEEDS)
def test_killed_at_some_moments_between_parts_and_their_publication_too(
    block: S3KVStore, batches: Path, tmp_path: Path, seed: int
) -> None:
    assert_ends_as_if_never_killed(block, batches, tmp_path / "journal", "parts", seed)
