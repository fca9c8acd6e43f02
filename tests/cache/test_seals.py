"""Cached results and the keys of a store: of whom a hit is accepted, and what becomes of the others."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from s3kv_flows import Retention, S3KVStore
from s3kv_flows.blocks import change_keys
from s3kv_flows.store._layout.marks import SEAL
from s3kv_flows.store._seals.keys.keys import SigningKey
from s3kv_flows.store._values.codecs import codec_named
from s3kv_flows.store.errors import KeyLockedError
from tests.support.canary import Canary
from tests.support.lake import Lake, adding_task

OURS, THEIRS = SigningKey.generate("ours"), SigningKey.generate("theirs")


@pytest.fixture
def use() -> Callable[[Lake, SigningKey], None]:
    """Return what has a store sign with a key from now on, and trust nobody else."""

    def use(lake: Lake, key: SigningKey) -> None:
        change_keys(lake.block, lake.name, SecretStr(key.reveal()), [])
        lake.block = S3KVStore.of(lake.name)

    return use


def test_a_hit_is_of_a_key_that_is_trusted_and_costs_no_more_requests(lake: Lake, use: Any) -> None:
    use(lake, OURS)
    add_one = adding_task(lake)
    assert add_one(1) == 2
    assert SEAL in lake.the_object().metadata
    wire = lake.count(lambda: add_one(1))
    assert (wire.requests.total(), lake.ran) == (1, [1])


def test_what_a_store_keeps_is_sealed_for_what_it_is(lake: Lake, use: Any) -> None:
    use(lake, OURS)
    kept = {"value": lake.block.values, "result": lake.block.results, "checkpoint": lake.block.checkpoints}
    assert {name: store.purpose for name, store in kept.items()} == {name: name for name in kept}


def test_a_result_of_a_key_that_is_not_trusted_is_computed_and_replaced(
    lake: Lake, use: Any, caplog: pytest.LogCaptureFixture
) -> None:
    add_one = adding_task(lake)
    use(lake, THEIRS)
    add_one(1)
    use(lake, OURS)
    counters = lake.results.client.counters
    before = counters.read()["results.misses.untrusted_key"]
    assert [add_one(1), add_one(1), lake.ran] == [2, 2, [1, 1]]
    assert "untrusted_key" in caplog.text
    assert counters.read()["results.misses.untrusted_key"] == before + 1


def test_a_pickle_that_somebody_puts_under_a_key_never_runs(lake: Lake, use: Any, tmp_path: Path) -> None:
    use(lake, OURS)
    add_one = adding_task(lake)
    assert add_one(1) == 2
    info = lake.the_object()
    frame = bytes(codec_named("cloudpickle").encode(Canary(tmp_path / "ran")))
    for metadata in (info.metadata, {key: text for key, text in info.metadata.items() if key != SEAL}):
        lake.results.client.put_object(
            lake.results.bucket_name, info.name, frame, content_type=info.content_type, metadata=metadata
        )
        assert add_one(1) == 2
    assert not (tmp_path / "ran").exists()
    assert lake.ran == [1, 1, 1]


def test_a_locked_result_that_nobody_trusts_fails_the_run_before_it_computes(
    locked_lake: Lake, use: Any
) -> None:
    add_one = adding_task(locked_lake, retention=Retention(days=1))
    use(locked_lake, THEIRS)
    add_one(1)
    use(locked_lake, OURS)
    with pytest.raises(KeyLockedError):
        add_one(1)
    assert locked_lake.ran == [1]
