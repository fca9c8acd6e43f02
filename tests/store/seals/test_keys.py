"""Keys: their texts, what is refused, and that a secret shows nowhere."""

from __future__ import annotations

import copy
import pickle
import traceback

import cloudpickle
import pytest
from hypothesis import given
from hypothesis import strategies as st

from s3kv_flows.store._seals import base64url
from s3kv_flows.store._seals.keys.keys import _SMALL_ORDER, PublicKey, SigningKey
from tests.store.seals.examples import KEY, NAMESAKE, SEED

SECRET = "nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A"
PUBLIC = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"
NAMES = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,31}", fullmatch=True)


def test_texts_and_signatures_are_those_of_rfc_8032_for_ever() -> None:
    key = SigningKey.parse(f"s3kv-sk1:ci:{SECRET}")
    assert key.reveal() == f"s3kv-sk1:ci:{SECRET}"
    assert str(key.public) == f"s3kv-pk1:ci:{PUBLIC}"
    assert key.id == key.public.id == "ci@If4x36FU"
    assert key.sign(b"").hex() == (
        "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e06522490155"
        "5fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b"
    )
    assert PublicKey.parse(f"s3kv-pk1:ci:{PUBLIC}").verifies(key.sign(b"said"), b"said")
    assert not key.public.verifies(key.sign(b"said"), b"not said")


@given(NAMES, st.binary(min_size=32, max_size=32))
def test_a_key_reads_back_as_it_was_written(name: str, seed: bytes) -> None:
    key = SigningKey(name, seed)
    assert SigningKey.parse(key.reveal()) == key
    assert hash(SigningKey.parse(key.reveal())) == hash(key)
    assert PublicKey.parse(str(key.public)) == key.public


@given(st.binary(min_size=1, max_size=70))
def test_bytes_have_one_text(data: bytes) -> None:
    text = base64url.encode(data)
    assert base64url.decode(text) == data
    for other in (f"{text}=", f"{text} ", f" {text}", f"{text}\n", f"{text}é", f"{text[:1]}*{text[1:]}"):
        with pytest.raises(ValueError, match="not base64url"):
            base64url.decode(other)
    with pytest.raises(ValueError, match="not base64url"):
        base64url.decode("")


def test_generated_keys_differ() -> None:
    assert SigningKey.generate("a") != SigningKey.generate("a")


def test_keys_with_one_name_have_two_ids() -> None:
    assert KEY.id != NAMESAKE.id
    assert KEY != NAMESAKE


MALFORMED = [
    "",
    "ci",
    SECRET,
    f"ci:{SECRET}",
    f"s3kv-sk2:ci:{SECRET}",
    f"S3KV-SK1:ci:{SECRET}",
    f"s3kv-sk1:{SECRET}",
    f"s3kv-sk1::{SECRET}",
    f"s3kv-sk1:c i:{SECRET}",
    f"s3kv-sk1:-ci:{SECRET}",
    f"s3kv-sk1:ci:ci:{SECRET}",
    f"s3kv-sk1:{'n' * 33}:{SECRET}",
    f"s3kv-sk1:ci\n:{SECRET}",
    f"s3kv-sk1:ci:{SECRET}=",
    f"s3kv-sk1:ci:{SECRET[:-1]}",
    f"s3kv-sk1:ci:{SECRET}A",
    f"s3kv-sk1:ci:{SECRET[:-1]}B",  # unused bits
    f"s3kv-sk1:ci:{SECRET};until=2026-12-01",
    f"s3kv-sk1:ci: {SECRET}",
    f"s3kv-sk1:ci:{SECRET}\n",
    f"s3kv-sk1:ci:é{SECRET}",
    f"s3kv-pk1:ci:{SECRET}",
]


@pytest.mark.parametrize("text", MALFORMED)
def test_a_malformed_key_is_refused_without_a_part_of_it_in_the_message(text: str) -> None:
    for parse in (SigningKey.parse, PublicKey.parse):
        if parse == PublicKey.parse and text.startswith("s3kv-pk1:"):
            continue  # 32 bytes are a public key, whatever they are
        with pytest.raises(ValueError, match="key") as caught:
            parse(text)
        assert_hidden("".join(traceback.format_exception(caught.value)))


def test_a_signing_key_is_never_trusted_in_place_of_its_public_key() -> None:
    with pytest.raises(ValueError, match="a secret") as caught:
        PublicKey.parse(KEY.reveal())
    assert_hidden(str(caught.value))


@pytest.mark.parametrize("seed", [b"", SEED[:31], SEED + b"\0"])
def test_a_seed_has_32_bytes(seed: bytes) -> None:
    with pytest.raises(ValueError, match="32 random bytes"):
        SigningKey("ci", seed)


def test_a_signing_key_shows_in_no_text_of_it() -> None:
    for text in (repr(KEY), str(KEY), f"{KEY}", f"{KEY!a}", "%s %r" % (KEY, [KEY]), repr(vars(KEY))):  # noqa: UP031
        assert_hidden(text)


def test_a_signing_key_is_not_pickled_into_a_result() -> None:
    for dumps in (pickle.dumps, cloudpickle.dumps):
        for holder in (KEY, {"key": KEY}, lambda: KEY):
            if dumps is pickle.dumps and callable(holder):
                continue
            with pytest.raises(TypeError, match="not pickled"):
                dumps(holder)


def test_copies_of_settings_share_the_key() -> None:
    assert copy.deepcopy({"key": KEY})["key"] is copy.copy(KEY) is KEY


def test_a_key_for_which_anybody_can_sign_is_refused() -> None:
    assert all(is_of_small_order(raw) for raw in _SMALL_ORDER)
    assert not is_of_small_order(KEY.public.raw)
    for raw in _SMALL_ORDER:
        for sign in (0, 0x80):
            text = f"s3kv-pk1:zeros:{base64url.encode(bytes([*raw[:-1], raw[-1] | sign]))}"
            with pytest.raises(ValueError, match="anybody could sign"):
                PublicKey.parse(text)


def assert_hidden(text: str) -> None:
    for shown in (SECRET, SECRET[4:-4], SEED.hex(), repr(SEED), repr(SEED)[2:-1]):
        assert shown not in text


_P = 2**255 - 19
_D = -121665 * pow(121666, -1, _P) % _P


def is_of_small_order(raw: bytes) -> bool:
    """Tell whether eight times a point is the neutral one, by the formulas of RFC 8032, section 5.1."""
    y = (int.from_bytes(raw, "little") & (2**255 - 1)) % _P
    square = (y * y - 1) * pow(_D * y * y + 1, -1, _P) % _P
    x = pow(square, (_P + 3) // 8, _P)
    if x * x % _P != square:
        x = x * pow(2, (_P - 1) // 4, _P) % _P
    assert x * x % _P == square
    for _ in range(3):
        product = _D * x * x * y * y % _P
        x, y = (
            2 * x * y * pow(1 + product, -1, _P) % _P,
            (y * y + x * x) * pow(1 - product, -1, _P) % _P,
        )
    return (x, y) == (0, 1)
