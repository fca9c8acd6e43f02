"""The examination of a server finds what is known of it: of moto, and of Ceph 16."""

from __future__ import annotations

from dataclasses import replace

import pytest

from s3kv_flows.cli._diagnosis import FeatureName, diagnose
from s3kv_flows.store import S3KV
from s3kv_flows.store._s3.capabilities import ConditionalDeletes, ConditionalPuts, MultipartUploads
from s3kv_flows.store._s3.client import S3Client
from s3kv_flows.store._s3.examination import BucketFacts, Examination, examine
from s3kv_flows.store._s3.probes import PlainRequests
from tests.servers import Server

MOTO = BucketFacts(
    bucket="",
    versioned=False,
    object_lock=False,
    default_retention=False,
    plain=PlainRequests(),
    writers=32,
    puts=ConditionalPuts("atomic", "atomic"),
    deletes=ConditionalDeletes(single=True, batch=False),
    tags=True,
    uploads=MultipartUploads(tags=True, locks=False),
    lifecycle="not carried out",
)
CEPH_16 = replace(
    MOTO,
    puts=ConditionalPuts("atomic", "atomic", quoted=False),
    deletes=ConditionalDeletes(single=False, batch=False),
    uploads=MultipartUploads(tags=False, locks=False),
    lifecycle="carried out",
)
VERSIONED = ConditionalPuts("no", "no", quoted=False)
"""Ceph 16: If-None-Match is ignored there, and If-Match always refused."""
SEAWEEDFS = replace(
    MOTO,
    writers=4,
    deletes=ConditionalDeletes(single=True, batch=True),
    uploads=MultipartUploads(tags=True, locks=False),
    lifecycle="taken",
)
LOCKING_SEAWEEDFS = replace(
    SEAWEEDFS, versioned=True, object_lock=True, uploads=MultipartUploads(tags=True, locks=True)
)

KNOWN = {
    ("moto", "plain"): MOTO,
    ("moto", "with versions"): replace(MOTO, versioned=True),
    ("moto", "with Object Lock"): replace(MOTO, versioned=True, object_lock=True),
    ("ceph", "plain"): CEPH_16,
    ("ceph", "with versions"): replace(CEPH_16, versioned=True, puts=VERSIONED),
    ("ceph", "with Object Lock"): replace(CEPH_16, versioned=True, object_lock=True, puts=VERSIONED),
    ("seaweedfs", "plain"): SEAWEEDFS,
    ("seaweedfs", "with versions"): replace(SEAWEEDFS, versioned=True),
    ("seaweedfs", "with Object Lock"): LOCKING_SEAWEEDFS,
}

WORKS, LIMITED, CANNOT = "works", "with limits", "cannot work"
VERDICTS: dict[tuple[str, str], dict[FeatureName, str]] = {
    ("moto", "plain"): {"updates": WORKS, "single-flight": WORKS, "finalizing": CANNOT, "lifecycle": CANNOT},
    ("moto", "with Object Lock"): {"updates": WORKS, "checkpoints": WORKS, "finalizing": LIMITED},
    ("ceph", "plain"): {"updates": WORKS, "single-flight": LIMITED, "cleanup": LIMITED, "lifecycle": WORKS},
    ("ceph", "with versions"): {"updates": CANNOT, "single-flight": CANNOT, "finalizing": CANNOT},
    ("ceph", "with Object Lock"): {"updates": CANNOT, "checkpoints": CANNOT, "finalizing": CANNOT},
    ("seaweedfs", "plain"): {"updates": WORKS, "single-flight": WORKS, "finalizing": CANNOT},
    ("seaweedfs", "with Object Lock"): {"updates": WORKS, "single-flight": WORKS, "finalizing": WORKS},
}


def examined(store: S3KV, leases: S3KV | None = None) -> Examination:
    return examine(
        store.client,
        store.bucket_name,
        "s3kv-results/",
        lease_bucket=leases.bucket_name if leases else None,
        lease_prefix="s3kv-leases/",
    )


def test_a_server_is_found_to_be_what_is_known_of_it(bucket: S3KV, kind: str, server: Server) -> None:
    if server.name == "endpoint":
        pytest.skip("nothing is known of it")
    found = examined(bucket)
    assert found.bucket == replace(KNOWN[server.name, kind], bucket=bucket.bucket_name)
    assert found.lease_bucket is found.bucket
    assert abs(found.clock_skew_seconds) < 60
    assert list(bucket.client.list_versions(bucket.bucket_name, "")) == [], "nothing is left behind"
    verdicts = {feature.name: feature.verdict for feature in diagnose(found).features}
    expected = VERDICTS.get((server.name, kind), {})
    assert {name: verdicts[name] for name in expected} == expected
    for feature in diagnose(found).features:
        assert feature.verdict == WORKS or feature.advice, "what to do"


def test_a_bucket_for_leases_is_examined_where_it_is_another(
    locking_store: S3KV, store: S3KV, server: Server
) -> None:
    found = examined(locking_store, store)
    assert found.lease_bucket.bucket == store.bucket_name
    assert found.lease_bucket.versioned is False
    diagnosis = diagnose(found, ["single-flight", "finalizing"])
    unfit = ["finalizing"] if server.name == "ceph" else []  # where two writers can publish the same key
    assert [feature.name for feature in diagnosis.failed] == unfit
    assert diagnosis.as_json()["ok"] is (not unfit)
    if server.name == "ceph":
        (flight,) = [one for one in diagnosis.features if one.name == "single-flight"]
        assert "does not honour conditions for the results" in flight.why


def test_nothing_is_tried_out_where_it_would_be_locked(
    locking_store: S3KV, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(S3Client, "has_default_retention", lambda *_: True)
    with locking_store.client.counters.measure() as counted:
        found = examined(locking_store)
    assert counted[0].by_operation.keys().isdisjoint({"PutObject", "CreateMultipartUpload"})
    assert found.bucket.puts is None
    diagnosis = diagnose(found, ["single-flight"])
    assert [feature.name for feature in diagnosis.failed] == ["single-flight"]
    assert "lease_bucket_name" in diagnosis.failed[0].advice


def test_a_clock_that_is_far_off_is_said(store: S3KV) -> None:
    found = replace(examined(store), clock_skew_seconds=400.0)
    (cache,) = [feature for feature in diagnose(found).features if feature.name == "cache"]
    assert cache.verdict == LIMITED
    assert "+400 s" in cache.why
