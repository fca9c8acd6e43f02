"""What each role may do, tried with users that have its policy and nothing else."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from s3kv_flows.maintenance import CleanupRule, plan, survey, sweep
from s3kv_flows.store import S3KV
from s3kv_flows.store._iam import ROLES, Role, role_policy
from s3kv_flows.store._leases.backend import backend_of
from s3kv_flows.store._leases.leases import Leases
from s3kv_flows.store._leases.sweep import LeaseSweep
from s3kv_flows.store._outputs.audit import audit
from s3kv_flows.store.errors import AccessDeniedError, KeyLockedError, S3KVError
from tests.contracts.helpers import NAME, WEEK, chain, just_before, outside
from tests.servers import Server
from tests.support.waiting import PATIENCE

NONE = timedelta(0)
ALL = [CleanupRule("all", older_than=NONE), CleanupRule("tagged", tags={"a": "b"}, older_than=NONE)]


@pytest.fixture
def as_role(server: Server, locking_store: S3KV) -> Callable[[Role], S3KV]:
    """Return the store as a new user sees it who has the policy of a role."""
    new_user = server.new_user
    if new_user is None:
        pytest.skip("this server has no other users to test with")

    def make(role: Role, bucket: str = locking_store.bucket_name) -> S3KV:
        user = new_user()
        policy = role_policy(role, bucket, principal=user.arn)
        outside(locking_store).put_bucket_policy(Bucket=bucket, Policy=json.dumps(policy))
        return S3KV(server.url, bucket, user.access_key, user.secret_key, enable_local_cache=False)

    return make


def denied(*calls: Callable[[], object]) -> None:
    for call in calls:
        with pytest.raises((AccessDeniedError, KeyLockedError)):
            call()


def test_a_pipeline_finalizes_and_cannot_lift_a_retention(
    locking_store: S3KV, as_role: Callable[[Role], S3KV]
) -> None:
    mine = as_role("pipeline")
    receipt = mine.outputs.finalize("key", 1, WEEK, legal_hold=True, accept_races=True)
    assert mine.outputs.verify(receipt).holds
    mine.add("free", 1)
    mine.add("free", 2, tags={"a": "b"})
    assert mine.find_keys_by_tags({"a": "b"}) == ["free"]
    mine.delete("free")
    mine.purge("free")
    before = chain(locking_store)
    denied(
        lambda: mine.remove_retention_lock("key"),
        lambda: mine.delete("key"),
        lambda: mine.purge("key"),
        lambda: mine.client.delete_object(
            mine.bucket_name, NAME, version_id=receipt.version_id, bypass_governance=True
        ),
        lambda: mine.set_bucket_policy("arn:aws:iam:::user/somebody"),
    )
    assert chain(locking_store) == before


@pytest.mark.parametrize("change", ["add", "copy", "delete"])
def test_a_pipeline_takes_back_what_met_a_fresh_lock(
    locking_store: S3KV,
    as_role: Callable[[Role], S3KV],
    monkeypatch: pytest.MonkeyPatch,
    change: str,
) -> None:
    locking_store.add("key", 1)
    locking_store.add("other", 2)
    mine = as_role("pipeline")
    mine.add("warm", 1)
    mine.copy_key("warm", "probe")  # what has to be tried out is known
    before = chain(locking_store)
    changes: dict[str, tuple[str, Callable[[], object]]] = {
        "add": ("put_object", lambda: mine.add("key", 3)),
        "copy": ("copy_object", lambda: mine.copy_key("other", "key")),
        "delete": ("delete_object", lambda: mine.delete("key")),
    }
    operation, act = changes[change]
    just_before(monkeypatch, operation, lambda: locking_store.place_retention_lock("key", 7))
    with pytest.raises(KeyLockedError):
        act()
    assert chain(locking_store) == before


@pytest.mark.parametrize("kind", ["with Object Lock", "without"])
def test_a_janitor_sweeps_and_reads_no_value(
    locking_store: S3KV, store: S3KV, as_role: Callable[..., S3KV], kind: str
) -> None:
    whole = locking_store if kind == "with Object Lock" else store
    for number in range(3):
        whole.add("free", number)
    whole.add("kept", 1, tags={"keep": "yes"})
    kept = {"s3kv/kept.json"}
    if whole is locking_store:
        whole.add("key", 1, retention=WEEK)
        whole.add("held", 1, legal_hold=True)
        kept |= {NAME, "s3kv/held.json"}
    mine = as_role("janitor", whole.bucket_name)
    now = mine.server_time() + timedelta(seconds=1)  # its dates are whole seconds
    made = plan(survey(mine, ALL, now, NONE), ALL, now, NONE)
    assert {decision.entry.name for decision in made.protected} == kept
    report = sweep(mine, made)
    assert (report.removed, report.failed) == (["s3kv/free.json"], {})
    assert whole.versions("free") == []
    denied(
        lambda: mine.get("kept"),
        lambda: mine.info("kept"),
        lambda: mine.add("kept", 2),
        lambda: mine.tag_key("kept", {}),
    )
    if whole is locking_store:
        denied(
            lambda: mine.client.delete_object(
                mine.bucket_name, NAME, version_id=chain(whole)[0][0], bypass_governance=True
            ),
            lambda: mine.client.put_legal_hold(mine.bucket_name, "s3kv/held.json", on=False),
        )
    assert set(whole.list_keys()) == {"kept"} | ({"key", "held"} if whole is locking_store else set())


def test_leases_are_taken_given_back_and_swept(store: S3KV, as_role: Callable[..., S3KV]) -> None:
    name = "s3kv-leases/x"
    mine = as_role("pipeline", store.bucket_name)
    leases = Leases(
        backend_of(mine.client, store.bucket_name, "s3kv-leases/"),
        lambda: int(mine.client.capabilities.now().timestamp() * 1000),
        seconds=600,
    )
    lease = leases.acquire(name, "me", timeout=PATIENCE)
    leases.release(leases.renew(lease))
    leases.acquire(name, "a holder that dies", timeout=PATIENCE)
    janitor = as_role("janitor", store.bucket_name)
    backend = backend_of(janitor.client, store.bucket_name, "s3kv-leases/")
    later = janitor.server_time() + timedelta(hours=2)
    swept = LeaseSweep(backend).run("s3kv-leases/", later, timedelta(hours=1))
    assert swept == [name]


@pytest.mark.parametrize("role", ["pipeline", "janitor"])
def test_older_versions_of_leases_can_be_deleted(
    locking_store: S3KV, as_role: Callable[[Role], S3KV], role: Role
) -> None:
    mine = as_role(role)
    written = mine.client.put_object(
        mine.bucket_name, "s3kv-leases/x", b"{}", content_type="application/json"
    )
    mine.client.delete_object(mine.bucket_name, "s3kv-leases/x", version_id=written.version_id)
    assert chain(locking_store, "s3kv-leases/x") == []


def test_what_changed_since_the_plan_of_a_janitor_stays(
    locking_store: S3KV, as_role: Callable[[Role], S3KV]
) -> None:
    locking_store.add("changed", 1)
    locking_store.add("locked", 1)
    mine = as_role("janitor")
    now = mine.server_time() + timedelta(seconds=1)  # its dates are whole seconds
    made = plan(survey(mine, ALL, now, NONE), ALL, now, NONE)
    locking_store.add("changed", 2)
    locking_store.place_retention_lock("locked", 1)
    report = sweep(mine, made)
    assert report.removed == []
    assert report.changed == ["s3kv/changed.json"]
    assert "GOVERNANCE" in report.protected["s3kv/locked.json"]


def test_an_auditor_sees_all_and_changes_nothing(
    locking_store: S3KV, as_role: Callable[[Role], S3KV]
) -> None:
    receipt = locking_store.outputs.finalize("key", 1, WEEK, tags={"a": "b"}, accept_races=True)
    mine = as_role("auditor")
    assert mine.outputs.verify(receipt).holds
    found = audit(mine.client, mine.bucket_name, ["s3kv/", "s3kv-results/"], within=timedelta(days=8))
    assert [(row.state, row.object) for row in found.rows] == [("expiring", NAME)]
    assert mine.find_keys_by_tags({"a": "b"}) == ["key"]
    before = chain(locking_store)
    denied(
        lambda: mine.add("new", 1),
        lambda: mine.delete("key"),
        lambda: mine.client.delete_object(mine.bucket_name, NAME),
        lambda: mine.tag_key("key", {}),
        lambda: mine.extend_retention_lock("key", 30),
        lambda: mine.apply_legal_hold("key"),
        lambda: mine.remove_retention_lock("key"),
    )
    assert chain(locking_store) == before


def test_an_admin_lifts_a_retention_and_repairs(locking_store: S3KV, as_role: Callable[[Role], S3KV]) -> None:
    mine = as_role("admin")
    receipt = mine.outputs.finalize("key", 1, WEEK, accept_races=True)
    outside(locking_store).put_object(Bucket=mine.bucket_name, Key=NAME, Body=b"2")
    assert mine.outputs.repair("key").version_id == receipt.version_id
    mine.remove_retention_lock("key")
    mine.purge("key")
    assert chain(locking_store) == []
    assert mine.set_bucket_policy("arn:aws:iam:::user/somebody")


def test_no_role_reaches_another_store_of_the_bucket(
    locking_store: S3KV, as_role: Callable[[Role], S3KV]
) -> None:
    outside(locking_store).put_object(Bucket=locking_store.bucket_name, Key="s3kv-other/x", Body=b"x")
    for role in ROLES:
        mine = as_role(role)
        with pytest.raises(S3KVError):
            mine.client.head_object(mine.bucket_name, "s3kv-other/x")
        with pytest.raises(AccessDeniedError):
            mine.client.delete_object(mine.bucket_name, "s3kv-other/x")


def actions(role: Role, **options: Any) -> set[str]:
    made = role_policy(role, "lake", **options)["Statement"]
    return {action for one in made if one["Effect"] == "Allow" for action in one["Action"]}


def test_policies_hold_no_more_than_their_roles_need() -> None:
    for role in ROLES:
        assert not [action for action in actions(role) if "*" in action]
        assert ("s3:BypassGovernanceRetention" in actions(role)) == (role == "admin")
    janitor = role_policy("janitor", "lake")["Statement"]
    reads = [one for one in janitor if "s3:GetObject" in one["Action"]]
    assert [one["Resource"] for one in reads] == [["arn:aws:s3:::lake/s3kv-leases/*"]]
    assert not [action for action in actions("auditor") if "Put" in action or "Delete" in action]
    elsewhere = role_policy("pipeline", "lake", lease_bucket="leases")["Statement"]
    assert ["arn:aws:s3:::leases/s3kv-leases/*"] in [one["Resource"] for one in elsewhere]
    for wrong in ("*", "somebody"):
        with pytest.raises(ValueError, match="principal must be one ARN"):
            role_policy("pipeline", "lake", principal=wrong)
