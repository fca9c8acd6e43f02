"""A result that a trusted writer has garbled is computed anew, counted and logged by its reason."""

from __future__ import annotations

import pickle
import sys
from collections.abc import Callable
from typing import Any

import pytest

from s3kv_flows.store._objects.value_limit import VARIABLE
from s3kv_flows.store._values.frames.frames import pack
from tests.support.frames import with_head, with_sections
from tests.support.lake import Lake, adding_task


class Exit:
    """Ends the process when it is unpickled."""

    def __reduce__(self) -> tuple[Any, ...]:
        return sys.exit, (3,)


def exiting(_: bytearray) -> bytes:
    return bytes(pack("cloudpickle", [pickle.dumps(Exit(), protocol=5)]))


BODIES: dict[str, tuple[Callable[[bytearray], bytes | bytearray], str]] = {
    "an exit in its pickle": (exiting, "unpickle"),
    "a claim of 1e18": (lambda _: with_sections([10**18]), "too_large"),
    "a later format": (lambda body: with_head(body, version=5), "format"),
    "another codec": (lambda body: with_head(body, codec=b"arrow"), "codec"),
    "a section less": (lambda body: with_head(body, sections=0), "layout"),
}


def rewrite(lake: Lake, change: Callable[[bytearray], bytes | bytearray], **metadata: str) -> None:
    """Put the one result again with another body or other metadata, signed with the right key."""
    info = lake.the_object()
    body = bytearray(lake.results.objects.get(info.name).body or b"")
    named = {f"s3kv-{name}": value for name, value in metadata.items()}
    lake.put(info, bytes(change(body)), **named)


def require_counted(lake: Lake, logged: pytest.LogCaptureFixture, reason: str) -> None:
    add_one = adding_task(lake)
    with lake.results.client.counters.measure() as measured:
        assert add_one(1) == 2
    counted = measured[0]
    assert lake.ran == [1, 1]
    assert counted["results.misses"] == 1
    assert counted["results.misses.undecodable"] == counted[f"results.misses.{reason}"] == 1
    assert f"computed anew ({reason}): " in logged.text


@pytest.mark.parametrize(("change", "reason"), BODIES.values(), ids=BODIES)
def test_a_hostile_body_is_computed_anew_counted_and_named(
    lake: Lake,
    logged: pytest.LogCaptureFixture,
    change: Callable[[bytearray], bytes | bytearray],
    reason: str,
) -> None:
    adding_task(lake)(1)
    rewrite(lake, change)
    require_counted(lake, logged, reason)
    assert adding_task(lake)(1) == 2
    assert lake.ran == [1, 1]


@pytest.mark.parametrize(
    "metadata",
    [
        {"seconds": "nan"},
        {"ttl": "1e999", "expires": "2026-11-01T00:00:00+00:00"},
        {"expires": "2026-11-01"},
        {"fence": "9" * 20},
    ],
    ids=lambda metadata: next(iter(metadata)),
)
def test_hostile_metadata_is_computed_anew_counted_and_named(
    lake: Lake, logged: pytest.LogCaptureFixture, metadata: dict[str, str]
) -> None:
    adding_task(lake)(1)
    rewrite(lake, lambda body: body, **metadata)
    require_counted(lake, logged, "metadata")


def test_a_body_over_the_limit_is_not_downloaded_but_computed_anew(
    lake: Lake, logged: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    adding_task(lake)(1)
    monkeypatch.setenv(VARIABLE, "50")
    require_counted(lake, logged, "too_large")
    assert VARIABLE in logged.text
