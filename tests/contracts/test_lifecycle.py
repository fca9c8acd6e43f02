"""Lifecycle rules on a server: put, kept, compared, removed, and, where it carries them out, carried out."""

from __future__ import annotations

import os
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

from s3kv_flows import CleanupRule
from s3kv_flows.maintenance import CleanupPlan, plan, survey
from s3kv_flows.maintenance._lifecycle.apply import CompiledLifecycle, apply, compile_rules, diff, remove
from s3kv_flows.store import S3KV
from s3kv_flows.store._s3.types import LifecycleConfiguration
from s3kv_flows.store.errors import StoreUnavailableError, UnsupportedByServerError
from tests.contracts.helpers import WEEK, enable_versions, outside
from tests.servers import Server
from tests.servers.ceph import DEFAULT_ROOT, ceph
from tests.support.proxy import CountingProxy
from tests.support.waiting import until

DAY = timedelta(days=1)
PREFIX = "s3kv/"
RULES = [
    CleanupRule("raw", tags={"stage": "raw"}, older_than=30 * DAY),
    CleanupRule("two tags", prefix="s3kv-results/", tags={"stage": "raw", "a b": "ü +"}, older_than=9 * DAY),
    CleanupRule("expired", prefix="s3kv-results/x&<", expired=True),
    CleanupRule("old versions", noncurrent_after=3 * DAY),
]
FOREIGN: list[dict[str, Any]] = [
    {"ID": "a", "Status": "Enabled", "Filter": {"Prefix": "logs/"}, "Expiration": {"Days": 9}},
    {
        "ID": "s3kv:other/:raw [values]",
        "Status": "Disabled",
        "Filter": {"Prefix": "other/"},
        "Expiration": {"Date": datetime(2040, 1, 1, tzinfo=timezone.utc)},
    },
    {
        "ID": "theirs",
        "Status": "Enabled",
        "Filter": {"Prefix": ""},
        "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 3},
    },
]


def compiled(rules: list[CleanupRule] = RULES, **options: Any) -> CompiledLifecycle:
    return compile_rules(rules, **{"versioned": True, "object_lock": False, "protect_tag": None} | options)


def there(store: S3KV) -> LifecycleConfiguration:
    return store.client.get_lifecycle(store.bucket_name)


def statuses(store: S3KV) -> dict[str, str]:
    return {rule["ID"]: rule["Status"] for rule in there(store).rules}


def put_foreign(store: S3KV) -> list[dict[str, Any]]:
    """Put rules as somebody else would; return them as the server shows them."""
    outside(store).put_bucket_lifecycle_configuration(
        Bucket=store.bucket_name, LifecycleConfiguration={"Rules": FOREIGN}
    )
    return there(store).rules


def test_a_bucket_without_rules_has_none(store: S3KV) -> None:
    assert there(store).rules == []
    store.client.put_lifecycle(store.bucket_name, LifecycleConfiguration())
    assert there(store).rules == []


def test_a_bucket_that_is_not_there_is_no_bucket_without_rules(store: S3KV) -> None:
    with pytest.raises(StoreUnavailableError, match="does not exist"):
        store.client.get_lifecycle("no-such-bucket-anywhere")


def test_a_server_without_lifecycle_rules_says_so(
    make_store: Callable[..., S3KV], answering: Callable[..., str]
) -> None:
    url = answering(405, "<Error><Code>MethodNotAllowed</Code></Error>")
    store = S3KV(url, bucket_name="some-bucket", enable_local_cache=False)
    with pytest.raises(UnsupportedByServerError, match="does not support lifecycle rules"):
        store.client.get_lifecycle("some-bucket")


def test_rules_are_put_and_put_again_only_where_they_differ(
    make_store: Callable[..., S3KV], proxy: CountingProxy
) -> None:
    store = make_store(endpoint_url=proxy.url)
    wanted = compiled()
    with proxy.counting() as first:
        done = apply(store.client, store.bucket_name, wanted, PREFIX)
    assert dict(first.requests) == {"GET": 2, "PUT": 2}
    assert len(done.add) == len(wanted.rules)
    assert set(statuses(store).values()) == {"Enabled"}
    with proxy.counting() as second:
        again = apply(store.client, store.bucket_name, wanted, PREFIX)
    assert dict(second.requests) == {"GET": 1}
    assert not again.differs
    assert len(again.unchanged) == len(wanted.rules)

    fewer = compiled([RULES[0], CleanupRule("old versions", noncurrent_after=4 * DAY)])
    changed = apply(store.client, store.bucket_name, fewer, PREFIX)
    assert len(changed.change) == 3
    assert changed.remove
    assert not diff(there(store), fewer, PREFIX).differs
    with proxy.counting() as removal:
        remove(store.client, store.bucket_name, PREFIX)
    assert dict(removal.requests) == {"GET": 1, "DELETE": 1}
    assert there(store).rules == []


def test_rules_of_others_stay_as_they_are(store: S3KV, locking_store: S3KV) -> None:
    for one in (store, locking_store):
        before = put_foreign(one)
        done = apply(one.client, one.bucket_name, compiled(), PREFIX)
        assert done.foreign == tuple(rule["ID"] for rule in before)
        ours = {rule["ID"] for rule in compiled().rules}
        assert [rule for rule in there(one).rules if rule["ID"] not in ours] == before
        assert len(there(one).rules) == len(before) + len(ours)
        remove(one.client, one.bucket_name, PREFIX)
        assert there(one).rules == before


def test_two_stores_in_one_bucket_keep_their_own_rules(store: S3KV) -> None:
    for prefix in ("a/", "a/:b/"):
        apply(store.client, store.bucket_name, compiled(prefix=prefix), prefix)
    remove(store.client, store.bucket_name, "a/")
    assert not diff(there(store), compiled(prefix="a/:b/"), "a/:b/").differs
    assert len(there(store).rules) == len(compiled(prefix="a/:b/").rules)


def test_ids_of_the_greatest_length_are_taken(store: S3KV) -> None:
    named = [CleanupRule("n" * 255, prefix="s3kv/", older_than=DAY), CleanupRule("ü" * 90, expired=True)]
    apply(store.client, store.bucket_name, compiled(named), PREFIX)
    assert not diff(there(store), compiled(named), PREFIX).differs


def test_a_rule_that_the_server_would_widen_is_never_enabled(
    store: S3KV, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """moto and Ceph 16 drop sizes from filters: such a rule would expire the small objects, too."""
    before = put_foreign(store)
    former = compiled(RULES[:1])
    apply(store.client, store.bucket_name, former, PREFIX)
    put_there: list[dict[str, Any]] = []
    put = store.client.put_lifecycle

    def recorded(bucket: str, configuration: LifecycleConfiguration) -> None:
        put_there.extend(configuration.rules)
        put(bucket, configuration)

    monkeypatch.setattr(store.client, "put_lifecycle", recorded)
    large = compiled([CleanupRule("large", prefix="s3kv/", larger_than=10**6, older_than=DAY)])
    if server.name in ("endpoint", "seaweedfs") and _keeps_sizes(store, large):
        pytest.skip("this server keeps sizes")
    gone = r"large \[values\]', ObjectSizeGreaterThan 1000000 became None\. Bucket .* has its former rules"
    with pytest.raises(UnsupportedByServerError, match=gone):
        apply(store.client, store.bucket_name, large, PREFIX)
    assert [rule["Status"] for rule in put_there if "large" in rule["ID"]] == ["Disabled"]
    assert not diff(there(store), former, PREFIX).differs
    ours = {rule["ID"] for rule in former.rules}
    assert [rule for rule in there(store).rules if rule["ID"] not in ours] == before


def _keeps_sizes(store: S3KV, large: CompiledLifecycle) -> bool:
    try:
        apply(store.client, store.bucket_name, large, PREFIX)
    except UnsupportedByServerError:
        return False
    return not diff(there(store), large, PREFIX).differs


# --- carried out ------------------------------------------------------------------------------------

LIFECYCLE_DAY_SECONDS = 15

CARRIED_OUT = [
    CleanupRule("raw", tags={"stage": "raw"}, older_than=DAY),
    CleanupRule("raw x", tags={"stage": "mixed", "kind": "x"}, older_than=DAY),
    CleanupRule("scratch", prefix="s3kv-results/scratch/", older_than=DAY),
    CleanupRule("expired", prefix="s3kv-results/", expired=True),
    CleanupRule("expired values", prefix="s3kv/", tags={"ttl_days": "2"}, expired=True),
    CleanupRule("old versions", prefix="s3kv-results/", tags={"age": "old"}, noncurrent_after=DAY),
]

GOES = {
    "s3kv/raw.json": {"stage": "raw"},
    "s3kv/deep/raw.json": {"kind": "y", "stage": "raw", "zone": "z"},
    "s3kv/mixed.json": {"kind": "x", "stage": "mixed"},
    "s3kv-results/raw": {"stage": "raw", "ttl_days": "3650"},
    "s3kv-results/mixed": {"a": "b", "kind": "x", "stage": "mixed", "z": "z"},
    "s3kv-results/scratch/plain": {},
    "s3kv-results/scratch/final": {"stage": "final"},
    "s3kv-results/ends": {"ttl_days": "1"},
    "s3kv/ends.json": {"stage": "final", "ttl_days": "2"},
    "s3kv-checkpoints/raw": {"stage": "raw"},
}
STAYS = {
    "s3kv/plain.json": {},
    "s3kv/final.json": {"stage": "final"},
    "s3kv/rawer.json": {"stage": "rawer"},
    "s3kv/half.json": {"kind": "x"},
    "s3kv/mixed-otherwise.json": {"kind": "y", "stage": "mixed"},
    "s3kv-results/plain": {},
    "s3kv-results/lives": {"ttl_days": "3650"},
    "s3kv-results/no-class": {"ttl_days": "4"},
    "s3kv-results/scratch": {},
    "s3kv-checkpoints/plain": {},
    # Of others, also where their names look alike.
    "other/raw": {"stage": "raw"},
    "s3kv": {"stage": "raw"},
    "s3kv-leases/of-nothing": {"stage": "raw"},
    "s3kv-results-of-others/raw": {"stage": "raw", "ttl_days": "1"},
}


@pytest.fixture(scope="module")
def quick_days(request: pytest.FixtureRequest) -> Iterator[str]:
    """Run a Ceph on which a day of lifecycle rules lasts some seconds."""
    if request.config.getoption("server") != "ceph":
        pytest.skip("only Ceph carries lifecycle rules out, and can be told how long a day is")
    request.getfixturevalue("server")  # its keys are those of the environment
    root = Path(os.environ.get("S3KV_CEPH_ROOT", DEFAULT_ROOT))
    with ceph(root, lifecycle_day_seconds=LIFECYCLE_DAY_SECONDS) as running:
        yield running.url


def put(store: S3KV, name: str, tags: dict[str, str]) -> None:
    tagging = "&".join(f"{key}={value}" for key, value in tags.items())
    outside(store).put_object(Bucket=store.bucket_name, Key=name, Body=b"{}", Tagging=tagging)


def versions(store: S3KV) -> list[str]:
    """Return all versions that are there; delete markers with a dagger."""
    listed = store.client.list_versions(store.bucket_name, "")
    return sorted(f"{one.name}{' †' * one.is_delete_marker}" for one in listed)


def planned(store: S3KV) -> CleanupPlan:
    """Return the plan of a sweep in thirty days."""
    now, grace = store.server_time() + 30 * DAY, timedelta(hours=1)
    entries = survey(store, CARRIED_OUT, now, grace, protect_tag=None)
    return plan(entries, CARRIED_OUT, now, grace, protect_tag=None)


def pass_once_more(store: S3KV) -> None:
    """Wait until what was written after all else has gone, with its history: all else was looked at, too."""
    name = f"s3kv/{uuid.uuid4().hex}.json"
    put(store, name, {"stage": "raw"})
    until(lambda: name not in names(store))


def names(store: S3KV) -> set[str]:
    return {one.name for one in store.client.list_objects(store.bucket_name, "")}


@pytest.mark.slow
@pytest.mark.long  # two minutes of waiting for the server's own rounds
@pytest.mark.parametrize("versioned", [False, True])
def test_s3_removes_what_the_rules_name_and_nothing_else(
    quick_days: str,
    make_store: Callable[..., S3KV],
    versioned: bool,  # noqa: FBT001
) -> None:
    store = make_store(endpoint_url=quick_days)
    if versioned:
        enable_versions(store)
    for name, tags in (GOES | STAYS).items():
        put(store, name, tags)
    begun = outside(store).create_multipart_upload(Bucket=store.bucket_name, Key="s3kv-results/begun")
    theirs = outside(store).create_multipart_upload(Bucket=store.bucket_name, Key="other/begun")
    assert begun["UploadId"] != theirs["UploadId"]
    made = planned(store)
    assert [one.entry.name for one in made.removals] == sorted(GOES), "it is what the plan would remove"
    rules = compiled(CARRIED_OUT, versioned=versioned)
    assert list(rules.inexpressible) == ([] if versioned else ["old versions"])
    apply(store.client, store.bucket_name, rules, PREFIX)
    until(lambda: names(store) <= STAYS.keys())
    pass_once_more(store)
    assert names(store) == STAYS.keys()
    uploads = store.client.list_multipart_uploads(store.bucket_name, "")
    assert [one.name for one in uploads] == ["other/begun"]
    remove(store.client, store.bucket_name, PREFIX)  # the server has its hands free for the next


@pytest.mark.slow
@pytest.mark.long  # a minute of waiting, as below
def test_s3_removes_old_versions_and_lone_markers_and_nothing_else(
    quick_days: str, make_store: Callable[..., S3KV]
) -> None:
    store = make_store(endpoint_url=quick_days)
    enable_versions(store)
    for name in ("s3kv-results/over", "s3kv-results/gone", "s3kv/over", "other/over", "other/gone"):
        put(store, name, {"age": "old"})
    for name in ("s3kv-results/over", "s3kv/over", "other/over"):
        put(store, name, {"age": "old"})
    put(store, "s3kv-results/otherwise", {"age": "new"})
    put(store, "s3kv-results/otherwise", {"age": "old"})
    for name in ("s3kv-results/gone", "other/gone"):
        outside(store).delete_object(Bucket=store.bucket_name, Key=name)
    made = planned(store)
    going = [f"{one.entry.name}{' †' * v.is_delete_marker}" for one in made.prune for v in one.going]
    would_stay = Counter(versions(store)) - Counter(going)
    assert made.remove == []
    apply(store.client, store.bucket_name, compiled(CARRIED_OUT), PREFIX)
    expected = sorted(
        [
            "s3kv-results/over",
            *["s3kv-results/otherwise"] * 2,
            *["s3kv/over"] * 2,
            *["other/over"] * 2,
            *("other/gone", "other/gone †"),
        ]
    )
    assert sorted(would_stay.elements()) == expected, "it is what the plan would leave"
    until(lambda: versions(store) == expected)
    pass_once_more(store)
    found = [one for one in versions(store) if not one.startswith("s3kv/") or one == "s3kv/over"]
    assert found == expected
    remove(store.client, store.bucket_name, PREFIX)


@pytest.mark.slow
@pytest.mark.long  # minutes of waiting for the server's own rounds
def test_s3_keeps_locked_versions_when_it_removes_old_ones(
    quick_days: str, make_store: Callable[..., S3KV]
) -> None:
    store = make_store(endpoint_url=quick_days, object_lock=True)
    target = {"Bucket": store.bucket_name}
    store.add("locked", 1, retention=WEEK)
    store.add("held", 1, legal_hold=True)
    store.add("final", 1, retention=WEEK)  # which no rule about objects may hide
    store.add("free", 1)
    for key in ("locked", "held", "free"):
        outside(store).delete_object(**target, Key=f"s3kv/{key}.json")
    rules = [CleanupRule("all", older_than=DAY), CleanupRule("old versions", noncurrent_after=DAY)]
    made = compiled(rules, object_lock=True)
    assert list(made.inexpressible) == ["all"]
    apply(store.client, store.bucket_name, made, PREFIX)
    expected = sorted(
        [
            "s3kv/final.json",
            *("s3kv/locked.json", "s3kv/locked.json †"),
            *("s3kv/held.json", "s3kv/held.json †"),
        ]
    )
    until(lambda: versions(store) == expected)
    for _ in range(2):  # two more that go show that all else was looked at, again
        store.add("another", 1)
        outside(store).delete_object(**target, Key="s3kv/another.json")
        until(lambda: versions(store) == expected)
    assert store.objects.head("s3kv/final.json").lock_mode == "GOVERNANCE"
    remove(store.client, store.bucket_name, PREFIX)
