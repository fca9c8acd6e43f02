"""A store is loaded once per process: no request to Prefect's API per cached task run."""

from __future__ import annotations

import asyncio
import copy
import os
import pickle
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import copy_context
from pathlib import Path
from typing import Any

import httpx
import pytest
from prefect import flow, task
from prefect.blocks.core import Block
from prefect.cache_policies import INPUTS
from prefect.filesystems import LocalFileSystem
from prefect.results import ResultStore
from prefect.settings import PREFECT_API_URL, temporary_settings
from prefect.transactions import transaction
from prefect_dask.task_runners import DaskTaskRunner

from s3kv_flows import S3KVStore, caching
from s3kv_flows._cache.store_reference import StoreReference
from s3kv_flows.blocks import SAVED_STORES
from s3kv_flows.blocks._saved_stores import SavedStores
from s3kv_flows.store.errors import StoreUnavailableError
from tests.support.lake import WEEK, Lake, adding_task
from tests.support.waiting import until

Runs = Callable[[Any, list[int]], list[int]]


class Api:
    """What this process asks of Prefect's API for blocks: all other requests are of the runs themselves."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def note(self, request: httpx.Request) -> None:
        if "/block" in request.url.path:
            self.asked.append(request.url.path)

    @contextmanager
    def counting(self) -> Iterator[list[str]]:
        """Yield a list that holds, after the block, what was asked within it."""
        before, found = len(self.asked), list[str]()
        yield found
        found += self.asked[before:]


@pytest.fixture
def api(prefect_api: str, monkeypatch: pytest.MonkeyPatch) -> Api:
    api = Api()
    for client in (httpx.Client, httpx.AsyncClient):
        send = client.send

        def noted(self: Any, request: httpx.Request, *args: Any, send: Any = send, **options: Any) -> Any:
            api.note(request)
            return send(self, request, *args, **options)

        monkeypatch.setattr(client, "send", noted)
    return api


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(SAVED_STORES, "_clock", clock)
    return clock


def save_elsewhere(block: S3KVStore, name: str) -> None:
    """Save a store as another process does, of which this one hears nothing."""
    Block.save(block, name, overwrite=True)


def called(add_one: Any, numbers: list[int]) -> list[int]:
    return [add_one(number) for number in numbers]


def in_flow_called(add_one: Any, numbers: list[int]) -> list[int]:
    @flow
    def run() -> list[int]:
        return called(add_one, numbers)

    return run()


def submitted(add_one: Any, numbers: list[int]) -> list[int]:
    @flow
    def run() -> list[int]:
        return [future.result() for future in [add_one.submit(number) for number in numbers]]

    return run()


def mapped(add_one: Any, numbers: list[int]) -> list[int]:
    @flow
    def run() -> list[int]:
        return list(add_one.map(numbers).result())

    return run()


def awaited(add_one: Any, numbers: list[int]) -> list[int]:
    @task(**caching(add_one.result_storage.store))
    async def add_one_later(number: int) -> int:
        return number + 1

    async def run() -> list[int]:
        return [await add_one_later(number) for number in numbers]

    return asyncio.run(run())


def on_dask(add_one: Any, numbers: list[int]) -> list[int]:
    runner: Any = DaskTaskRunner(cluster_kwargs={"processes": False, "dashboard_address": None})

    @flow(task_runner=runner)
    def run() -> list[int]:
        return list(add_one.map(numbers).result())

    return run()


@pytest.mark.parametrize("runs", [called, in_flow_called, submitted, mapped, awaited, on_dask])
def test_a_cached_run_asks_prefect_nothing_and_s3_once(lake: Lake, api: Api, runs: Runs) -> None:
    @task(**caching(lake.name))
    def add_one(number: int) -> int:
        return number + 1

    numbers = list(range(1, 200 if runs is mapped else 6))
    expected = [number + 1 for number in numbers]
    runs(add_one, [0])
    with api.counting() as asked, lake.proxy.counting() as wire:
        assert runs(add_one, numbers) == expected
    assert asked == []
    assert wire.requests == {"GET": len(numbers), "PUT": len(numbers)}
    with api.counting() as asked, lake.proxy.counting() as wire:
        assert runs(add_one, numbers) == expected
    assert asked == []
    assert wire.requests == {"GET": len(numbers)}


def test_nothing_is_asked_for_before_the_first_run_and_once_in_it(lake: Lake, api: Api) -> None:
    with api.counting() as asked:
        add_one = adding_task(lake)
        for one in (add_one, add_one.with_options(name="other")):
            storage = one.result_storage
            assert isinstance(storage, StoreReference)
            assert storage._block_document_id is not None
            assert copy.deepcopy(storage) == pickle.loads(pickle.dumps(storage)) == storage
            assert copy.deepcopy(storage._block_document_id) is not None
            assert pickle.loads(pickle.dumps(storage._block_document_id)) is not None
    assert asked == []
    settings = [copy_context() for _ in range(40)]  # which say where the API is
    with api.counting() as asked, ThreadPoolExecutor(40) as pool:
        found = list(pool.map(lambda number: settings[number].run(add_one, number), range(40)))
    assert found == list(range(1, 41))
    assert len(asked) == 1


def test_a_missing_store_fails_the_run_before_it_computes_and_is_found_once_it_is_saved(
    lake: Lake, api: Api
) -> None:
    ran = []

    @task(**caching(f"{lake.name}-later"))
    def add_one(number: int) -> int:
        ran.append(number)
        return number + 1

    for _ in range(2):
        with pytest.raises(ValueError, match=f"Unable to find block document named {lake.name}-later"):
            add_one(1)
    assert ran == []
    save_elsewhere(S3KVStore(**lake.block.model_dump()), f"{lake.name}-later")
    assert [add_one(1), add_one(1), ran] == [2, 2, [1]]


def test_a_store_that_is_saved_again_here_is_used_at_once(lake: Lake, make_lake: Callable[..., Lake]) -> None:
    add_one, other = adding_task(lake), make_lake()
    assert add_one(1) == 2
    S3KVStore(**other.block.model_dump()).save(lake.name, overwrite=True)
    assert add_one(1) == 2
    assert len(other.objects()) == 1
    asyncio.run(lake.block.asave(lake.name, overwrite=True))
    assert add_one(2) == 3
    assert [len(lake.objects()), len(other.objects())] == [2, 1]
    S3KVStore.delete(lake.name)
    with pytest.raises(ValueError, match="Unable to find block document"):
        add_one(1)


def test_prefects_other_names_of_saving_and_deleting_forget_the_store_too(
    lake: Lake, make_lake: Callable[..., Lake]
) -> None:
    add_one, other = adding_task(lake), make_lake()
    assert add_one(1) == 2
    save: Any = S3KVStore.save
    asyncio.run(save.aio(S3KVStore(**other.block.model_dump()), lake.name, overwrite=True))
    assert add_one(1) == 2
    assert len(other.objects()) == 1
    delete: Any = S3KVStore.delete
    asyncio.run(delete.aio(S3KVStore, lake.name))
    with pytest.raises(ValueError, match="Unable to find block document"):
        add_one(1)


def test_a_store_that_is_saved_again_elsewhere_is_seen_after_a_minute(
    lake: Lake, make_lake: Callable[..., Lake], api: Api, clock: Clock
) -> None:
    add_one, other = adding_task(lake), make_lake()
    assert add_one(1) == 2
    save_elsewhere(S3KVStore(**other.block.model_dump()), lake.name)
    clock.now += 59
    with api.counting() as asked:
        assert add_one(1) == 2
    assert asked == []
    clock.now += 2
    with api.counting() as asked:
        assert [add_one(number) for number in (1, 1, 1)] == [2, 2, 2]  # of the old store, at once
        until(lambda: SAVED_STORES.get(lake.name).bucket_name == other.block.bucket_name)
    assert len(asked) == 1
    assert add_one(1) == 2
    assert lake.ran == [1, 1]
    assert len(other.objects()) == 1


def test_a_store_that_is_deleted_elsewhere_fails_runs_after_a_minute(lake: Lake, clock: Clock) -> None:
    add_one = adding_task(lake)
    assert add_one(1) == 2
    Block.delete.__func__(S3KVStore, lake.name)  # type: ignore[attr-defined]  # as another process does
    assert add_one(1) == 2
    clock.now += 61

    def is_refused() -> bool:
        try:
            add_one(1)
        except ValueError:
            return True
        return False

    until(is_refused)


def test_an_api_that_does_not_answer_leaves_the_store_as_it_is(
    lake: Lake, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_one = adding_task(lake)
    assert add_one(1) == 2
    asked = threading.Event()

    def fails(name: str) -> S3KVStore:
        asked.set()
        raise ConnectionError(name)

    monkeypatch.setattr(SAVED_STORES, "_load", fails)
    clock.now += 61
    assert add_one(1) == 2
    assert asked.wait(60)
    clock.now += 61
    assert add_one(1) == 2
    assert lake.ran == [1]


@pytest.mark.parametrize("after", ["a hit", "a miss"])
def test_a_bucket_that_moved_is_seen_at_once(
    lake: Lake, make_lake: Callable[..., Lake], api: Api, clock: Clock, after: str
) -> None:
    add_one, other = adding_task(lake), make_lake()
    assert add_one(1) == 2
    client = lake.results.client.boto3_client
    for info in lake.objects():
        client.delete_object(Bucket=lake.block.bucket_name, Key=info.name)
    client.delete_bucket(Bucket=lake.block.bucket_name)
    save_elsewhere(S3KVStore(**other.block.model_dump()), lake.name)
    clock.now += 6
    number = 1 if after == "a hit" else 2
    with api.counting() as asked:
        assert add_one(number) == number + 1
    assert len(asked) == 1
    assert len(other.objects()) == 1
    with api.counting() as asked:
        assert add_one(number) == number + 1
    assert asked == []
    assert lake.ran == [1, number]


def test_what_is_refused_again_and_again_asks_the_api_once_a_minute(
    lake: Lake, api: Api, clock: Clock
) -> None:
    add_one = adding_task(lake, on_unavailable="raise")
    assert add_one(1) == 2
    client = lake.results.client.boto3_client
    for info in lake.objects():
        client.delete_object(Bucket=lake.block.bucket_name, Key=info.name)
    client.delete_bucket(Bucket=lake.block.bucket_name)
    clock.now += 6
    for seconds, expected in ((0, 1), (1, 0), (55, 0), (5, 1)):
        clock.now += seconds
        with api.counting() as asked, pytest.raises(StoreUnavailableError):
            add_one(1)
        assert len(asked) == expected


def test_two_apis_in_one_process_have_their_own_stores(lake: Lake, api: Api, prefect_api: str) -> None:
    add_one = adding_task(lake)
    for expected in (1, 0):
        for host in ("127.0.0.1", "localhost"):
            url = prefect_api.replace("127.0.0.1", host)
            with temporary_settings({PREFECT_API_URL: url}), api.counting() as asked:
                assert add_one(1) == 2
            assert len(asked) == expected


def test_a_task_with_a_policy_of_prefect_saves_to_the_store_nevertheless(lake: Lake) -> None:
    @task(**{**caching(lake.name), "cache_policy": INPUTS, "result_serializer": "pickle"})
    def add_one(number: int) -> int:
        lake.ran.append(number)
        return number + 1

    @flow
    def run() -> Any:
        return add_one(1, return_state=True)

    for _ in range(2):
        state: Any = run()
        assert state.data.metadata.storage_block_id == lake.block._block_document_id
    assert lake.ran == [1]
    assert len(lake.objects()) == 1


def test_a_locked_result_fails_for_want_of_its_store(lake: Lake) -> None:
    @task(**caching("no-such-store", retention=WEEK, key="a", single_flight=True))
    def compute() -> int:
        raise AssertionError

    with pytest.raises(ValueError, match="Unable to find block document named no-such-store"):
        compute()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_the_child_of_a_fork_waits_for_no_thread_of_its_parent() -> None:
    stores: SavedStores[Any] = SavedStores(lambda name: S3KVStore(bucket_name=f"bucket-{name}"))
    stores.get("one")
    with stores._entry("one").lock, stores._lock:
        child = os.fork()
        if not child:
            free = not stores._lock.locked() and not stores._entry("one").lock.locked()
            os._exit(0 if free else 1)
    assert os.waitpid(child, 0)[1] == 0


def test_a_run_without_its_store_ends_as_failed(api: Api) -> None:
    @task(**caching("no-such-store"), retries=1)
    def compute() -> int:
        raise AssertionError

    with api.counting() as asked:
        state = compute(return_state=True)
    assert state.is_failed()
    assert "Unable to find block document named no-such-store" in str(state.message)
    assert len(asked) == 2  # one for each attempt


def test_a_run_that_refreshes_computes_where_the_store_does_not_answer(lake: Lake) -> None:
    name = f"{lake.name}-down"
    S3KVStore(bucket_name="some-bucket", endpoint_url="http://127.0.0.1:9").save(name)

    @task(**caching(name), refresh_cache=True)
    def add_one(number: int) -> int:
        return number + 1

    assert add_one(1) == 2


def test_a_transaction_within_a_cached_task_needs_no_lock(lake: Lake, tmp_path: Path) -> None:
    store = ResultStore(result_storage=LocalFileSystem(basepath=str(tmp_path)))

    @task(**caching(lake.name))
    def compute() -> str:
        with transaction(key="within", store=store) as within:
            within.stage("a")
        return "done"

    assert compute() == "done"


def test_threads_that_wait_for_a_store_share_what_its_load_ends_with(prefect_api: str) -> None:
    clock, asked, waits = Clock(), list[str](), threading.Event()

    def fails(name: str) -> Any:
        asked.append(name)
        waits.wait()
        raise ConnectionError(name)

    stores: SavedStores[Any] = SavedStores(fails, clock)
    settings = [copy_context() for _ in range(8)]
    with ThreadPoolExecutor(8) as pool:
        futures = [pool.submit(one.run, stores.get, "lake") for one in settings]
        until(lambda: asked == ["lake"])
        waits.set()
        assert all(isinstance(future.exception(), ConnectionError) for future in futures)
    for seconds, count in ((0, 1), (4, 1), (2, 2)):
        clock.now += seconds
        with pytest.raises(ConnectionError):
            stores.get("lake")
        assert len(asked) == count


def test_a_store_that_nobody_asked_for_in_a_while_is_reloaded_before_it_is_used(prefect_api: str) -> None:
    clock = Clock()
    answers: list[Any] = [S3KVStore(bucket_name="bucket-one"), ValueError("no JSON"), ConnectionError()]
    answers.append(S3KVStore(bucket_name="bucket-two"))

    def load(name: str) -> Any:
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    stores: SavedStores[Any] = SavedStores(load, clock)
    found = []
    for seconds in (0, 301, 301, 301, 1):
        clock.now += seconds
        found.append(stores.get("lake").bucket_name)
    assert found == ["bucket-one", "bucket-one", "bucket-one", "bucket-two", "bucket-two"]


def test_a_store_of_a_user_is_exchanged_for_no_other(lake: Lake, make_lake: Callable[..., Lake]) -> None:
    add_one = adding_task(lake)
    assert add_one(1) == 2
    loaded = S3KVStore.of(lake.name)
    loaded.prefix = "dev/"
    save_elsewhere(S3KVStore(**make_lake().block.model_dump()), lake.name)
    assert SAVED_STORES.renewed(loaded) is None
