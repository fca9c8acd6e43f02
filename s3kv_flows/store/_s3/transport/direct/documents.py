"""Parse XML documents of S3.

botocore's parser needs ten times as long for a page of a listing.
"""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import unquote_plus

from s3kv_flows.store._s3.transport.responses import moment
from s3kv_flows.store._s3.types import ListedObject

__all__ = ["Page", "error_code", "parse_page", "parse_tags"]


@dataclass(frozen=True)
class Page:
    """A page of a listing.

    Attributes:
        objects: The objects.
        is_last: Whether no page follows.
        token: Where the next page begins.
    """

    objects: list[ListedObject]
    is_last: bool
    token: str | None


def parse_tags(body: bytes) -> dict[str, str]:
    """Parse the response to GetObjectTagging.

    Raises:
        ValueError: It is something else.
    """
    tags = {}
    for tag in _root(body, "Tagging").iter():
        if _name(tag) == "Tag":
            pair = _texts(tag)
            if "Key" not in pair:
                raise ValueError("a tag has no key")
            tags[pair["Key"]] = pair.get("Value", "")
    return tags


def parse_page(body: bytes) -> Page:
    """Parse the response to ListObjectsV2.

    Raises:
        ValueError: It is something else.
    """
    root = _root(body, "ListBucketResult")
    about = _texts(root)
    is_truncated = about.get("IsTruncated", "false")
    if is_truncated not in ("true", "false"):
        raise ValueError(f"IsTruncated is {is_truncated[:20]!r}")
    is_encoded = about.get("EncodingType") == "url"
    objects = [_listed(_texts(child), is_encoded=is_encoded) for child in root if _name(child) == "Contents"]
    return Page(objects, is_truncated == "false", about.get("NextContinuationToken"))


def error_code(body: bytes) -> str:
    """Return the code of an error response, empty if it has none."""
    try:
        return _texts(_root(body, "Error")).get("Code", "")
    except ValueError:
        return ""


def _listed(texts: dict[str, str], *, is_encoded: bool) -> ListedObject:
    if not texts.keys() >= {"Key", "LastModified"}:
        raise ValueError("a listed object has no key, or no time")
    name = unquote_plus(texts["Key"]) if is_encoded else texts["Key"]
    modified = moment(texts["LastModified"])
    if modified.tzinfo is None:
        raise ValueError(f"the time of {name!r} has no zone")
    return ListedObject(name, texts.get("ETag", ""), int(texts.get("Size", "0")), modified)


def _root(body: bytes, expected: str) -> ET.Element:
    try:
        root = ET.fromstring(body)  # noqa: S314  # expat has limits against bombs; botocore parses so, too
    except (ET.ParseError, LookupError) as exc:  # damaged, or in an encoding that Python does not know
        raise ValueError(f"the server sent no XML: {exc}") from exc
    if _name(root) != expected:
        raise ValueError(f"the server sent {_name(root)!r} instead of {expected!r}")
    return root


def _texts(element: ET.Element) -> dict[str, str]:
    return dict(_pairs(element))


def _pairs(element: ET.Element) -> Iterator[tuple[str, str]]:
    for child in element:
        yield _name(child), child.text or ""


def _name(element: ET.Element) -> str:
    """Return the name of an element without its namespace: not every server has one."""
    return element.tag.rpartition("}")[2]
