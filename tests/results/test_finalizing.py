"""Results under retention, of tasks and of flows."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from prefect import flow, task
from prefect.cache_policies import INPUTS, RUN_ID
from prefect.states import Failed
from prefect.transactions import transaction

from s3kv_flows import caching, finalizing
from s3kv_flows.store.errors import KeyLockedError, UnsupportedByServerError
from tests.support.lake import WEEK, Lake, adding_task, in_flow

pytestmark = pytest.mark.usefixtures("prefect_api")


@pytest.mark.parametrize("kind", ["sync", "async", "mapped"])
def test_refreshing_a_finalized_result_fails_before_it_computes(locked_lake: Lake, kind: str) -> None:
    lake = locked_lake

    async def aproduce(number: int) -> int:
        lake.ran.append(number)
        return number

    def produce(number: int) -> int:
        lake.ran.append(number)
        return number

    options = caching(lake.name, retention=WEEK)
    made: Any = task(**options)(aproduce if kind == "async" else produce)

    def run(*, refresh: bool) -> Any:
        one = made.with_options(refresh_cache=refresh)
        if kind == "mapped":

            @flow
            def mapping() -> Any:
                (future,) = one.map([1])
                future.wait()
                return [future.state]

            outer: Any = mapping(return_state=True)
            return outer.result(raise_on_failure=False)[0]
        state = one(1, return_state=True)
        return asyncio.run(state) if kind == "async" else state

    assert run(refresh=False).is_completed()
    info = lake.the_object()
    state = run(refresh=True)
    assert state.is_failed()
    assert "KeyLockedError" in (state.message or "")
    assert f"{info.retain_until:%Y-%m-%d}" in (state.message or "")
    assert lake.ran == [1]
    assert [version.is_latest for version in lake.results.objects.versions(info.name)] == [True]


def test_a_finalized_result_is_locked_by_the_put_that_writes_it(locked_lake: Lake) -> None:
    lake = locked_lake
    adding_task(lake, retention=WEEK)(1)
    info = lake.the_object()
    assert info.lock_mode == "GOVERNANCE"
    assert info.retain_until is not None
    assert abs(info.retain_until - datetime.now(timezone.utc) - timedelta(days=7)) < timedelta(minutes=1)
    key = lake.results.namespace.key_of(info.name) or ""
    with pytest.raises(KeyLockedError):
        lake.results.add(key, 2)
    with pytest.raises(KeyLockedError):
        lake.results.delete(key)
    assert lake.results.get(key) == 2
    assert len(lake.results.objects.versions(info.name)) == 1


def test_a_refusal_that_only_the_write_can_discover_is_logged_counted_and_emitted(
    locked_lake: Lake, logged: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    lake = locked_lake
    events: list[Any] = []
    monkeypatch.setattr("s3kv_flows._results.reporting.emit_event", lambda **event: events.append(event))

    policy = INPUTS.from_cache_key_fn(lambda *_: "fixed")

    @task(**caching(lake.name, cache_policy=policy, retention=WEEK))
    def produce() -> str:
        lake.results.add("fixed", "theirs", retention=WEEK)
        return "ours"

    with lake.results.client.counters.measure() as measured:
        state = produce(return_state=True)
    assert state.is_failed()
    with pytest.raises(KeyLockedError):
        state.result()
    assert measured[0]["results.refused"] == 1
    assert "was not saved: cannot overwrite 'fixed': it is under GOVERNANCE retention" in logged.text
    assert [event["event"] for event in events] == ["s3kv.result.refused"]
    assert lake.results.get("fixed") == "theirs"
    assert len(lake.results.objects.versions("s3kv-results/fixed")) == 1


def test_finalizing_on_a_bucket_without_object_lock_fails_before_computing(lake: Lake) -> None:
    with pytest.raises(UnsupportedByServerError, match="no Object Lock"):
        adding_task(lake, retention=WEEK)(1)
    assert lake.ran == []


def test_an_expiration_that_with_options_adds_to_a_retention_fails_before_computing(
    locked_lake: Lake,
) -> None:
    add_one = adding_task(locked_lake, retention=WEEK).with_options(cache_expiration=timedelta(days=1))
    with pytest.raises(ValueError, match="cannot expire"):
        add_one(1)
    assert locked_lake.ran == []


def test_what_a_finalizing_task_leaves_behind_when_it_fails_is_not_locked(locked_lake: Lake) -> None:
    @task(**caching(locked_lake.name, retention=WEEK))
    def fail() -> None:
        raise RuntimeError("no result")

    assert fail(return_state=True).is_failed()
    assert locked_lake.the_object().lock_mode is None


@pytest.mark.parametrize("added", [1, 0], ids=["another result", "the very same result"])
def test_a_task_within_a_finalizing_task_inherits_no_lock(locked_lake: Lake, added: int) -> None:
    @task
    def inner(number: int) -> int:
        return number

    @task(**caching(locked_lake.name, object_tags={"stage": "final"}, retention=WEEK))
    def outer(number: int) -> int:
        return inner(number) + added

    in_flow(lambda: outer(1))
    locked = [info for info in locked_lake.objects() if info.lock_mode]
    assert len(locked) == 1
    assert locked_lake.tags(locked[0])["task"] == "outer"
    for info in locked_lake.objects():
        if info.lock_mode is None:
            assert "stage" not in locked_lake.tags(info)


def test_a_caching_task_within_a_finalizing_one_is_cached_by_its_own_options(locked_lake: Lake) -> None:
    inner = adding_task(locked_lake, cache_expiration=timedelta(days=7))

    @task(**caching(locked_lake.name, retention=WEEK))
    def outer(number: int) -> int:
        return int(inner(number)) + 1

    assert outer(1) == 3
    assert sorted(bool(info.lock_mode) for info in locked_lake.objects()) == [False, True]


def test_a_failed_state_that_a_task_returns_is_no_result(locked_lake: Lake) -> None:
    @task(**caching(locked_lake.name, retention=WEEK))
    def fail() -> Any:
        return Failed(data="garbage", message="by its own account")

    for _ in range(2):
        assert fail(return_state=True).is_failed()
    # Prefect 3.9 keeps what the state holds, under a name of its own.
    assert all(info.lock_mode is None for info in locked_lake.objects())


def test_a_changed_cache_policy_does_not_lose_the_lock_in_silence(locked_lake: Lake) -> None:
    add_one = adding_task(locked_lake, retention=WEEK)
    with pytest.raises(ValueError, match=r"needs the cache policy that caching\(\) gave"):
        add_one.with_options(cache_policy=INPUTS)(1)
    assert not any(info.lock_mode for info in locked_lake.objects())
    assert add_one.with_options(cache_policy=add_one.cache_policy + RUN_ID)(1) == 2
    assert [info.lock_mode for info in locked_lake.objects() if info.lock_mode] == ["GOVERNANCE"]


# --- flows ------------------------------------------------------------------------------------------


def test_the_result_of_a_finalizing_flow_is_locked_and_nothing_else(locked_lake: Lake) -> None:
    lake = locked_lake

    @task
    def step(number: int) -> int:
        return number

    @flow
    def inner() -> str:
        return "inner"

    @flow(name="publishing", **finalizing(lake.name, WEEK, object_tags={"stage": "final"}))
    def publishing() -> dict[str, int]:
        step(1)
        inner()
        with transaction():
            step.submit(2).result()
        return {"total": 3}

    state = publishing(return_state=True)
    assert state.result() == {"total": 3}
    locked = [info for info in lake.objects() if info.lock_mode]
    assert len(locked) == 1
    assert lake.tags(locked[0]) == {"stage": "final", "flow": "publishing"}
    assert lake.results.get(lake.results.namespace.key_of(locked[0].name) or "") == {"total": 3}


def test_an_async_flow_finalizes_too_and_a_failed_one_does_not(locked_lake: Lake) -> None:
    @flow(**finalizing(locked_lake.name, WEEK))
    async def publishing(fails: bool) -> int:  # noqa: FBT001
        if fails:
            raise RuntimeError("no result")
        return 5

    asyncio.run(publishing(fails=False))
    assert locked_lake.the_object().lock_mode == "GOVERNANCE"
    with pytest.raises(RuntimeError, match="no result"):
        asyncio.run(publishing(fails=True))
    assert [bool(info.lock_mode) for info in locked_lake.objects()].count(True) == 1


def test_a_finalizing_flow_within_a_task_is_locked(locked_lake: Lake) -> None:
    @flow(**finalizing(locked_lake.name, WEEK))
    def publishing() -> int:
        return 5

    @task(**caching(locked_lake.name))
    def outer() -> int:
        return int(publishing()) + 1

    assert in_flow(outer) == 6
    locked = [info for info in locked_lake.objects() if info.lock_mode]
    assert [locked_lake.tags(info)["flow"] for info in locked] == ["publishing"]


def test_a_flow_result_that_cannot_be_locked_is_said_aloud(
    lake: Lake, logged: pytest.LogCaptureFixture
) -> None:
    @flow(**finalizing(lake.name, WEEK))
    def publishing() -> int:
        return 5

    assert publishing() == 5
    assert "was not saved" in logged.text
    assert "no Object Lock" in logged.text
    assert lake.objects() == []
