"""Statements: everything in a head is bound, and no two heads have the same."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields, replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from s3kv_flows.store._layout.marks import SEAL
from s3kv_flows.store._s3.types import ObjectInfo
from s3kv_flows.store._seals.keys.keys import PublicKey
from s3kv_flows.store._seals.keys.trust import TrustedKey
from s3kv_flows.store._seals.policy import SealPolicy
from s3kv_flows.store._seals.purposes import PURPOSES
from s3kv_flows.store._seals.statement import Head, statement
from tests.store.seals.examples import (
    BODY,
    HEAD,
    KEY,
    OWN,
    WRITTEN,
    outcome,
    seal_of,
    sealed,
    trusting,
    with_seal,
)


def metadata(head: Head, **changed: str | None) -> Head:
    merged = {**head.metadata, **{name.replace("_", "-"): value for name, value in changed.items()}}
    return replace(head, metadata={name: value for name, value in merged.items() if value is not None})


CHANGES: dict[str, Callable[[Head], Head]] = {
    **{
        f"the purpose, to {purpose}": lambda head, purpose=purpose: replace(head, purpose=purpose)  # type: ignore[misc]
        for purpose in PURPOSES
        if purpose != HEAD.purpose
    },
    "the name": lambda head: replace(head, name="s3kv-results/0a1c"),
    "the name, by a character": lambda head: replace(head, name=f"{head.name} "),
    "the content type": lambda head: replace(head, content_type="application/json"),
    "no content type": lambda head: replace(head, content_type=""),
    "the length, one more": lambda head: replace(head, length=head.length + 1),
    "the length, one less": lambda head: replace(head, length=head.length - 1),
    "the expiry": lambda head: metadata(head, s3kv_expires="2036-12-01T00:00:00+00:00"),
    "the expiry, taken away": lambda head: metadata(head, s3kv_expires=None),
    "the write id": lambda head: metadata(head, s3kv_write_id="00ff00ff00ff00fe"),
    "metadata of the user": lambda head: metadata(head, owner="eve"),
    "metadata of the user, taken away": lambda head: metadata(head, owner=None),
    "metadata that is added": lambda head: metadata(head, added="1"),
    "empty metadata that is added": lambda head: metadata(head, added=""),
    "a value that becomes a name": lambda head: metadata(head, owner="", ada=""),
    "a character that moves to the name from the next field": lambda head: replace(
        head, name=head.name + head.content_type[0], content_type=head.content_type[1:]
    ),
    "a character that moves from a value to its name": lambda head: metadata(head, owner=None, ownera="da"),
    "two values, swapped": lambda head: metadata(
        head, owner=head.metadata["s3kv-write-id"], s3kv_write_id="ada"
    ),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
@pytest.mark.parametrize("algorithm", ["b3", "s2"])
def test_whatever_is_changed_in_a_head_breaks_the_signature(
    change: Callable[[Head], Head], algorithm: Any
) -> None:
    head = sealed(algorithm=algorithm)
    assert outcome(OWN, head) == "verified"
    assert outcome(OWN, change(head)) == "signature"


def test_every_field_of_a_head_is_changed_above_but_the_date() -> None:
    changed = {
        field.name
        for change in CHANGES.values()
        for field in fields(Head)
        if getattr(change(HEAD), field.name) != getattr(HEAD, field.name)
    }
    assert changed == {field.name for field in fields(Head)} - {"written"}


def test_a_seal_of_another_scope_is_refused() -> None:
    head = sealed(by=SealPolicy(KEY, scope="staging"))
    assert outcome(trusting(KEY, scope="staging"), head) == "verified"
    assert outcome(trusting(KEY, scope="prod"), head) == "signature"
    assert outcome(trusting(KEY), head) == "signature"


def test_the_limits_of_a_key_cannot_be_passed_by_another_name_of_it() -> None:
    """One key, listed under two names, of which one is for results: the key id is signed."""
    renamed = PublicKey("everything", KEY.public.raw)
    reader = SealPolicy(trusted_keys=[TrustedKey.parse(f"{KEY.public};purposes=result"), TrustedKey(renamed)])
    head = sealed()
    assert outcome(reader, head) == "verified"
    assert outcome(reader, with_seal(head, seal_of(head).replace(KEY.id, renamed.id))) == "signature"


def test_the_algorithm_is_signed() -> None:
    head = sealed(algorithm="b3")
    assert outcome(OWN, with_seal(head, seal_of(head).replace(":b3:", ":s2:"))) == "signature"


def test_the_root_is_signed() -> None:
    one, other = seal_of(sealed()), seal_of(sealed(body=b"another"))
    parts = one.split(":")
    parts[3] = other.split(":")[3]
    assert outcome(OWN, with_seal(HEAD, ":".join(parts)), b"another") == "signature"


def test_objects_that_were_swapped_are_refused() -> None:
    here, there = sealed(), sealed(replace(HEAD, name="s3kv-results/ffff"), b"theirs!")
    assert outcome(OWN, replace(there, name=here.name), b"theirs!") == "signature"
    assert outcome(OWN, here, b"theirs!") == "root"


def test_names_of_metadata_count_as_the_server_returns_them() -> None:
    head = replace(HEAD, metadata={"Owner": "ada", "A": "1", "b": "2"})
    seal = OWN.seal(head, BODY)
    returned = replace(HEAD, metadata={"b": "2", "owner": "ada", "a": "1", SEAL: seal})
    assert outcome(OWN, returned) == "verified"
    assert outcome(OWN, replace(returned, metadata={**head.metadata, "S3KV-Seal": seal})) == "verified"


def test_the_date_of_the_server_is_not_signed() -> None:
    assert outcome(OWN, replace(sealed(), written=None)) == "verified"


def test_a_head_has_what_the_server_said() -> None:
    info = ObjectInfo(
        HEAD.name,
        '"etag"',
        HEAD.length,
        WRITTEN,
        WRITTEN,
        content_type=HEAD.content_type,
        metadata=HEAD.metadata,
    )
    assert Head.of("result", info) == HEAD
    assert HEAD.seal is None
    assert replace(HEAD, metadata={SEAL: ""}).seal == ""


TEXTS = st.text(max_size=5) | st.sampled_from(["\ud800", "\udfff", "é", "\0"])
PAIRS = st.dictionaries(st.sampled_from(["a", "b", "ab", "", "é", "\ud800"]), TEXTS, max_size=4)
HEADS = st.builds(Head, st.sampled_from(PURPOSES), TEXTS, TEXTS, st.integers(0, 2**64 - 1), PAIRS)


@given(HEADS, TEXTS, st.binary(min_size=32, max_size=32))
def test_a_statement_says_what_it_was_made_of_and_nothing_else(head: Head, scope: str, root: bytes) -> None:
    """It can be read back, so that no two heads have the same."""
    made = statement(KEY.id, "b3", scope, head, root)
    assert made.startswith(b"s3kv-seal-v1")
    rest, read = made[len(b"s3kv-seal-v1") : -32], []
    while rest:
        size = int.from_bytes(rest[:4], "little")
        read.append(rest[4 : 4 + size])
        rest = rest[4 + size :]
    texts = [part.decode("utf-8", "surrogatepass") for part in read[:6]]
    pairs = [part.decode("utf-8", "surrogatepass") for part in read[7:]]
    assert texts == [KEY.id, "b3", head.purpose, scope, head.name, head.content_type]
    assert int.from_bytes(read[6], "little") == head.length
    assert dict(zip(pairs[::2], pairs[1::2], strict=True)) == head.metadata
    assert made[-32:] == root
