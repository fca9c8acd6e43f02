"""Finalized outputs that other clients hide or change: detected, reported by receipts, and repaired."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from s3kv_flows.store import S3KV
from s3kv_flows.store._outputs.receipts import Receipt
from s3kv_flows.store._s3.client import S3Client
from s3kv_flows.store.errors import (
    AccessDeniedError,
    HiddenOutputError,
    KeyLockedError,
)
from tests.contracts.helpers import NAME, WEEK, chain, finalize, hide, outside
from tests.servers import Server

MIB = 1 << 20


# --- what others do ---------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["delete marker", "newer version"])
def test_reads_of_a_hidden_output_say_so_and_a_repair_brings_it_back(locking_store: S3KV, how: str) -> None:
    receipt = finalize(locking_store, "key", {"total": 3})
    hide(locking_store, how)
    word = "hidden" if how == "delete marker" else "shadowed"
    for read in (
        lambda: locking_store.get("key", "default"),
        lambda: locking_store.get_many(["key"]),
        lambda: locking_store.exists("key"),
        lambda: locking_store.info("key"),
        lambda: locking_store.get_key_size("key"),
        lambda: locking_store.get_key_last_updated_time("key"),
        lambda: locking_store.outputs.require_visible("key"),
    ):
        with pytest.raises(HiddenOutputError, match=f"'key' is locked, and {word} by") as caught:
            read()
        error = caught.value
        assert (error.key, error.version_id, error.mode) == ("key", receipt.version_id, "GOVERNANCE")
        assert error.retain_until == receipt.retain_until
        assert error.hidden_by == locking_store.versions("key")[0].version_id
    found = locking_store.outputs.verify(receipt)
    assert not found.holds
    expected = "a delete marker has hidden it" if how == "delete marker" else "another object hides it"
    assert expected in found.problems[0]

    before = chain(locking_store)
    planned = locking_store.outputs.repair("key", dry_run=True)
    assert chain(locking_store) == before
    done = locking_store.outputs.repair("key")
    assert (done.version_id, done.delete_markers, done.moved) == (
        planned.version_id,
        planned.delete_markers,
        planned.moved,
    )
    assert chain(locking_store) == [(receipt.version_id, True, False)]
    assert locking_store.get("key") == {"total": 3}
    assert locking_store.outputs.verify(receipt).holds
    if how == "newer version":
        (aside,) = done.moved.values()
        body = outside(locking_store).get_object(Bucket=locking_store.bucket_name, Key=aside)["Body"].read()
        assert body == b'"another"'
    assert locking_store.outputs.repair("key").version_id is None


INTRUDERS: dict[str, Callable[[S3KV], dict[str, Any]]] = {
    "a copy of another value": lambda store: {"CopySource": f"{store.bucket_name}/s3kv/other.json"},
    "an object with a lock of its own": lambda _: {
        "Body": b'"another"',
        "ObjectLockMode": "GOVERNANCE",
        "ObjectLockRetainUntilDate": datetime.now(timezone.utc) + timedelta(days=1),
    },
}


@pytest.mark.parametrize("intruder", INTRUDERS)
def test_reads_notice_intruders_of_every_kind(locking_store: S3KV, intruder: str) -> None:
    receipt = finalize(locking_store, "key", {"total": 3})
    locking_store.add("other", {"another": 1})
    client, target = outside(locking_store), {"Bucket": locking_store.bucket_name, "Key": NAME}
    options = INTRUDERS[intruder](locking_store)
    (client.copy_object if "CopySource" in options else client.put_object)(**target, **options)
    before = chain(locking_store)
    for act in (
        lambda: locking_store.get("key"),
        lambda: locking_store.merge_keys(["key"], "other"),
        lambda: locking_store.copy_key("key", "fresh"),
        lambda: locking_store.apply_legal_hold("key"),
        lambda: locking_store.release_legal_hold("key"),
        lambda: locking_store.extend_retention_lock("key", 30),
        lambda: locking_store.place_retention_lock("key", 30),
        lambda: locking_store.remove_retention_lock("key"),
        lambda: finalize(locking_store, "key", {"total": 3}),
        lambda: finalize(locking_store, "key", {"another": 1}),
        lambda: finalize(locking_store, "key", {"total": 4}, supersede=True),
    ):
        with pytest.raises(HiddenOutputError):
            act()
    assert chain(locking_store) == before
    assert not locking_store.outputs.verify(receipt).holds
    assert locking_store.get("other") == {"another": 1}


def test_a_value_that_was_changed_under_a_hold_is_not_undone_by_a_repair(locking_store: S3KV) -> None:
    locking_store.add("key", 1, legal_hold=True)
    locking_store.add("key", 2)
    assert locking_store.is_legal_hold_applied("key")
    locking_store.outputs.require_visible("key")
    assert locking_store.outputs.repair("key").version_id is None
    locking_store.release_legal_hold("key")
    assert locking_store.outputs.repair("key").version_id is None
    assert locking_store.get("key") == 2
    locking_store.purge("key")
    assert chain(locking_store) == [], "no version is held any more"


def test_lifting_the_lock_of_a_superseding_version_undoes_nothing(locking_store: S3KV) -> None:
    old = finalize(locking_store, "key", 1)
    finalize(locking_store, "key", 2, supersede=True)
    locking_store.remove_retention_lock("key")
    assert locking_store.outputs.repair("key").version_id is None
    assert locking_store.get("key") == 2
    assert locking_store.outputs.verify(old).holds


def test_a_version_between_that_went_leaves_the_oldest_superseded(locking_store: S3KV) -> None:
    old = finalize(locking_store, "key", 1)
    middle = finalize(locking_store, "key", 2, supersede=True)
    finalize(locking_store, "key", 3, supersede=True)
    outside(locking_store).delete_object(
        Bucket=locking_store.bucket_name,
        Key=NAME,
        VersionId=middle.version_id,
        BypassGovernanceRetention=True,
    )
    assert locking_store.outputs.verify(old).holds


def test_a_repair_digs_through_all_that_lies_on_top(locking_store: S3KV) -> None:
    receipt = finalize(locking_store, "key", 1)
    for how in ("newer version", "delete marker", "newer version", "delete marker", "delete marker"):
        hide(locking_store, how)
    markers = [version_id for version_id, _, is_marker in chain(locking_store) if is_marker]
    done = locking_store.outputs.repair("key")
    assert sorted(done.delete_markers) == sorted(markers)
    assert len(done.moved) == 2
    assert chain(locking_store) == [(receipt.version_id, True, False)]


def test_what_lay_on_top_of_a_long_name_is_kept_under_a_short_one(
    locking_store: S3KV, server: Server
) -> None:
    if server.name == "seaweedfs":
        pytest.skip("SeaweedFS keeps no 1000 bytes without a slash, as names of files")
    key = "x" * 1000
    receipt = finalize(locking_store, key, 1)
    hide(locking_store, "newer version", receipt.object_name)
    (aside,) = locking_store.outputs.repair(key).moved.values()
    assert len(aside) < 100
    body = outside(locking_store).get_object(Bucket=locking_store.bucket_name, Key=aside)["Body"].read()
    assert body == b'"another"'
    assert locking_store.get(key) == 1


def test_a_receipt_does_not_hold_when_its_retention_was_made_shorter(locking_store: S3KV) -> None:
    receipt = finalize(locking_store, "key", 1)
    outside(locking_store).put_object_retention(
        Bucket=locking_store.bucket_name,
        Key=NAME,
        Retention={
            "Mode": "GOVERNANCE",
            "RetainUntilDate": datetime.now(timezone.utc) + timedelta(days=1),
        },
        BypassGovernanceRetention=True,
    )
    (problem,) = locking_store.outputs.verify(receipt).problems
    assert "was made shorter" in problem


def test_a_receipt_of_another_bucket_is_refused(locking_store: S3KV, make_store: Callable[..., S3KV]) -> None:
    receipt = finalize(locking_store, "key", 1)
    with pytest.raises(ValueError, match="the receipt is of bucket"):
        make_store(object_lock=True).outputs.verify(receipt)


def test_what_is_locked_on_top_cannot_be_repaired_away(locking_store: S3KV) -> None:
    finalize(locking_store, "key", 1)
    until = datetime.now(timezone.utc) + timedelta(days=1)
    outside(locking_store).put_object(
        Bucket=locking_store.bucket_name,
        Key=NAME,
        Body=b"2",
        ObjectLockMode="GOVERNANCE",
        ObjectLockRetainUntilDate=until,
    )
    before = chain(locking_store)
    with pytest.raises(KeyLockedError, match="cannot restore version"):
        locking_store.outputs.repair("key")
    assert chain(locking_store) == before


def test_a_receipt_does_not_hold_after_tampering_and_says_how(locking_store: S3KV) -> None:
    receipt = finalize(locking_store, "key", {"total": 3})
    target = {"Bucket": locking_store.bucket_name, "Key": NAME}
    another = replace(receipt, sha256="0" * 64, size=receipt.size + 1)
    problems = locking_store.outputs.verify(another).problems
    assert problems == [
        f"it has {receipt.size} bytes, not {receipt.size + 1}",
        f"its content differs: SHA-256 {receipt.sha256}, not {'0' * 64}",
    ]
    # Who may bypass governance replaces it altogether.
    outside(locking_store).delete_object(
        **target, VersionId=receipt.version_id, BypassGovernanceRetention=True
    )
    assert locking_store.outputs.verify(receipt).problems == [
        f"version {receipt.version_id} no longer exists",
        "its key does not exist",
    ]
    outside(locking_store).put_object(**target, Body=b'{"total": 4}')
    missing, other = locking_store.outputs.verify(receipt).problems
    assert missing == f"version {receipt.version_id} no longer exists"
    assert other.startswith(f"another object is on top of its key: version {chain(locking_store)[0][0]}")


def test_a_version_that_is_far_too_large_is_not_downloaded(
    locking_store: S3KV, monkeypatch: pytest.MonkeyPatch
) -> None:
    receipt = finalize(locking_store, "key", "x" * 200_000)
    small = replace(receipt, size=10)
    monkeypatch.setattr("s3kv_flows.store._outputs.verification._MAX_MORE_BYTES", 100_000)
    with locking_store.client.counters.measure() as counted:
        assert locking_store.outputs.verify(small).problems == ["it has 200,002 bytes, not 10"]
    assert counted[0].bytes_received < 100_000


def test_a_receipt_does_not_hold_when_its_lock_was_lifted_or_released(locking_store: S3KV) -> None:
    receipt = finalize(locking_store, "key", 1)
    locking_store.extend_retention_lock("key", 30)
    extended = locking_store.outputs.verify(receipt)
    assert extended.holds
    assert "was extended" in extended.notes[0]
    locking_store.remove_retention_lock("key")
    (problem,) = locking_store.outputs.verify(receipt).problems
    assert "somebody has lifted it" in problem
    held = finalize(locking_store, "held", 1, None, legal_hold=True)
    locking_store.release_legal_hold("held")
    assert locking_store.outputs.verify(held).problems == ["its legal hold was released"]


def test_a_loser_that_cannot_take_its_version_back_gets_an_error(
    locking_store: S3KV, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As for a pipeline, which may not bypass governance, where the server excludes nobody."""
    original = S3Client.put_object

    def overtaken(self: S3Client, *args: Any, **kwargs: Any) -> Any:
        monkeypatch.setattr(S3Client, "put_object", original)
        locking_store.add("key", "theirs", retention=WEEK)
        return original(self, *args, **{**kwargs, "if_none_match": False})

    def denied(*_: object, **__: object) -> None:
        raise AccessDeniedError("may not bypass")

    monkeypatch.setattr(S3Client, "put_object", overtaken)
    monkeypatch.setattr(S3Client, "delete_object", denied)
    with pytest.raises(KeyLockedError) as caught:
        locking_store.outputs.finalize("key", "ours", WEEK, accept_races=True)
    assert caught.value.left_behind == locking_store.versions("key")[0].version_id


def test_a_receipt_that_is_none_is_a_clear_error() -> None:
    for text in ("", "[]", "{}", '{"receipt": 2}', '{"receipt": 1, "key": "x"}'):
        with pytest.raises(ValueError, match="receipt"):
            Receipt.from_json(text)


def test_a_version_that_was_copied_has_no_mark_of_its_own(locking_store: S3KV) -> None:
    from s3kv_flows.store._layout.marks import mark_of

    finalize(locking_store, "key", 1)
    locking_store.copy_key("key", "copy")
    born, copied = (locking_store.objects.head(name) for name in (NAME, "s3kv/copy.json"))
    assert mark_of(born.name, born.metadata) is not None
    assert mark_of(copied.name, copied.metadata) is None
