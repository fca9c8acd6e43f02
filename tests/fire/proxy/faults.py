"""The faults, and what each makes of a request or an answer."""

from __future__ import annotations

import hashlib
import re
from enum import Enum
from random import Random

from tests.fire.proxy.messages import Answered, Asked
from tests.fire.proxy.operations import FURTHER_RANGE

__all__ = ["INSTEAD", "Fault", "applies_to", "damaged", "may_apply", "mismatch"]


class Fault(str, Enum):
    """What happens to a request or to its answer."""

    UNAVAILABLE = "503"
    RESET_BEFORE = "reset before it was done"
    RESET_AFTER = "reset after it was done"
    CUT_HEADERS = "cut in headers"
    CUT_BODY = "cut in body"
    FLIP_BODY = "flipped byte in a body"
    FLIP_SENT = "flipped byte in a body that is sent"
    FLIP_XML = "flipped byte in XML"
    STALL = "stall"
    TRICKLE = "trickle"
    EMPTY_200 = "empty 200"
    HTML_200 = "HTML 200"
    HTML_404 = "HTML 404"


def _answer(status: str, body: bytes, content_type: str) -> Answered:
    head = f"HTTP/1.1 {status}\r\nContent-Type: {content_type}\r\nContent-Length: {len(body)}\r\n\r\n"
    return Answered(int(status[:3]), head.encode(), body)


def _error(status: str, code: str) -> Answered:
    body = f'<?xml version="1.0" encoding="UTF-8"?><Error><Code>{code}</Code><Message>no</Message></Error>'
    return _answer(status, body.encode(), "application/xml")


_PAGE = b"<!DOCTYPE html><html><head><title>Welcome</title></head><body>Please log in<br></body></html>"

INSTEAD = {
    Fault.UNAVAILABLE: _error("503 Slow Down", "SlowDown"),
    Fault.EMPTY_200: _answer("200 OK", b"", "text/plain"),
    Fault.HTML_200: _answer("200 OK", _PAGE, "text/html"),
    Fault.HTML_404: _answer("404 Not Found", _PAGE, "text/html"),
}
"""Answers instead of that of the server, which is not asked."""

_SENDING = ("PutObject", "UploadPart")
_OBJECTS = ("GetObject", FURTHER_RANGE)
_WITH_DOCUMENTS = (
    *("CopyObject", "CreateMultipartUpload", "CompleteMultipartUpload", "DeleteObjects"),
    *("GetBucketVersioning", "GetObjectLegalHold", "GetObjectLockConfiguration", "GetObjectRetention"),
    *("GetObjectTagging", "ListMultipartUploads", "ListObjectVersions", "ListObjectsV2"),
)

_VOCABULARY = re.compile(rb"(?<=>)(true|false|ON|OFF|Enabled|NoSuchKey|NoSuchVersion)(?=</)")
_MARKUP = re.compile(rb"</?[A-Za-z]+>")


def may_apply(fault: Fault, operation: str) -> bool:
    """Tell whether a fault makes sense for an operation, whose answer is not known yet."""
    if fault is Fault.FLIP_SENT:
        return operation in _SENDING
    if fault is Fault.FLIP_BODY:
        return operation in _OBJECTS
    if fault is Fault.FLIP_XML:
        return operation in _WITH_DOCUMENTS
    return fault is not Fault.CUT_BODY or operation in _OBJECTS + _WITH_DOCUMENTS


def applies_to(fault: Fault, asked: Asked, answered: Answered) -> bool:
    """Tell whether a fault can change an answer."""
    is_object = asked.operation in _OBJECTS and answered.status < 300
    if fault is Fault.FLIP_BODY:
        return is_object and bool(answered.body)
    if fault is Fault.FLIP_XML:
        return not is_object and answered.is_xml
    return fault is not Fault.CUT_BODY or bool(answered.body)


def damaged(fault: Fault, answered: Answered, dice: Random) -> Answered:
    """Return an answer with one byte of its body flipped."""
    body = answered.body
    return answered.with_body(_flipped(body, _place(body, dice, of_xml=fault is Fault.FLIP_XML), dice))


def mismatch(asked: Asked, dice: Random) -> Answered | None:
    """Return what S3 answers to a body that arrives with a flipped byte; None if it could not tell."""
    given = asked.headers.get("x-amz-content-sha256", "")
    body = _flipped(asked.body, dice.randrange(len(asked.body)), dice) if asked.body else b""
    if len(given) != 64 or hashlib.sha256(body).hexdigest() == given:
        return None
    return _error("400 Bad Request", "XAmzContentSHA256Mismatch")


def _place(body: bytes, dice: Random, *, of_xml: bool) -> int:
    """Return where to flip: in a document, where it can be noticed at all, so not in a name or a number."""
    if not of_xml:
        return dice.randrange(len(body))
    spans = [match.span() for match in (*_VOCABULARY.finditer(body), *_MARKUP.finditer(body))]
    return dice.randrange(*dice.choice(spans)) if spans else dice.randrange(len(body))


def _flipped(body: bytes, place: int, dice: Random) -> bytes:
    return body[:place] + bytes([body[place] ^ (1 << dice.randrange(8))]) + body[place + 1 :]
