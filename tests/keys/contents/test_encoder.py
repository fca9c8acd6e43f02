"""What holds for digests of any value: equal trees, different trees, golden digests, cost, secrets."""

from __future__ import annotations

import copy
import copyreg
import datetime as dt
import decimal
import pickle
import random
import struct
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pydantic import SecretStr

from s3kv_flows._keys.contents.parts.secrets import slow_digest
from s3kv_flows._keys.errors import Unkeyable
from tests.keys.contents import objects as o

atoms = (
    st.none()
    | st.booleans()
    | st.integers(-3, 3)
    | st.integers()
    | st.floats()
    | st.text(max_size=3)
    | st.binary(max_size=3)
    | st.complex_numbers(max_magnitude=2)
    | st.sampled_from([0.0, -0.0, "1", b"1", 1.0, dt.date(2026, 1, 1), decimal.Decimal("1.0"), o.Color.RED])
)
keys = st.integers(-2, 2) | st.text(max_size=2) | st.booleans() | st.tuples(st.integers(0, 1))


def larger(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return (
        st.lists(inner, max_size=4)
        | st.lists(inner, max_size=3).map(tuple)
        | st.dictionaries(keys, inner, max_size=3)
        | st.sets(keys, max_size=4)
        | st.frozensets(keys, max_size=3)
        | st.builds(o.Point, inner, inner)
        | st.builds(o.Slotted, inner)
        | inner.map(lambda one: [one] * 3)
    )


trees = st.recursive(atoms, larger, max_leaves=25)


def same(a: Any, b: Any) -> bool:
    """Tell whether two trees are equal by type, order and bits."""
    if type(a) is not type(b):
        return False
    if isinstance(a, float):
        return struct.pack("<d", a) == struct.pack("<d", b)
    if isinstance(a, complex):
        return same(a.real, b.real) and same(a.imag, b.imag)
    if isinstance(a, (list, tuple)):
        return len(a) == len(b) and all(map(same, a, b))
    if isinstance(a, dict):
        return same(list(a.items()), list(b.items()))
    if isinstance(a, (set, frozenset)):
        return same(sorted(a, key=_by_type), sorted(b, key=_by_type))
    if isinstance(a, o.Point):
        return same((a.x, a.y), (b.x, b.y))
    if isinstance(a, o.Slotted):
        return same(a.x, b.x)
    if isinstance(a, decimal.Decimal):
        return str(a) == str(b)
    return bool(a == b)


def _by_type(value: Any) -> tuple[str, str]:
    return type(value).__name__, repr(value)


@given(trees)
def test_a_tree_has_the_digest_of_what_its_pickle_makes(tree: Any) -> None:
    assert o.encoder().digest(pickle.loads(pickle.dumps(tree))) == o.encoder().digest(tree)


@given(trees)
def test_a_tree_has_the_digest_of_a_copy_without_shared_parts(tree: Any) -> None:
    assert o.encoder().digest([copy.deepcopy(tree), copy.deepcopy(tree)]) == o.encoder().digest([tree, tree])


@given(trees, trees)
@example(1, True)
@example({1: 2, 3: 4}, {3: 4, 1: 2})
@example([[], []], [[[]]])
@example({True}, {1})
@example((1, {True}), (1, {1}))
def test_digests_are_equal_exactly_where_trees_are(a: Any, b: Any) -> None:
    assert (o.encoder().digest(a) == o.encoder().digest(b)) == same(a, b)


@given(trees, st.data())
def test_a_change_anywhere_in_a_tree_changes_its_digest(tree: Any, data: st.DataObject) -> None:
    other = data.draw(atoms)
    changed = _replaced(tree, other, data)

    assert (o.encoder().digest(tree) == o.encoder().digest(changed)) == same(tree, changed)


def _replaced(tree: Any, other: Any, data: st.DataObject) -> Any:
    if isinstance(tree, (list, tuple)) and tree:
        index = data.draw(st.integers(0, len(tree) - 1))
        parts = list(tree)
        parts[index] = _replaced(parts[index], other, data)
        return type(tree)(parts)
    if isinstance(tree, dict) and tree:
        key = data.draw(st.sampled_from(list(tree)))
        return {**tree, key: _replaced(tree[key], other, data)}
    if isinstance(tree, o.Point):
        return o.Point(tree.x, _replaced(tree.y, other, data))
    return other


def grown(dice: random.Random, size: int) -> list[Any]:
    """Return a tree of about so many containers, of all widths, that shares many of its parts."""
    parts: list[Any] = [[], {}, (), o.Point(1), {"a"}]
    for number in range(size):
        width = dice.choice([1, 2, 3, 3, 30])
        chosen = [dice.choice(parts[-40:]) for _ in range(dice.choice([0, 1, 1, 1, 2]))]
        filling = [dice.choice([number, str(number), None, 0.5, b"x"]) for _ in range(width)]
        kind = dice.choice([list, tuple, dict, o.Point, set])
        if kind is dict:
            parts.append(dict(enumerate(filling + chosen)))
        elif kind is o.Point:
            parts.append(o.Point(filling[0], chosen))
        else:
            parts.append(kind(filling) if kind is set else kind(chosen + filling))
    return parts


@pytest.mark.parametrize(
    "seed",
    [
        0,
        1,
        *(pytest.param(seed, marks=[pytest.mark.slow, pytest.mark.long]) for seed in range(2, 8)),
    ],  # a second of CPU each
)
def test_how_a_large_tree_is_cut_depends_on_its_content_alone(seed: int) -> None:
    parts = grown(random.Random(seed), 3000)
    alike, other = copy.deepcopy(parts), copy.deepcopy(parts)
    apart = [copy.deepcopy(part) for part in parts[:600]]  # nothing is shared between them
    other[random.Random(seed).randrange(3000)] = "another"
    encoder = o.encoder()

    assert encoder.digest(parts) == encoder.digest(alike) == encoder.digest(pickle.loads(pickle.dumps(parts)))
    assert encoder.digest(parts[:600]) == encoder.digest(apart)
    assert [encoder.digest(part) for part in parts[:600]] == [encoder.digest(part) for part in apart]
    assert encoder.digest(other) != encoder.digest(parts)


GOLDEN: dict[str, tuple[Any, str]] = {
    "atoms": ([None, True, 1, -(2**70), 0.5, "aé\ud800", b"a", bytearray(b"a")], "c3ceb1a851e7776c"),
    "containers": ({"a": [1, (2, {3: 4})], "b": {"x", "y"}, (1,): frozenset({1, "a"})}, "1151795049578d23"),
    "long": ([list(range(5000)), {str(n): n for n in range(3000)}, "x" * 100_000], "964816c6981c1ceb"),
    "deep": (o.shared(40), "b05a865527f92f2d"),
    "values": (
        [
            dt.datetime(2026, 1, 2, tzinfo=dt.timezone.utc, fold=1),
            dt.timedelta(1),
            decimal.Decimal("1.0"),
            1j,
            range(3),
        ],
        "48b13626c6af2bfb",
    ),
    "names": ([len, int, ValueError("a")], "2d0ef3b7b65e31c7"),
}


@pytest.mark.parametrize("name", GOLDEN)
def test_the_digests_of_scheme_1_stay_what_they_are(name: str) -> None:
    value, digest = GOLDEN[name]
    assert o.encoder().digest(value).hex()[:16] == digest


class Plain:
    def __init__(self) -> None:
        self.x = 1


@pytest.mark.parametrize("value", [ValueError("a"), Plain()], ids=lambda value: type(value).__name__)
def test_a_pickler_that_another_library_registers_does_not_count(
    value: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = o.encoder().digest(value)
    monkeypatch.setitem(copyreg.dispatch_table, type(value), lambda _: (dict, ()))  # as Dask's tblib does
    assert o.encoder().digest(value) == before
    assert o.encoder().digest([value]) == o.encoder().digest([value, value][:1])


def test_what_is_shared_sixty_times_over_costs_no_more_than_its_parts() -> None:
    steps = 0

    def count(*_: object) -> None:
        nonlocal steps
        steps += 1

    point: Any = o.Point(1)
    for _ in range(60):
        point = o.Point(point, [point, {"a": point}])
    o.encoder().digest(o.shared(1))
    sys.setprofile(count)
    try:
        o.encoder().digest([o.shared(60), point])
    finally:
        sys.setprofile(None)

    assert steps < 50_000  # calls, in and out


def test_large_arrays_are_not_copied() -> None:
    tracemalloc = pytest.importorskip("tracemalloc")
    array = np.zeros((2000, 4000))
    tracemalloc.start()
    try:
        o.encoder().digest([array, array.T, array[:, ::2], bytes(2**25)])
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()

    assert peak < 2**25 + 40 * 2**20  # of 64 MB each; the bytes are made there


def test_a_secret_is_told_and_takes_its_time() -> None:
    slow_digest.cache_clear()
    plain = o.encoder().examine({"a": "secret"})
    found = o.encoder().examine({"a": o.Account(user="a", password=SecretStr("secret"))})
    again = o.encoder().examine([SecretStr("secret")])

    assert (plain.holds_secret, found.holds_secret, again.holds_secret) == (False, True, True)
    assert slow_digest.cache_info().misses == 1  # each costs 35 ms, once in a process


def test_a_prefect_secret_is_one(tmp_path: object) -> None:
    from prefect.blocks.system import Secret

    found = [o.encoder().examine(Secret(value=one)) for one in ("a", "a", "b")]

    assert [one.holds_secret for one in found] == [True] * 3
    assert found[0].digest == found[1].digest != found[2].digest


def test_threads_may_share_an_encoder() -> None:
    encoder, value = o.encoder(), [o.Point(n, {n, str(n)}) for n in range(300)]
    with ThreadPoolExecutor(8) as pool:
        assert len(set(pool.map(encoder.digest, [value] * 32))) == 1


def test_a_refusal_says_what_and_what_to_do() -> None:
    refused = Unkeyable("a b is an iterator", "pass a list")
    again = pickle.loads(pickle.dumps(refused))

    assert (again.reason, again.remedy, str(again)) == (refused.reason, refused.remedy, str(refused))
