"""What is not the one object of its name: local copies, older versions, outputs, what is written back."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from prefect import task

from s3kv_flows import Retention, caching
from s3kv_flows._results.records import Record
from s3kv_flows.store import S3KV, CompatibleS3KV
from s3kv_flows.store._layout.marks import SEAL
from s3kv_flows.store._s3.types import ObjectInfo
from s3kv_flows.store._values.local_cache import CachedObject
from s3kv_flows.store.errors import TamperedValueError
from tests.canary.attacks import ATTACKS, OURS, SOME, Attack, Stored, stored
from tests.canary.paths import World
from tests.canary.watch import GENUINE, Watch

VALUE = {"mark": GENUINE}
TRIED = {what: ATTACKS[what] for what in ATTACKS if what in SOME and not ATTACKS[what].is_large}
AGES = {"confirmed": timedelta(0), "young": timedelta(hours=1)}


@pytest.fixture
def make(make_store: Callable[..., S3KV]) -> Callable[..., S3KV]:
    def make(**options: Any) -> S3KV:
        given = {"codec": "cloudpickle", "signing_key": OURS.reveal(), "enable_local_cache": True} | options
        return make_store(**given)

    return make


def tamper(store: S3KV, change: Callable[[Stored], Stored], **headers: Any) -> None:
    """Write another copy to disk than there was, with a digest that matches."""
    name = store.namespace.name_of("key")
    copy = store.local_cache.get(name)
    assert copy is not None
    hostile = change(Stored(store, name, bytes(copy.body), copy.info.metadata, copy.info.content_type))
    info = replace(
        copy.info,
        size=len(hostile.body),
        metadata=hostile.metadata,
        content_type=hostile.content_type,
        **headers,
    )
    store.local_cache.put(name, CachedObject(info, bytearray(hostile.body)))


@pytest.mark.parametrize("attack", TRIED.values(), ids=TRIED)
@pytest.mark.parametrize("age", AGES.values(), ids=AGES)
def test_a_copy_that_was_tampered_with_is_not_used(
    make: Callable[..., S3KV], watch: Watch, attack: Attack, age: timedelta, caplog: pytest.LogCaptureFixture
) -> None:
    store = make(cache_max_age=age)
    store.add("key", VALUE)
    store.cache_all_keys()
    tamper(store, attack.make)
    assert store.get_from_cache("key") is None
    watch.require_silence()
    assert "a local copy is not used" in caplog.text
    store.cache_all_keys()
    tamper(store, attack.make)
    with store.client.counters.measure() as measured:
        assert store.get("key") == VALUE
    assert measured[0].requests > 0, "the server was asked"
    assert not [call for call in watch.calls if GENUINE not in call]


def test_a_copy_is_used_without_a_request(make: Callable[..., S3KV]) -> None:
    store = make(cache_max_age=timedelta(hours=1))
    store.add("key", VALUE)
    store.get("key")
    with store.client.counters.measure() as measured:
        assert store.get("key") == store.get_from_cache("key") == VALUE
    assert measured[0].requests == 0


def test_no_copy_is_unpickled_without_keys(make: Callable[..., S3KV], watch: Watch) -> None:
    store = make()
    store.add("key", VALUE)
    store.cache_all_keys()
    bare = make(
        signing_key=None, trusted_keys=[], purpose="result", bucket_name=store.bucket_name
    )  # as one that looks after objects
    watch.calls.clear()
    for read in (bare.get, bare.get_from_cache):
        with pytest.raises(ValueError, match="has no keys"):
            read("key")
    watch.require_silence()


def test_the_date_in_a_file_does_not_make_an_ended_key_good(make: Callable[..., S3KV]) -> None:
    writer = make(cache_max_age=timedelta(hours=1))
    writer.add("key", VALUE)
    long_ago = f"{OURS.public};until=2020-01-01"
    reader = make(
        signing_key=None,
        trusted_keys=[long_ago],
        bucket_name=writer.bucket_name,
        cache_max_age=timedelta(hours=1),
    )
    writer.get("key")
    copy = writer.local_cache.get(writer.namespace.name_of("key"))
    assert copy is not None
    early = copy.info.last_modified.replace(year=2019)
    tamper(writer, lambda one: one, last_modified=early, server_time=early)
    assert reader.get_from_cache("key") is None


def test_a_copy_that_a_program_of_s3kv_has_left_is_sealed_too(
    make_store: Callable[..., S3KV], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    made = make_store()
    store = CompatibleS3KV(
        config=made.config,
        bucket_name=made.bucket_name,
        cache_directory=tmp_path,
        signing_key=OURS.reveal(),
    )
    store.add("key", {"a": 1})
    assert store.get_from_cache("key") == {"a": 1}
    assert store.get("key") == {"a": 1}
    assert "not used" not in caplog.text
    assert SEAL in stored(store, store.namespace.name_of("key")).metadata


# --- versions and dates ------------------------------------------------------------------------------------


@pytest.fixture
def locking(make_store: Callable[..., S3KV]) -> S3KV:
    return make_store(object_lock=True, codec="cloudpickle", signing_key=OURS.reveal())


@pytest.mark.parametrize("attack", TRIED.values(), ids=TRIED)
def test_a_version_and_an_output_of_somebody_else_are_refused(
    locking: S3KV, attack: Attack, watch: Watch
) -> None:
    name = locking.namespace.name_of("key")
    locking.add("key", VALUE)
    original = stored(locking, name)
    attack.make(original).put()
    theirs = locking.versions("key")[0].version_id
    watch.calls.clear()

    def refused(read: Callable[[], Any]) -> None:
        with pytest.raises(TamperedValueError) as error:
            read()
        assert error.value.reason in attack.reasons
        watch.require_silence()

    refused(lambda: locking.get("key", version_id=theirs))
    refused(lambda: locking.outputs.finalize("key", VALUE, Retention(days=1)))
    original.put()
    locking.restore("key", theirs)
    refused(lambda: locking.get("key"))


def test_a_restored_version_is_read(locking: S3KV) -> None:
    locking.add("key", VALUE)
    first = locking.versions("key")[0].version_id
    locking.add("key", {})
    locking.restore("key", first)
    assert locking.get("key") == locking.get("key", version_id=first) == VALUE


def test_an_expired_result_that_is_written_back_has_expired(s3_url: str, prefect_api: str) -> None:
    world = World(s3_url)
    world.block.save(world.name)

    @task(**caching(world.name, cache_expiration=timedelta(hours=1)))
    def produce() -> int:
        return 1

    original = world.result_of(produce(return_state=True))
    results = world.block.results
    info = results.objects.head(original.name)

    def later(hours: float) -> ObjectInfo:
        """Return the headers after it was written back, with a Last-Modified of that moment."""
        moment = info.server_time + timedelta(hours=hours)
        return replace(info, last_modified=moment, server_time=moment)

    record = Record.from_info(info)
    left = record.remaining(later(0.5))
    assert left is not None
    assert timedelta(minutes=29) < left < timedelta(minutes=31)
    assert record.remaining(later(1.1)) < timedelta(0)  # type: ignore[operator]
