"""The parts of a key: one digest of all, and short ones that name what changed."""

from __future__ import annotations

from dataclasses import replace
from hashlib import sha256

import pytest

from s3kv_flows._keys.contents.encoder import Digest
from s3kv_flows._keys.parts import KeyParts, changed, pack_code, unpack_code


def digest(text: str, *, holds_secret: bool = False) -> Digest:
    return Digest(sha256(text.encode()).digest(), holds_secret)


PARTS = KeyParts(
    "team", sha256(b"code").digest(), {"year": digest("2013"), "scale": digest("1")}, (("RunId", "abc"),)
)


def test_a_key_stays_what_it_is() -> None:
    assert PARTS.key() == "ed6b572195fbed69653df4eb4dd2ce0a4472af2d08cd3d7805969ab206f6addd"


def test_every_part_makes_another_key() -> None:
    others = [
        replace(PARTS, namespace=""),
        replace(PARTS, code=None),
        replace(PARTS, code=sha256(b"other").digest()),
        replace(PARTS, inputs={**PARTS.inputs, "year": digest("2014")}),
        replace(PARTS, inputs={"year": digest("2013")}),
        replace(PARTS, inputs={"years": digest("2013"), "scale": digest("1")}),
        replace(PARTS, others=()),
        replace(PARTS, others=(("RunId", "abd"),)),
    ]
    assert len({PARTS.key(), *(one.key() for one in others)}) == len(others) + 1


def test_the_order_of_inputs_does_not_count() -> None:
    swapped = replace(PARTS, inputs=dict(reversed(list(PARTS.inputs.items()))))
    assert swapped.key() == PARTS.key()
    assert swapped.to_metadata() == PARTS.to_metadata()


def test_what_changed_is_named() -> None:
    now = replace(PARTS, code=b"other", inputs={**PARTS.inputs, "year": digest("2014")}, namespace="x")
    before = PARTS.to_metadata()
    assert changed(before, now.to_metadata()) == ["the code", "input 'year'", "the namespace"]
    assert changed(before, before) == []
    assert changed(before, replace(PARTS, others=()).to_metadata()) == ["another cache policy"]
    assert changed(before.replace("1;", "2;", 1), before) == ["the way in which keys are made"]


def test_many_inputs_and_long_names_share_one_digest_and_fit() -> None:
    many = {f"input_{number}": digest(str(number)) for number in range(40)}
    text = replace(PARTS, inputs=many).to_metadata()
    assert text.count("i.") == 16
    long = {f"{'ä' * 60}{number}": digest(str(number)) for number in range(20)}
    assert len(replace(PARTS, inputs=long).to_metadata()) <= 640
    other = replace(PARTS, inputs={**many, "input_9": digest("x")})
    assert changed(text, other.to_metadata()) == ["an input"]
    assert text.isascii()


def test_no_digest_is_kept_of_a_secret() -> None:
    secret = replace(PARTS, inputs={"password": digest("1234", holds_secret=True), "year": digest("2013")})
    other = replace(secret, inputs={**secret.inputs, "password": digest("4321", holds_secret=True)})
    assert secret.key() != other.key()
    assert secret.to_metadata() == other.to_metadata()
    assert changed(secret.to_metadata(), other.to_metadata()) == ["input 'password'"]
    many = {f"input_{number}": digest(str(number)) for number in range(20)} | {
        "zzz": digest("1234", holds_secret=True)
    }
    assert replace(PARTS, inputs=many).to_metadata().endswith("*=-")


def test_parts_of_code_are_packed_up_to_a_number_of_names() -> None:
    few = {f"helpers.f{number}": bytes([number] * 32) for number in range(10)}
    assert list(unpack_code(pack_code(few))) == sorted(few)
    many = {f"helpers.f{number}": number.to_bytes(32, "big") for number in range(1_000)}
    edited = many | {"helpers.f999": bytes(32)}
    before, after = unpack_code(pack_code(many)), unpack_code(pack_code(edited))
    assert len(before) == 251
    assert [name for name in before if before[name] != after[name]] == ["*"]
    with pytest.raises(ValueError, match="no parts of code"):
        unpack_code(b"[]")
