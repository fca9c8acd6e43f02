from __future__ import annotations

import math
import threading
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from s3kv_flows.store.codecs import MAGIC, CloudpickleCodec, JsonCodec, codec_named
from s3kv_flows.store.errors import CorruptValueError, EncodingError

PICKLE, JSON = CloudpickleCodec(), JsonCodec()

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


def roundtrip(value: Any) -> Any:
    return PICKLE.decode(bytearray(bytes(PICKLE.encode(value))))


@given(json_values)
def test_a_json_value_comes_back_as_it_was_put(value: Any) -> None:
    assert JSON.decode(bytearray(JSON.encode(value))) == value
    assert roundtrip(value) == value


@pytest.mark.parametrize(
    "value",
    [
        math.nan,
        math.inf,
        {1: "x"},
        (1, 2),
        {"x": (1,)},
        {"x": {2}},
        object(),
        b"bytes",
        {None: 1},
    ],
)
def test_what_json_would_change_or_cannot_hold_is_refused(value: Any) -> None:
    with pytest.raises(EncodingError):
        JSON.encode(value)


def test_a_value_that_contains_itself_is_refused() -> None:
    loop: list[Any] = []
    loop.append(loop)
    with pytest.raises(EncodingError):
        JSON.encode(loop)


def test_what_cannot_be_pickled_is_refused() -> None:
    with pytest.raises(EncodingError, match="cannot hold this lock"):
        PICKLE.encode(threading.Lock())


@pytest.mark.parametrize("dtype", ["u1", "i4", "f8", "c16"])
@pytest.mark.parametrize("compressible", [True, False])
def test_arrays_come_back_writable_and_aligned(dtype: str, compressible: bool) -> None:  # noqa: FBT001
    rng = np.random.default_rng(1)
    array = np.zeros(300_001, dtype) if compressible else rng.integers(0, 255, 300_001).astype(dtype)
    back = roundtrip({"one": array, "two": array[::2]})
    assert np.array_equal(back["one"], array)
    assert np.array_equal(back["two"], array[::2])
    assert back["one"].flags.writeable
    assert back["one"].flags.aligned


def test_an_array_that_does_not_compress_is_not_copied_on_the_way_back() -> None:
    array = np.random.default_rng(1).random(1 << 17)
    body = bytearray(bytes(PICKLE.encode(array)))
    back = PICKLE.decode(body)
    assert np.shares_memory(back, np.frombuffer(body, dtype=np.uint8))
    assert len(body) < 1.01 * array.nbytes


def test_what_compresses_is_compressed() -> None:
    assert len(PICKLE.encode(np.zeros(1 << 20))) < 10_000
    frame = pd.DataFrame({"n": np.arange(50_000), "s": ["carrier"] * 50_000})
    assert len(PICKLE.encode(frame)) < 0.3 * frame.memory_usage(deep=True).sum()
    assert roundtrip(frame).equals(frame)


def test_two_frames_of_one_value_differ() -> None:
    assert bytes(PICKLE.encode(5)) != bytes(PICKLE.encode(5))


def test_a_frame_is_neither_json_nor_text() -> None:
    with pytest.raises(UnicodeDecodeError):
        bytes(PICKLE.encode({"data": 1})).decode()


def _bomb() -> object:
    raise AssertionError("unpickled")


class Bomb:
    """Goes off when it is unpickled."""

    def __reduce__(self) -> tuple[Any, ...]:
        return (_bomb, ())


def test_no_damaged_frame_is_unpickled() -> None:
    frame = bytes(PICKLE.encode([Bomb(), b"x" * 100]))
    for position in range(len(MAGIC) + 1, len(frame), 3):
        damaged = bytearray(frame)
        damaged[position] ^= 0x10
        with pytest.raises(CorruptValueError) as caught:
            PICKLE.decode(damaged)
        assert "unpickled" not in str(caught.value)


@pytest.mark.parametrize("length", [0, 4, 8, 12, 16, 17, 60, -1])
def test_no_truncated_frame_is_unpickled(length: int) -> None:
    with pytest.raises(CorruptValueError, match=r"no frame|truncated"):
        PICKLE.decode(bytearray(bytes(PICKLE.encode(Bomb()))[:length]))


def test_a_value_whose_class_is_gone_is_corrupt_and_says_why() -> None:
    with pytest.raises(CorruptValueError, match="cannot be unpickled here: AssertionError: unpickled"):
        PICKLE.decode(bytearray(bytes(PICKLE.encode(Bomb()))))


def test_the_codecs_do_not_take_each_others_bodies() -> None:
    with pytest.raises(CorruptValueError, match="not JSON"):
        JSON.decode(bytearray(bytes(PICKLE.encode(5))))
    with pytest.raises(CorruptValueError, match="no frame"):
        PICKLE.decode(bytearray(b'{"data": 1}'))
    with pytest.raises(CorruptValueError, match="not JSON"):
        JSON.decode(bytearray(b"{"))


def test_an_unknown_codec_is_named() -> None:
    with pytest.raises(ValueError, match="no codec 'yaml'; there are 'json', 'cloudpickle'"):
        codec_named("yaml")
