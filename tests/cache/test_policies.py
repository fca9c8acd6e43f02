from __future__ import annotations

import datetime as dt
import threading
from typing import Any

import numpy as np
import pandas as pd
import pytest
from prefect.cache_policies import INPUTS, TASK_SOURCE
from prefect.exceptions import HashError

from s3kv_flows._cache.policies import ResultPolicy, StableInputs
from s3kv_flows.store._values.codecs import CloudpickleCodec
from s3kv_flows.store._values.digests import content_digest

CODEC = CloudpickleCodec()


def key(**inputs: Any) -> str | None:
    return StableInputs().compute_key(None, inputs, {})  # type: ignore[arg-type]  # it asks no context


VALUES = [
    np.arange(12).reshape(3, 4),
    np.asfortranarray(np.random.default_rng(1).random((5, 7))),
    np.arange(20)[::2],
    np.array(5.0),
    np.zeros((0, 3)),
    np.array(["a", "b"]),
    np.array(["a", None], dtype=object),
    np.array([(1, 2.0)], dtype=[("x", "i4"), ("y", "f8")]),
    pd.DataFrame(
        {"t": pd.date_range("2013", periods=3), "s": ["a", "a", "b"], "c": pd.Categorical(list("xyx"))}
    ),
    pd.Series([1.0, None, 3.0], index=list("abc")),
    {"nested": [np.ones(3), (pd.Timestamp("2013-01-01", tz="UTC"), {1, 2})]},
    dt.timedelta(days=1),
    b"bytes",
]


@pytest.mark.parametrize("value", VALUES, ids=lambda value: type(value).__name__)
def test_a_value_and_its_copy_out_of_the_cache_make_one_key(value: Any) -> None:
    back = CODEC.decode(bytearray(bytes(CODEC.encode(value))))
    assert key(x=value) == key(x=back)
    assert key(x=[value, value]) == key(x=[value, back]) == key(x=[back, value])


def test_other_values_make_other_keys() -> None:
    others = [
        *VALUES,
        np.arange(12).reshape(4, 3),
        np.arange(12).reshape(3, 4).astype("i4"),
        np.arange(12).reshape(3, 4) + 1,
        5,
        "5",
        None,
        [],
        [5],
    ]
    assert len({key(x=value) for value in others}) == len(others)
    assert key(x=1) != key(y=1)


def test_a_text_is_not_the_value_whose_digest_it_is() -> None:
    array = np.arange(3)
    assert key(x=array) != key(x=content_digest(array))


def test_excluded_inputs_do_not_count_and_a_task_without_inputs_has_no_key() -> None:
    policy = StableInputs(exclude=["y"])
    assert policy.compute_key(None, {"x": 1, "y": 2}, {}) == policy.compute_key(None, {"x": 1, "y": 3}, {})  # type: ignore[arg-type]
    assert key() is None


def test_classes_count_by_their_name_and_functions_by_their_code() -> None:
    assert key(x=pd.DataFrame) == key(x=pd.DataFrame) != key(x=pd.Series)
    assert key(x=lambda: 1) != key(x=lambda: 2)


def test_a_value_that_contains_itself_is_left_to_prefect() -> None:
    loop: list[Any] = [np.arange(3)]
    loop.append(loop)
    assert key(x=loop)


def test_what_cannot_be_pickled_is_prefects_error() -> None:
    with pytest.raises(HashError):
        key(x=threading.Lock())


def test_a_policy_can_be_added_to_and_taken_from() -> None:
    policy = ResultPolicy(policy=INPUTS)
    assert isinstance(policy + TASK_SOURCE, ResultPolicy)
    assert isinstance(policy - "x", ResultPolicy)
