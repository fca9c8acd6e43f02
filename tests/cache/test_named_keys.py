"""Results under given names, and runs that find another result under theirs."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest
from prefect import flow, task
from prefect.cache_policies import INPUTS, TASK_SOURCE

from s3kv_flows import caching, finalizing
from s3kv_flows.store.errors import ConflictError, HiddenOutputError, KeyLockedError, UnsupportedByServerError
from tests.contracts.helpers import outside
from tests.support.lake import WEEK, Lake, adding_task, in_flow
from tests.support.waiting import until

pytestmark = pytest.mark.usefixtures("prefect_api")

KEY = "reports/{parameters[number]}/sum"
NAME = "s3kv-results/reports/1/sum"


def reporting(lake: Lake, **options: Any) -> Any:
    """Return a task whose key names one of its two parameters."""

    @task(**caching(lake.name, key="reports/{parameters[year]}", **options))
    def report(year: int, scale: int = 1) -> int:
        lake.ran.append((year, scale))
        return year * scale

    return report


def test_a_result_has_the_name_that_its_key_makes(lake: Lake) -> None:
    add_one = adding_task(lake, key=KEY)
    assert dict(lake.count(lambda: add_one(1)).requests) == {"GET": 1, "PUT": 1}
    assert lake.the_object().name == NAME
    assert dict(lake.count(lambda: add_one(1)).requests) == {"GET": 1}
    assert add_one(2) == 3
    assert lake.ran == [1, 2]
    assert list(lake.results.iter_keys()) == ["reports/1/sum", "reports/2/sum"]


@pytest.mark.parametrize("kind", ["sync", "async", "mapped", "single flight"])
def test_other_inputs_under_the_same_name_are_refused_before_computing(lake: Lake, kind: str) -> None:
    report = reporting(lake, single_flight=kind == "single flight")

    async def areport(year: int, scale: int = 1) -> int:
        lake.ran.append((year, scale))
        return year * scale

    if kind == "async":
        options = caching(lake.name, key="reports/{parameters[year]}", cache_policy=INPUTS)
        made: Any = task(**options)(areport)

        def run(scale: int) -> Any:
            return asyncio.run(made(2013, scale))

    elif kind == "mapped":

        def run(scale: int) -> Any:
            return in_flow(lambda: report.map([2013], scale=scale).result())[0]

    else:

        def run(scale: int) -> Any:
            return report(2013, scale)

    assert run(1) == run(1) == 2013
    with pytest.raises(ConflictError, match=r"'reports/2013' holds another .* differs is input 'scale'"):
        run(2)
    assert lake.ran == [(2013, 1)]
    assert lake.results.get("reports/2013") == 2013


def test_another_source_is_other_inputs_too(lake: Lake) -> None:
    assert reporting(lake)(2013) == 2013

    @task(**caching(lake.name, key="reports/{parameters[year]}"))
    def report(year: int, scale: int = 1) -> int:
        return -year * scale

    with pytest.raises(ConflictError, match="what differs is the code"):
        report(2013)

    @task(**caching(lake.name, key="inputs/{parameters[year]}", cache_policy=INPUTS - "scale"))
    def by_year(year: int, scale: int) -> int:
        lake.ran.append("by year")
        return year * scale

    assert by_year(2013, 1) == by_year(2013, 2) == 2013
    assert lake.ran.count("by year") == 1


def test_a_refresh_replaces_what_is_not_locked(lake: Lake, locked_lake: Lake) -> None:
    report = reporting(lake)
    assert report(2013) == 2013
    assert report.with_options(refresh_cache=True)(2013, 2) == 4026
    assert report(2013, 2) == 4026
    final = reporting(locked_lake, retention=WEEK)
    assert final(2013) == 2013
    with pytest.raises(KeyLockedError, match="GOVERNANCE"):
        final.with_options(refresh_cache=True)(2013, 2)
    with pytest.raises(ConflictError):
        final(2013, 2)
    assert locked_lake.ran == [(2013, 1)]


def test_what_has_expired_makes_room_for_other_inputs(lake: Lake) -> None:
    report = reporting(lake, cache_expiration=timedelta(microseconds=1))
    assert report(2013) == 2013
    assert until(lambda: _try(lambda: report(2013, 2))) == 4026


def _try(run: Any) -> Any:
    try:
        return run()
    except ConflictError:
        return None


@pytest.mark.parametrize(
    ("key", "message"),
    [
        ("", "must not be empty"),
        ("reports/{year}", "write a parameter of the task as"),
        ("reports/{}", "is none of"),
        ("reports/{parameters[year]", "not a format string"),
    ],
)
def test_a_key_that_can_name_nothing_is_refused_where_it_is_given(lake: Lake, key: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        caching(lake.name, key=key)


@pytest.mark.parametrize("key", ["{parameters[year]}", "{parameters[number]:%Y}", "{flow_run.nothing}"])
def test_a_key_that_cannot_be_made_fails_the_run_before_it_computes(lake: Lake, key: str) -> None:
    with pytest.raises(ValueError, match="cannot be made"):
        adding_task(lake, key=key)(1)
    assert lake.ran == []


def test_a_task_without_inputs_has_a_name_too(lake: Lake) -> None:
    @task(**caching(lake.name, key="answer", cache_policy=INPUTS))
    def answer() -> int:
        lake.ran.append(1)
        return 42

    assert answer() == answer() == 42
    assert lake.ran == [1]
    assert lake.the_object().name == "s3kv-results/answer"


def test_the_name_may_tell_the_run(lake: Lake) -> None:
    add_one = adding_task(lake, key="{flow_run.name}/{parameters[number]}", cache_policy=TASK_SOURCE)

    @flow(flow_run_name="nightly")
    def run() -> int:
        return int(add_one(1))

    assert run() == 2
    assert lake.the_object().name == "s3kv-results/nightly/1"


def test_a_result_of_other_inputs_that_comes_in_between_is_not_overwritten(
    lake: Lake, logged: pytest.LogCaptureFixture
) -> None:
    other = reporting(lake)

    @task(**caching(lake.name, key="reports/{parameters[year]}"))
    def slow(year: int) -> str:
        return f"{year} after {other(year)}"

    # Prefect lets a task within another one inherit; in a thread of its own it does not.
    lake.results.client.capabilities.conditional_puts(lake.results.bucket_name, "s3kv-results/")
    with lake.results.client.counters.measure() as measured:
        assert slow(2013) == "2013 after 2013"
    assert measured[0]["results.refused"] == 1
    assert "by a run with other inputs while this one was computing" in logged.text
    assert lake.results.get("reports/2013") == 2013


# --- holds ------------------------------------------------------------------------------------------


def test_a_held_result_is_not_deleted_and_a_refresh_carries_the_hold_on(locked_lake: Lake) -> None:
    lake = locked_lake
    add_one = adding_task(lake, key=KEY, legal_hold=True)
    assert add_one(1) == 2
    assert lake.the_object().legal_hold
    with pytest.raises(KeyLockedError, match="legal hold"):
        lake.results.delete("reports/1/sum")
    assert add_one.with_options(refresh_cache=True)(1) == 2
    assert lake.the_object().legal_hold
    with pytest.raises(ValueError, match="cannot expire"):
        caching(lake.name, legal_hold=True, cache_expiration=timedelta(days=1))


def test_what_is_to_be_held_needs_object_lock_before_it_computes(lake: Lake) -> None:
    with pytest.raises(UnsupportedByServerError, match="no Object Lock"):
        adding_task(lake, legal_hold=True)(1)
    assert lake.ran == []


def test_a_name_that_the_same_inputs_have_taken_meanwhile_is_written_over(lake: Lake) -> None:
    lake.results.client.capabilities.conditional_puts(lake.results.bucket_name, "s3kv-results/")

    @task(**caching(lake.name, key="reports/{parameters[year]}", cache_policy=INPUTS))
    def slow(year: int) -> int:
        lake.ran.append(year)
        return year if len(lake.ran) > 1 else slow(year)  # another run of it is faster

    with lake.results.client.counters.measure() as measured:
        assert slow(2013) == 2013
    assert measured[0]["results.refused"] == 0
    assert lake.results.get("reports/2013") == 2013


def test_the_result_of_a_flow_can_be_held(locked_lake: Lake) -> None:
    @flow(**finalizing(locked_lake.name, WEEK, legal_hold=True))
    def publishing() -> int:
        return 5

    assert publishing() == 5
    info = locked_lake.the_object()
    assert (info.lock_mode, info.legal_hold) == ("GOVERNANCE", True)


# --- hidden ones ------------------------------------------------------------------------------------


@pytest.mark.parametrize("single_flight", [False, True], ids=["", "single flight"])
@pytest.mark.parametrize("how", ["delete marker", "copy of another result", "foreign object"])
def test_a_run_whose_finalized_result_is_hidden_fails_before_it_computes(
    locked_lake: Lake,
    how: str,
    single_flight: bool,  # noqa: FBT001
) -> None:
    lake = locked_lake
    options: dict[str, Any] = {"key": KEY, "retention": WEEK, "single_flight": single_flight}
    add_one = adding_task(lake, **options)
    assert add_one(1) == 2
    target = {"Bucket": lake.results.bucket_name, "Key": NAME}
    client = outside(lake.results)
    if how == "delete marker":
        client.delete_object(**target)
    elif how == "foreign object":
        client.put_object(**target, Body=b"{}")
    else:  # one that reads well: what was there is written again, without its lock
        there = client.get_object(**target)
        client.put_object(
            **target,
            Body=there["Body"].read(),
            Metadata=there["Metadata"],
            ContentType=there["ContentType"],
        )
    with pytest.raises((HiddenOutputError, ConflictError), match=r"'reports/1/sum' (is locked|holds)"):
        add_one(1)
    lake.results.outputs.repair("reports/1/sum")
    assert add_one(1) == 2
    assert lake.ran == [1]


def test_a_finalized_result_that_cannot_be_read_fails_its_run_before_it_computes(locked_lake: Lake) -> None:
    lake = locked_lake
    add_one = adding_task(lake, retention=WEEK)
    assert add_one(1) == 2
    info = lake.the_object()
    target = {"Bucket": lake.results.bucket_name, "Key": info.name}
    client = outside(lake.results)
    client.put_object(**target, Body=b"{}")
    with pytest.raises(HiddenOutputError, match="shadowed"):
        add_one(1)
    client.put_object(
        **target,
        Body=b"{}",
        Metadata=dict(info.metadata),
        ObjectLockMode="GOVERNANCE",
        ObjectLockRetainUntilDate=info.retain_until,
    )
    with pytest.raises((HiddenOutputError, KeyLockedError)):
        add_one(1)
    assert lake.ran == [1]


def test_what_is_damaged_under_a_name_is_only_replaced_by_the_same_inputs(lake: Lake) -> None:
    report = reporting(lake)
    assert report(2013) == 2013
    info = lake.the_object()
    outside(lake.results).put_object(
        Bucket=lake.results.bucket_name,
        Key=info.name,
        Body=b"damaged",
        Metadata=dict(info.metadata),
        ContentType=info.content_type,
    )
    with pytest.raises(ConflictError):
        report(2013, 2)
    assert report(2013) == 2013
    assert lake.ran == [(2013, 1), (2013, 1)]
    outside(lake.results).put_object(Bucket=lake.results.bucket_name, Key=info.name, Body=b"a document")
    with pytest.raises(ConflictError, match="something else"):
        report(2013)


def test_a_result_that_was_never_locked_is_taken_with_a_warning(
    locked_lake: Lake, logged: pytest.LogCaptureFixture
) -> None:
    lake = locked_lake
    assert adding_task(lake, key=KEY)(1) == 2
    assert adding_task(lake, key=KEY, retention=WEEK)(1) == 2
    assert "exists, and is not locked" in logged.text
    assert lake.ran == [1]
