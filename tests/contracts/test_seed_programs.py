"""Small programs, written for s3kv 0.1.5: each ends here as it did there, or docs/seed.md says how else.

They run against the seed itself, S3KV and CompatibleS3KV. The table of the page is part of the test.
"""

from __future__ import annotations

import inspect
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import s3kv.s3kv as seed
from botocore.exceptions import ClientError, EndpointConnectionError

from s3kv_flows.store import S3KV, CompatibleS3KV, errors
from s3kv_flows.store._s3.transport.client_errors import as_client_error
from s3kv_flows.store.errors import EncodingError, InvalidTagError, KeyNotFoundError, StoreUnavailableError
from tests.contracts.helpers import outside

PAGE = Path(__file__).parents[2] / "docs/seed.md"
SAME = "the same"
SHOWN_ELSEWHERE = {"more than 1,000 keys": "tests/contracts/test_lists.py"}
"""Rows of the table that take too long for three stores."""


@dataclass(frozen=True)
class World:
    """What a program has beside its store: a client of its own, and the folder of local copies."""

    raw: Any
    bucket: str
    folder: Path

    def put(self, name: str, body: str, tags: str = "") -> None:
        self.raw.put_object(Bucket=self.bucket, Key=name, Body=body.encode(), Tagging=tags)


@dataclass(frozen=True)
class Outcome:
    """What a program returned or raised, what it printed, and what it left in the bucket."""

    returned: str
    raised: tuple[str, ...]
    printed: str
    left: dict[str, tuple[bytes, dict[str, str]]]

    def is_as(self, other: Outcome) -> bool:
        """Tell whether another package did the same; its errors may be of more classes."""
        errors = self.raised[:1] == other.raised[:1] or (self.raised and self.raised[0] in other.raised)
        return bool(errors) and (self.returned, self.printed, self.left) == (
            other.returned,
            other.printed,
            other.left,
        )


PROGRAMS: dict[str, Callable[[Any, World], object]] = {}


def program(one: Callable[[Any, World], object]) -> Callable[[Any, World], object]:
    """Collect a program under its name in words; ``__locked`` asks for a bucket with Object Lock."""
    PROGRAMS[one.__name__.replace("__", ", ").replace("_", " ")] = one
    return one


# --- values -------------------------------------------------------------------------------------------


@program
def values_that_json_has(kv: Any, world: World) -> object:
    values = [{"a": [1, 2.5, None, True]}, [], "text", 5, "ü日本"]
    for number, value in enumerate(values):
        kv.add(f"k{number}", value)
    return [kv.get(f"k{number}") for number in range(len(values))]


@program
def tuples(kv: Any, world: World) -> object:
    kv.add("k", {"point": (1, 2)})
    return kv.get("k")


@program
def keys_of_dicts_that_are_no_text(kv: Any, world: World) -> object:
    kv.add("k", {1: "one", None: "none", "1": "text"})
    return kv.get("k")


@program
def nan_and_infinity(kv: Any, world: World) -> object:
    kv.add("k", [float("nan"), float("inf")])
    return kv.get("k")


@program
def a_set(kv: Any, world: World) -> object:
    kv.add("k", {1, 2})
    return None


@program
def a_value_that_contains_itself(kv: Any, world: World) -> object:
    loop: list[Any] = []
    loop.append(loop)
    kv.add("k", loop)
    return None


@program
def keys_that_are_numbers(kv: Any, world: World) -> object:
    kv.add(7, "seven")
    return kv.get(7), kv.get("7"), kv.key_exists(7)


@program
def an_empty_key(kv: Any, world: World) -> object:
    kv.add("", 1)
    return kv.list_keys()


@program
def a_key_with_a_line_break(kv: Any, world: World) -> object:
    return kv.get("a\nb", "none")


@program
def a_key_with_a_slash(kv: Any, world: World) -> object:
    kv.add("a/b", 1)
    return kv.list_keys()


@program
def metadata_of_any_kind(kv: Any, world: World) -> object:
    kv.add("k", 1, {"Größe": 3, "tags": ["a"]})
    return kv.get("k")


@program
def a_missing_key(kv: Any, world: World) -> object:
    return kv.get("none"), kv.get("none", {}), kv.get("none", default=5), kv.key_exists("none")


@program
def delete_a_missing_key(kv: Any, world: World) -> object:
    return kv.delete("none")


@program
def overwrite_a_key_with_tags(kv: Any, world: World) -> object:
    kv.add("k", 1)
    kv.tag_key("k", {"a": "b"})
    kv.add("k", 2)
    return kv.get("k")


@program
def an_object_that_is_no_json(kv: Any, world: World) -> object:
    world.put("s3kv/k.json", "{")
    return kv.get("k")


@program
def what_add_returns(kv: Any, world: World) -> object:
    return kv.add("k", 1)


# --- errors -------------------------------------------------------------------------------------------


@program
def errors_by_the_class_of_botocore(kv: Any, world: World) -> object:
    try:
        kv.copy_key("none", "k")
    except ClientError as exc:
        return exc.response["Error"]["Code"]
    return None


@program
def errors_by_the_class_of_s3_client(kv: Any, world: World) -> object:
    try:
        kv.tag_key("none", {"a": "b"})
    except kv.s3_client.exceptions.NoSuchKey:
        return "caught"
    return None


@program
def use_s3_client(kv: Any, world: World) -> object:
    kv.s3_client.put_object(Bucket=kv.bucket_name, Key="s3kv/k.json", Body=b"5")
    return kv.get("k")


@program
def tags_of_a_missing_key(kv: Any, world: World) -> object:
    return kv.get_tags("s3kv/none.json")


@program
def size_of_a_missing_key(kv: Any, world: World) -> object:
    return kv.get_key_size("none")


@program
def last_update_of_a_missing_key(kv: Any, world: World) -> object:
    return kv.get_key_last_updated_time("none")


@program
def get_from_a_bucket_that_is_not_there(kv: Any, world: World) -> object:
    kv.bucket_name = "no-such-bucket"
    try:
        kv.get("k")
    except ClientError as exc:
        return exc.response["Error"]["Code"]
    return None


@program
def key_exists_in_a_bucket_that_is_not_there(kv: Any, world: World) -> object:
    kv.bucket_name = "no-such-bucket"
    return kv.key_exists("k")


# --- lists and tags -----------------------------------------------------------------------------------


@program
def list_by_the_prefix_of_object_names(kv: Any, world: World) -> object:
    kv.add("test_a", 1)
    kv.add("other", 1)
    return kv.list_keys(), kv.list_keys_with_prefix("s3kv/test")


@program
def list_by_the_prefix_of_keys(kv: Any, world: World) -> object:
    kv.add("test_a", 1)
    return kv.list_keys_with_prefix("test")


@program
def list_a_bucket_with_objects_of_others(kv: Any, world: World) -> object:
    kv.add("k", 1)
    world.put("reports/2013.json", "{}")
    return kv.list_keys()


@program
def tag_and_find(kv: Any, world: World) -> object:
    kv.add("a", 1)
    kv.add("b", 1)
    kv.tag_key("a", {"module": "x", "stage": "raw"})
    kv.tag_key("a", {"module": "y"})
    return kv.find_keys_by_tag_value("module", "y"), kv.get_tags("s3kv/a.json")


@program
def find_by_a_tag_that_cannot_be(kv: Any, world: World) -> object:
    kv.add("k", 1)
    return kv.find_keys_by_tag_value("semi;colon", "x")


@program
def find_objects_of_others_beside_the_values(kv: Any, world: World) -> object:
    world.put("s3kv/table.parquet", "...", "module=x")
    return kv.find_keys_by_tag_value("module", "x")


@program
def tags_of_an_object_of_others(kv: Any, world: World) -> object:
    world.put("reports/2013.json", "{}", "module=x")
    return kv.get_tags("reports/2013.json")


@program
def tags_that_are_no_text(kv: Any, world: World) -> object:
    kv.add("k", 1)
    kv.tag_key("k", {"year": 2013})
    return None


@program
def tag_by_the_prefix_of_object_names(kv: Any, world: World) -> object:
    kv.add("test_a", 1)
    kv.tag_keys_with_prefix("s3kv/test", {"module": "x"})
    return kv.find_keys_by_tag_value("module", "x")


@program
def what_tag_keys_with_prefix_returns(kv: Any, world: World) -> object:
    kv.add("test_a", 1)
    return kv.tag_keys_with_prefix("s3kv/test", {"module": "x"})


@program
def delete_by_tag(kv: Any, world: World) -> object:
    kv.add("a", 1)
    kv.add("b", 1)
    kv.tag_key("a", {"module": "x"})
    kv.delete_by_tag("module", "x")
    return kv.list_keys()


@program
def what_delete_by_tag_returns(kv: Any, world: World) -> object:
    return kv.delete_by_tag("module", "x")


# --- merges and copies --------------------------------------------------------------------------------


@program
def merge_into_a_new_key(kv: Any, world: World) -> object:
    kv.add("a", {"x": 1, "y": 1})
    kv.add("b", {"y": 2})
    kv.merge_keys(["a", "none", "b"], "c")
    return kv.get("c")


@program
def merge_nothing(kv: Any, world: World) -> object:
    kv.merge_keys([], "c")
    return kv.get("c")


@program
def merge_onto_an_existing_key(kv: Any, world: World) -> object:
    kv.add("a", {"x": 1})
    kv.add("c", {"old": 1})
    kv.merge_keys(["a"], "c")
    return kv.get("c")


@program
def merge_onto_a_key_with_tags(kv: Any, world: World) -> object:
    kv.add("c", {})
    kv.tag_key("c", {"module": "x"})
    kv.merge_keys([], "c")
    return kv.get_tags("s3kv/c.json")


@program
def merge_empty_values_that_are_no_dicts(kv: Any, world: World) -> object:
    kv.add("a", [])
    kv.add("b", None)
    kv.merge_keys(["a", "b"], "c")
    return kv.get("c")


@program
def merge_a_list_of_pairs(kv: Any, world: World) -> object:
    kv.add("a", [["x", 1]])
    kv.merge_keys(["a"], "c")
    return kv.get("c")


@program
def merge_text(kv: Any, world: World) -> object:
    kv.add("a", "text")
    kv.merge_keys(["a"], "c")
    return kv.get("c")


@program
def copy_a_key(kv: Any, world: World) -> object:
    kv.add("a", {"x": 1})
    kv.copy_key("a", "b")
    return kv.get("b"), kv.get_key_size("b")


@program
def copy_a_key_with_tags(kv: Any, world: World) -> object:
    kv.add("a", 1)
    kv.tag_key("a", {"module": "x"})
    kv.copy_key("a", "b")
    return kv.get_tags("s3kv/b.json")


@program
def copy_a_key_with_tags_onto_itself(kv: Any, world: World) -> object:
    kv.add("a", 1)
    kv.tag_key("a", {"module": "x"})
    kv.copy_key("a", "a")
    return kv.get_tags("s3kv/a.json")


@program
def size_and_last_update(kv: Any, world: World) -> object:
    kv.add("a", {"x": 1})
    moment = kv.get_key_last_updated_time("a")
    return kv.get_key_size("a"), type(moment), moment.tzinfo, moment.microsecond


# --- local copies -------------------------------------------------------------------------------------


@program
def local_copy_after_add(kv: Any, world: World) -> object:
    kv.add("a", {"x": 1})
    return kv.get_from_cache("a")


@program
def local_copy_after_a_merge(kv: Any, world: World) -> object:
    kv.add("a", {"x": 1})
    kv.merge_keys(["a"], "b")
    return kv.get_from_cache("b")


@program
def local_copy_after_a_copy(kv: Any, world: World) -> object:
    kv.add("a", {"x": 1})
    kv.copy_key("a", "b")
    return kv.get_from_cache("b")


@program
def local_copy_after_get(kv: Any, world: World) -> object:
    world.put("s3kv/a.json", "1")
    kv.get("a")
    return kv.get_from_cache("a")


@program
def local_copy_when_others_write(kv: Any, world: World) -> object:
    kv.add("a", 1)
    world.put("s3kv/a.json", "2")
    return kv.get_from_cache("a"), kv.get("a")


@program
def local_copy_though_the_cache_is_off(kv: Any, world: World) -> object:
    kv.enable_local_cache = False
    kv.add("a", 1)
    return kv.get_from_cache("a")


@program
def local_copies_of_all_keys(kv: Any, world: World) -> object:
    world.put("s3kv/a.json", "1")
    world.put("s3kv/b.json", '{"x": 2}')
    kv.cache_all_keys()
    kv.clear_old_cache()
    return kv.get_from_cache("a"), kv.get_from_cache("b"), kv.get_from_cache("c")


@program
def local_copies_that_are_cleared(kv: Any, world: World) -> object:
    kv.add("a", 1)
    kv.add("b", 1)
    kv.clear_cache_for_key("a")
    kv.clear_cache_for_key("none")
    kv.delete("b")
    kv.clear_cache()
    return kv.get_from_cache("a"), kv.get_from_cache("b"), kv.get("a")


@program
def what_cache_all_keys_returns(kv: Any, world: World) -> object:
    return kv.cache_all_keys()


@program
def what_clear_old_cache_returns(kv: Any, world: World) -> object:
    return kv.clear_old_cache(3)


@program
def read_the_files_of_local_copies(kv: Any, world: World) -> object:
    kv.add("a", 1)
    return (world.folder / "a.json").read_text()


# --- locks and policies -------------------------------------------------------------------------------


@program
def hold_and_release__locked(kv: Any, world: World) -> object:
    kv.add("a", 1)
    kv.apply_legal_hold("a")
    held = kv.is_legal_hold_applied("a")
    kv.release_legal_hold("a")
    return held, kv.is_legal_hold_applied("a")


@program
def ask_for_a_hold_that_never_was__locked(kv: Any, world: World) -> object:
    kv.add("a", 1)
    return kv.is_legal_hold_applied("a")


@program
def ask_for_a_hold_in_a_bucket_without_locks(kv: Any, world: World) -> object:
    kv.add("a", 1)
    return kv.is_legal_hold_applied("a")


@program
def hold_in_a_bucket_without_locks(kv: Any, world: World) -> object:
    kv.add("a", 1)
    kv.apply_legal_hold("a")
    return None


@program
def place_a_retention__locked(kv: Any, world: World) -> object:
    kv.add("a", 1)
    kv.place_retention_lock("a", 1)
    return None


@program
def what_place_retention_lock_returns__locked(kv: Any, world: World) -> object:
    kv.add("a", 1)
    return kv.place_retention_lock("a", 1) is None


@program
def place_a_retention_in_a_bucket_without_locks(kv: Any, world: World) -> object:
    kv.add("a", 1)
    kv.place_retention_lock("a", 1)
    return None


@program
def read_what_others_have_hidden__locked(kv: Any, world: World) -> object:
    kv.add("a", 1)
    lock(world, "s3kv/a.json")
    world.raw.delete_object(Bucket=world.bucket, Key="s3kv/a.json")
    return kv.get("a")


@program
def overwrite_what_is_under_retention__locked(kv: Any, world: World) -> object:
    kv.add("a", 1)
    lock(world, "s3kv/a.json")
    kv.add("a", 2)
    return kv.get("a")


@program
def delete_what_is_under_retention__locked(kv: Any, world: World) -> object:
    kv.add("a", 1)
    lock(world, "s3kv/a.json")
    kv.delete("a")
    return kv.key_exists("a")


@program
def lift_a_retention__locked(kv: Any, world: World) -> object:
    kv.add("a", 1)
    lock(world, "s3kv/a.json")
    kv.remove_retention_lock("a")
    kv.add("a", 2)
    return kv.get("a")


@program
def set_bucket_policy(kv: Any, world: World) -> object:
    kv.set_bucket_policy()
    return None


def lock(world: World, name: str) -> None:
    until = datetime.now(timezone.utc) + timedelta(hours=1)
    world.raw.put_object_retention(
        Bucket=world.bucket, Key=name, Retention={"Mode": "GOVERNANCE", "RetainUntilDate": until}
    )


# --- the test -----------------------------------------------------------------------------------------


@pytest.fixture
def the_seed(tmp_path: Path) -> ModuleType:
    """Return the seed, with its folder below that of the test: workers would clear each other's."""
    module = ModuleType("seed")
    source = inspect.getsource(seed).replace("/tmp/s3kv_cache", str(tmp_path / "copies"))
    exec(compile(source, "s3kv.py", "exec"), vars(module))  # noqa: S102  # of the package
    return module


@pytest.fixture
def outcome(
    make_store: Callable[..., S3KV],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    the_seed: ModuleType,
) -> Callable[[str, str], Outcome]:
    """Run a program against a package, in a bucket of its own."""

    def run(name: str, package: str) -> Outcome:
        made = make_store(object_lock=name.endswith("locked"))
        url, raw = str(made.config.endpoint_url), outside(made)
        world = World(raw, made.bucket_name, tmp_path / "copies")
        shutil.rmtree(world.folder, ignore_errors=True)
        if package == "s3kv":
            kv: Any = the_seed.S3KV(url, made.bucket_name)
        else:
            kind = {"S3KV": S3KV, "CompatibleS3KV": CompatibleS3KV}[package]
            kv = kind(url, made.bucket_name, cache_directory=tmp_path / package)
        returned, raised = "", tuple[str, ...]()
        capsys.readouterr()
        try:
            returned = repr(PROGRAMS[name](kv, world))
        except Exception as exc:  # noqa: BLE001  # whatever it is
            raised = tuple(one.__name__ for one in type(exc).__mro__[:-2])
        return Outcome(returned, raised, capsys.readouterr().out, dict(contents(world)))

    return run


def contents(world: World) -> Iterator[tuple[str, tuple[bytes, dict[str, str]]]]:
    for listed in world.raw.list_objects_v2(Bucket=world.bucket).get("Contents", ()):
        if ".s3kv-probe-" in (name := listed["Key"]):
            continue
        tags = world.raw.get_object_tagging(Bucket=world.bucket, Key=name)["TagSet"]
        body = world.raw.get_object(Bucket=world.bucket, Key=name)["Body"].read()
        yield name, (body, {tag["Key"]: tag["Value"] for tag in tags})


def table() -> dict[str, dict[str, str]]:
    """Return the rows of the page, by what a program does: a column for each package, and why."""
    rows = [
        [cell.strip() for cell in line.strip("|").split(" | ")]
        for line in PAGE.read_text().splitlines()
        if line.startswith("| ")
    ]
    return {
        row[0]: dict(zip(("s3kv", "S3KV", "CompatibleS3KV", "why"), row[1:], strict=True)) for row in rows[1:]
    }


@pytest.fixture
def embedded(request: pytest.FixtureRequest) -> None:
    if request.config.getoption("--server") != "moto":
        pytest.skip("the seed repeats the messages of the server")


@pytest.mark.usefixtures("embedded")
@pytest.mark.parametrize("name", PROGRAMS)
def test_a_program_ends_as_it_did_or_the_page_says_how_else(
    name: str, outcome: Callable[[str, str], Outcome]
) -> None:
    before = outcome(name, "s3kv")
    row = table().get(name.removesuffix(", locked"), {})
    for package in ("S3KV", "CompatibleS3KV"):
        now = outcome(name, package)
        assert before.is_as(now) == (row.get(package, SAME) == SAME), (package, before, now)


def test_the_page_has_no_row_that_no_program_shows() -> None:
    shown = {name.removesuffix(", locked") for name in PROGRAMS} | set(SHOWN_ELSEWHERE)
    assert sorted(set(table()) - shown) == []
    assert all(any(row[one] != SAME for one in ("S3KV", "CompatibleS3KV")) for row in table().values())
    assert all((PAGE.parents[1] / path).exists() for path in SHOWN_ELSEWHERE.values())


def test_errors_of_the_compatible_store_are_both(make_store: Callable[..., S3KV]) -> None:
    made = make_store()
    kv = CompatibleS3KV(made.config.endpoint_url, made.bucket_name)
    with pytest.raises(KeyNotFoundError, match="none") as caught:
        kv.info("none")
    assert isinstance(caught.value, kv.s3_client.exceptions.NoSuchKey)
    assert isinstance(caught.value, ClientError)
    assert caught.value.response["Error"]["Code"] == "NoSuchKey"
    assert str(caught.value) == str(caught.value.__cause__)
    with pytest.raises(InvalidTagError) as refused:
        kv.tag_key("k", {"semi;colon": "x"})
    assert not isinstance(refused.value, ClientError), "S3 was not asked"


@pytest.mark.parametrize("name", [name for name in errors.__all__ if name.endswith("Error")])
def test_every_error_of_the_tree_can_be_one_of_botocore(name: str, store: S3KV) -> None:
    exceptions = store.client.boto3_client.exceptions
    exc = getattr(errors, name)("what happened")
    exc.code = "AccessDenied"
    both = as_client_error(exc, exceptions)
    assert isinstance(both, getattr(errors, name))
    assert isinstance(both, ClientError)
    assert str(both) == "what happened"
    assert both.response["Error"]["Code"] == "AccessDenied"
    assert as_client_error(both, exceptions) is both


def test_no_server_is_an_error_of_both() -> None:
    kv = CompatibleS3KV("http://127.0.0.1:9", "bucket", boto_config={"retries": {"total_max_attempts": 1}})
    with pytest.raises(EndpointConnectionError) as caught:
        kv.add("k", 1)
    assert isinstance(caught.value, StoreUnavailableError)


def test_both_stores_read_what_either_wrote(make_store: Callable[..., S3KV]) -> None:
    store = make_store()
    kv = CompatibleS3KV(store.config.endpoint_url, store.bucket_name)
    kv.add("k", {"point": (1, 2)}, tags={"a": "b"})
    assert store.get("k") == {"point": [1, 2]}
    assert store.get_tags("k") == {"a": "b"}
    store.add("k", 5)
    assert kv.get("k") == 5
    assert kv.codec.name == store.codec.name


@pytest.mark.parametrize("object_lock", [False, True])
def test_the_copy_that_add_leaves_costs_nothing_and_is_asked_for(
    make_store: Callable[..., S3KV], tmp_path: Path, *, object_lock: bool
) -> None:
    store = make_store(object_lock=object_lock)
    kv = CompatibleS3KV(store.config.endpoint_url, store.bucket_name, cache_directory=tmp_path / "copies")
    kv.add("k", {"n": 1})
    with kv.client.counters.measure() as measured:
        if not object_lock:
            kv.add("k", {"n": 1})
        assert kv.get_from_cache("k") == {"n": 1}
    assert measured[0].requests == (0 if object_lock else 1)
    store.add("k", {"n": 2})
    assert kv.get("k") == {"n": 2}
    young = CompatibleS3KV(
        store.config.endpoint_url, store.bucket_name, cache_directory=tmp_path / "copies", cache_max_age="1h"
    )
    young.add("k", {"n": 3})
    assert young.get("k") == {"n": 3}
    assert young.info("k").size == len('{"n": 3}')


def test_an_encoding_error_says_what_to_do(store: S3KV) -> None:
    for value, advice in [
        ((1,), "CompatibleS3KV"),
        (float("nan"), "None for NaN"),
        ({1}, "codec='cloudpickle'"),
    ]:
        with pytest.raises(EncodingError, match=advice):
            store.add("k", value)


def test_a_policy_for_nobody_says_what_to_write(store: S3KV) -> None:
    with pytest.raises(ValueError, match=r"everybody.*set_bucket_policy\('arn:aws:iam::"):
        store.set_bucket_policy()
