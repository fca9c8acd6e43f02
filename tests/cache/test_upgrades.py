"""Where Prefect is not as this package knows it, no hit becomes a miss in silence."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from prefect import task
from prefect.blocks.core import Block

from s3kv_flows import S3KVStore, caching
from s3kv_flows import _prefect as runs
from s3kv_flows._cache import lookup, record_storage
from s3kv_flows.blocks import SAVED_STORES
from s3kv_flows.store._values.codecs import CloudpickleCodec
from s3kv_flows.tasks import finalize_value
from tests.support.lake import WEEK, Lake

pytestmark = pytest.mark.usefixtures("prefect_api")


@pytest.fixture(params=["sync", "async"])
def add_one(request: pytest.FixtureRequest, lake: Lake) -> Callable[[int], int]:
    @task(**caching(lake.name))
    def add_one(number: int) -> int:
        lake.ran.append(number)
        return number + 1

    @task(**caching(lake.name))
    async def aadd_one(number: int) -> int:
        return add_one.fn(number)

    return add_one if request.param == "sync" else lambda number: asyncio.run(aadd_one(number))


def test_a_hit_is_a_hit_if_prefect_does_not_report_the_id_of_the_store(
    add_one: Callable[[int], int],
    lake: Lake,
    monkeypatch: pytest.MonkeyPatch,
    logged: pytest.LogCaptureFixture,
) -> None:
    assert add_one(1) == 2
    load = Block._from_block_document.__func__  # type: ignore[attr-defined]  # a classmethod

    def load_without_id(cls: type[Block], document: Any) -> Block:
        block: Block = load(cls, document)
        del block._block_document_id
        return block

    monkeypatch.setattr(Block, "_from_block_document", classmethod(load_without_id))
    SAVED_STORES.forget(lake.name)
    runs._warn_of_missing_id.cache_clear()
    for _ in range(2):
        assert add_one(1) == 2
    assert lake.ran == [1]
    warnings = {
        id(one) for one in logged.records if "does not report the id of a saved store" in one.getMessage()
    }
    assert len(warnings) == 1


def test_a_fault_in_a_lookup_is_logged(
    add_one: Callable[[int], int],
    lake: Lake,
    monkeypatch: pytest.MonkeyPatch,
    logged: pytest.LogCaptureFixture,
) -> None:
    assert add_one(1) == 2

    def renamed(*_: object, **__: object) -> None:
        raise AttributeError("it has another name now")

    monkeypatch.setattr(lookup, "fetch_result", renamed)
    assert add_one(1) == 2
    assert lake.ran == [1, 1]
    assert "Prefect takes that for an absence" in logged.text
    assert "it has another name now" in logged.text


def test_a_record_that_prefect_does_not_accept_is_logged(
    add_one: Callable[[int], int],
    lake: Lake,
    monkeypatch: pytest.MonkeyPatch,
    logged: pytest.LogCaptureFixture,
) -> None:
    assert add_one(1) == 2
    assert "computed anew" not in logged.text
    monkeypatch.setattr(record_storage, "_record_of", lambda *_: b"of another form")
    assert add_one(1) == 2
    assert lake.ran == [1, 1]
    assert "existed, and was computed anew: Prefect did not accept its record" in logged.text


def test_a_fault_in_encoding_is_logged(
    add_one: Callable[[int], int],
    lake: Lake,
    monkeypatch: pytest.MonkeyPatch,
    logged: pytest.LogCaptureFixture,
) -> None:
    def renamed(*_: object, **__: object) -> None:
        raise AttributeError("it has another name now")

    monkeypatch.setattr(CloudpickleCodec, "encode", renamed)
    assert add_one(1) == 2
    assert "The result of this run was not saved: it has another name now" in logged.text


def test_a_receipt_is_not_lost_for_want_of_the_name_of_its_store(locked_lake: Lake) -> None:
    block: S3KVStore = locked_lake.block
    del block._block_document_name
    receipt = finalize_value.fn(block, "report", {"a": 1}, WEEK)
    assert (receipt.outcome, receipt.store) == ("written", None)
