"""Metadata that anybody may have written: it is in its one form and range, or refused by name."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from s3kv_flows._results.payload import fence_of
from s3kv_flows._results.records import FoundResult, Record
from s3kv_flows.checkpoints._snapshots import has_position
from s3kv_flows.checkpoints._states import position_of
from s3kv_flows.store._layout.marks import final_mark, mark_of
from s3kv_flows.store._layout.parsing import LONGEST
from s3kv_flows.store._layout.ttl import recorded_ttl
from s3kv_flows.store._s3.types import ObjectInfo
from s3kv_flows.store.errors import CorruptValueError

NAME = "s3kv-results/key"
NOW = datetime(2026, 11, 1, tzinfo=timezone.utc)
GOOD = Record("3.8.1", NOW, timedelta(days=1), 1.5, "inputs", "1;n=x;c=y", 7)


def info(*, last_modified: datetime = NOW, server_time: datetime = NOW, **changed: str | None) -> ObjectInfo:
    metadata = GOOD.to_metadata(NAME) | {f"s3kv-{name}": value for name, value in changed.items()}
    kept = {name: value for name, value in metadata.items() if value is not None}
    return ObjectInfo(NAME, '"etag"', 5, last_modified, server_time, metadata=kept)


def read(**changed: Any) -> Record:
    return Record.from_info(info(**changed))


def test_a_record_comes_back_as_it_was_written() -> None:
    assert read() == GOOD


REFUSED: dict[str, dict[str, str | None]] = {
    "a record without a version is none": {"prefect": None},
    "a version in Arabic digits is none": {"prefect": "٣"},
    "a version of 3 KB is none": {"prefect": "3" * 3000},
    "a date without a zone is none": {"expires": "2026-11-01T00:00:00"},
    "a date alone is none": {"expires": "2026-11-01"},
    "a date of another form is none": {"expires": "20261101T000000+0000"},
    "31 February is none": {"expires": "2026-02-31T00:00:00+00:00"},
    "a zone of 99 hours is none": {"expires": "2026-11-01T00:00:00+99:00"},
    "a date before 1970 is none": {"expires": "1969-12-31T23:59:59+00:00"},
    "the year 1 is none": {"expires": "0001-01-01T00:00:00+23:59"},
    "a date after the year 9999 is none": {"expires": "9999-12-31T23:59:59-23:59"},
    "an empty date is none": {"expires": ""},
    "NaN is no time to live": {"ttl": "nan"},
    "infinity is no time to live": {"ttl": "inf"},
    "1e999 is no time to live": {"ttl": "1e999"},
    "a time to live of 400 digits is none": {"ttl": "9" * 400},
    "a time to live with an underscore is none": {"ttl": "1_0"},
    "a time to live with a blank is none": {"ttl": " 1"},
    "NaN is no duration": {"seconds": "nan"},
    "minus infinity is no duration": {"seconds": "-inf"},
    "hexadecimal digits are no duration": {"seconds": "0x1"},
    "a fencing number below zero is none": {"fence": "-1"},
    "a fencing number of 2**53 is none": {"fence": str(2**53)},
    "a fencing number of 5,000 digits is none": {"fence": "9" * 5000},
    "a fencing number with a fraction is none": {"fence": "1.0"},
    "a fencing number in Arabic digits is none": {"fence": "٣"},
    "inputs of 3 KB are none": {"inputs": "x" * 3000},
    "parts with a line break are none": {"parts": "a\nb"},
    "the record of another name is none": {"name": "0" * 16},
}


@pytest.mark.parametrize("changed", REFUSED.values(), ids=REFUSED)
def test_what_is_no_metadata_is_refused(changed: dict[str, str | None]) -> None:
    with pytest.raises(CorruptValueError, match="s3kv-results/key") as caught:
        read(**changed)
    assert caught.value.reason == "metadata"


CLAMPED: dict[str, tuple[dict[str, str], Record]] = {
    "a time to live of 30 million years is a hundred": (
        {"ttl": "9" * 15},
        Record("3.8.1", NOW, LONGEST, 1.5, "inputs", "1;n=x;c=y", 7),
    ),
    "a result that had expired when it was written stays one": (
        {"ttl": "-" + "9" * 15},
        Record("3.8.1", NOW, -LONGEST, 1.5, "inputs", "1;n=x;c=y", 7),
    ),
    "a task whose clock was set back took no time": (
        {"seconds": "-3.5"},
        Record("3.8.1", NOW, timedelta(days=1), 0.0, "inputs", "1;n=x;c=y", 7),
    ),
    "a zone is only another way to write a date": (
        {"expires": "2026-11-01T01:00:00+01:00"},
        GOOD,
    ),
}


@pytest.mark.parametrize(("changed", "expected"), CLAMPED.values(), ids=CLAMPED)
def test_what_is_out_of_range_is_kept_within(changed: dict[str, str], expected: Record) -> None:
    assert read(**changed) == expected


FIRST, LAST = NOW.replace(year=1970), NOW.replace(year=9999)


@pytest.mark.parametrize("last_modified", [FIRST, NOW, LAST])
@pytest.mark.parametrize("server_time", [FIRST, NOW, LAST])
@pytest.mark.parametrize("expires", [FIRST, NOW, LAST])
@pytest.mark.parametrize("ttl", ["-" + "9" * 15, "0", "9" * 15])
def test_no_dates_of_writer_and_server_are_too_far_apart(
    last_modified: datetime, server_time: datetime, expires: datetime, ttl: str
) -> None:
    found = info(last_modified=last_modified, server_time=server_time, expires=expires.isoformat(), ttl=ttl)
    record = Record.from_info(found)
    remaining = record.remaining(found)
    assert remaining is not None
    assert -LONGEST <= remaining <= LONGEST
    assert FoundResult(record, remaining, None, 5, was_locked=False).expiration is not None


def test_a_final_mark_comes_back_in_utc_whatever_its_zone() -> None:
    east = NOW.astimezone(timezone(timedelta(hours=5)))
    mark = mark_of(NAME, final_mark(NAME, east))
    assert mark is not None
    assert (mark.until, mark.until and mark.until.tzinfo) == (NOW, timezone.utc)


@pytest.mark.parametrize(
    "date", ["", "2026-11-01", "2026-11-01T00:00:00", "9999-12-31T23:59:59-23:59", "nan"]
)
def test_a_mark_with_a_junk_date_is_none_and_ends_no_audit(date: str) -> None:
    name, _, _ = final_mark(NAME, None)["s3kv-final"].partition(" ")
    assert mark_of(NAME, {"s3kv-final": f"{name} {date}"}) is None


@pytest.mark.parametrize("number", ["", "-1", "٣", "1e3", "9" * 5000, str(2**53)])
def test_a_junk_fencing_number_is_none(number: str) -> None:
    assert fence_of({"s3kv-fence": number}) == 0


@pytest.mark.parametrize("ttl", ["nan", "1e999", "", "9" * 400])
def test_a_junk_time_to_live_is_none(ttl: str) -> None:
    assert recorded_ttl({"s3kv-ttl": ttl}) is None


@pytest.mark.parametrize("position", ["", "-1", "٣", "1e3", "9" * 5000])
def test_a_junk_position_of_a_checkpoint_is_none(position: str) -> None:
    """A state that has one counts as damaged, and another one is taken."""
    assert not has_position({"s3kv-position": position})
    assert position_of({"s3kv-position": position}) == 0
