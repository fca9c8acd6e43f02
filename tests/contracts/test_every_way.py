"""Every task, flow and command, tried on a locked key: it survives, and the error names the lock.

The names are collected from the code: a new task, flow or command belongs into one of the tables below, and
the first test fails until it is listed. (``test_guard.py`` does the same for the methods of ``S3KV``.)
"""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from prefect import Flow, Task, task

from s3kv_flows import CleanupRule, Retention, S3KVStore, caching, flows, tasks
from s3kv_flows.cli import app
from s3kv_flows.maintenance import CleanupPlan, Decision, plan, survey
from s3kv_flows.store import S3KV
from s3kv_flows.store._outputs.outputs import FinalizedOutputs
from s3kv_flows.store.errors import S3KVError, UnsupportedByServerError
from tests.contracts.helpers import NAME, WEEK, chain, outside
from tests.contracts.test_guard import public_methods

pytestmark = pytest.mark.usefixtures("prefect_api")

ALL = [CleanupRule("all", older_than=timedelta(0))]
NONE = timedelta(0)


class Vault:
    """A saved store with a locked key, and another one to copy from."""

    def __init__(self, store: S3KV, name: str, folder: Path) -> None:
        self.store, self.name = store, name
        self.file = folder / "other.json"
        self.file.write_text(json.dumps({"another": 1}))
        self.block = S3KVStore(
            bucket_name=store.bucket_name, endpoint_url=store.config.endpoint_url, accept_unsealed=True
        )
        self.block.save(name, overwrite=True)
        store.add("key", {"final": 1}, tags={"find": "me"}, retention=WEEK)
        store.add("other", {"x": 1})

    def rules(self) -> list[str]:
        """Return the options of a cleanup of everything."""
        rules = self.file.with_name("rules.yaml")
        rules.write_text("- {name: all, older_than: 0s}")
        return ["--rules", str(rules), "--grace", "0s"]

    def plan_that_names_it(self) -> CleanupPlan:
        """Return a plan that no rule could make: it removes the locked key, too."""
        now = self.store.server_time()
        made = plan(survey(self.store, ALL, now, NONE), ALL, now, NONE)
        decisions = [*made.remove, *made.keep]
        return CleanupPlan(remove=[Decision(one.entry, "no matter what", rule="all") for one in decisions])


def command(*arguments: str) -> object:
    return app(list(arguments), result_action="return_value")


def refresh(vault: Vault) -> object:
    """Refresh a finalized result: its key is locked, too, and the task fails before it computes."""

    @task(**caching(vault.name, key="key", retention=WEEK))
    def publish() -> int:
        return 1

    publish()
    return publish.with_options(refresh_cache=True)()


def promote(vault: Vault) -> object:
    """Promote a state to the key of a finalized result."""

    @task(**caching(vault.name, key="key", retention=WEEK))
    def publish() -> int:
        return 1

    publish()
    vault.block.checkpoints.add("train/000000000000001", {"another": 1})
    return tasks.promote_checkpoint(vault.name, "train", "key", WEEK, accept_races=True)


TRIED: dict[str, Callable[[Vault], Any]] = {
    "put_value": lambda vault: tasks.put_value(vault.name, "key", 2),
    "copy_value": lambda vault: tasks.copy_value(vault.name, "other", "key"),
    "merge_values": lambda vault: tasks.merge_values(vault.name, ["other"], "key"),
    "delete_value": lambda vault: tasks.delete_value(vault.name, "key"),
    "delete_by_tag": lambda vault: tasks.delete_by_tag(vault.name, "find", "me"),
    "finalize_value": lambda vault: tasks.finalize_value(vault.name, "key", 2, WEEK, accept_races=True),
    "extend_retention": lambda vault: tasks.extend_retention(vault.name, "key", 1, "a shorter one"),
    "plan_cleanup": lambda vault: tasks.plan_cleanup(vault.name, ALL, NONE),
    "sweep": lambda vault: tasks.sweep(vault.name, vault.plan_that_names_it()),
    "sweep_leases": lambda vault: tasks.sweep_leases(vault.name, NONE),
    "abort_incomplete_uploads": lambda vault: tasks.abort_incomplete_uploads(vault.name, NONE),
    "age_local_cache": lambda vault: tasks.age_local_cache(vault.name, 0),
    "age_caches": lambda vault: flows.age_caches(vault.name, 0),
    "maintain_store": lambda vault: flows.maintain_store(vault.name, ALL, grace=NONE),
    "caching, refreshed": refresh,
    "promote_checkpoint": promote,
    "s3kv sweep": lambda vault: command("sweep", vault.name, *vault.rules(), "--yes"),
    "s3kv finalize": lambda vault: command(
        "finalize", vault.name, "key", str(vault.file), "--days", "1", "--accept-races"
    ),
    "s3kv extend": lambda vault: command("extend", vault.name, "key", "--days", "1", "--reason", "shorter"),
}
"""Every way that writes, deletes or changes a lock; on the key that is locked."""

REPAIRING = {"repair_output", "s3kv repair"}
"""They delete what lies on top of a locked version, and never that."""

HARMLESS = {
    # They read, or change tags, which no lock covers.
    *("get_value", "find_by_tag", "tag_value", "look_at_locks", "verify_receipt", "audit_locks"),
    *("s3kv verify", "s3kv audit", "s3kv policy", "s3kv plan", "s3kv explain"),
    # They add a lock, or are the explicit ways to lift one.
    *("place_hold", "release_hold", "release_retention", "s3kv hold", "s3kv unhold", "s3kv release"),
    # It changes who signs, and nothing in the bucket.
    "s3kv keys",
    # It edits lifecycle rules alone, and refuses those that would hide a locked output.
    "s3kv lifecycle",
    # They remove states of runs, and never a locked one: tests/checkpoints/test_checkpoint.py.
    *("s3kv checkpoints", "list_checkpoints", "clear_checkpoint"),
    # They are about buckets, or write objects of their own.
    *("s3kv init", "s3kv doctor", "s3kv demo"),
}

OUTPUTS_GUARDED = {"finalize", "finalize_copy", "repair"}
OUTPUTS_HARMLESS = {"verify", "require_visible", "sealed"}

QUIET = {
    *(
        "delete_by_tag",
        "plan_cleanup",
        "sweep",
        "sweep_leases",
        "abort_incomplete_uploads",
        "age_local_cache",
    ),
    *("maintain_store", "age_caches", "s3kv sweep"),
}
"""They leave locked keys alone, and say so in their reports."""

EXTENDING = {"extend_retention", "s3kv extend"}
"""They act on what the key reads as, which is not locked where something lies on top."""


def test_every_task_flow_and_command_is_tried() -> None:
    existing = {name for name in tasks.__all__ if isinstance(getattr(tasks, name), Task)}
    assert existing == set(tasks.__all__)
    existing |= {name for name in flows.__all__ if isinstance(getattr(flows, name), Flow)}
    existing |= {f"s3kv {name}" for name in app if not name.startswith("-")}
    assert existing | {"caching, refreshed"} == TRIED.keys() | REPAIRING | HARMLESS
    assert not TRIED.keys() & HARMLESS
    assert public_methods(FinalizedOutputs) == OUTPUTS_GUARDED | OUTPUTS_HARMLESS


@pytest.fixture
def vault(locking_store: S3KV, tmp_path: Path) -> Vault:
    return Vault(locking_store, f"vault-{locking_store.bucket_name[-12:]}", tmp_path)


@pytest.mark.parametrize(
    "hidden_by",
    [
        "nothing",
        pytest.param("a newer version", marks=pytest.mark.slow),
        pytest.param("a delete marker", marks=pytest.mark.slow),
    ],
)
@pytest.mark.parametrize("way", TRIED)
def test_the_locked_version_survives(vault: Vault, way: str, hidden_by: str) -> None:
    target = {"Bucket": vault.store.bucket_name, "Key": NAME}
    if hidden_by == "a newer version":
        outside(vault.store).put_object(**target, Body=b"{}", Tagging="find=me")
    elif hidden_by == "a delete marker":
        outside(vault.store).delete_object(**target)
    before = chain(vault.store)
    results = "s3kv-results/key"
    try:
        answer = TRIED[way](vault)
    except UnsupportedByServerError:
        assert way == "merge_values", "on Ceph"
    except S3KVError as refusal:
        if way not in EXTENDING or hidden_by == "nothing":
            text = str(refusal)
            assert "'key'" in text
            assert "GOVERNANCE retention until 20" in text
    else:
        if way in QUIET:
            assert NAME not in str(getattr(answer, "removed", []))
        else:  # it acts on what is current, which is not locked
            assert hidden_by != "nothing"
            assert way in EXTENDING
    assert chain(vault.store) == before
    if way in ("caching, refreshed", "promote_checkpoint"):
        assert len(chain(vault.store, results)) == 1


def test_a_sweep_reports_what_it_left_with_mode_and_date(vault: Vault) -> None:
    report = flows.maintain_store(vault.name, ALL, grace=NONE)
    assert "GOVERNANCE retention until 20" in report.protected[NAME]
    swept = tasks.sweep(vault.name, vault.plan_that_names_it())
    assert "GOVERNANCE retention until 20" in swept.protected[NAME]


@pytest.mark.parametrize("way", sorted(REPAIRING))
@pytest.mark.parametrize("hidden_by", ["nothing", "a newer version", "a delete marker"])
def test_a_repair_leaves_the_locked_version_alone(vault: Vault, way: str, hidden_by: str) -> None:
    locked = chain(vault.store)
    target = {"Bucket": vault.store.bucket_name, "Key": NAME}
    if hidden_by == "a newer version":
        outside(vault.store).put_object(**target, Body=b"{}")
    elif hidden_by == "a delete marker":
        outside(vault.store).delete_object(**target)
    if way == "repair_output":
        tasks.repair_output(vault.name, "key", "it was hidden")
    else:
        command("repair", vault.name, "key")
    assert chain(vault.store) == locked


def test_superseding_is_the_one_way_and_leaves_it_listed(vault: Vault) -> None:
    old = chain(vault.store)[0][0]
    receipt = tasks.finalize_value(vault.name, "key", 2, Retention(days=1), supersede=True, accept_races=True)
    assert receipt.superseded_version_id == old
    assert {version_id for version_id, _, _ in chain(vault.store)} == {old, receipt.version_id}
    assert vault.store.objects.head(NAME, version_id=old).lock_mode == "GOVERNANCE"
