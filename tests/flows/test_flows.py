from __future__ import annotations

import json
import uuid
from datetime import timedelta
from typing import Any

import pytest
from prefect import flow, task
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterKey
from prefect.exceptions import ParameterTypeError
from prefect.utilities.schema_tools.validation import is_valid_schema, validate
from pydantic import TypeAdapter

from s3kv_flows import CleanupRule, Retention, S3KVStore, caching
from s3kv_flows.flows import maintain_store
from s3kv_flows.store import S3KV
from s3kv_flows.store.errors import KeyLockedError, UnsupportedByServerError
from s3kv_flows.tasks import (
    age_local_cache,
    delete_by_tag,
    finalize_value,
    get_value,
    plan_cleanup,
    put_value,
)
from s3kv_flows.tasks.maintenance import abort_incomplete_uploads, sweep_leases

pytestmark = pytest.mark.usefixtures("prefect_api")

RULES = [CleanupRule("raw", tags={"stage": "raw"}, older_than=timedelta(0))]
EVERYTHING = [CleanupRule("everything", older_than=timedelta(0))]
ZERO = timedelta(0)


@pytest.fixture
def lake(s3_url: str) -> str:
    name = f"lake-{uuid.uuid4().hex[:8]}"
    store = S3KVStore(
        bucket_name=f"bucket-{uuid.uuid4().hex[:16]}", endpoint_url=s3_url, enable_local_cache=True
    )
    store.values.create_bucket(object_lock=True)
    store.save(name)
    return name


def artifact() -> dict[str, Any]:
    wanted = ArtifactFilter(key=ArtifactFilterKey(any_=["s3kv-cleanup-plan"]))
    with get_client(sync_client=True) as client:
        found = client.read_artifacts(artifact_filter=wanted)
    return max(found, key=lambda one: one.created).model_dump()  # type: ignore[arg-type,return-value]


def test_a_dry_run_removes_nothing_and_the_run_just_that(lake: str) -> None:
    values = S3KVStore.of(lake).values
    values.add("raw", 1, tags={"stage": "raw"})
    values.add("final", 1, tags={"stage": "final"})
    values.add("locked", 1, tags={"stage": "raw"}, retention=Retention(days=1))
    dry = maintain_store(lake, RULES, dry_run=True, grace=ZERO)
    assert list(dry.planned) == ["s3kv/raw.json"]
    assert "GOVERNANCE" in dry.protected["s3kv/locked.json"]
    assert dry.removed == []
    assert values.list_keys() == ["final", "locked", "raw"]
    shown = artifact()
    assert "Dry run: 1 objects to remove, 1 bytes in 1 versions" in shown["description"]
    assert "s3kv/raw.json" in shown["data"]
    report = maintain_store(lake, RULES, grace=ZERO)
    assert report.removed == list(dry.planned)
    assert report.freed_bytes == dry.planned_bytes
    assert values.list_keys() == ["final", "locked"]


@pytest.mark.parametrize("bare", [30, 30.0, "30", " 30 ", "1m", True])
def test_a_run_whose_durations_have_no_unit_fails_before_it_looks(bare: object) -> None:
    rules: Any = [{"name": "nightly", "older_than": bare}]
    with pytest.raises(ParameterTypeError, match=r"rules\.0\.older_than[\s\S]*write"):
        maintain_store("lake", rules)
    with pytest.raises(ParameterTypeError, match=r"grace[\s\S]*write"):
        maintain_store("lake", RULES, grace=bare)  # type: ignore[call-overload]


@pytest.mark.parametrize("bare", [30, "30", " 30 ", True])
def test_tasks_take_no_duration_without_a_unit(lake: str, bare: Any) -> None:
    with pytest.raises(ValueError, match="write 30d"):
        plan_cleanup.fn(lake, RULES, grace=bare)
    with pytest.raises(ValueError, match="write 30d"):
        sweep_leases.fn(lake, grace=bare)
    with pytest.raises(ValueError, match="write 30d"):
        abort_incomplete_uploads.fn(lake, grace=bare)
    with pytest.raises(ValueError, match="write 30d"):
        S3KVStore.of(lake).audit(within=bare)
    assert plan_cleanup.fn(lake, RULES, grace="1mo").removals == []
    assert S3KVStore.of(lake).audit(within="30d").within_days == 30


def test_a_deployment_keeps_rules_as_text_and_its_schema_takes_them() -> None:
    read = TypeAdapter(list[CleanupRule]).validate_python(
        [{"name": "half a year", "older_than": "6mo"}, {"name": "history", "noncurrent_after": "P7DT12H"}]
    )
    deployment: Any = maintain_store.to_deployment(
        "nightly", parameters={"store": "lake", "rules": read, "grace": "1h30min"}
    )
    kept = deployment.model_dump(mode="json")["parameters"]
    assert [rule["older_than"] for rule in kept["rules"]] == ["6mo", None]
    assert [rule["noncurrent_after"] for rule in kept["rules"]] == [None, "7d12h"]
    schema = maintain_store.parameters.model_dump()
    is_valid_schema(schema)
    assert validate(kept, schema) == []
    checked = maintain_store.validate_parameters(json.loads(json.dumps(kept)))
    assert checked["rules"] == read
    assert checked["grace"] == timedelta(minutes=90)
    for bare in (30, 30.5, True):
        assert validate(kept | {"rules": [{"name": "nightly", "older_than": bare}]}, schema)
        assert validate(kept | {"grace": bare}, schema)


def test_what_is_younger_than_an_hour_stays_by_default(lake: str) -> None:
    values = S3KVStore.of(lake).values
    values.add("raw", 1)
    report = maintain_store(lake, EVERYTHING)
    assert report.removed == []
    assert values.exists("raw")


def test_rules_of_a_deployment_are_json(lake: str) -> None:
    S3KVStore.of(lake).values.add("raw", 1, tags={"stage": "raw"})
    rules: Any = [{"name": "raw", "tags": {"stage": "raw"}, "older_than": "PT0S"}]
    report = maintain_store(lake, rules, grace="PT0S", dry_run=True)
    assert list(report.planned) == ["s3kv/raw.json"]


def test_a_finalized_result_is_not_swept_and_a_refreshed_one_is_gone_for_good(lake: str) -> None:
    @task(**caching(lake))
    def raw() -> int:
        return 1

    @task(**caching(lake, retention=Retention(days=365)))
    def final(number: int) -> int:
        return number

    @flow
    def pipeline() -> int:
        return final(raw())

    pipeline()
    raw.with_options(refresh_cache=True)()
    results = S3KVStore.of(lake).results
    report = maintain_store(lake, EVERYTHING, grace=ZERO)
    assert len(report.removed) == 1
    assert len(report.protected) == 1
    (left,) = results.client.list_versions(results.bucket_name, "")
    assert left.name in report.protected
    assert pipeline() == 1


def test_a_cleanup_ages_the_local_cache_and_a_dry_run_does_not(lake: str) -> None:
    values = S3KVStore.of(lake).values
    values.add("key", 1)
    values.get("key")
    assert values.local_cache.size() > 0
    assert maintain_store(lake, RULES, dry_run=True, local_cache_max_days=0).aged_local_copies == 0
    assert maintain_store(lake, RULES, local_cache_max_days=0).aged_local_copies == 1
    assert values.local_cache.size() == 0


def test_a_cleanup_frees_what_a_killed_writer_left_of_an_upload(lake: str) -> None:
    values = S3KVStore.of(lake).values
    client, bucket = values.client, values.bucket_name
    for name in ("s3kv/key.json", "s3kv-results/key", "elsewhere/key"):
        upload = client.create_multipart_upload(bucket, name, content_type="x")
        client.upload_part(bucket, name, upload, 1, b"part")
    ours = ["s3kv/key.json", "s3kv-results/key"]
    assert maintain_store(lake, RULES, dry_run=True, grace=ZERO).incomplete_uploads == ours
    assert maintain_store(lake, RULES, grace=ZERO).incomplete_uploads == ours
    assert [upload.name for upload in client.list_multipart_uploads(bucket, "")] == ["elsewhere/key"]


def test_the_tasks_put_get_finalize_and_delete(lake: str) -> None:
    @flow
    def work() -> Any:
        put_value(lake, "a", {"x": 1}, tags={"stage": "raw"})
        put_value(lake, "b", 2, tags={"stage": "raw"})
        finalize_value(lake, "report", {"total": 3}, Retention(days=2), tags={"stage": "final"})
        deleted = delete_by_tag(lake, "stage", "raw")
        return deleted, get_value(lake, "report"), get_value(lake, "a", "gone"), age_local_cache(lake, 0)

    assert work() == (["a", "b"], {"total": 3}, "gone", 1)
    info = S3KVStore.of(lake).values.objects.head("s3kv/report.json")
    assert info.lock_mode == "GOVERNANCE"


def test_publishing_that_is_refused_fails_its_task(lake: str) -> None:
    finalize_value(lake, "report", 1, Retention(days=2))
    with pytest.raises(KeyLockedError, match="cannot overwrite 'report': it is under GOVERNANCE"):
        finalize_value(lake, "report", 2, Retention(days=2))
    with pytest.raises(KeyLockedError):
        put_value(lake, "report", 2)
    assert S3KVStore.of(lake).values.get("report") == 1


def test_deleting_by_tag_names_what_is_locked_in_the_log(lake: str, logged: pytest.LogCaptureFixture) -> None:
    finalize_value(lake, "report", 1, Retention(days=2), tags={"stage": "raw"})
    assert delete_by_tag(lake, "stage", "raw") == []
    assert "cannot delete 'report': it is under GOVERNANCE retention" in logged.text


def test_finalizing_without_object_lock_fails(s3_url: str) -> None:
    store = S3KVStore(bucket_name=f"bucket-{uuid.uuid4().hex[:16]}", endpoint_url=s3_url)
    store.values.create_bucket()
    with pytest.raises(UnsupportedByServerError):
        finalize_value(store, "report", 1, Retention(days=1))
    assert not store.values.exists("report")


def test_a_cleanup_removes_the_leases_of_the_dead(lake: str, monkeypatch: pytest.MonkeyPatch) -> None:
    store = S3KVStore.of(lake)
    leases = store.leases(1.0)
    name = store.lease_namespace.name_of("key")
    leases.acquire(name, "dead")
    assert maintain_store(lake, RULES, grace=ZERO).dead_leases == [], "it might be alive"
    later = store.values.server_time() + timedelta(hours=2)
    monkeypatch.setattr(S3KV, "server_time", lambda _: later)
    assert maintain_store(lake, RULES, dry_run=True, grace=ZERO).dead_leases == [name]
    assert maintain_store(lake, RULES, grace=ZERO).dead_leases == [name]
    assert list(store.values.client.list_objects(store.bucket_name, store.lease_namespace.prefix)) == []
