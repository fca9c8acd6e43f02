"""Event holds, and locks that are not known: what carries one is left alone, as what is retained.

No server here has them, so a proxy adds their headers to what the server answers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager

import pytest

from s3kv_flows.maintenance import sweep
from s3kv_flows.store import S3KV, Retention
from s3kv_flows.store._locks.lookup import LockLookup
from s3kv_flows.store._outputs.audit import audit
from s3kv_flows.store.errors import AccessDeniedError, KeyLockedError, S3KVError, UnsupportedByServerError
from tests.contracts.attempts import ATTEMPTS, Attempt
from tests.contracts.helpers import NAME, WEEK, carries_updates, chain, finalize, outside
from tests.contracts.sweeping import ALL, planned
from tests.support.proxy import CountingProxy, adding_headers

SOON = "2999-01-01T00:00:00Z"

LOCKS = {
    "event hold": {"x_amz_object_lock_event_hold": "ON", "x_amz_object_lock_event_hold_duration_days": "7"},
    "event hold with a mode": {"x_amz_object_lock_event_hold": "ON", "x_amz_object_lock_mode": "COMPLIANCE"},
    "event hold in capitals": {"X_Amz_Object_Lock_Event_Hold": "ON"},
    "unknown": {"x_amz_object_lock_court_order": "1"},
    "duration alone": {"x_amz_object_lock_event_hold_duration_years": "1"},
    "mode without a date": {"x_amz_object_lock_mode": "GOVERNANCE"},
    "date without a mode": {"x_amz_object_lock_retain_until_date": SOON},
}

Locking = Callable[[str], AbstractContextManager[None]]


@pytest.fixture
def lock(proxy: CountingProxy) -> Locking:
    """Return a context in which all objects carry a lock."""
    return lambda name: proxy.editing(responses=adding_headers(**LOCKS[name]))


@pytest.fixture
def store(make_store: Callable[..., S3KV], proxy: CountingProxy) -> Iterator[S3KV]:
    store = make_store(object_lock=True, endpoint_url=proxy.url)
    store.add("key", {"final": 1}, tags={"find": "me"})
    store.add("other", {"x": 1})
    store.get_retention("key")
    yield store
    proxy.close_connections()


EVERY_ATTEMPT = [
    pytest.param(attempt, id=f"{name}-{number}")
    for name, attempts in ATTEMPTS.items()
    for number, attempt in enumerate(attempts)
]


@pytest.mark.parametrize("attempt", EVERY_ATTEMPT)
def test_what_is_under_an_event_hold_is_not_changed_or_deleted(
    store: S3KV, lock: Locking, attempt: Attempt
) -> None:
    refuses(store, lock, attempt, "event hold")


@pytest.mark.parametrize("name", LOCKS)
def test_whatever_lock_is_not_known_protects(store: S3KV, lock: Locking, name: str) -> None:
    for attempt in (ATTEMPTS["add"][0], ATTEMPTS["copy_key"][0], ATTEMPTS["delete"][0], ATTEMPTS["purge"][0]):
        refuses(store, lock, attempt, name)


def refuses(store: S3KV, lock: Locking, attempt: Attempt, name: str) -> None:
    before = chain(store)
    with lock(name), pytest.raises(S3KVError) as caught:
        attempt(store)
    if isinstance(caught.value, UnsupportedByServerError):
        assert not carries_updates(store)
    else:
        assert isinstance(caught.value, KeyLockedError)
    assert chain(store) == before
    assert store.get("key") == {"final": 1}


def test_an_event_hold_that_is_off_protects_nothing(store: S3KV, proxy: CountingProxy) -> None:
    off = adding_headers(
        x_amz_object_lock_event_hold="OFF",
        x_amz_object_lock_event_hold_duration_days="7",
        x_amz_object_lock_legal_hold="OFF",
    )
    with proxy.editing(responses=off):
        store.add("key", 2)
        assert store.info("key").protection is None
        assert store.get_retention("key") is None
        store.delete("key")


def test_reads_tell_of_it(store: S3KV, lock: Locking) -> None:
    with lock("event hold"):
        assert store.get("key") == {"final": 1}
        assert str(store.info("key").protection) == "under an event hold"
        with pytest.raises(KeyLockedError, match="it is under an event hold"):
            store.get_retention("key")
        assert not store.is_legal_hold_applied("key")
    with lock("unknown"):
        assert str(store.info("key").protection) == "under an unknown lock (court-order: 1)"
    with lock("mode without a date"):
        assert str(store.info("key").protection) == "under GOVERNANCE retention without a date"
    with lock("date without a mode"):
        retention = store.get_retention("key")
        assert retention is not None
        assert retention.until is not None
        assert retention.until.year == 2999


@pytest.mark.parametrize("name", ["event hold", "unknown"])
def test_no_date_is_set_or_lifted_beside_it(store: S3KV, lock: Locking, name: str) -> None:
    store.add("retained", 1, retention=WEEK)
    for key in ("key", "retained"):
        for act in (
            lambda key=key: store.place_retention_lock(key, 30),
            lambda key=key: store.extend_retention_lock(key, 30),
            lambda key=key: store.remove_retention_lock(key),
        ):
            with lock(name), pytest.raises(KeyLockedError):
                act()
    with lock(name):
        store.apply_legal_hold("key")
        store.release_legal_hold("key")
    assert store.info("key").protection is None


@pytest.mark.parametrize("name", LOCKS)
def test_a_plan_keeps_it(store: S3KV, lock: Locking, name: str) -> None:
    with lock(name):
        made = planned(store, ALL, protect_tag=None)
    assert made.removals == []
    assert {decision.entry.name for decision in made.protected} == {NAME, "s3kv/other.json"}


def test_a_sweep_leaves_what_was_put_under_it_since_the_plan(store: S3KV, lock: Locking) -> None:
    store.add("key", {"final": 2})
    made = planned(store, ALL, protect_tag=None)
    assert NAME in {decision.entry.name for decision in made.removals}
    with lock("event hold"):
        report = sweep(store, made)
    assert report.protected[NAME].startswith("under an event hold")
    assert len(chain(store)) == 2


def test_an_audit_lists_it(store: S3KV, lock: Locking) -> None:
    with lock("event hold"):
        found = audit(store.client, store.bucket_name, ["s3kv/"], within="30d")
    assert [(row.state, row.object, row.other_locks) for row in found.rows] == [
        ("locked", NAME, "an event hold"),
        ("locked", "s3kv/other.json", "an event hold"),
    ]
    outside(store).put_object(Bucket=store.bucket_name, Key=NAME, Body=b"1")
    with lock("event hold"):
        found = audit(store.client, store.bucket_name, ["s3kv/key"])
    assert [row.state for row in found.rows] == ["shadowed", "locked"]


def test_an_output_that_was_put_under_it_holds_and_is_left_as_it_is(store: S3KV, lock: Locking) -> None:
    receipt = finalize(store, "output", 1)
    with lock("event hold"):
        found = store.outputs.verify(receipt)
        assert found.holds
        assert "under an event hold" in found.notes[0]
        with pytest.raises(KeyLockedError, match="event hold"):
            finalize(store, "output", 1, Retention(days=30))


# --- without the permission to read values ----------------------------------------------------------

_XML = '<Retention xmlns="http://s3.amazonaws.com/doc/2006-03-01/">{}</Retention>'
_DURATION = "<EventHoldDuration><Days>7</Days></EventHoldDuration>"
_DEFAULT = "<DefaultEventHold><Days>7</Days></DefaultEventHold>"
_DATE = "<Mode>GOVERNANCE</Mode><RetainUntilDate>2999-01-01T00:00:00Z</RetainUntilDate>"


@pytest.mark.parametrize(
    ("retention", "words"),
    [
        (f"<EventHold>ON</EventHold>{_DURATION}", "under an event hold"),
        (f"<Mode>GOVERNANCE</Mode><EventHold>ON</EventHold>{_DURATION}", "under an event hold"),
        (f"<EventHold>OFF</EventHold>{_DURATION}", None),
        ("<CourtOrder>1</CourtOrder>", "under an unknown lock (court-order: 1)"),
        (
            f"{_DATE}<EventHold>ON</EventHold>",
            "under GOVERNANCE retention until 2999-01-01T00:00:00+00:00 and under an event hold",
        ),
        (_DATE, "under GOVERNANCE retention until 2999-01-01T00:00:00+00:00"),
        ("", None),
    ],
)
def test_it_is_found_in_what_a_janitor_may_ask_for(
    answering: Callable[..., str], monkeypatch: pytest.MonkeyPatch, retention: str, words: str | None
) -> None:
    store = S3KV(answering(200, _XML.format(retention)), "bucket")

    def denied(*_: object, **__: object) -> None:
        raise AccessDeniedError("may not read values")

    monkeypatch.setattr(store.client, "head_object", denied)
    monkeypatch.setattr(store.client, "get_legal_hold", lambda *_, **__: False)
    found = LockLookup(store.client, "bucket").protection(NAME, "v1", is_current=True)
    assert (found and str(found)) == words


@pytest.mark.parametrize(
    ("rule", "locks"),
    [
        ("", False),
        (f"<Rule><DefaultRetention>{_DEFAULT}</DefaultRetention></Rule>", True),
        ("<CourtOrder>1</CourtOrder>", True),
    ],
)
def test_a_bucket_that_puts_every_object_under_it_takes_no_lease(
    answering: Callable[..., str], rule: str, *, locks: bool
) -> None:
    enabled = f"<ObjectLockEnabled>Enabled</ObjectLockEnabled>{rule}"
    body = f"<ObjectLockConfiguration>{enabled}</ObjectLockConfiguration>"
    store = S3KV(answering(200, body), "bucket")
    assert store.client.capabilities.locks_by_default("bucket") == locks
