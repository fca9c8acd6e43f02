from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from s3kv_flows.store._layout.tags import normalize_tag_value, validate_tags
from s3kv_flows.store.errors import InvalidTagError


def test_ten_tags_are_taken_and_eleven_are_not() -> None:
    assert len(validate_tags({f"tag{i}": "x" for i in range(10)})) == 10
    with pytest.raises(InvalidTagError, match="10 tags per object, got 11"):
        validate_tags({f"tag{i}": "x" for i in range(11)})


@pytest.mark.parametrize(
    "tags",
    [
        {"": "x"},
        {"k" * 129: "x"},
        {"k": "v" * 257},
        {"aws:k": "x"},
        {"AWS:k": "x"},
        {"k": "semi;colon"},
        {"k": "line\nbreak"},
        {"k": "🎈" * 129},  # two UTF-16 units each
        {"k": 5},
        {5: "v"},
    ],
)
def test_tags_that_s3_would_refuse_are_refused(tags: dict[str, str]) -> None:
    with pytest.raises(InvalidTagError):
        validate_tags(tags)


def test_what_s3_documents_as_legal_is_taken() -> None:
    assert validate_tags({"Grüße 1": "a + b - c = d . e _ f : g / h @ i", "k" * 128: "v" * 256, "empty": ""})


@given(st.text(max_size=400))
def test_any_text_becomes_a_legal_tag_value(text: str) -> None:
    assert validate_tags({"flow": normalize_tag_value(text)})
