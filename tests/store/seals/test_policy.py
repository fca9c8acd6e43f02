"""The policy of seals: what is accepted, what is refused, and for which reason."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta, timezone

import pytest

from s3kv_flows.store._layout.marks import SEAL
from s3kv_flows.store._s3.bodies import Pieces
from s3kv_flows.store._seals import algorithms, check, tree
from s3kv_flows.store._seals.algorithms import ALGORITHMS, Algorithm
from s3kv_flows.store._seals.check import BodyCheck
from s3kv_flows.store._seals.keys.trust import TrustedKey
from s3kv_flows.store._seals.policy import SealPolicy, Unverified
from s3kv_flows.store._seals.seal import MOST_BYTES, parse_seal
from s3kv_flows.store._seals.statement import Head
from s3kv_flows.store.errors import CorruptValueError, TamperedValueError
from tests.store.seals.examples import (
    BODY,
    HEAD,
    KEY,
    MIB,
    NAMESAKE,
    OWN,
    STRANGER,
    WRITTEN,
    outcome,
    seal_of,
    sealed,
    trusting,
    with_seal,
)
from tests.store.seals.test_tree import LARGE

LARGE_HEAD = replace(HEAD, length=len(LARGE))
VECTORS: list[tuple[Algorithm, Head, bytes, str]] = [
    (
        "b3",
        HEAD,
        BODY,
        "1:ci@If4x36FU:b3:Gx8-_OZg-ITQbqhetBpKV1i9t0cz3o8u3CH2trdNDEU:Pp7Pn1jnqJVDfPIgGhhW6vb_ZMnAXz1LRAi1_jyVJ8u_RGfYTXcCFpG0y8dy3pJf_tD-Vn_Np8YL-KbyVc3wDg",
    ),
    (
        "s2",
        HEAD,
        BODY,
        "1:ci@If4x36FU:s2:u6mM-6b-IJKCdgnDxlS4J141Dt_lxEgUbQnDKywAx1k:NwpDKKbGMmEN1XchYHnpglwKK-Jzto4jrhMU2TYW4L1r3ZBnlYoojLQHq4HCwg6N5sA8F9xQhwVrpOAw2_AGAw",
    ),
    (
        "b3",
        LARGE_HEAD,
        LARGE,
        "1:ci@If4x36FU:b3:zyHF5j_xeISMsjhFF5_gnbPD6IttraLwXjcsGWjpwP4:99BGjGw5Nc1Xan1g1M6y9V481t5de65uwddvn4sqHvw-V07LTL_L3sp7DGspUTZYimMD3tqsRag62dEA2tvFDg",
    ),
    (
        "b3",
        Head("value", "s3kv/é", "", 0),
        b"",
        "1:ci@If4x36FU:b3:FwNWhOgtr_noJz2hsDkzvhLdVhaud1hB-zr5MrN3HUo:n44dho7FExIakgaR5V00qXMAXp5O9uktrfxYRIT7AuFMQfamOJrVl_k9oAE0MVidJLfjSd9e_Z-Ii81VFHJXAA",
    ),
]


def check_of(policy: SealPolicy, head: Head) -> BodyCheck:
    found = policy.examine(head)
    assert isinstance(found, BodyCheck)
    return found


# --- the format ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(("algorithm", "head", "body", "seal"), VECTORS, ids=["b3", "s2", "large", "empty"])
def test_seals_never_change(algorithm: Algorithm, head: Head, body: bytes, seal: str) -> None:
    assert OWN.seal(head, body, algorithm=algorithm) == seal
    assert outcome(trusting(KEY), with_seal(head, seal), body) == "verified"
    assert str(parse_seal(seal, "it")) == seal


def test_seals_fit_where_they_are_kept() -> None:
    longest = SealPolicy(type(KEY)("n" * 32, bytes(32))).seal(HEAD, BODY)
    assert len(longest) == MOST_BYTES == 177
    assert len(seal_of(sealed())) == 147


def replaced(position: int, text: str) -> Callable[[str], str]:
    """Return what replaces a part of a seal."""
    return lambda seal: ":".join([*seal.split(":")[:position], text, *seal.split(":")[position + 1 :]])


GARBLED: dict[str, Callable[[str], str]] = {
    "empty": lambda _: "",
    "format 2": replaced(0, "2"),
    "format 9": replaced(0, "9"),
    "format 01": replaced(0, "01"),
    "no format": replaced(0, ""),
    "an arabic one": replaced(0, "\u0661"),
    "no key id": replaced(1, ""),
    "a key id without fingerprint": replaced(1, "ci"),
    "a key id with a line": replaced(1, "ci@AAAAAAA\n"),
    "an unknown algorithm": replaced(2, "md5"),
    "an algorithm in capitals": replaced(2, "B3"),
    "no root": replaced(3, ""),
    "a root that is too short": replaced(3, "A" * 42),
    "a root that is too long": replaced(3, "A" * 44),
    "a root of no base64": replaced(3, "*" * 43),
    "a root of the other base64": replaced(3, "+/" * 21 + "A"),
    "a root with unused bits": replaced(3, "A" * 42 + "B"),
    "no signature": replaced(4, ""),
    "a signature that is too short": replaced(4, "A" * 85),
    "a signature with unused bits": replaced(4, "A" * 85 + "B"),
    "padding": lambda seal: f"{seal}==",
    "padding of the root": lambda seal: replaced(3, seal.split(":")[3] + "=")(seal),
    "a sixth part": lambda seal: f"{seal}:",
    "a space before": lambda seal: f" {seal}",
    "a line after": lambda seal: f"{seal}\n",
    "10 KB of it": lambda seal: seal * 70,
    "10 KB of signature": replaced(4, "A" * 10_240),
    "a secret": lambda _: KEY.reveal(),
    "half a character": replaced(4, "\ud800" * 86),
}


@pytest.mark.parametrize("garble", GARBLED.values(), ids=GARBLED)
def test_a_seal_that_is_garbled_is_refused_also_where_none_is_needed(garble: Callable[[str], str]) -> None:
    head = with_seal(HEAD, garble(seal_of(sealed())))
    for accept_unsealed in (False, True):
        assert outcome(trusting(KEY, accept_unsealed=accept_unsealed), head) == "seal"


def test_a_signature_that_is_changed_in_any_bit_is_refused() -> None:
    head = sealed()
    seal = parse_seal(seal_of(head), "it")
    for bit in range(512):
        changed = bytearray(seal.signature)
        changed[bit // 8] ^= 1 << bit % 8
        assert outcome(OWN, with_seal(head, str(replace(seal, signature=bytes(changed))))) == "signature"


def test_a_signature_has_one_form() -> None:
    """Adding the order of the group to its second half gives one that some libraries accept, too."""
    head = sealed()
    seal = parse_seal(seal_of(head), "it")
    order = 2**252 + 27742317777372353535851937790883648493
    second = int.from_bytes(seal.signature[32:], "little") + order
    other = replace(seal, signature=seal.signature[:32] + second.to_bytes(32, "little"))
    assert outcome(OWN, with_seal(head, str(other))) == "signature"


def test_of_two_seals_in_one_head_none_counts() -> None:
    head = sealed()
    for other in ("garbled", seal_of(head)):
        twice = replace(head, metadata={**head.metadata, "S3KV-Seal": other})
        assert outcome(OWN, twice) == "seal"


# --- keys ---------------------------------------------------------------------------------------------


def test_only_trusted_keys_count() -> None:
    head = sealed()
    assert outcome(trusting(KEY), head) == "verified"
    assert outcome(trusting(STRANGER, KEY), head) == "verified"
    assert outcome(trusting(STRANGER), head) == "untrusted_key"
    assert outcome(trusting(NAMESAKE), head) == "untrusted_key", "a name is not enough"


def test_a_key_id_that_is_not_the_signer_gains_nothing() -> None:
    theirs = seal_of(sealed(by=SealPolicy(NAMESAKE)))
    assert outcome(OWN, with_seal(HEAD, theirs)) == "untrusted_key"
    assert outcome(OWN, with_seal(HEAD, theirs.replace(NAMESAKE.id, KEY.id))) == "signature"


def test_the_own_key_is_always_trusted() -> None:
    assert outcome(SealPolicy(KEY, [TrustedKey(STRANGER.public)]), sealed()) == "verified"
    assert outcome(SealPolicy(KEY), sealed()) == "verified"


def test_a_key_is_trusted_for_its_purposes_alone() -> None:
    reader = trusting(KEY, limits=";purposes=value,result")
    assert outcome(reader, sealed()) == "verified"
    assert outcome(reader, sealed(replace(HEAD, purpose="checkpoint"))) == "untrusted_key"


def test_what_a_key_sealed_before_its_end_stays_valid() -> None:
    reader = trusting(KEY, limits=";until=2026-11-01T12:00Z")
    for seconds, expected in {-1: "verified", 0: "key_ended", 1: "key_ended"}.items():
        head = replace(sealed(), written=WRITTEN + timedelta(seconds=seconds))
        assert outcome(reader, head) == expected
    assert outcome(reader, replace(sealed(), written=None)) == "key_ended"
    elsewhere = WRITTEN.astimezone(timezone(timedelta(hours=5))) - timedelta(seconds=1)
    assert outcome(reader, replace(sealed(), written=elsewhere)) == "verified"


def test_a_key_that_has_ended_is_not_trusted_by_the_machine_that_still_has_it() -> None:
    listed = [TrustedKey.parse(f"{KEY.public};until=2026-11-01")]
    before = SealPolicy(KEY, listed, clock=lambda: datetime(2026, 10, 31, tzinfo=timezone.utc))
    after = SealPolicy(KEY, listed, clock=lambda: datetime(2026, 11, 2, tzinfo=timezone.utc))
    assert outcome(after, sealed()) == "key_ended"
    before.seal(HEAD, BODY)
    with pytest.raises(ValueError, match="would not be accepted"):
        after.seal(HEAD, BODY)


def test_what_no_reader_would_accept_is_not_sealed() -> None:
    limited = SealPolicy(KEY, [TrustedKey.parse(f"{KEY.public};purposes=result")])
    limited.require_can_seal("result")
    with pytest.raises(ValueError, match="seal on a value would not be accepted"):
        limited.require_can_seal("value")
    with pytest.raises(ValueError, match="no signing key"):
        trusting(KEY).require_can_seal("result")
    with pytest.raises(ValueError, match="no signing key"):
        trusting(KEY).seal(HEAD, BODY)


# --- objects without seals ----------------------------------------------------------------------------


def test_an_unsealed_object_is_refused_where_there_are_keys() -> None:
    assert outcome(OWN, HEAD) == "unsealed"
    assert outcome(trusting(KEY), HEAD) == "unsealed"


def test_a_migration_accepts_unsealed_objects_and_seals_what_it_writes() -> None:
    migrating = SealPolicy(KEY, accept_unsealed=True)
    assert migrating.examine(HEAD) is Unverified.UNSEALED
    assert outcome(migrating, sealed(by=migrating)) == "verified"


def test_a_migration_accepts_no_seal_that_is_there_and_wrong() -> None:
    migrating = SealPolicy(KEY, accept_unsealed=True)
    assert outcome(migrating, replace(sealed(), name="s3kv-results/other")) == "signature"
    assert outcome(migrating, sealed(), b"forged!") == "root"
    assert outcome(migrating, sealed(by=SealPolicy(STRANGER))) == "untrusted_key"
    assert outcome(migrating, with_seal(HEAD, "")) == "seal"
    ended = trusting(KEY, limits=";until=2026-01-01", accept_unsealed=True)
    assert outcome(ended, sealed()) == "key_ended"


def test_without_keys_nothing_can_be_verified_and_that_is_said() -> None:
    for accept_unsealed in (False, True):
        nobody = SealPolicy(accept_unsealed=accept_unsealed)
        assert not nobody.has_keys
        assert nobody.signing_key_id is None
        for head in (HEAD, sealed(), with_seal(HEAD, "garbled")):
            assert nobody.examine(head) is Unverified.NO_KEYS
    assert OWN.has_keys
    assert trusting(KEY).has_keys
    assert OWN.signing_key_id == KEY.id


# --- order --------------------------------------------------------------------------------------------


def test_the_signature_is_verified_before_a_byte_of_the_body_is_hashed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail(*_: object) -> None:
        raise AssertionError("nothing of the body is needed yet")

    head = replace(sealed(), length=1 << 60)  # a claim that nobody should take memory for
    monkeypatch.setattr(tree, "new_hasher", fail)
    monkeypatch.setattr(check, "Leaves", fail)
    assert outcome(OWN, head, body=None) == "signature"


def test_a_key_that_is_not_trusted_is_refused_before_its_signature_is_computed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail(*_: object) -> bool:
        raise AssertionError("this costs time, and anybody can ask for it")

    readers = {"untrusted_key": trusting(STRANGER), "key_ended": trusting(KEY, limits=";until=2026-01-01")}
    monkeypatch.setattr(type(KEY.public), "verifies", fail)
    for reason, reader in readers.items():
        assert outcome(reader, sealed()) == reason


@pytest.mark.parametrize("length", [-1, 1 << 64, 1 << 70])
def test_a_length_that_no_seal_can_name_is_refused(length: int) -> None:
    assert outcome(OWN, replace(sealed(), length=length), body=None) == "signature"


# --- bodies -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize("leaf", range(4))
def test_a_flipped_bit_in_any_leaf_is_found(leaf: int, algorithm: Algorithm) -> None:
    head = sealed(LARGE_HEAD, LARGE, algorithm=algorithm)
    assert outcome(OWN, head, LARGE) == "verified"
    damaged = bytearray(LARGE)
    damaged[min((leaf + 1) * MIB, len(LARGE)) - 1] ^= 1
    assert outcome(OWN, head, damaged) == "root"
    assert by_ranges(head, damaged, [3, 0, 2, 1]) == "root"


def by_ranges(head: Head, body: bytes | bytearray, order: list[int]) -> str:
    """Read a body in ranges of one leaf, as a download does."""
    examined = check_of(OWN, head)
    for index in order:
        examined.range_from(index * MIB).update(memoryview(body)[index * MIB : (index + 1) * MIB])
    try:
        examined.finish()
    except TamperedValueError as exc:
        return exc.reason
    return "verified"


def test_a_short_last_leaf_that_is_left_out_is_found() -> None:
    head = sealed(LARGE_HEAD, LARGE)
    assert by_ranges(head, LARGE, [2, 3, 1, 0]) == "verified"
    assert by_ranges(head, LARGE, [0, 1, 2]) == "root"
    assert outcome(OWN, head, LARGE[: 3 * MIB]) == "root"


def test_leaves_in_another_order_are_another_body() -> None:
    swapped = LARGE[MIB : 2 * MIB] + LARGE[:MIB] + LARGE[2 * MIB :]
    assert outcome(OWN, sealed(LARGE_HEAD, LARGE), swapped) == "root"


@pytest.mark.parametrize("body", [b"", b"a valu", b"a value ", b"another"])
def test_another_body_is_found(body: bytes) -> None:
    assert outcome(OWN, sealed(), body) == "root"


def test_an_empty_body_is_sealed_and_verified() -> None:
    head = sealed(replace(HEAD, length=0), b"")
    assert outcome(OWN, head, b"") == "verified"
    check_of(OWN, head).finish()
    assert outcome(OWN, head, b"\0") == "root"


def test_a_body_of_which_nothing_arrived_is_not_verified() -> None:
    with pytest.raises(TamperedValueError, match="another body than was sealed"):
        check_of(OWN, sealed()).finish()


def test_a_scatter_body_is_sealed_as_the_whole() -> None:
    pieces = Pieces([LARGE[:100], LARGE[100 : 2 * MIB + 5], LARGE[2 * MIB + 5 :]])
    assert OWN.seal(LARGE_HEAD, pieces) == OWN.seal(LARGE_HEAD, LARGE)


def test_a_head_that_does_not_fit_the_body_is_not_sealed() -> None:
    with pytest.raises(ValueError, match="the head says 7"):
        OWN.seal(HEAD, b"a value!")


def test_a_check_says_who_sealed() -> None:
    examined = check_of(OWN, sealed())
    assert (examined.key_id, examined.length) == (KEY.id, len(BODY))


# --- copies -------------------------------------------------------------------------------------------


def test_an_object_with_other_metadata_gets_a_seal_with_the_same_root() -> None:
    old = sealed()
    new = replace(HEAD, name="s3kv-results/copy", metadata={"owner": "bob"})
    seal = OWN.reseal(old, new)
    assert seal is not None
    assert outcome(OWN, with_seal(new, seal)) == "verified"
    assert parse_seal(seal, "it").root == parse_seal(seal_of(old), "it").root


def test_a_reader_of_one_key_reseals_with_its_own() -> None:
    both = SealPolicy(STRANGER, [TrustedKey(KEY.public)])
    for algorithm in ALGORITHMS:
        seal = both.reseal(sealed(algorithm=algorithm), HEAD)
        assert seal is not None
        assert f":{algorithm}:" in seal
        assert outcome(trusting(STRANGER), with_seal(HEAD, seal)) == "verified"


def test_a_copy_does_not_launder_what_is_not_accepted() -> None:
    for old, reason in {
        "name": (replace(sealed(), name="other"), "signature"),
        "seal": (with_seal(HEAD, ""), "seal"),
        "none": (HEAD, "unsealed"),
        "key": (sealed(by=SealPolicy(STRANGER)), "untrusted_key"),
    }.values():
        with pytest.raises(TamperedValueError) as caught:
            OWN.reseal(old, HEAD)
        assert caught.value.reason == reason


def test_a_copy_of_what_has_no_seal_gets_none() -> None:
    assert SealPolicy(KEY, accept_unsealed=True).reseal(HEAD, HEAD) is None
    assert SealPolicy().reseal(sealed(), HEAD) is None


def test_a_copy_has_the_length_of_its_source_and_a_signer() -> None:
    with pytest.raises(ValueError, match="a copy of 7 bytes"):
        OWN.reseal(sealed(), replace(HEAD, length=8))
    with pytest.raises(ValueError, match="no signing key"):
        trusting(KEY).reseal(sealed(), HEAD)


# --- BLAKE3 is missing --------------------------------------------------------------------------------


def test_without_blake3_what_is_written_is_read_everywhere(monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(algorithms, "_blake3", None)
        head = sealed()
        assert ":s2:" in seal_of(head)
        assert outcome(OWN, head) == "verified"
    assert outcome(OWN, head) == "verified"


def test_without_blake3_a_good_seal_is_no_miss_and_a_bad_one_is_still_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    head = sealed()
    monkeypatch.setattr(algorithms, "_blake3", None)
    with pytest.raises(ModuleNotFoundError, match="pip install blake3") as caught:
        OWN.examine(head)
    assert not isinstance(caught.value, CorruptValueError)
    assert outcome(OWN, replace(head, name="other")) == "signature"
    assert OWN.reseal(head, HEAD) is not None, "a copy needs no hash"
    assert not isinstance(OWN.verify_head(head), Unverified)


# --- what is shown ------------------------------------------------------------------------------------


def test_a_policy_shows_and_pickles_no_key() -> None:
    assert KEY.reveal()[-43:] not in repr(OWN) + str(vars(OWN))
    with pytest.raises(TypeError, match="not pickled"):
        pickle.dumps(OWN)


def test_reasons_and_messages_survive_pickling() -> None:
    with pytest.raises(TamperedValueError) as caught:
        OWN.examine(HEAD)
    again = pickle.loads(pickle.dumps(caught.value))
    assert (again.reason, str(again)) == ("unsealed", str(caught.value))
    assert HEAD.name in str(again)


def test_seals_are_metadata_that_is_not_signed_itself() -> None:
    assert OWN.seal(sealed(), BODY) == OWN.seal(HEAD, BODY)
    assert SEAL in sealed().metadata
    assert SEAL == "s3kv-seal"
