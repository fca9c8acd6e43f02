from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from s3kv_flows.store import Retention
from s3kv_flows.store._locks.retention import protection_of
from s3kv_flows.store._s3.types import ObjectInfo

NOW = datetime(2026, 5, 4, 12, tzinfo=timezone.utc)


ODD_DAYS = [float("nan"), float("inf"), float("-inf"), -1e12, 1e12, 10**400, 365_251, True, "7"]


def info(**lock: Any) -> ObjectInfo:
    return ObjectInfo("name", "etag", 1, NOW, NOW, "v1", **lock)


@pytest.mark.parametrize(
    "arguments",
    [
        {},
        {"days": 1, "until": NOW},
        {"days": 0},
        {"days": -1},
        *({"days": days} for days in ODD_DAYS),
        {"until": "2027-01-01"},
        {"until": datetime.max.replace(tzinfo=timezone(timedelta(hours=-12)))},
        {"until": datetime(2027, 1, 1)},  # noqa: DTZ001  # that it has no time zone is the point
        {"days": 1, "mode": "governance"},
    ],
)
def test_a_retention_that_makes_no_sense_is_refused(arguments: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"retention|time zone|mode|until"):
        Retention(**arguments)


def test_a_retention_ends_after_its_days_or_at_its_date() -> None:
    assert Retention(days=1.5).retain_until(NOW) == NOW + timedelta(hours=36)
    assert Retention(until=NOW + timedelta(days=1)).retain_until(NOW) == NOW + timedelta(days=1)
    with pytest.raises(ValueError, match="ended already"):
        Retention(until=NOW).retain_until(NOW)
    with pytest.raises(ValueError, match="at most 1,000 years"):
        Retention(until=NOW + timedelta(days=365_251)).retain_until(NOW)
    assert Retention(days=365_250).retain_until(NOW).year == 3026


def test_a_retention_protects_until_its_date_by_the_servers_clock() -> None:
    held = protection_of(info(lock_mode="COMPLIANCE", retain_until=NOW + timedelta(seconds=1)))
    assert held is not None
    assert held.retained
    assert str(held) == "under COMPLIANCE retention until 2026-05-04T12:00:01+00:00"
    assert protection_of(info(lock_mode="COMPLIANCE", retain_until=NOW)) is None
    assert protection_of(info()) is None


def test_a_legal_hold_protects_without_a_date_also_beside_a_past_retention() -> None:
    held = protection_of(info(lock_mode="GOVERNANCE", retain_until=NOW, legal_hold=True))
    assert held is not None
    assert not held.retained
    assert str(held) == "under legal hold"
