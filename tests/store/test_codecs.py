from __future__ import annotations

import math
import threading
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from s3kv_flows.store._values.codecs import CloudpickleCodec, JsonCodec, codec_named
from s3kv_flows.store._values.compression import CHUNK_BYTES, compress, decompress
from s3kv_flows.store._values.frames.frames import MAGIC, about
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
    with pytest.raises(EncodingError, match="cannot pickle this lock"):
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


@pytest.mark.parametrize("size", [CHUNK_BYTES - 1, CHUNK_BYTES, CHUNK_BYTES + 1, 3 * CHUNK_BYTES + 5])
def test_large_sections_are_compressed_in_chunks(size: int) -> None:
    value = (np.arange(size) // 1000).astype("u1")
    body = bytes(PICKLE.encode([value, b"beside", value[:1000]]))
    assert len(body) < 0.1 * size
    one, beside, part = PICKLE.decode(bytearray(body))
    assert np.array_equal(one, value)
    assert (beside, bytes(part)) == (b"beside", bytes(value[:1000]))
    one[-1] ^= 1  # writable


def test_a_frame_whose_header_lies_about_its_sections_is_damaged() -> None:
    good = compress([bytes(1000)])
    for wrong in (
        [good[0]._replace(raw_size=999)],
        [good[0]._replace(raw_size=1001)],
        [good[0]._replace(stored=[*good[0].stored, b""])],
        [good[0]._replace(stored=[b"not zstd"])],
        [good[0]._replace(stored=[good[0].stored[0][:-3]])],
    ):
        with pytest.raises(CorruptValueError, match=r"section|chunk"):
            decompress(wrong)


FLIGHTS = pa.table(
    {
        "distance": np.random.default_rng(1).random(50_000),
        "carrier": [f"carrier {n}" for n in range(50_000)],
        "missing": [None, 1] * 25_000,
        "kind": pa.array(["a", "b"] * 25_000).dictionary_encode(),
        "route": [[n, n] for n in range(50_000)],
    }
)

UNION = pa.UnionArray.from_sparse(pa.array([0, 1], "int8"), [pa.array([1, 2]), pa.array(["a", "b"])])


@pytest.mark.parametrize(
    "value",
    [
        FLIGHTS,
        FLIGHTS.slice(100, 10),
        FLIGHTS.to_batches()[0].slice(7, 3),
        FLIGHTS.column("carrier").slice(3, 4),
        FLIGHTS.column("route").chunk(0).slice(3, 4),
        FLIGHTS.slice(0, 0),
        pa.nulls(5),
        UNION.slice(1),
    ],
)
def test_arrow_comes_back_and_slices_leave_the_rest_behind(value: Any) -> None:
    body = bytes(PICKLE.encode(value))
    back = PICKLE.decode(bytearray(body))
    assert back.equals(value)
    assert back.type == value.type if hasattr(value, "type") else back.schema == value.schema
    assert len(body) < 1.1 * value.nbytes + 5000


class Unregistered(pa.ExtensionType):  # type: ignore[misc]  # untyped
    """A type that Arrow's format would make its storage of."""

    def __init__(self) -> None:
        super().__init__(pa.int64(), "tests.unregistered")

    def __arrow_ext_serialize__(self) -> bytes:
        return b""

    @classmethod
    def __arrow_ext_deserialize__(cls, storage_type: Any, serialized: bytes) -> Unregistered:
        return cls()


def test_an_arrow_type_that_nobody_registered_comes_back_as_it_was() -> None:
    value = pa.ExtensionArray.from_storage(Unregistered(), pa.array(range(10_000))).slice(5, 5)
    back = roundtrip(value)
    assert back.type == value.type
    assert back.equals(value)


def test_data_frames_keep_what_only_pandas_knows() -> None:
    frame = FLIGHTS.to_pandas().set_index(["carrier", "distance"]).iloc[100:110]
    frame["object"] = pd.Series(
        [1, "two", None, (3,), b"4", 5.0, {6}, [7], "8", 9], frame.index, dtype="object"
    )
    frame.attrs["source"] = "tests"
    back = roundtrip(frame)
    pd.testing.assert_frame_equal(back, frame)
    assert back.attrs == frame.attrs
    back["missing"] = 5  # writable


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


def test_what_a_frame_says_of_its_value_is_no_part_of_it() -> None:
    value = {"array": np.arange(1_000), "text": "x" * 10_000}
    for said in (b"short", b"long" * 10_000):
        body = bytearray(bytes(PICKLE.encode(value, about=said)))
        assert about(body) == said
        assert (PICKLE.decode(body)["array"] == value["array"]).all()
    plain = bytes(PICKLE.encode(value))
    assert about(bytearray(plain)) == b""
    assert len(bytes(PICKLE.encode(value, about=b"short"))) - len(plain) < 100
