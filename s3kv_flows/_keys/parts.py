"""The parts of a cache key, as short digests beside the result."""

from __future__ import annotations

import json
from base64 import urlsafe_b64encode
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from urllib.parse import quote, unquote

from s3kv_flows._keys.contents.encoder import Digest

__all__ = ["SCHEME", "KeyParts", "changed", "pack_code", "unpack_code"]

SCHEME = 1
"""The number of the way in which keys are made: with another one, every key is another."""

_BITS = 48
_MOST_INPUTS = 16
_MOST_BYTES = 640
_MOST_NAMES = 250
_UNKNOWN = "-"
_REST = "*"


@dataclass(frozen=True)
class KeyParts:
    """The parts of one key.

    Attributes:
        namespace: What tells apart users of one bucket who share nothing; empty for nobody in particular.
        code: The digest of the task's code; None where it does not count.
        inputs: The digests of the inputs that count, by their names.
        others: What other cache policies made, with their names.
    """

    namespace: str = ""
    code: bytes | None = None
    inputs: Mapping[str, Digest] = field(default_factory=dict)
    others: tuple[tuple[str, str], ...] = ()

    def key(self) -> str:
        """Return the cache key: 64 hexadecimal digits, the SHA-256 of all parts."""
        inputs = [[name, digest.digest.hex()] for name, digest in sorted(self.inputs.items())]
        code = None if self.code is None else self.code.hex()
        parts = ["s3kv key", SCHEME, self.namespace, code, inputs, [list(one) for one in self.others]]
        return sha256(json.dumps(parts, separators=(",", ":")).encode()).hexdigest()

    def to_metadata(self) -> str:
        """Return the parts as the value of an object's metadata: 48 bits of each, at most 640 bytes.

        Inputs past the sixteenth, or past the room, share one digest. An input that holds a secret has none:
        a short digest of a weak secret could be guessed.
        """
        head = [str(SCHEME), f"n={_short(self.namespace.encode())}"]
        if self.code is not None:
            head.append(f"c={_short(self.code)}")
        if self.others:
            head.append(f"o={_short(json.dumps(self.others).encode())}")
        named = [(f"i.{quote(name, safe='')}", digest) for name, digest in sorted(self.inputs.items())]
        for count in range(min(len(named), _MOST_INPUTS), -1, -1):
            shown = [f"{name}={_of(digest)}" for name, digest in named[:count]]
            if rest := named[count:]:
                shown.append(f"{_REST}={_folded(digest for _, digest in rest)}")
            text = ";".join([*head, *shown])
            if len(text) <= _MOST_BYTES:
                break
        return text


def changed(before: str, now: str) -> list[str]:
    """Return, in words, the parts in which two keys of one name differ, as far as they tell.

    Args:
        before: What :meth:`KeyParts.to_metadata` returned for the one.
        now: The same of the other.
    """
    old, new = _parsed(before), _parsed(now)
    if old.pop("", None) != new.pop("", None):
        return ["the way in which keys are made"]
    names = sorted({*old, *new})
    sure = [name for name in names if old.get(name) != new.get(name)]
    return [_called(name) for name in sure or [name for name in names if old[name] == _UNKNOWN]]


def pack_code(parts: Mapping[str, bytes]) -> bytes:
    """Return the digests of what a task's code reaches, for the frame of its result: 48 bits of each.

    Past 250 names, the others share one digest.
    """
    named = sorted(parts.items())
    shown = {name: _short(digest) for name, digest in named[:_MOST_NAMES]}
    if rest := named[_MOST_NAMES:]:
        shown[_REST] = _short(b"".join(name.encode() + digest for name, digest in rest))
    return json.dumps({"scheme": SCHEME, "code": shown}, separators=(",", ":")).encode()


def unpack_code(packed: bytes) -> dict[str, str]:
    """Return the short digests by name that :func:`pack_code` packed; empty for those of another scheme.

    Raises:
        ValueError: These are none.
    """
    try:
        fields = json.loads(packed)
        return dict(fields["code"]) if fields["scheme"] == SCHEME else {}
    except (KeyError, TypeError) as exc:
        raise ValueError(f"these are no parts of code: {exc!r}") from exc


def _parsed(text: str) -> dict[str, str]:
    scheme, *fields = text.split(";")
    return {"": scheme, **{name: digest for name, _, digest in (one.partition("=") for one in fields)}}


def _called(name: str) -> str:
    if name.startswith("i."):
        return f"input {unquote(name[2:])!r}"
    return {"n": "the namespace", "c": "the code", "o": "another cache policy", _REST: "an input"}.get(
        name, name
    )


def _of(digest: Digest) -> str:
    return _UNKNOWN if digest.holds_secret else _short(digest.digest)


def _folded(digests: Iterable[Digest]) -> str:
    found = list(digests)
    if any(one.holds_secret for one in found):
        return _UNKNOWN
    return _short(b"".join(one.digest for one in found))


def _short(data: bytes) -> str:
    return urlsafe_b64encode(sha256(data).digest()[: _BITS // 8]).decode()
