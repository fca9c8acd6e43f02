"""What Prefect says and keeps of runs that use a store with secrets has none of these in it."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable
from typing import Any

import pytest
from prefect import flow, task
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterFlowRunId
from pydantic import SecretStr

from s3kv_flows import Retention, S3KVStore, caching
from s3kv_flows.flows import audit_locks, maintain_store
from s3kv_flows.tasks import finalize_value
from tests.store.test_secrets import ACCESS_KEY, SECRETS, everything_logged, shown

pytestmark = pytest.mark.usefixtures("prefect_api")


@pytest.fixture
def secretive(s3_url: str) -> S3KVStore:
    """Return a saved store with all kinds of secrets; its proxy is for another scheme."""
    store = S3KVStore(
        bucket_name=f"bucket-{uuid.uuid4().hex[:16]}",
        endpoint_url=s3_url,
        aws_access_key_id=ACCESS_KEY,
        aws_secret_access_key=SecretStr(SECRETS["secret access key"]),
        aws_session_token=SecretStr(SECRETS["session token"]),
        boto_config={"proxies": {"https": f"http://user:{SECRETS['proxy password']}@127.0.0.1:1"}},
    )
    store.values.create_bucket(object_lock=True)
    name = f"lake-{uuid.uuid4().hex[:8]}"
    store.save(name)
    return S3KVStore.of(name)


def kept_of(flow_run_id: Any) -> str:
    """Return all that Prefect keeps of a run: its parameters, its states, its artifacts."""
    of_run = ArtifactFilter(flow_run_id=ArtifactFilterFlowRunId(any_=[flow_run_id]))
    with get_client(sync_client=True) as client:
        run = client.read_flow_run(flow_run_id)
        artifacts = client.read_artifacts(artifact_filter=of_run)
    return json.dumps([run.model_dump(mode="json"), [one.model_dump(mode="json") for one in artifacts]])


def failing(store: S3KVStore) -> None:
    raise RuntimeError(f"something failed with {store} and {store!r}")


def test_nothing_is_said_or_kept_of_them(secretive: S3KVStore) -> None:
    @task(**caching(secretive))
    def double(number: int) -> int:
        return 2 * number

    @flow
    def run(store: S3KVStore, *, fails: bool) -> list[int]:
        finalize_value(store, "report", 1, Retention(days=1))
        if fails:
            failing(store)
        return [double(3), double(3)]

    calls: list[Callable[[], Any]] = [
        lambda: run(secretive, fails=False, return_state=True),
        lambda: run(secretive, fails=True, return_state=True),
        lambda: maintain_store(secretive, [], dry_run=True, return_state=True),
        lambda: audit_locks(secretive, return_state=True),
    ]
    with everything_logged() as lines:
        states = [call() for call in calls]
    assert [state.is_completed() for state in states] == [True, False, True, True]
    for text in [*lines, *(kept_of(state.state_details.flow_run_id) for state in states)]:
        assert shown(text) == [], text[:2000]


def test_a_dump_hides_the_password_of_a_proxy_and_saving_keeps_it(secretive: S3KVStore) -> None:
    assert shown(secretive.model_dump_json() + str(secretive.model_dump(mode="json"))) == []
    proxies = secretive.values.config.boto_config["proxies"]
    assert SECRETS["proxy password"] in proxies["https"], "as it was saved"
