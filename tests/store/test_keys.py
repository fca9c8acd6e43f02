from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from s3kv_flows.store._layout.keys import PROBE, Namespace, validate_bucket_name
from s3kv_flows.store.errors import InvalidKeyError

VALUES = Namespace("s3kv/", ".json")

legal_keys = st.text(st.characters(exclude_categories=("Cs", "Cc")), min_size=1, max_size=200).filter(
    # Hypothesis tries what it finds in our sources, too, as the prefix of probes.
    lambda key: len(VALUES.prefix + key + VALUES.suffix) <= 200 and not key.startswith(PROBE)
)


@given(legal_keys)
def test_a_key_comes_back_from_its_object_name(key: str) -> None:
    assert VALUES.key_of(VALUES.name_of(key)) == key


@given(legal_keys)
def test_no_key_of_one_namespace_is_an_object_of_another(key: str) -> None:
    assert VALUES.results.key_of(VALUES.name_of(key)) is None
    assert VALUES.key_of(VALUES.results.name_of(key)) is None


@pytest.mark.parametrize(
    "key", ["", "x" * 1020, "ü" * 510, "a\nb", "a\x00b", "\x7f", "lone \ud800 surrogate"]
)
def test_a_key_that_s3_would_refuse_is_refused(key: str) -> None:
    with pytest.raises(InvalidKeyError):
        VALUES.name_of(key)


def test_the_longest_key_is_taken() -> None:
    key = "x" * (1024 - len("s3kv/.json"))
    assert len(VALUES.name_of(key)) == 1024
    with pytest.raises(InvalidKeyError, match="1025 bytes"):
        VALUES.name_of(key + "x")


def test_both_spellings_of_a_prefix_and_a_key_are_one() -> None:
    assert VALUES.prefix_of("test") == VALUES.prefix_of("s3kv/test") == "s3kv/test"
    assert VALUES.key_in_either_spelling("s3kv/test.json") == "test"
    assert VALUES.key_in_either_spelling("test") == "test"


@pytest.mark.parametrize("prefix", ["", "/", "s3kv", "/s3kv/", "s3\n/"])
def test_a_prefix_that_does_not_separate_is_refused(prefix: str) -> None:
    with pytest.raises(ValueError, match="prefix"):
        Namespace(prefix)


@pytest.mark.parametrize("name", ["", "ab", "Upper", "under_score", "-dash", "x" * 64])
def test_a_bucket_name_that_s3_would_refuse_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="bucket name"):
        validate_bucket_name(name)


@pytest.mark.parametrize("name", ["s3kv-results/a\x01b", "s3kv-results/\ufffe", "s3kv-results/"])
def test_an_object_that_no_key_names_is_no_key(name: str) -> None:
    """Others may have put it there; its name cannot be sent back in the XML of S3."""
    assert Namespace("s3kv-results/", "").key_of(name) is None
