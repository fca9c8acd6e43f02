"""Whatever goes in comes out, or is refused with the right error before any request."""

from __future__ import annotations

import re
import unicodedata
import uuid
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from s3kv_flows.store import S3KV
from s3kv_flows.store.errors import EncodingError, InvalidKeyError, InvalidTagError
from tests.contracts.helpers import is_no_path
from tests.servers import Server
from tests.servers.clean import remove_bucket

FEW = settings(max_examples=40)
MANY = settings(max_examples=200)

LEGAL_TAG = "".join(
    char
    for char in map(chr, range(0x20, 0x2000))
    if unicodedata.category(char)[0] in "LNZ" or char in "+-=._:/@"
)
"""A part of what S3 takes, written down apart from the code."""


@pytest.fixture(scope="module")
def shared(server: Server) -> Iterator[S3KV]:
    store = S3KV(server.url, f"bucket-{uuid.uuid4().hex[:16]}", enable_local_cache=False)
    store.create_bucket()
    yield store
    if not server.is_ours:
        remove_bucket(store)


def is_legal_key(key: str) -> bool:
    try:
        size = len(f"s3kv/{key}.json".encode())
    except UnicodeEncodeError:
        return False
    if not key or size > 1024 or key.startswith(".s3kv-probe-"):  # probes are not values
        return False
    return not re.search("[\x00-\x1f\x7f\ufffe\uffff]", key)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda children: st.lists(children, max_size=4) | st.dictionaries(st.text(), children, max_size=4),
    max_leaves=12,
)


@FEW
@given(key=st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=40))
def test_a_key_is_a_key_or_refused(shared: S3KV, server: Server, key: str) -> None:
    assume(server.name != "moto" or not re.search(r"[?#]|%[0-9a-fA-F]{2}", key))  # moto mixes them up
    assume(server.name != "seaweedfs" or not is_no_path(key))
    if not is_legal_key(key):
        with shared.client.counters.measure() as measured, pytest.raises(InvalidKeyError):
            shared.add(key, key)
        assert measured[0].requests == 0
        return
    shared.add(key, key)
    try:
        assert shared.get(key) == key
        assert shared.list_keys() == [key]
        assert shared.list_keys_with_prefix(key) == [key]
        assert [version.is_latest for version in shared.versions(key)] == [True]
    finally:
        shared.delete(key)
    assert not shared.exists(key)


@MANY
@given(key=st.text(max_size=1100))
def test_what_is_no_key_is_refused_without_a_request(shared: S3KV, key: str) -> None:
    if is_legal_key(key):
        assert shared.namespace.key_of(shared.namespace.name_of(key)) == key
        return
    with shared.client.counters.measure() as measured, pytest.raises(InvalidKeyError):
        shared.get(key)
    assert measured[0].requests == 0


@FEW
@given(value=json_values)
def test_a_json_value_comes_back_as_it_was(shared: S3KV, value: Any) -> None:
    shared.add("value", value)
    found = shared.get("value")
    assert found == value
    assert type(found) is type(value)
    assert repr(found) == repr(value), "also 1 and 1.0, True and 1"


@MANY
@given(
    value=st.sampled_from(
        [float("nan"), float("inf"), (1, 2), {1: 2}, {"a": {1}}, b"x", {"a": (1,)}, [object]]
    )
    | st.tuples(st.integers())
    | st.dictionaries(st.integers(), st.integers(), min_size=1)
    | st.binary()
)
def test_what_json_cannot_hold_is_refused_without_a_request(shared: S3KV, value: Any) -> None:
    with shared.client.counters.measure() as measured, pytest.raises(EncodingError):
        shared.add("value", value)
    assert measured[0].requests == 0


tag_texts = st.text(LEGAL_TAG, max_size=20)


@FEW
@given(tags=st.dictionaries(tag_texts.filter(bool), tag_texts, max_size=10))
def test_legal_tags_come_back_as_they_were(shared: S3KV, tags: dict[str, str]) -> None:
    assume(not any(key.lower().startswith("aws") for key in tags))  # moto refuses also what has no colon
    # S3 itself cuts nothing; XML parsers may take blanks at the ends for layout.
    assume(all(text == text.strip() for pair in tags.items() for text in pair))
    shared.add("tagged", 1, tags=tags)
    assert shared.get_tags("tagged") == tags
    shared.tag_key("tagged", {"other": "tag"})
    shared.tag_key("tagged", tags)
    assert shared.get_tags("tagged") == tags


@MANY
@given(tags=st.dictionaries(st.text(max_size=140), st.text(max_size=270), max_size=12))
def test_tags_are_taken_or_refused_without_a_request(shared: S3KV, tags: dict[str, str]) -> None:
    def legal(text: str, limit: int) -> bool:
        length = len(text.encode("utf-16-le", "surrogatepass")) // 2
        return length <= limit and all(unicodedata.category(c)[0] in "LNZ" or c in " +-=._:/@" for c in text)

    good = len(tags) <= 10 and all(
        key and legal(key, 128) and legal(value, 256) and not key.lower().startswith("aws:")
        for key, value in tags.items()
    )
    if good:
        if any(len(key.encode()) > 128 or len(value.encode()) > 256 for key, value in tags.items()):
            with suppress(InvalidTagError):  # of Ceph, which counts bytes
                shared.add("tagged", 1, tags=tags)
            return
        shared.add("tagged", 1, tags=tags)
        assert len(shared.get_tags("tagged")) == len(tags)
        return
    with shared.client.counters.measure() as measured, pytest.raises(InvalidTagError):
        shared.add("tagged", 1, tags=tags)
    assert measured[0].requests == 0
