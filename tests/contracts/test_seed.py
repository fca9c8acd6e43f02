"""s3kv 0.1.5, the seed: its programs run, and its buckets are read and written."""

from __future__ import annotations

import ast
import inspect
import os
import re
from collections.abc import Callable
from importlib.metadata import metadata
from pathlib import Path
from typing import Any

import pytest
import s3kv.s3kv as seed  # its own documentation imports from s3kv, which is empty

from s3kv_flows.store import S3KV
from tests.contracts.helpers import outside

SNIPPETS = re.findall(r"```\n(.*?)```", str(metadata("s3kv").json["description"]), re.DOTALL)

VALUES = {
    "text": "value1",
    "dict": {"name": "John", "age": 30},
    "list": [1, 2.5, None, True],
    "ü": {"ß": "日本"},
}


@pytest.fixture
def theirs(store: S3KV) -> Any:
    return seed.S3KV(
        store.config.endpoint_url,
        store.bucket_name,
        os.environ["AWS_ACCESS_KEY_ID"],
        os.environ["AWS_SECRET_ACCESS_KEY"],
    )


def public(kind: type) -> dict[str, inspect.Signature]:
    return {
        name: inspect.signature(function)
        for name, function in inspect.getmembers(kind, inspect.isfunction)
        if not name.startswith("_")
    }


def test_every_method_is_there_and_takes_the_seeds_arguments() -> None:
    ours = public(S3KV)
    seeds = public(seed.S3KV)
    assert len(seeds) == 26
    for name, signature in seeds.items():
        mine = [
            one for one in ours[name].parameters.values() if one.kind is not inspect.Parameter.KEYWORD_ONLY
        ]
        if name == "set_bucket_policy":  # the seed's opens the bucket to everybody: ours wants a principal
            assert [one.name for one in mine] == ["self", "principal"]
            continue
        if name == "get_tags":  # the seed's takes object names, ours these and keys
            assert len(mine) == len(signature.parameters)
            continue
        assert [one.name for one in mine] == list(signature.parameters), name
        for one, other in zip(mine, signature.parameters.values(), strict=True):
            assert (one.default is one.empty) <= (other.default is other.empty), (name, one)
    constructor = list(inspect.signature(S3KV.__init__).parameters)
    assert constructor[:6] == list(inspect.signature(seed.S3KV.__init__).parameters)


def test_the_documentation_has_its_snippets() -> None:
    assert len(SNIPPETS) == 8
    assert all(snippet.count("from s3kv import S3KV\n") == 1 for snippet in SNIPPETS)


@pytest.mark.parametrize("number", range(8))
def test_each_snippet_of_the_documentation_runs_verbatim_but_for_the_import(
    make_store: Callable[..., S3KV],
    number: int,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    snippet = SNIPPETS[number].replace("from s3kv import S3KV\n", "from s3kv_flows.store import S3KV\n")
    store = make_store(object_lock="place_retention_lock" in snippet)
    if "s3kv.tag_key('test_c'" in snippet:
        store.add("test_c", 1)  # the text says that it is there
    monkeypatch.setenv("S3_ENDPOINT_URL", str(store.config.endpoint_url))
    monkeypatch.setenv("S3_BUCKET", store.bucket_name)
    namespace: dict[str, Any] = {}
    exec(compile(ast.parse(snippet), f"snippet {number}", "exec"), namespace)  # noqa: S102  # of the package
    values, printed = SHOWN[number]
    assert {key: store.get(key) for key in store.list_keys()} == values
    assert re.fullmatch(printed, capsys.readouterr().out)


SOURCES = {"source_key_a": {"data_a": "value_a"}, "source_key_b": {"data_b": "value_b"}}

SHOWN: list[tuple[dict[str, Any], str]] = [
    ({"key2": {"name": "John", "age": 30}}, ""),
    ({"source_key": {"name": "john"}, "destination_key": {"name": "john"}}, ""),
    ({**SOURCES, "destination_key": {"data_a": "value_a", "data_b": "value_b"}}, ""),
    ({}, ""),
    # Servers give tags in an order of their own.
    ({}, r"{('module': 'user_management'|'environment': 'production'|, ){3}}\n\['test_c'\]\n"),
    ({}, r"\[\]\n"),
    ({"test_retention": {"name": "fat_boy_slim"}}, r"Key 'test_retention' is under legal hold\.\n"),
    ({"test": {"dj": "fatboy slim"}}, r"21\n20\d\d-\d\d-\d\d \d\d:\d\d:\d\d\n"),
]
"""What each snippet leaves in the bucket, and prints."""


def test_each_reads_what_the_other_wrote(store: S3KV, theirs: Any) -> None:
    for key, value in VALUES.items():
        theirs.add(f"seed-{key}", value)
        store.add(f"ours-{key}", value)
    for key, value in VALUES.items():
        assert store.get(f"seed-{key}") == value
        assert theirs.get(f"ours-{key}") == value
    assert sorted(theirs.list_keys()) == store.list_keys()
    store.update("seed-dict", lambda value: {**value, "by": "ours"})
    theirs.merge_keys(["seed-dict", "ours-dict"], "merged")
    assert store.get("merged") == {"name": "John", "age": 30, "by": "ours"}
    theirs.copy_key("ours-dict", "copied")
    assert store.get("copied") == VALUES["dict"]
    store.copy_key("copied", "copied-back")
    assert theirs.get("copied-back") == VALUES["dict"]


def test_each_finds_the_tags_of_the_other_and_overwrites_and_deletes(store: S3KV, theirs: Any) -> None:
    theirs.add("seed", 1)
    theirs.tag_key("seed", {"module": "a"})
    store.add("ours", 2, tags={"module": "a"})
    assert sorted(theirs.find_keys_by_tag_value("module", "a")) == ["ours", "seed"]
    assert store.find_keys_by_tag_value("module", "a") == ["ours", "seed"]
    assert theirs.get_tags("s3kv/ours.json") == store.get_tags("s3kv/seed.json") == {"module": "a"}
    theirs.add("ours", 3)
    store.add("seed", 4)
    assert (store.get("ours"), theirs.get("seed")) == (3, 4)
    theirs.tag_keys_with_prefix("s3kv/ours", {"module": "b"})
    assert store.delete_by_tag("module", "b").deleted == ["ours"]
    theirs.delete("seed")
    assert store.list_keys() == []


def test_each_tells_the_size_and_age_that_the_other_tells(store: S3KV, theirs: Any) -> None:
    store.add("key", {"a": 1})
    assert store.get_key_size("key") == theirs.get_key_size("key")
    assert store.get_key_last_updated_time("key") == theirs.get_key_last_updated_time("key")


def test_the_local_cache_can_be_filled_and_read(make_store: Callable[..., S3KV], tmp_path: Path) -> None:
    store = make_store(enable_local_cache=True)
    store.add_many({"a": 1, "b": {"x": 2}})
    assert store.get_from_cache("a") is None
    assert store.cache_all_keys() == 2
    assert (store.get_from_cache("a"), store.get_from_cache("b")) == (1, {"x": 2})
    outside(store).delete_object(Bucket=store.bucket_name, Key="s3kv/a.json")
    assert store.get_from_cache("a") == 1, "it does not ask"
    assert store.get("a") is None
    assert store.get_from_cache("a") is None
