"""caching() and finalizing() in real task and flow runs, counted on the wire."""

from __future__ import annotations

import asyncio
import base64
import copy
import gc
import pickle
import threading
import weakref
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import cloudpickle
import numpy as np
import pytest
from prefect import flow, task
from prefect.cache_policies import INPUTS, NO_CACHE, RUN_ID, TASK_SOURCE
from prefect.client.schemas.objects import State
from prefect.context import TaskRunContext
from prefect.filesystems import LocalFileSystem
from prefect.transactions import transaction

from s3kv_flows import S3KVStore, caching, finalizing
from s3kv_flows._results import handoff
from s3kv_flows.store._s3.capabilities import Capabilities
from s3kv_flows.store._s3.types import ObjectInfo
from s3kv_flows.store.errors import InvalidTagError
from tests.support.lake import WEEK, Lake, adding_task, in_flow
from tests.support.proxy import CountingProxy
from tests.support.waiting import until

pytestmark = pytest.mark.usefixtures("prefect_api")

KIB, MIB = 1 << 10, 1 << 20


# --- what a hit and a miss cost ---------------------------------------------------------------------


def sync_runs(lake: Lake, size: int) -> Callable[[], Any]:
    @task(**caching(lake.name))
    def produce(size: int) -> bytes:
        lake.ran.append(size)
        return np.random.default_rng(size).bytes(size)

    return lambda: in_flow(lambda: produce(size))


def async_runs(lake: Lake, size: int) -> Callable[[], Any]:
    @task(**caching(lake.name))
    async def produce(size: int) -> bytes:
        lake.ran.append(size)
        return np.random.default_rng(size).bytes(size)

    @flow
    async def run() -> bytes:
        return await produce(size)

    return lambda: asyncio.run(run())


def mapped_runs(lake: Lake, size: int) -> Callable[[], Any]:
    @task(**caching(lake.name))
    def produce(size: int) -> bytes:
        lake.ran.append(size)
        return np.random.default_rng(size).bytes(size)

    return lambda: in_flow(lambda: produce.map([size]).result()[0])


def async_mapped_runs(lake: Lake, size: int) -> Callable[[], Any]:
    @task(**caching(lake.name))
    async def produce(size: int) -> bytes:
        lake.ran.append(size)
        return np.random.default_rng(size).bytes(size)

    @flow
    async def run() -> Any:
        return produce.map([size]).result()[0]

    return lambda: asyncio.run(run())


def lazy_runs(lake: Lake, size: int) -> Callable[[], Any]:
    @task(**caching(lake.name))
    def produce(size: int) -> bytes:
        lake.ran.append(size)
        return np.random.default_rng(size).bytes(size)

    def body() -> bytes:
        with transaction():
            return produce(size)

    return lambda: in_flow(body)


KINDS = [sync_runs, async_runs, mapped_runs, async_mapped_runs, lazy_runs]


@pytest.mark.parametrize("size", [KIB, 4 * MIB], ids=["1 KiB", "4 MiB"])
@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_a_miss_is_one_get_and_one_put_and_a_hit_one_get(
    lake: Lake, kind: Callable[[Lake, int], Callable[[], Any]], size: int
) -> None:
    run = kind(lake, size)
    counters = lake.results.client.counters
    assert lake.results.get("nothing") is None  # reads have connections of their own
    with counters.measure() as counted:
        miss = lake.count(run)
    assert dict(miss.requests) == {"GET": 1, "PUT": 1}
    assert counted[0].by_operation == {"GetObject": 1, "PutObject": 1}
    assert (counted[0].bytes_sent, counted[0].bytes_received) == (miss.body_sent, miss.body_received)
    with counters.measure() as counted:
        hit = lake.count(run)
    assert dict(hit.requests) == {"GET": 1}
    assert counted[0].by_operation == {"GetObject": 1}
    assert counted[0].bytes_received == hit.body_received
    assert hit.connections == miss.connections == 0, "those that are open are used"
    assert run() == np.random.default_rng(size).bytes(size)
    assert lake.ran == [size]
    if size == 4 * MIB:
        assert hit.bytes_received + hit.bytes_sent <= 1.01 * size
        assert miss.bytes_received + miss.bytes_sent <= 1.01 * size


def test_on_a_bucket_with_object_lock_it_is_the_same(locked_lake: Lake) -> None:
    run = sync_runs(locked_lake, KIB)
    assert dict(locked_lake.count(run).requests) == {"GET": 1, "PUT": 1}
    assert dict(locked_lake.count(run).requests) == {"GET": 1}


def test_a_finalized_result_costs_three_requests_more_when_it_is_written(locked_lake: Lake) -> None:
    locked_lake.results.objects.require_object_lock()  # asked once per process
    add_one = adding_task(locked_lake, retention=WEEK)
    assert dict(locked_lake.count(lambda: add_one(1)).requests) == {"GET": 4, "PUT": 1}
    assert dict(locked_lake.count(lambda: add_one(1)).requests) == {"GET": 1}


def test_where_the_server_tells_delete_markers_it_costs_one_less(
    locked_lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = locked_lake.results.client
    locked_lake.results.objects.require_object_lock()
    declared = replace(client.capabilities.declared, tells_delete_markers=True)
    monkeypatch.setattr(Capabilities, "declared", declared)
    add_one = adding_task(locked_lake, retention=WEEK)
    assert dict(locked_lake.count(lambda: add_one(1)).requests) == {"GET": 3, "PUT": 1}


def test_a_whole_map_hits_with_one_request_each(lake: Lake) -> None:
    add_one = adding_task(lake)
    numbers = list(range(10))
    in_flow(lambda: add_one.map(numbers).result())
    hits = lake.count(lambda: in_flow(lambda: add_one.map(numbers).result()))
    assert dict(hits.requests) == {"GET": 10}
    assert sorted(lake.ran) == numbers


# --- what an object holds ---------------------------------------------------------------------------


def test_a_result_is_one_object_with_its_tags(lake: Lake) -> None:
    add_one = adding_task(lake, object_tags={"stage": "raw"})
    began = datetime.now(timezone.utc)
    in_flow(lambda: add_one(1))
    took = (datetime.now(timezone.utc) - began).total_seconds()
    info = lake.the_object()
    assert lake.tags(info) == {"stage": "raw", "flow": "some flow", "task": "add_one"}
    assert info.content_type == "application/x-s3kv-cloudpickle"
    assert 0 <= float(info.metadata["s3kv-seconds"]) <= took


def test_the_users_tags_win_where_there_are_too_many(lake: Lake) -> None:
    mine = {f"t{number}": "x" for number in range(9)} | {"flow": "mine"}
    in_flow(lambda: adding_task(lake, object_tags=mine)(1))
    assert lake.tags(lake.the_object()) == mine


def test_names_of_flows_and_tasks_become_legal_tags(lake: Lake) -> None:
    @task(name="délais; [1]", **caching(lake.name))
    def some() -> int:
        return 1

    in_flow(some)
    assert lake.tags(lake.the_object())["task"] == "délais_ _1_"


def test_lazily_committed_results_of_several_tasks_keep_their_own_tags(lake: Lake) -> None:
    @task(**caching(lake.name, object_tags={"n": "1"}))
    def one() -> int:
        return 1

    @task(**caching(lake.name, object_tags={"n": "2"}))
    def two() -> int:
        return 2

    def body() -> None:
        with transaction():
            one()
            two.submit().result()

    in_flow(body)
    tags = sorted((lake.tags(info) for info in lake.objects()), key=lambda tags: tags["n"])
    assert [(tag["n"], tag["task"], tag["flow"]) for tag in tags] == [
        ("1", "one", "some flow"),
        ("2", "two", "some flow"),
    ]


def test_a_transaction_that_fails_writes_nothing(lake: Lake) -> None:
    add_one = adding_task(lake)

    def body() -> None:
        with transaction():
            add_one(1)
            raise RuntimeError("after all")

    with pytest.raises(RuntimeError, match="after all"):
        in_flow(body)
    assert lake.objects() == []


# --- values -----------------------------------------------------------------------------------------


class Bomb:
    def __reduce__(self) -> tuple[Any, ...]:
        return (pytest.fail, ("unpickled",))


VALUES = [
    {"result": 5, "x": 1},
    {"data": [1, 2]},
    {"data": base64.b64encode(cloudpickle.dumps(Bomb())).decode()},
    {"metadata": {"storage_key": "x"}, "result": "y"},
    None,
    b"{}",
    "null",
]


@pytest.mark.parametrize("value", VALUES, ids=repr)
def test_values_that_look_like_prefects_records_come_back_as_they_are(lake: Lake, value: Any) -> None:
    @task(**caching(lake.name))
    def produce() -> Any:
        lake.ran.append(1)
        return value

    states: list[State[Any]] = [produce(return_state=True) for _ in range(2)]
    assert [state.result() for state in states] == [value, value]
    assert [state.name for state in states] == ["Completed", "Cached"]
    assert lake.ran == [1]


def test_a_hit_may_be_changed_without_changing_the_next_one(lake: Lake) -> None:
    @task(**caching(lake.name))
    def produce() -> np.ndarray[Any, Any]:
        return np.arange(100_000)

    produce()
    produce()[:] = 0
    assert produce()[-1] == 99_999


def test_a_result_that_cannot_be_pickled_is_returned_and_not_saved(
    lake: Lake, logged: pytest.LogCaptureFixture
) -> None:
    @task(**caching(lake.name))
    def produce() -> Any:
        return threading.Lock()

    assert produce() is not None
    assert lake.objects() == []
    assert "was not saved: cloudpickle cannot pickle this lock" in logged.text


# --- staleness --------------------------------------------------------------------------------------


def rewrite(
    lake: Lake, info: ObjectInfo, body: bytes | None = None, metadata: dict[str, str] | None = None
) -> None:
    """Put an object again with another body or other metadata, as somebody else with the key would."""
    if body is None:
        body = bytes(lake.results.objects.get(info.name).body or b"")
    lake.put(info, body, **(metadata or {}))


def test_a_value_that_another_process_replaced_is_seen(lake: Lake) -> None:
    add_one = adding_task(lake)

    def body() -> list[int]:
        before = add_one(1)
        rewrite(lake, lake.the_object(), bytes(lake.results.codec.encode("theirs")))
        return [before, add_one(1)]

    assert in_flow(body) == [2, "theirs"]


@pytest.mark.parametrize("aio", [False, True])
def test_an_expired_result_is_computed_anew_without_downloading_it(lake: Lake, aio: bool) -> None:  # noqa: FBT001
    @task(**caching(lake.name, cache_expiration=timedelta(hours=1)))
    def produce() -> bytes:
        lake.ran.append(1)
        return np.random.default_rng().bytes(24 * MIB)

    @task(**caching(lake.name, cache_expiration=timedelta(hours=1)))
    async def aproduce() -> bytes:
        lake.ran.append(1)
        return np.random.default_rng().bytes(24 * MIB)

    def run() -> Any:
        return asyncio.run(aproduce()) if aio else produce()

    run()
    run()
    assert lake.ran == [1]
    past = datetime.now(timezone.utc) - timedelta(seconds=1)
    rewrite(lake, lake.the_object(), metadata={"s3kv-expires": past.isoformat(), "s3kv-ttl": "-1"})
    with lake.results.client.counters.measure() as measured:
        wire = lake.count(run)
    assert lake.ran == [1, 1]
    assert measured[0].bytes_received < 1000, "of what the upload was answered"
    assert wire.bytes_received < 12 * MIB, "what lies in the buffers of the sockets"
    run()
    assert lake.ran == [1, 1]


def test_the_expiration_is_prefects_and_with_options_changes_it_also_lazily(lake: Lake) -> None:
    add_one = adding_task(lake, cache_expiration=timedelta(days=7))

    def body() -> None:
        with transaction():
            add_one.with_options(cache_expiration=timedelta(hours=2))(1)

    wire = lake.count(lambda: in_flow(body))
    assert dict(wire.requests) == {"GET": 1, "PUT": 1}
    expires = datetime.fromisoformat(lake.the_object().metadata["s3kv-expires"])
    assert timedelta(hours=1) < expires - datetime.now(timezone.utc) < timedelta(hours=2)
    state = add_one(1, return_state=True)
    assert state.name == "Cached"
    assert abs(state.data.expiration - expires) < timedelta(minutes=10)


def test_two_clocks_ten_minutes_apart_change_nothing(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    add_one = adding_task(lake, cache_expiration=timedelta(minutes=5))
    add_one(1)
    info = lake.the_object()
    wrong = datetime.fromisoformat(info.metadata["s3kv-expires"]) - timedelta(minutes=10)
    rewrite(
        lake, info, metadata={"s3kv-expires": wrong.isoformat()}
    )  # what a writer that is late would write
    add_one(1)
    assert lake.ran == [1]


DAMAGES: dict[str, tuple[Callable[[bytes], bytes], str]] = {
    "truncated": (lambda body: body[:-20], "truncated"),
    "one bit": (lambda body: body[:-1] + bytes([body[-1] ^ 1]), "checksum"),
    "not ours": (lambda _: b'{"result": 7, "metadata": {}}', "not_a_frame"),
    "empty": (lambda _: b"-", "not_a_frame"),
}


@pytest.mark.parametrize(("damage", "reason"), DAMAGES.values(), ids=DAMAGES)
@pytest.mark.parametrize("object_lock", [False, True])
def test_what_cannot_be_decoded_is_computed_anew_and_the_log_says_why(
    proxy: CountingProxy,
    logged: pytest.LogCaptureFixture,
    damage: Callable[[bytes], bytes],
    reason: str,
    object_lock: bool,  # noqa: FBT001
) -> None:
    lake = Lake(proxy, object_lock=object_lock)
    add_one = adding_task(lake)
    add_one(1)
    info = lake.the_object()
    fetched = lake.results.objects.get(info.name)
    assert fetched is not None
    rewrite(lake, info, damage(bytes(fetched.body or b"")))
    with lake.results.client.counters.measure() as measured:
        assert add_one(1) == 2
    assert lake.ran == [1, 1]
    assert f"cannot be used and is computed anew ({reason})" in logged.text
    assert measured[0]["results.misses.undecodable"] == 1
    assert measured[0][f"results.misses.{reason}"] == 1
    assert add_one(1) == 2
    assert lake.ran == [1, 1]


def test_a_result_under_another_name_is_not_used(lake: Lake, logged: pytest.LogCaptureFixture) -> None:
    add_one = adding_task(lake)
    add_one(1)
    one = lake.the_object()
    add_one(2)
    (two,) = [info for info in lake.objects() if info.name != one.name]
    lake.results.client.copy_object(lake.results.bucket_name, two.name, one.name)
    assert add_one(1) == 2
    assert lake.ran == [1, 2, 1]
    assert "was changed after it was sealed, moved" in logged.text


def test_a_store_that_cannot_be_reached_is_said_aloud(lake: Lake, logged: pytest.LogCaptureFixture) -> None:
    add_one = adding_task(lake)
    add_one(1)
    lake.results.client._boto.client.delete_object(
        Bucket=lake.results.bucket_name, Key=lake.the_object().name
    )
    lake.results.client._boto.client.delete_bucket(Bucket=lake.results.bucket_name)
    assert add_one(1) == 2
    assert "Cannot tell whether" in logged.text
    assert "does not exist" in logged.text


def test_a_computed_input_and_the_same_out_of_the_cache_make_one_key(lake: Lake) -> None:
    @task(**caching(lake.name))
    def produce(number: int) -> Any:
        return np.full((100, 3), number, order="F")[::2]

    @task(**caching(lake.name))
    def combine(parts: list[Any]) -> float:
        lake.ran.append(len(parts))
        return float(sum(part.sum() for part in parts))

    def body() -> float:
        return float(combine([produce(number) for number in range(3)]))

    assert in_flow(body) == in_flow(body) == 450
    assert lake.ran == [3]


# --- refreshing and locks ---------------------------------------------------------------------------


def test_refreshing_overwrites(lake: Lake) -> None:
    add_one = adding_task(lake)
    add_one(1)
    add_one.with_options(refresh_cache=True)(1)
    assert lake.ran == [1, 1]
    add_one(1)
    assert lake.ran == [1, 1]


def test_a_task_with_another_storage_within_a_caching_task_works(lake: Lake, tmp_path: Path) -> None:
    LocalFileSystem(basepath=str(tmp_path)).save(f"local-{lake.name}")

    @task(
        result_storage=f"local-file-system/local-{lake.name}",
        cache_policy=INPUTS,
        cache_result_in_memory=False,
    )
    def inner(number: int) -> list[int]:
        lake.ran.append(number)
        return [number]

    @task(**caching(lake.name))
    def outer(number: int) -> list[int]:
        return [*inner(7), number]

    assert in_flow(lambda: [outer(1), outer(2)]) == [[7, 1], [7, 2]]
    assert all(file.stat().st_size for file in tmp_path.iterdir()), "what is written there can be read"


# --- plain use, and inheritance ---------------------------------------------------------------------


def test_the_block_is_a_plain_result_storage_too(lake: Lake) -> None:
    @task(result_storage=f"s3kv-store/{lake.name}", cache_policy=INPUTS, persist_result=True)
    def plain(number: int) -> dict[str, int]:
        lake.ran.append(number)
        return {"result": number}

    @task(result_storage=f"s3kv-store/{lake.name}", cache_policy=INPUTS, persist_result=True)
    async def aplain(number: int) -> dict[str, int]:
        lake.ran.append(number)
        return {"result": number}

    for _ in range(2):
        assert plain(1) == {"result": 1}
        assert asyncio.run(aplain(2)) == {"result": 2}
    assert lake.ran == [1, 2]


def test_a_result_storage_key_works_as_with_any_storage(lake: Lake) -> None:
    @task(result_storage=f"s3kv-store/{lake.name}", result_storage_key="named/{parameters[x]}.json")
    def named(x: int) -> int:
        return x

    named(5)
    assert lake.the_object().name == "s3kv-results/named/5.json"


def test_a_task_without_options_within_a_caching_task_is_cached_with_its_own_expiration(lake: Lake) -> None:
    @task(cache_policy=INPUTS, cache_expiration=timedelta(hours=3))
    def inner(number: int) -> int:
        lake.ran.append(number)
        return number

    @task(**caching(lake.name, cache_expiration=timedelta(days=9)))
    def outer(number: int) -> int:
        return inner(7) + number

    def body() -> int:
        return outer(1) + outer(2)

    assert in_flow(body) == 17
    assert lake.ran == [7]
    ttls = sorted(float(info.metadata["s3kv-ttl"]) for info in lake.objects())
    assert [round(ttl / 3600) for ttl in ttls] == [3, 216, 216]


# --- options ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"cache_expiration": timedelta(1), "retention": WEEK}, "cannot expire"),
        ({"cache_expiration": 30}, "30 has no unit: write 30d"),
        ({"cache_expiration": "30"}, "30 has no unit: write 30d"),
        ({"cache_expiration": "1mo"}, "no fixed length"),
        ({"cache_expiration": timedelta(-1)}, "not be negative"),
        ({"object_tags": {f"t{i}": "x" for i in range(11)}}, "10 tags"),
        ({"object_tags": {"aws:x": "y"}}, "reserved"),
        ({"cache_policy": NO_CACHE}, "makes keys"),
        ({"cache_policy": INPUTS.configure(key_storage="elsewhere")}, "without them"),
        ({"cache_policy": INPUTS.configure(isolation_level="SERIALIZABLE")}, "single_flight=True"),
        ({"cache_policy": INPUTS.configure(isolation_level="SERIALIZABLE") + TASK_SOURCE}, "isolation level"),
    ],
)
def test_options_that_make_no_sense_are_refused_at_once(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        caching("lake", **options)


@pytest.mark.parametrize("week", ["7d", "P7D", "1w", timedelta(7)])
def test_an_expiration_is_a_timedelta_for_prefect_however_it_is_given(week: str | timedelta) -> None:
    assert caching("lake", cache_expiration=week)["cache_expiration"] == timedelta(7)


def test_tags_are_an_invalid_tag_error_of_finalizing_too() -> None:
    with pytest.raises(InvalidTagError):
        finalizing("lake", WEEK, object_tags={"": "x"})


def test_a_saved_block_is_as_good_as_its_name_and_an_unsaved_one_is_refused(lake: Lake) -> None:
    for store in (lake.block, S3KVStore.of(lake.name), f"s3kv-store/{lake.name}"):
        assert caching(store)["result_storage"].store == f"s3kv-store/{lake.name}"
    with pytest.raises(ValueError, match="not saved"):
        caching(S3KVStore(bucket_name="some-bucket"))


def test_other_storage_or_serializer_is_said_aloud_and_nothing_is_cached(
    lake: Lake, logged: pytest.LogCaptureFixture
) -> None:
    add_one = adding_task(lake).with_options(result_serializer="json")
    assert add_one(1) == 2
    assert "another result_storage or result_serializer" in logged.text
    assert lake.objects() == []


def test_a_key_that_s3_would_refuse_is_said_aloud_and_nothing_is_cached(
    lake: Lake, logged: pytest.LogCaptureFixture
) -> None:
    policy = INPUTS.from_cache_key_fn(lambda *_: "k" * 2000)
    assert adding_task(lake, cache_policy=policy)(1) == 2
    assert "InvalidKeyError" in logged.text
    assert lake.objects() == []


def test_parts_of_a_policy_can_be_left_out_later(lake: Lake) -> None:
    options = caching(lake.name, cache_policy=INPUTS)
    options["cache_policy"] = options["cache_policy"] - "ignored"

    @task(**options)
    def produce(number: int, ignored: int) -> int:
        lake.ran.append(ignored)
        return number

    produce(1, 1)
    produce(1, 2)
    assert lake.ran == [1]


def test_a_policy_of_the_run_makes_a_key_per_run(lake: Lake) -> None:
    add_one = adding_task(lake, cache_policy=RUN_ID)
    in_flow(lambda: [add_one(1), add_one(1)])
    in_flow(lambda: add_one(1))
    assert lake.ran == [1, 1]


def test_options_copy_and_pickle(lake: Lake) -> None:
    options = caching(lake.name, object_tags={"stage": "raw"}, retention=WEEK)
    for twin in (copy.deepcopy(options), cloudpickle.loads(cloudpickle.dumps(options))):
        assert twin["result_serializer"].options == options["result_serializer"].options
        assert twin["cache_policy"].key_storage == options["cache_policy"].key_storage
        assert twin["result_storage"] == options["result_storage"]


def test_the_state_of_a_run_pickles_to_other_processes(lake: Lake) -> None:
    state = adding_task(lake)(1, return_state=True)
    assert cloudpickle.loads(cloudpickle.dumps(state)).data.result == 2
    assert pickle.loads(pickle.dumps(state.data.metadata.serializer)).attempt is None


# --- nothing outlives a run -------------------------------------------------------------------------


class Value:
    """A value that can be watched."""


def test_a_value_that_was_fetched_and_not_read_dies_with_its_run(lake: Lake) -> None:
    place = (lake.results, "name")
    watched: list[weakref.ref[Value]] = []

    @task
    def leave() -> bytes | None:
        value = Value()
        watched.append(weakref.ref(value))
        handoff.offer_value(*place, b"record", value)
        return handoff.peek_record(*place)

    assert leave() == b"record"
    assert handoff.peek_record(*place) is None

    def is_gone() -> bool:
        gc.collect()
        return watched[0]() is None

    assert until(is_gone)  # Prefect still sends its events, in a copy of the run's context


def test_a_slot_belongs_to_one_attempt_of_one_run_one_store_and_one_object(lake: Lake) -> None:
    seen: list[bytes | None] = []
    other = S3KVStore(bucket_name="another-bucket", endpoint_url=lake.block.endpoint_url)

    @task(retries=1)
    def leave() -> None:
        seen.append(handoff.peek_record(lake.results, "name"))
        handoff.offer_value(lake.results, "name", b"record", 1)
        seen.append(handoff.peek_record(lake.results, "other"))
        seen.append(handoff.peek_record(other.results, "name"))
        run = TaskRunContext.get()
        assert run is not None
        if run.task_run.run_count == 1:
            raise RuntimeError("once more")

    leave()
    assert seen == [None] * 6
    assert handoff.peek_record(lake.results, "name") is None


def test_a_result_does_not_stay_in_memory_after_its_flow(lake: Lake) -> None:
    watched: list[weakref.ref[Any]] = []

    @task(**caching(lake.name))
    def produce() -> Any:
        return np.arange(10)

    def body() -> None:
        watched.extend(weakref.ref(produce()) for _ in range(2))

    in_flow(body)

    def are_gone() -> bool:
        gc.collect()
        return [ref() for ref in watched] == [None, None]

    assert until(are_gone)


def test_with_the_local_cache_a_hit_is_one_request_without_a_body(
    proxy: CountingProxy, prefect_api: str
) -> None:
    lake = Lake(proxy, object_lock=False, enable_local_cache=True)

    @task(**caching(lake.name, cache_expiration=timedelta(hours=1)))
    def large(seed: int) -> np.ndarray[Any, Any]:
        lake.ran.append(seed)
        return np.random.default_rng(seed).random(20 * MIB // 8)

    first = large(1)
    second = large(1)
    wires = [lake.count(lambda: large(1)) for _ in range(2)]
    assert lake.ran == [1]
    assert np.array_equal(first, second)
    for wire in wires:
        assert (dict(wire.requests), wire.body_received) == ({"GET": 1}, 0)
        assert wire.bytes_sent + wire.bytes_received < 2000
