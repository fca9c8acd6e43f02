"""What plans and sweeps cost: requests, counted on the wire."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest

from s3kv_flows import CleanupRule, Retention
from s3kv_flows.maintenance import plan, survey, sweep
from s3kv_flows.store import S3KV
from s3kv_flows.store._s3.capabilities import ConditionalDeletes
from s3kv_flows.store._s3.concurrency import map_concurrently
from tests.support.proxy import CountingProxy

ZERO = timedelta(0)
RAW = {"stage": "raw"}
ALL = [CleanupRule("all", older_than=ZERO)]
TAGGED = [CleanupRule("raw", tags=RAW, older_than=ZERO)]

LISTS = 5
"""About versioning, and one LIST for values, results, checkpoints and leases each."""


@pytest.fixture
def near(make_store: Callable[..., S3KV], proxy: CountingProxy) -> S3KV:
    return make_store(endpoint_url=proxy.url)


def asked(store: S3KV, proxy: CountingProxy, rules: list[CleanupRule], **options: str | None) -> int:
    now = store.server_time() + timedelta(seconds=1)
    with proxy.counting() as wire:
        survey(store, rules, now, ZERO, **options)  # type: ignore[arg-type]
    return wire.requests.total()


def test_nothing_is_asked_about_what_the_listing_keeps(near: S3KV, proxy: CountingProxy) -> None:
    for number in range(5):
        near.add(f"key{number}", number, tags=RAW)
    old = [CleanupRule("old", tags=RAW, older_than=timedelta(days=1))]
    assert asked(near, proxy, old) == LISTS
    assert asked(near, proxy, ALL, protect_tag=None) == LISTS
    assert asked(near, proxy, [CleanupRule("few", keep_last=5)]) == LISTS
    assert asked(near, proxy, [CleanupRule("small", max_bytes=5)]) == LISTS
    assert asked(near, proxy, [CleanupRule("large", older_than=ZERO, larger_than=1)]) == LISTS
    assert asked(near, proxy, [CleanupRule("elsewhere", older_than=ZERO, prefix="s3kv-results/")]) == LISTS


def test_each_candidate_is_asked_about_once(near: S3KV, proxy: CountingProxy) -> None:
    for number in range(5):
        near.add(f"key{number}", number, tags=RAW | ({"ttl_days": "1"} if number else {}))
    assert asked(near, proxy, ALL) == LISTS + 5
    assert asked(near, proxy, TAGGED, protect_tag=None) == LISTS + 5
    assert asked(near, proxy, [*ALL, *TAGGED]) == LISTS + 5
    assert asked(near, proxy, [CleanupRule("count", keep_last=2, group_by="stage")]) == LISTS + 5


def test_of_a_budget_only_the_oldest_are_asked_about(near: S3KV, proxy: CountingProxy) -> None:
    for number in range(6):
        near.add(f"key{number}", number)
    assert asked(near, proxy, [CleanupRule("budget", max_bytes=4)]) == LISTS + 2


def test_with_object_lock_a_candidate_costs_one_more_per_version(
    make_store: Callable[..., S3KV], proxy: CountingProxy
) -> None:
    store = make_store(object_lock=True, endpoint_url=proxy.url)
    for number in range(3):
        store.add("key", number, tags=RAW)
        store.add(f"final{number}", number, tags={"stage": "final"}, retention=Retention(days=1))
    asked(store, proxy, ALL)  # what is remembered of the bucket
    assert asked(store, proxy, ALL, protect_tag=None) == LISTS + 3 + 3
    assert asked(store, proxy, TAGGED) == LISTS + 4 + 3, "tags told that the final ones stay"


def test_of_what_goes_whole_old_versions_are_not_asked_about(
    make_store: Callable[..., S3KV], proxy: CountingProxy
) -> None:
    store = make_store(endpoint_url=proxy.url)
    store.client._boto.client.put_bucket_versioning(
        Bucket=store.bucket_name, VersioningConfiguration={"Status": "Enabled"}
    )
    for number in range(5):
        store.add("goes", number, tags=RAW)
        store.add("stays", number, tags={"stage": "final"})
    rules = [*TAGGED, CleanupRule("history", noncurrent_after=ZERO)]
    asked(store, proxy, rules)  # what is remembered of the bucket
    assert asked(store, proxy, rules) == LISTS + 2 + 4, "the four old versions of the one that stays"


@pytest.mark.parametrize(
    ("batch", "single", "count"),
    [
        pytest.param(True, True, 1030, marks=[pytest.mark.slow, pytest.mark.long]),  # two pages
        (True, True, 130),
        (False, True, 130),
        (False, False, 130),
    ],
)
def test_a_sweep_takes_batches_one_listing_and_one_tag_read_each(
    near: S3KV,
    proxy: CountingProxy,
    monkeypatch: pytest.MonkeyPatch,
    batch: bool,  # noqa: FBT001
    single: bool,  # noqa: FBT001
    count: int,
) -> None:
    list(map_concurrently(lambda number: near.add(f"{number:05}", number, tags=RAW), range(count)))
    declared = near.client.capabilities.declared
    heeded = replace(declared, conditional_deletes=ConditionalDeletes(single=single, batch=batch))
    monkeypatch.setattr(type(near.client.capabilities), "declared", heeded)
    now = near.server_time() + timedelta(seconds=1)
    with proxy.counting() as wire:
        made = plan(survey(near, TAGGED, now, ZERO), TAGGED, now, ZERO)
    assert dict(wire.requests) == {"GET": LISTS + count // 1000 + count}
    with proxy.counting() as wire:
        report = sweep(near, made)
    assert len(report.removed) == count
    lists = -(-count // (1000 if single else 100))
    posts = {"POST": lists} if batch or not single else {"DELETE": count}
    # The bucket of the lease is asked for its default lock; what is left of the first is looked at.
    leases = {} if single else {"PUT": 2 + 3, "GET": 1 + 1}
    expected = Counter({"GET": 1 + count + lists}) + Counter(posts) + Counter(leases)
    assert wire.requests == expected, "and one about versioning"
