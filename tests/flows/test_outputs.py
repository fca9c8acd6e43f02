"""Changes to locks, and what Prefect keeps of them; the audit; the receipts."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from prefect import flow
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterKey

from s3kv_flows import Retention, tasks
from s3kv_flows._outputs import artifact_key
from s3kv_flows.cli import app
from s3kv_flows.flows import audit_locks
from s3kv_flows.store import S3KV
from s3kv_flows.store._outputs.receipts import Receipt
from s3kv_flows.store._s3.transport.responses import date_of
from s3kv_flows.store.errors import ConflictError, KeyLockedError, KeyNotFoundError
from tests.contracts.helpers import NAME, outside
from tests.support.lake import WEEK, Lake, adding_task

pytestmark = pytest.mark.usefixtures("prefect_api")


@pytest.fixture(autouse=True)
def events(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    sent: list[dict[str, Any]] = []
    for module in ("_outputs", "flows._audit"):
        monkeypatch.setattr(f"s3kv_flows.{module}.emit_event", lambda **event: sent.append(event))
    return sent


@pytest.fixture
def values(locked_lake: Lake) -> S3KV:
    return locked_lake.block.values


def artifacts(key: str) -> list[dict[str, Any]]:
    """Return the rows of all artifacts of a key, the oldest first."""
    with get_client(sync_client=True) as client:
        found = client.read_artifacts(artifact_filter=ArtifactFilter(key=ArtifactFilterKey(any_=[key])))
    found.sort(key=lambda one: str(one.created))
    return [row for one in found for row in json.loads(str(one.data))]


def of_bucket(rows: list[dict[str, Any]], values: S3KV) -> list[dict[str, Any]]:
    return [row for row in rows if row["bucket"] == values.bucket_name]


def test_every_change_of_a_lock_is_kept_with_who_and_why(
    locked_lake: Lake, values: S3KV, events: list[dict[str, Any]]
) -> None:
    lake = locked_lake.name
    values.add("key", 1, retention=WEEK)

    @flow
    def by_a_flow() -> None:
        tasks.place_hold(lake, "key", "the auditor asked for it")

    by_a_flow()
    assert values.is_legal_hold_applied("key")
    tasks.release_hold(lake, "key", "they are done")
    assert not values.is_legal_hold_applied("key")
    until = tasks.extend_retention(lake, "key", 30, "a year more was agreed")
    retention = values.get_retention("key")
    assert retention is not None
    assert retention.until is not None
    assert abs(retention.until - until) < timedelta(seconds=1)
    tasks.release_retention(lake, "key", "it was published by mistake")
    assert values.get_retention("key") is None
    kept = of_bucket(artifacts(artifact_key("lock", values.bucket_name, NAME)), values)
    assert [(row["action"], row["outcome"]) for row in kept] == [
        (action, outcome)
        for action in ("hold", "unhold", "extend", "release")
        for outcome in ("requested", "done")
    ]
    assert [row["reason"] for row in kept[::2]] == [
        "the auditor asked for it",
        "they are done",
        "a year more was agreed",
        "it was published by mistake",
    ]
    assert kept[5]["detail"] == f"locked until {until.isoformat(timespec='seconds')}"
    assert all(row["user"] and row["host"] and row["access_key_id"] for row in kept)
    assert kept[0]["flow_run_id"]
    assert kept[2]["flow_run_id"] is None
    assert [event["event"] for event in events] == [
        "s3kv.lock.hold.done",
        "s3kv.lock.unhold.done",
        "s3kv.lock.extend.done",
        "s3kv.lock.release.done",
    ]
    assert events[0]["payload"]["reason"] == "the auditor asked for it"


def test_what_is_refused_is_kept_too(locked_lake: Lake, values: S3KV, events: list[dict[str, Any]]) -> None:
    values.add("key", 1, retention=Retention(days=1, mode="COMPLIANCE", i_understand=True))
    with pytest.raises(KeyLockedError, match="COMPLIANCE"):
        tasks.release_retention(locked_lake.name, "key", "a mistake")
    with pytest.raises(ValueError, match="i_understand"):
        tasks.extend_retention(locked_lake.name, "key", 9, "longer")
    tasks.extend_retention(locked_lake.name, "key", 2, "longer", i_understand=True)
    kept = of_bucket(artifacts(artifact_key("lock", values.bucket_name, NAME)), values)
    assert [row["outcome"] for row in kept] == ["requested", "refused"] * 2 + ["requested", "done"]
    assert "KeyLockedError" in kept[1]["detail"]
    assert [event["event"] for event in events][:2] == [
        "s3kv.lock.release.refused",
        "s3kv.lock.extend.refused",
    ]


def test_nothing_is_changed_without_a_reason(locked_lake: Lake, values: S3KV) -> None:
    values.add("key", 1)
    for reason in ("", "  "):
        with pytest.raises(ValueError, match="give a reason"):
            tasks.place_hold(locked_lake.name, "key", reason)
    assert not values.is_legal_hold_applied("key")
    assert of_bucket(artifacts(artifact_key("lock", values.bucket_name, NAME)), values) == []


def test_a_repair_is_kept_where_something_was_hidden_and_in_words(
    locked_lake: Lake, values: S3KV, events: list[dict[str, Any]]
) -> None:
    lake, kept_under = locked_lake.name, artifact_key("lock", values.bucket_name, NAME)
    receipt = values.outputs.finalize("key", 1, WEEK)
    assert tasks.repair_output(lake, "key", "it was hidden").version_id is None
    assert command("repair", lake, "key") == 0
    assert of_bucket(artifacts(kept_under), values) == []
    assert events == []

    marker = outside(values).delete_object(Bucket=values.bucket_name, Key=NAME)["VersionId"]
    version = outside(values).put_object(Bucket=values.bucket_name, Key=NAME, Body=b"1")["VersionId"]
    assert tasks.repair_output(lake, "key", "it was hidden").version_id == receipt.version_id
    requested, done = of_bucket(artifacts(kept_under), values)
    assert (requested["outcome"], done["outcome"]) == ("requested", "done")
    assert done["detail"] == (
        f"version {receipt.version_id} is the current one again, delete marker {marker} deleted, "
        f"version {version} moved to s3kv-shadows/{NAME}/{version}"
    )
    assert [event["payload"]["detail"] for event in events] == [done["detail"]]


def test_a_repair_that_is_refused_is_kept(locked_lake: Lake, values: S3KV) -> None:
    values.outputs.finalize("key", 1, WEEK)
    outside(values).put_object(
        Bucket=values.bucket_name,
        Key=NAME,
        Body=b"2",
        ObjectLockMode="GOVERNANCE",
        ObjectLockRetainUntilDate=datetime(2999, 1, 1, tzinfo=timezone.utc),
    )
    with pytest.raises(KeyLockedError, match="cannot restore"):
        tasks.repair_output(locked_lake.name, "key", "it was hidden")
    kept = of_bucket(artifacts(artifact_key("lock", values.bucket_name, NAME)), values)
    assert [row["outcome"] for row in kept] == ["requested", "refused"]


@pytest.mark.parametrize("deleted", [False, True])
def test_a_repair_of_a_key_that_does_not_exist_is_an_error_and_not_kept(
    locked_lake: Lake,
    values: S3KV,
    events: list[dict[str, Any]],
    deleted: bool,  # noqa: FBT001
) -> None:
    if deleted:
        values.add("key", 1)
        values.delete("key")
    repairs: list[Callable[[], object]] = [
        lambda: values.outputs.repair("key"),
        lambda: tasks.repair_output(locked_lake.name, "key", "it was hidden"),
        lambda: command("repair", locked_lake.name, "key"),
        lambda: command("repair", locked_lake.name, "key", "--dry-run"),
    ]
    for repair in repairs:
        with pytest.raises(KeyNotFoundError, match="'key' does not exist"):
            repair()
    assert of_bucket(artifacts(artifact_key("lock", values.bucket_name, NAME)), values) == []
    assert events == []


def test_results_are_reached_by_the_names_of_their_objects(locked_lake: Lake) -> None:
    adding_task(locked_lake, key="sum/{parameters[number]}")(1)
    tasks.place_hold(locked_lake.name, "s3kv-results/sum/1", "keep it")
    assert locked_lake.the_object().legal_hold
    locked_lake.block.values.add("key", 1)
    tasks.place_hold(locked_lake.name, NAME, "keep it")
    assert locked_lake.block.values.is_legal_hold_applied("key")


def test_a_receipt_is_returned_published_and_says_who_made_it(locked_lake: Lake, values: S3KV) -> None:
    lake = locked_lake.name

    @flow(version="2.1")
    def publishing() -> tuple[Receipt, Receipt]:
        first = tasks.finalize_value(lake, "reports/2013", {"total": 3}, WEEK)
        return first, tasks.finalize_value(lake, "reports/2013", {"total": 3}, WEEK)

    first, again = publishing()
    assert (first.outcome, again.outcome) == ("written", "unchanged")
    assert (first.store, first.code_version) == (lake, "2.1")
    assert first.flow_run_id
    kept = of_bucket(artifacts(artifact_key("receipt", values.bucket_name, first.object_name)), values)
    assert [Receipt.from_dict(row) for row in kept] == [first, again]
    assert tasks.verify_receipt(lake, first).holds
    with pytest.raises(ConflictError):
        tasks.finalize_value(lake, "reports/2013", {"total": 4}, WEEK)
    assert values.get("reports/2013") == {"total": 3}


# --- the audit --------------------------------------------------------------------------------------


@pytest.fixture
def audited(values: S3KV) -> S3KV:
    """Fill a store with an output in every state."""
    for key, days in (("long", 100), ("soon", 3), ("hidden", 50), ("shadowed", 50), ("lifted", 50)):
        values.add(key, key, retention=Retention(days=days))
    values.add("held", 1, legal_hold=True)
    values.add("free", 1)
    values.add("final", 1, tags={"stage": "final"})
    values.outputs.finalize("report", 1, WEEK)
    values.outputs.finalize("report", 2, Retention(days=60), supersede=True)
    target = {"Bucket": values.bucket_name}
    outside(values).delete_object(**target, Key="s3kv/hidden.json")
    outside(values).put_object(**target, Key="s3kv/shadowed.json", Body=b"1")
    values.remove_retention_lock("lifted")
    return values


STATES = {
    ("hidden", "s3kv/hidden.json"),
    ("shadowed", "s3kv/shadowed.json"),
    ("lifted", "s3kv/lifted.json"),
    ("unlocked", "s3kv/final.json"),
    ("expiring", "s3kv/soon.json"),
    ("superseded", "s3kv/report.json"),
    ("held", "s3kv/held.json"),
    ("locked", "s3kv/long.json"),
    ("locked", "s3kv/report.json"),
}


def test_an_audit_tells_the_state_of_every_output(
    locked_lake: Lake, audited: S3KV, events: list[dict[str, Any]], tmp_path: Path
) -> None:
    adding_task(locked_lake, retention=Retention(days=90), key="sum")(1)
    before = {name: audited.objects.versions(name) for _, name in STATES}
    export = tmp_path / "audit.csv"
    found = audit_locks(locked_lake.name, within_days=7, final_tags={"stage": "final"}, export=str(export))
    assert {(row.state, row.object) for row in found.rows} == STATES | {("locked", "s3kv-results/sum")}
    assert [row.state for row in found.rows][:4] == ["hidden", "shadowed", "lifted", "unlocked"]
    assert len(found.problems) == 4
    (soon,) = found.in_state("expiring")
    assert soon.days_left == pytest.approx(3, abs=0.01)
    assert soon.retain_until is not None
    assert {name: audited.objects.versions(name) for _, name in STATES} == before, "it changes nothing"

    rows = artifacts("s3kv-lock-audit")[-len(found.rows) :]
    assert [row["object"] for row in rows] == [row.object for row in found.rows]
    assert [event["event"] for event in events] == ["s3kv.audit.problems"]
    assert len(events[0]["payload"]["problems"]) == 4
    table = list(csv.DictReader(io.StringIO(export.read_text())))
    assert [row["state"] for row in table] == [row.state for row in found.rows]
    audit_locks(locked_lake.name, export=str(tmp_path / "audit.json"))
    loaded = json.loads((tmp_path / "audit.json").read_text())
    assert {row["object"] for row in loaded["rows"]} >= {"s3kv/long.json", "s3kv-results/sum"}
    with pytest.raises(ValueError, match=r"\.csv or \.json"):
        audit_locks(locked_lake.name, export="audit.xlsx")


def test_what_has_ended_is_finalized_and_not_locked_any_more(
    locked_lake: Lake, values: S3KV, monkeypatch: pytest.MonkeyPatch
) -> None:
    def in_two_days(headers: Mapping[str, str], name: str) -> datetime | None:
        found = date_of(headers, name)
        return found + timedelta(days=2) if found and name == "date" else found

    values.add("key", 1, retention=Retention(days=1))
    monkeypatch.setattr("s3kv_flows.store._s3.transport.responses.date_of", in_two_days)
    monkeypatch.setattr("s3kv_flows.store._s3.capabilities.date_of", in_two_days)
    assert values.get_retention("key") is None
    found = audit_locks(locked_lake.name)
    assert [(row.state, row.object) for row in found.rows] == [("ended", NAME)]
    assert found.problems == []


# --- commands ---------------------------------------------------------------------------------------


def command(*arguments: str) -> object:
    return app(list(arguments), result_action="return_value")


def test_the_commands_publish_verify_lock_and_audit(
    locked_lake: Lake,
    values: S3KV,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("S3_ENDPOINT_URL", values.client.server)
    lake = locked_lake.name
    report, receipt = tmp_path / "report.json", tmp_path / "receipt.json"
    report.write_text('{"total": 3}')
    arguments = ("finalize", lake, "report", str(report), "--days", "7", "--receipt", str(receipt))
    assert command(*arguments) == 0
    assert "written: s3kv/report.json, version" in capsys.readouterr().out
    assert command("verify", str(receipt)) == 0
    assert "exists, unchanged, locked (GOVERNANCE until" in capsys.readouterr().out
    assert command("verify", artifact_key("receipt", values.bucket_name, "s3kv/report.json")) == 0
    with get_client(sync_client=True) as client:
        published = ArtifactFilterKey(any_=[artifact_key("receipt", values.bucket_name, "s3kv/report.json")])
        (artifact,) = client.read_artifacts(artifact_filter=ArtifactFilter(key=published))
    assert command("verify", str(artifact.id)) == 0
    assert command("hold", lake, "report", "--reason", "asked for") == 0
    assert command("extend", lake, "report", "--days", "40", "--reason", "asked for") == 0
    assert command("unhold", lake, "report", "--reason", "done") == 0
    capsys.readouterr()
    assert command("audit", lake) == 0
    shown = capsys.readouterr().out
    assert "s3kv/report.json" in shown
    assert "1 locked" in shown

    outside(values).delete_object(Bucket=values.bucket_name, Key="s3kv/report.json")
    assert command("verify", str(receipt), "--json") == 1
    assert json.loads(capsys.readouterr().out)["problems"][0].startswith("a delete marker has hidden it")
    assert command("audit", lake, "--format", "csv") == 1
    assert capsys.readouterr().out.splitlines()[1].startswith("hidden,s3kv/report.json,")
    assert command("audit", lake, "--format", "json") == 1
    assert json.loads(capsys.readouterr().out)["rows"][0]["state"] == "hidden"
    assert command("repair", lake, "report", "--dry-run") == 0
    assert "would read as version" in capsys.readouterr().out
    assert command("repair", lake, "s3kv/report.json") == 0
    assert command("verify", str(receipt), "--store", lake) == 0
    assert "note: its retention was extended" in capsys.readouterr().out
    assert command("release", lake, "report", "--reason", "a mistake") == 0
    assert command("verify", str(receipt)) == 1
    assert "somebody has lifted it" in capsys.readouterr().out


ENDPOINTS = ("S3_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL")


@pytest.fixture
def receipt_file(locked_lake: Lake, values: S3KV, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the file of a receipt, where the environment names no server."""
    for name in (*ENDPOINTS, "S3_BUCKET"):
        monkeypatch.delenv(name, raising=False)
    made = values.outputs.finalize("report", 1, WEEK)
    file = tmp_path / "receipt.json"
    # Whoever made the receipt may name a store that is saved here, too.
    file.write_text(replace(made, store=locked_lake.name).to_json())
    return file


def test_the_server_that_a_receipt_names_is_not_asked(
    locked_lake: Lake, receipt_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    advice = re.escape(f"s3kv verify {receipt_file} --store {locked_lake.name}")
    for elsewhere in (None, *ENDPOINTS):
        with monkeypatch.context() as environment:
            if elsewhere:
                environment.setenv(elsewhere, "http://127.0.0.1:1")
            with locked_lake.proxy.counting() as wire, pytest.raises(ValueError, match=advice) as caught:
                command("verify", str(receipt_file))
        assert wire.requests.total() == 0
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ENDPOINTS)
def test_a_receipt_of_the_server_of_the_environment_is_verified(
    locked_lake: Lake, receipt_file: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv(name, f"{locked_lake.proxy.url}/")
    assert command("verify", str(receipt_file)) == 0
    monkeypatch.setenv("S3_BUCKET", "another-bucket")
    with pytest.raises(ValueError, match="this store of 'another-bucket'"):
        command("verify", str(receipt_file))


def test_a_store_that_is_named_is_asked_whatever_the_receipt_says(
    locked_lake: Lake, receipt_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = Receipt.from_json(receipt_file.read_text())
    elsewhere = replace(given, endpoint="http://127.0.0.1:1", store="not-saved")
    receipt_file.write_text(elsewhere.to_json())
    assert command("verify", str(receipt_file), "--store", locked_lake.name) == 1
    assert "nobody who is trusted has sealed this receipt (signature)" in capsys.readouterr().out
    receipt_file.write_text(locked_lake.block.values.outputs.sealed(elsewhere).to_json())
    assert command("verify", str(receipt_file), "--store", locked_lake.name) == 0
    said = f"note: the receipt names http://127.0.0.1:1 as its server; the request went to {given.endpoint}"
    assert said in capsys.readouterr().out
    receipt_file.write_text(replace(given, bucket="another-bucket").to_json())
    with locked_lake.proxy.counting() as wire, pytest.raises(ValueError, match="of bucket 'another-bucket'"):
        command("verify", str(receipt_file), "--store", locked_lake.name)
    assert wire.requests.total() == 0


def test_the_commands_refuse_what_is_not_understood(
    locked_lake: Lake, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    report = tmp_path / "report.json"
    report.write_text("3")
    publish = ("finalize", locked_lake.name, "report", str(report), "--days", "1", "--mode", "COMPLIANCE")
    with pytest.raises(ValueError, match="i_understand"):
        command(*publish)
    assert command(*publish, "--i-understand") == 0
    assert json.loads(capsys.readouterr().out)["mode"] == "COMPLIANCE"
    with pytest.raises(ValueError, match="neither a file nor an artifact"):
        command("verify", "no-such-receipt")
    with pytest.raises(ValueError, match="KEY=VALUE"):
        command("audit", locked_lake.name, "--final-tag", "stage")
    with pytest.raises(ValueError, match="no bucket given"):
        command("policy", "--role", "auditor")


@pytest.mark.parametrize("days", ["inf", "nan", "1e12", "-1"])
def test_the_commands_refuse_days_that_no_lock_can_last(
    locked_lake: Lake, values: S3KV, tmp_path: Path, days: str
) -> None:
    values.add("key", 1, retention=WEEK)
    report = tmp_path / "report.json"
    report.write_text("3")
    with pytest.raises(ValueError, match="a retention lasts"):
        command("finalize", locked_lake.name, "report", str(report), f"--days={days}")
    with pytest.raises(ValueError, match="a retention lasts"):
        command("extend", locked_lake.name, "key", f"--days={days}", "--reason", "longer")
    with pytest.raises(ValueError, match=r"1,000 years|negative"):
        command("audit", locked_lake.name, f"--within-days={days}")


def test_a_policy_is_printed_for_a_store_or_a_bucket(
    locked_lake: Lake, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command("policy", locked_lake.name, "--role", "janitor") == 0
    made = json.loads(capsys.readouterr().out)
    assert f"arn:aws:s3:::{locked_lake.block.bucket_name}/s3kv/*" in made["Statement"][0]["Resource"]
    arguments = ("policy", "--role", "auditor", "--bucket", "lake", "--partition", "aws-cn")
    assert command(*arguments, "--principal", "arn:aws-cn:iam::123456789012:role/auditor") == 0
    made = json.loads(capsys.readouterr().out)
    assert made["Statement"][0]["Principal"] == {"AWS": "arn:aws-cn:iam::123456789012:role/auditor"}
    assert made["Statement"][1]["Resource"] == ["arn:aws-cn:s3:::lake"]
