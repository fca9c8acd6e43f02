"""Results carry their class of lifetimes, by which rules and S3's own lifecycle expire them."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta, timezone

import pytest
from prefect.transactions import transaction

from s3kv_flows import CleanupRule, caching, finalizing
from s3kv_flows._results.records import Record, WrittenResult, amend
from s3kv_flows.flows import maintain_store
from s3kv_flows.maintenance import plan, survey
from s3kv_flows.store import S3KV
from s3kv_flows.store._objects.bucket import NewObject
from tests.support.lake import WEEK, Lake, adding_task, in_flow

DAY = timedelta(days=1)
EXPIRED = [CleanupRule("expired", expired=True)]


def test_a_result_that_expires_is_tagged_with_its_class_and_others_are_not(lake: Lake) -> None:
    in_flow(lambda: adding_task(lake, cache_expiration=6 * DAY, object_tags={"stage": "raw"})(1))
    tags = lake.tags(lake.the_object())
    assert tags["ttl_days"] == "7"
    assert tags["stage"] == "raw"
    lake.results.purge(next(iter(lake.results.iter_keys())))
    in_flow(lambda: adding_task(lake)(1))
    assert "ttl_days" not in lake.tags(lake.the_object())


@pytest.mark.parametrize(
    "options",
    [lambda tags: caching("lake", object_tags=tags), lambda tags: finalizing("lake", WEEK, object_tags=tags)],
)
def test_the_tag_is_not_for_users(options: Callable[[dict[str, str]], object]) -> None:
    with pytest.raises(ValueError, match="'ttl_days' is set from cache_expiration"):
        options({"ttl_days": "30"})


@pytest.mark.parametrize(("hours", "days"), [(20, "1"), (60, "3"), (None, None)])
def test_an_amended_result_has_the_class_of_its_new_expiration(
    store: S3KV, hours: float | None, days: str | None
) -> None:
    name = store.namespace.name_of("key")
    tags = {"stage": "raw", "ttl_days": "1"}
    new = NewObject(body=b"1", content_type="text/plain", tags=tags)
    written = store.objects.put(name, new)
    record = Record("3", seconds=1)
    done = WrittenResult(store, "key", record, "text/plain", written, tags)
    amend(done, None if hours is None else datetime.now(timezone.utc) + timedelta(hours=hours))
    expected = {"stage": "raw"} | ({"ttl_days": days} if days else {})
    assert store.get_tags("key") == expected
    assert ("s3kv-ttl" in store.objects.head(name).metadata) == (hours is not None)


def test_the_class_follows_an_expiration_that_is_changed_in_a_lazy_commit(lake: Lake) -> None:
    task = adding_task(lake, cache_expiration=DAY, object_tags={"stage": "raw"})
    with transaction():
        in_flow(lambda: task.with_options(cache_expiration=80 * DAY)(1))
    tags = lake.tags(lake.the_object())
    assert (tags["ttl_days"], tags["stage"]) == ("90", "raw")


def test_an_expiration_needs_one_of_the_ten_tags() -> None:
    tags = {f"tag{number}": "x" for number in range(10)}
    with pytest.raises(ValueError, match="an expiration needs one of 10 tags: give 9"):
        caching("lake", cache_expiration=DAY, object_tags=tags)
    caching("lake", object_tags=tags)


def test_what_is_past_its_time_goes_to_the_second_and_what_lives_stays(lake: Lake) -> None:
    in_flow(lambda: adding_task(lake, cache_expiration=timedelta(hours=30))(1))
    in_flow(lambda: adding_task(lake)(2))
    values, (first, _) = lake.block.values, lake.objects()
    zero = timedelta(0)
    for hours, count in ((29.9, 0), (30.1, 1), (47.9, 1), (48.1, 1)):
        now = values.server_time() + timedelta(hours=hours)
        with lake.proxy.counting() as wire:
            entries = survey(values, EXPIRED, now, zero)
        # The class is two days: within the second one, the exact time is asked for.
        heads = 1 if hours < 48 else 0
        assert wire.requests["HEAD"] == heads
        assert len(plan(entries, EXPIRED, now, zero).remove) == count
    assert first is not None


def test_the_flow_removes_what_has_expired(lake: Lake) -> None:
    in_flow(lambda: adding_task(lake, cache_expiration=timedelta(milliseconds=1))(1))
    in_flow(lambda: adding_task(lake, cache_expiration=DAY)(2))
    report = maintain_store(lake.name, EXPIRED, grace=timedelta(0))
    assert len(report.removed) == 1
    (left,) = lake.objects()
    assert lake.tags(left)["ttl_days"] == "1"
