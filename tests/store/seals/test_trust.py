"""Trusted keys: their limits, and lists of them."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from s3kv_flows.store._seals.keys.keys import PublicKey
from s3kv_flows.store._seals.keys.trust import TrustedKey, TrustedKeys
from s3kv_flows.store._seals.policy import SealPolicy
from s3kv_flows.store._seals.purposes import PURPOSES, Purpose
from tests.store.seals.examples import KEY, NAMESAKE, STRANGER

TEXT = str(KEY.public)
DECEMBER = datetime(2026, 12, 1, tzinfo=timezone.utc)


@pytest.mark.parametrize(
    ("limits", "until", "purposes"),
    [
        ("", None, PURPOSES),
        (";until=2026-12-01", DECEMBER, PURPOSES),
        (";until=2026-12-01T18:30Z", DECEMBER.replace(hour=18, minute=30), PURPOSES),
        (";until=2026-12-01T18:30:59Z", DECEMBER.replace(hour=18, minute=30, second=59), PURPOSES),
        (";purposes=result", None, ["result"]),
        (";purposes=result,value;until=2026-12-01", DECEMBER, ["value", "result"]),
    ],
)
def test_limits_are_read(limits: str, until: datetime | None, purposes: list[Purpose]) -> None:
    trusted = TrustedKey.parse(TEXT + limits)
    assert trusted == TrustedKey(KEY.public, until, frozenset(purposes))


@pytest.mark.parametrize(
    "limits",
    [
        ";",
        ";until",
        ";until=",
        ";until=tomorrow",
        ";until=2026-13-01",
        ";until=0000-01-01",
        ";until=2026-12-01T18:30",  # of which zone?
        ";until=2026-12-01T18:30+01:00",
        ";until=2026-12-01 ",
        ";until=\uff12\uff10\uff12\uff16-12-01",
        ";until=2026-12-01;until=2026-12-02",
        ";purposes=",
        ";purposes=result,",
        ";purposes=results",
        ";purposes=RESULT",
        ";purposes=result, value",
        ";purpose=result",
        "; until=2026-12-01",
        " ",
    ],
)
def test_a_limit_that_is_misspelt_is_no_key_without_limits(limits: str) -> None:
    with pytest.raises(ValueError, match="key"):
        TrustedKey.parse(TEXT + limits)


def test_an_error_names_the_key_and_no_secret_in_the_wrong_place() -> None:
    with pytest.raises(ValueError, match=KEY.id) as caught:
        TrustedKey.parse(f"{TEXT};purposes={STRANGER.reveal()}")
    assert STRANGER.reveal()[-20:] not in str(caught.value)


@given(
    st.none() | st.datetimes(timezones=st.just(timezone.utc)).map(lambda date: date.replace(microsecond=0)),
    st.sets(st.sampled_from(PURPOSES), min_size=1),
)
def test_a_trusted_key_reads_back_as_it_was_written(until: datetime | None, purposes: set[Purpose]) -> None:
    trusted = TrustedKey(KEY.public, until, frozenset(purposes))
    assert TrustedKey.parse(str(trusted)) == trusted


def test_a_date_without_a_zone_is_refused() -> None:
    with pytest.raises(ValueError, match="no time zone"):
        TrustedKey(KEY.public, DECEMBER.replace(tzinfo=None))


def test_a_key_ends_with_the_first_moment_of_its_date() -> None:
    trusted = TrustedKey.parse(f"{TEXT};until=2026-12-01")
    assert not trusted.has_ended(DECEMBER - timedelta(seconds=1))
    assert trusted.has_ended(DECEMBER)
    assert trusted.has_ended(None)
    assert trusted.has_ended(DECEMBER.replace(year=2020, tzinfo=None)), "of which zone?"
    assert not TrustedKey.parse(TEXT).has_ended(None)


def test_a_list_does_not_contradict_itself() -> None:
    same = TrustedKey.parse(TEXT)
    assert len(TrustedKeys([same, TrustedKey.parse(TEXT)], KEY.public)) == 1
    with pytest.raises(ValueError, match="listed twice"):
        TrustedKeys([same, TrustedKey.parse(f"{TEXT};purposes=result")])


def test_two_keys_with_the_same_id_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(PublicKey, "id", "ci@AAAAAAAA")
    with pytest.raises(ValueError, match="different limits or keys"):
        TrustedKeys([TrustedKey(KEY.public), TrustedKey(NAMESAKE.public)])
    with pytest.raises(ValueError, match="is another key"):
        TrustedKeys([TrustedKey(KEY.public)], NAMESAKE.public)


def test_the_own_key_is_trusted_although_it_is_not_listed() -> None:
    assert len(TrustedKeys([], KEY.public)) == 1
    SealPolicy(KEY, [TrustedKey(STRANGER.public)]).require_can_seal("result")
