"""Stores that allow no pickles: JSON values and bytes come back exactly, all else is refused by name."""

from __future__ import annotations

import enum
import math
from collections import OrderedDict
from typing import Any, NamedTuple

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from prefect import flow, task

from s3kv_flows import Checkpoint, Retention, S3KVStore, caching
from s3kv_flows._results.codec import PLAIN_CODEC, RESULT_CODEC
from s3kv_flows.blocks import change_keys
from s3kv_flows.store import S3KV
from s3kv_flows.store._values.frames.frames import pack
from s3kv_flows.store.errors import CorruptValueError, EncodingError
from tests.support.lake import Lake, adding_task

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda values: st.lists(values) | st.dictionaries(st.text(), values),
    max_leaves=20,
)


class Colour(enum.IntEnum):
    RED = 1


class Pair(NamedTuple):
    left: int
    right: int


class Text(str):
    __slots__ = ()


LOOP: list[Any] = []
LOOP.append(LOOP)
DEEP: Any = []
for _ in range(100_000):
    DEEP = [DEEP]


def same(one: Any, other: Any) -> bool:
    """Compare values with their types, and -0.0 with its sign."""
    return type(one) is type(other) and repr(one) == repr(other)


@given(JSON | st.binary())
def test_what_is_allowed_comes_back_exactly(value: Any) -> None:
    body = bytearray(bytes(PLAIN_CODEC.encode(value)))
    assert same(PLAIN_CODEC.decode(body), value)


@pytest.mark.parametrize(
    ("value", "named"),
    [
        ((1, 2), "tuple"),
        ([{"a": {1}}], "set"),
        ({1: "a"}, "int"),
        (Pair(1, 2), "Pair"),
        ([Colour.RED], "Colour"),
        (Text("a"), "Text"),
        (OrderedDict(a=1), "OrderedDict"),
        (np.float64(1.5), "float64"),
        (bytearray(b"a"), "bytearray"),
        ([b"a"], "bytes"),
        (object(), "object"),
        (math.nan, "JSON compliant"),
        ([math.inf], "JSON compliant"),
        (LOOP, "Circular"),
        (DEEP, "recursion"),
    ],
    ids=lambda one: one if isinstance(one, str) else "",
)
def test_what_json_would_change_is_refused_by_name(value: Any, named: str) -> None:
    with pytest.raises(EncodingError, match=named):
        PLAIN_CODEC.encode(value)


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (RESULT_CODEC.encode(1), "pickle_refused"),
        (b'{"serializer": {"type": "pickle"}}', "pickle_refused"),
        (b"\x80\x05N.", "pickle_refused"),
        (pack("json", [b"1"]), "pickle_refused"),
        (pack("plain", [b"json"]), "layout"),
        (pack("plain", [b"yaml", b"1"]), "layout"),
        (pack("plain", [b"json", b"{"]), "format"),
        (pack("plain", [b"json", b"[" * 100_000]), "format"),
        (bytes(PLAIN_CODEC.encode([1]))[:-1], "truncated"),
    ],
)
def test_what_is_none_of_its_frames_is_refused_with_a_reason(body: Any, reason: str) -> None:
    with pytest.raises(CorruptValueError) as raised:
        PLAIN_CODEC.decode(bytearray(bytes(body)))
    assert raised.value.reason == reason


def test_a_store_of_values_refuses_a_codec_that_runs_code(block: S3KVStore) -> None:
    with pytest.raises(ValueError, match="allow_pickle=False"):
        S3KV(block.endpoint_url, block.bucket_name, codec="cloudpickle", allow_pickle=False)
    assert S3KV(block.endpoint_url, block.bucket_name, codec="bytes", allow_pickle=False)


@pytest.fixture
def plain(lake: Lake) -> Lake:
    """Return a saved store that allows no pickles."""
    lake.block.allow_pickle = False
    lake.block.save(lake.name, overwrite=True)
    return lake


def test_results_of_json_and_bytes_are_hits(plain: Lake) -> None:
    calls: list[Any] = []

    @task(**caching(plain.name))
    def echo(value: Any) -> Any:
        calls.append(value)
        return value

    values: list[Any] = [{"a": [1, 2.5, None, True, "ü"]}, b"\x00" * 100_000, None]
    assert [echo(value) for value in values] == values
    assert [echo(value) for value in values] == values
    assert calls == values
    assert {info.content_type for info in plain.objects()} == {PLAIN_CODEC.content_type}
    state = echo(values[0], return_state=True)
    assert (state.name, state.result()) == ("Cached", values[0])


def test_what_else_a_task_returns_is_not_cached_and_the_log_says_why(
    plain: Lake, logged: pytest.LogCaptureFixture
) -> None:
    @task(**caching(plain.name))
    def produce() -> tuple[int, int]:
        plain.ran.append(1)
        return 1, 2

    assert [produce(), produce()] == [(1, 2), (1, 2)]
    assert (plain.ran, plain.objects()) == ([1, 1], [])
    assert "was not saved: tuple is neither bytes nor of JSON" in logged.text


def test_what_must_be_saved_fails_its_run(locked_lake: Lake) -> None:
    locked_lake.block.allow_pickle = False
    locked_lake.block.save(locked_lake.name, overwrite=True)

    @task(**caching(locked_lake.name, retention=Retention(days=1)))
    def produce(value: list[int] | set[int]) -> list[int] | set[int]:
        return value

    with pytest.raises(EncodingError, match="set is neither bytes nor of JSON"):
        produce({1})
    assert produce([1]) == produce([1]) == [1]
    (info,) = locked_lake.objects()
    assert info.lock_mode == "GOVERNANCE"


def test_a_pickle_of_a_trusted_key_is_a_miss(lake: Lake, logged: pytest.LogCaptureFixture) -> None:
    add_one = adding_task(lake)
    add_one(1)
    lake.block.allow_pickle = False
    change_keys(lake.block, lake.name, lake.block.signing_key, [])
    with lake.results.client.counters.measure() as measured:
        assert (add_one(1), lake.ran) == (2, [1, 1])
    assert measured[0]["results.misses.pickle_refused"] == 1
    assert "(pickle_refused)" in logged.text
    assert (add_one(1), lake.ran) == (2, [1, 1])


def test_failures_and_results_of_prefects_own_serializers_are_not_kept(plain: Lake) -> None:
    @task(persist_result=True, result_storage=S3KVStore.of(plain.name), result_serializer="pickle")
    def produce() -> int:
        return 1

    @task(**caching(plain.name))
    def fail() -> None:
        raise ValueError("on purpose")

    assert produce() == 1
    with pytest.raises(ValueError, match="on purpose"):
        fail()
    assert plain.objects() == []


def test_checkpoints_are_json_or_bytes(plain: Lake) -> None:
    loaded: list[Any] = []

    @flow
    def run(state: Any) -> None:
        with Checkpoint(plain.name, "steps", load_policy="latest") as checkpoint:
            loaded.append(checkpoint.load())
            checkpoint.save(state)
            raise RuntimeError("killed")

    for _ in range(2):
        with pytest.raises(RuntimeError, match="killed"):
            run({"epoch": 1})
    assert loaded == [None, {"epoch": 1}]
    states = plain.block.checkpoints
    names = [states.namespace.name_of(key) for key in states.iter_keys()]
    assert {states.objects.head(name).content_type for name in names} == {PLAIN_CODEC.content_type}
    with pytest.raises(EncodingError, match="set is neither bytes nor of JSON"):
        run({1})


def test_the_key_of_a_store_stays_a_secret_in_its_form() -> None:
    schema = S3KVStore.model_json_schema()
    assert schema["properties"]["signing_key"]["anyOf"][0]["format"] == "password"
    assert "signing_key" in schema["secret_fields"]
