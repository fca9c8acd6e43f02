"""The keys that policies make, and what fails a run that has none."""

from __future__ import annotations

import copy
import io
import pickle
import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from prefect import flow, task
from prefect.cache_policies import FLOW_PARAMETERS, INPUTS, RUN_ID, TASK_SOURCE, CachePolicy
from pydantic import SecretStr

from s3kv_flows import S3KVStore, caching
from s3kv_flows._cache.content_policy import KeyOptions
from s3kv_flows._cache.policies import ResultPolicy
from s3kv_flows._keys.parts import KeyParts, unpack_code
from s3kv_flows.store._values.frames.frames import about
from s3kv_flows.store.errors import ConflictError, InvalidKeyError
from tests.support.lake import WEEK, Lake, in_flow

pytestmark = pytest.mark.usefixtures("prefect_api")


def key_of(
    lake: Lake, function: Callable[..., Any], *args: Any, keep: bool = False, **options: Any
) -> str | None:
    """Run a task, and return the key of the result that it stored; None where it stored none."""
    before = set(lake.results.iter_keys())
    run: Any = task(refresh_cache=True, **caching(lake.name, **options))(function)
    run(*args)
    new = set(lake.results.iter_keys()) - before
    for key in new if not keep else ():
        lake.results.delete(key)
    return new.pop() if new else None


def double(x: Any) -> str:
    return repr(x) * 2


def treble(x: Any) -> str:
    return repr(x) * 3


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (1, True),
        (1, 1.0),
        (0.0, -0.0),
        ((1,), [1]),
        ("1", 1),
        ({1: "a"}, {"1": "a"}),
        (np.arange(3), np.arange(3.0)),
        (0.1 + 0.2, 0.3),
        (b"a", "a"),
        ({"a"}, ["a"]),
    ],
    ids=repr,
)
@pytest.mark.parametrize(
    "policy", [INPUTS, INPUTS + TASK_SOURCE, INPUTS + RUN_ID], ids=["inputs", "code", "run"]
)
def test_inputs_that_differ_have_other_keys(lake: Lake, policy: CachePolicy, one: Any, other: Any) -> None:
    keys = [key_of(lake, double, value, cache_policy=policy) for value in (one, other)]
    assert None not in keys
    assert keys[0] != keys[1]


def test_parameters_of_the_flow_count_by_content_too(lake: Lake) -> None:
    option = caching(lake.name, cache_policy=FLOW_PARAMETERS + TASK_SOURCE)
    counted = task(**option)(double)

    @flow
    def run(x: Any, rows: Any = None) -> Any:
        return counted("same")

    for value in (1, True, 1.0, (1,), [1]):
        run(value)
    assert len(lake.objects()) == 5
    run(1, threading.Lock())
    assert len(lake.objects()) == 5


def test_without_the_code_the_name_of_the_task_counts(lake: Lake) -> None:
    assert key_of(lake, double, 1, cache_policy=INPUTS) != key_of(lake, treble, 1, cache_policy=INPUTS)
    versions = {
        (name, version): key_of(lake, function, 1, code="none", depends_on=[version])
        for name, function in (("double", double), ("treble", treble))
        for version in ("v1", "v2")
    }
    assert len(set(versions.values())) == 4
    assert versions["double", "v1"] == key_of(lake, double, 1, code="none", depends_on=["v1"])


def made(constant: int) -> Callable[..., Any]:
    def multiply(x: int) -> int:
        return x * constant

    return multiply


def test_closures_of_one_text_have_other_keys_unless_the_text_alone_counts(lake: Lake) -> None:
    assert key_of(lake, made(2), 10) != key_of(lake, made(3), 10)
    assert key_of(lake, made(2), 10, code="source") == key_of(lake, made(3), 10, code="source")
    assert key_of(lake, made(2), 10, code="none") == key_of(lake, made(3), 10, code="none")
    assert key_of(lake, made(2), 10, ignore=["constant"]) is not None


def test_a_namespace_makes_other_keys(lake: Lake) -> None:
    options: list[dict[str, Any]] = [{}, {"namespace": "a"}, {"namespace": "b"}]
    keys = [key_of(lake, double, 1, **one) for one in options]
    lake.block.namespace = "a"
    lake.block.save(lake.name, overwrite=True)
    assert len(set(keys)) == 3
    assert key_of(lake, double, 1) == keys[1]
    assert key_of(lake, double, 1, namespace="") == keys[0]


def test_a_key_function_names_its_results_as_before_and_a_namespace_sets_them_apart(lake: Lake) -> None:
    policy = CachePolicy.from_cache_key_fn(lambda _, inputs: f"mine/{inputs['x']}")
    assert key_of(lake, double, 1, cache_policy=policy) == "mine/1"
    keys = {key_of(lake, double, 1, cache_policy=policy, namespace=name) for name in "ab"}
    assert len(keys) == 2
    assert "mine/1" not in keys


def test_an_input_that_is_left_out_does_not_count(lake: Lake) -> None:
    def first(x: int, log: Any) -> int:
        return x

    policy = INPUTS + TASK_SOURCE - "log"
    keys = {key_of(lake, first, 1, log, cache_policy=policy) for log in (1, threading.Lock(), iter([1]))}
    assert len(keys) == 1
    assert keys != {None}


def test_a_task_without_inputs_has_a_key_of_its_code_but_none_of_its_inputs(lake: Lake) -> None:
    def answer() -> int:
        return 42

    assert key_of(lake, answer) is not None
    assert key_of(lake, answer, cache_policy=INPUTS) is None


# --- what has no key --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "make", [lambda: iter([1, 2]), threading.Lock, lambda: io.BytesIO().getbuffer().__iter__()]
)
def test_a_run_whose_input_has_no_content_computes_uncached_and_says_why(
    lake: Lake, make: Callable[[], Any], logged: pytest.LogCaptureFixture
) -> None:
    assert key_of(lake, double, make()) is None
    assert "computed, and not cached: input 'x': " in logged.text


def consume(rows: Any) -> list[int]:
    return list(rows)


@pytest.mark.parametrize(
    "options",
    [
        {"key": "reports/{flow_run.id}"},
        {"key": "one"},
        {"retention": WEEK},
        {"legal_hold": True},
        {"single_flight": True},
    ],
    ids=repr,
)
def test_a_run_that_has_to_be_saved_fails_before_it_computes(
    locked_lake: Lake, options: dict[str, Any]
) -> None:
    rows = iter([1, 2])
    saved = task(**caching(locked_lake.name, **options))(consume)
    with pytest.raises(InvalidKeyError, match="input 'rows'"):
        in_flow(lambda: saved(rows))
    assert list(rows) == [1, 2]
    assert not any(
        info.lock_mode or info.legal_hold for info in locked_lake.objects()
    )  # but for the exception


def _failing(_: Any, __: Any) -> str:
    raise RuntimeError("no key today")


@pytest.mark.parametrize(
    "policy",
    [INPUTS, CachePolicy.from_cache_key_fn(lambda _, __: None), CachePolicy.from_cache_key_fn(_failing)],
    ids=["no inputs", "none", "raises"],
)
@pytest.mark.parametrize(
    "options", [{"retention": WEEK}, {"legal_hold": True}, {"single_flight": True}], ids=repr
)
def test_a_policy_that_makes_no_key_fails_a_run_that_has_to_be_saved(
    locked_lake: Lake, policy: CachePolicy, options: dict[str, Any]
) -> None:
    ran: list[int] = []

    @task(**caching(locked_lake.name, cache_policy=policy, **options))
    def answer() -> int:
        ran.append(1)
        return 42

    with pytest.raises(ValueError, match="the key cannot be made"):
        answer()
    assert ran == []


# --- what is kept -----------------------------------------------------------------------------------


def test_the_parts_of_a_key_are_kept_with_its_result_and_fit_with_forty_inputs(lake: Lake) -> None:
    @task(**caching(lake.name))
    def many(**inputs: int) -> int:
        return len(inputs)

    assert many(**{f"a_rather_long_name_of_an_input_{number}": number for number in range(40)}) == 40
    info = lake.the_object()
    parts = info.metadata["s3kv-parts"]
    assert parts.startswith("1;n=")
    assert ";c=" in parts
    assert sum(len(name) + len(value) for name, value in info.metadata.items()) < 1200


def test_the_parts_of_the_code_are_kept_in_the_frame(lake: Lake) -> None:
    assert key_of(lake, made(2), 10, keep=True) is not None
    (key,) = lake.results.iter_keys()
    names = unpack_code(about(lake.results.fetch(key).body or bytearray()))
    assert names.keys() >= {"test_policies.made.<locals>.multiply"}


def test_of_a_secret_no_part_is_kept(lake: Lake) -> None:
    @task(**caching(lake.name))
    def log_in(user: str, password: SecretStr) -> str:
        return user

    log_in("a", SecretStr("hunter2"))
    fields = dict(one.partition("=")[::2] for one in lake.the_object().metadata["s3kv-parts"].split(";")[1:])
    assert fields["i.password"] == "-"
    assert len(fields["i.user"]) == 8


def test_a_conflict_names_what_differs(lake: Lake) -> None:
    options = caching(lake.name, key="report")

    def report(year: int, scale: int) -> int:
        return year * scale

    task(**options)(report)(2013, 1)
    with pytest.raises(ConflictError, match=r"what differs is input 'scale':"):
        task(**options)(report)(2013, 2)
    with pytest.raises(ConflictError, match=r"what differs is input 'scale' and input 'year'"):
        task(**options)(report)(2014, 2)

    def edited(year: int, scale: int) -> int:
        return year * scale + 1

    with pytest.raises(ConflictError, match=r"what differs is the code"):
        task(**options)(edited)(2013, 1)
    with pytest.raises(ConflictError, match=r"what differs is the namespace"):
        task(**caching(lake.name, key="report", namespace="b"))(report)(2013, 1)


# --- configuration ----------------------------------------------------------------------------------


def test_a_policy_can_be_added_to_and_taken_from_copied_and_pickled() -> None:
    options = KeyOptions("team", "none", (np, "v3"), (str,))
    policy = ResultPolicy(policy=INPUTS, options=options, is_required=True)
    assert isinstance(policy + TASK_SOURCE, ResultPolicy)
    assert isinstance(policy - "x", ResultPolicy)
    for again in (copy.deepcopy(policy), policy.configure(isolation_level="SERIALIZABLE")):
        assert isinstance(again, ResultPolicy)
        assert again.options is options
        assert again.is_required
    by_value = ResultPolicy(policy=INPUTS, options=KeyOptions("team", depends_on=("v3",)))
    assert pickle.loads(pickle.dumps(by_value)) == by_value


def test_wrong_options_are_refused_where_they_are_given(lake: Lake) -> None:
    with pytest.raises(ValueError, match="code='ast' is none of"):
        caching(lake.name, code="ast")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="take lists"):
        caching(lake.name, depends_on="v3")
    with pytest.raises(ValueError, match="take lists"):
        caching(lake.name, ignore="NAME")


def test_the_namespace_is_a_field_of_the_block(lake: Lake) -> None:
    assert S3KVStore(bucket_name="bucket", namespace="team-a").namespace == "team-a"


@pytest.mark.parametrize("options", [{"single_flight": True}, {"key": "name"}], ids=repr)
def test_whatever_fails_once_the_key_is_made_fails_the_run_before_it_computes(
    lake: Lake, options: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(self: KeyParts) -> str:
        raise RuntimeError("no metadata")

    @task(**caching(lake.name, **options))
    def compute() -> None:
        lake.ran.append(1)

    monkeypatch.setattr(KeyParts, "to_metadata", fail)
    with pytest.raises(InvalidKeyError, match="no metadata"):
        compute()
    assert lake.ran == []
