"""Validate tag sets against S3's limits before any request.

The limits are those of the S3 user guide, "Categorizing your objects using tags".
"""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from urllib.parse import quote, urlencode

from s3kv_flows.store.errors import InvalidTagError

__all__ = ["MAX_TAGS", "normalize_tag_value", "tagging_header", "validate_tags"]

MAX_TAGS = 10
_MAX_KEY = 128
_MAX_VALUE = 256
_PUNCTUATION = " +-=._:/@"


def validate_tags(tags: Mapping[str, str]) -> dict[str, str]:
    """Return the tags as a dict.

    Raises:
        InvalidTagError: More than 10 tags, a key of more than 128 or a value of more than 256
            characters, an empty key, the reserved prefix ``aws:``, or a character other than letters,
            digits, space and ``+ - = . _ : / @``.
    """
    if len(tags) > MAX_TAGS:
        raise InvalidTagError(f"S3 accepts at most {MAX_TAGS} tags per object, got {len(tags)}")
    for key, value in tags.items():
        _validate_text("tag key", key, _MAX_KEY)
        _validate_text(f"value of tag {key!r}", value, _MAX_VALUE)
        if not key:
            raise InvalidTagError("a tag key must not be empty")
        if key.lower().startswith("aws:"):
            raise InvalidTagError(f"tag key {key!r}: the prefix 'aws:' is reserved by S3")
    return dict(tags)


def normalize_tag_value(text: str) -> str:
    """Return the text as a valid tag value: other characters become ``_``, and it is cut at 256."""
    return "".join(char if _is_legal(char) else "_" for char in text)[:_MAX_VALUE]


def tagging_header(tags: Mapping[str, str]) -> str:
    """Return the tags as the ``x-amz-tagging`` header of a PUT."""
    return urlencode(tags, quote_via=quote)  # a space as %20: Ceph does not decode a plus as a space


def _validate_text(what: str, text: str, limit: int) -> None:
    if not isinstance(text, str):
        raise InvalidTagError(f"{what} must be a str, got {type(text).__name__}")
    # S3 counts UTF-16 code units.
    if len(text.encode("utf-16-le", "surrogatepass")) // 2 > limit:
        raise InvalidTagError(f"{what} {text[:40]!r}... is longer than the {limit} characters S3 accepts")
    if illegal := sorted({char for char in text if not _is_legal(char)}):
        raise InvalidTagError(
            f"{what} {text[:40]!r} contains {illegal}; S3 accepts letters, digits, space and + - = . _ : / @"
        )


def _is_legal(char: str) -> bool:
    # S3 documents its set as the regular expression [\p{L}\p{Z}\p{N}_.:/=+\-@].
    return char in _PUNCTUATION or unicodedata.category(char)[0] in "LNZ"
