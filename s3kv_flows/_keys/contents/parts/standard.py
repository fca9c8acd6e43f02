"""Values of the standard library that need their own rule."""

from __future__ import annotations

import struct
from collections.abc import Collection
from functools import partial
from hashlib import sha256
from typing import Any

from s3kv_flows._keys.contents.parts.kinds import Parts, PartsOf, Walk, name_of
from s3kv_flows._keys.contents.parts.objects import reduced, state_of

__all__ = ["PARTS"]

_PIECE = 8 * 2**20
_SORTABLE = ({str}, {int}, {bytes})


def _set(walk: Walk, value: Collection[Any]) -> Parts:
    kind = type(value)
    if kind not in (set, frozenset):
        if kind.__reduce__ not in (set.__reduce__, frozenset.__reduce__):
            return reduced(walk, value)
        base: type = set if issubclass(kind, set) else frozenset
        state = kind.__reduce__(value)[2]
        slots = state[1] if isinstance(state, tuple) else None
        return Parts(b"subclass", [base(value), slots, state_of(value)])
    return _unordered(b"set", list(value))


def _unordered(label: bytes, members: list[Any]) -> Parts:
    if set(map(type, members)) in _SORTABLE:
        return Parts(label + b" sorted", sorted(members))
    return Parts(label, members, unordered=True)


def _complex(walk: Walk, value: complex) -> Parts:
    if type(value) is not complex:
        return reduced(walk, value)
    return Parts(struct.pack("<dd", value.real, value.imag))


def _path(walk: Walk, value: Any) -> Parts:
    if not name_of(type(value)).startswith("pathlib."):
        parts = reduced(walk, value)
        return parts._replace(children=[str(value), *parts.children, state_of(value)])
    return Parts(b"path", [str(value)])  # how it was put together is history


def _pattern(walk: Walk, value: Any) -> Parts:  # noqa: ARG001
    return Parts(b"pattern", [value.pattern, value.flags])


def _zone(walk: Walk, value: Any) -> Parts:  # noqa: ARG001
    if value.key is None:
        raise TypeError("this ZoneInfo was read from a file, and has no name")
    return Parts(b"zone", [value.key])


def _memoryview(walk: Walk, value: memoryview) -> Parts:  # noqa: ARG001
    digest = sha256()
    _update(digest, value)
    return Parts(
        b"view "
        + repr((value.format, value.itemsize, value.shape, value.readonly)).encode()
        + digest.digest()
    )


def _update(digest: Any, view: memoryview) -> None:
    if view.c_contiguous:
        digest.update(view)
    elif view.ndim == 1 and view.nbytes > _PIECE:
        length = max(1, _PIECE // view.itemsize)
        for start in range(0, len(view), length):
            digest.update(view[start : start + length].tobytes())
    else:
        digest.update(view.tobytes())


def _array(walk: Walk, value: Any) -> Parts:  # noqa: ARG001
    digest = sha256()
    with memoryview(value) as view:
        digest.update(view)
    label = b"array " + repr((value.typecode, value.itemsize, len(value))).encode() + digest.digest()
    return Parts(label, [state_of(value)])


def _bytes_io(walk: Walk, value: Any) -> Parts:  # noqa: ARG001
    digest = sha256()
    with value.getbuffer() as view:
        digest.update(view)
    return Parts(b"bytes " + digest.digest(), [value.tell(), state_of(value)])


def _string_io(walk: Walk, value: Any) -> Parts:  # noqa: ARG001
    content, newline, position, *_ = value.__getstate__()
    return Parts(b"text", [content, newline, position, state_of(value)])


def _partial(walk: Walk, value: Any) -> Parts:
    kind: Any = type(value)
    if kind.__reduce__ is not partial.__reduce__:
        return reduced(walk, value)
    return Parts(b"partial", [value.func, value.args, value.keywords, state_of(value)])


def _struct(walk: Walk, value: Any) -> Parts:  # noqa: ARG001
    return Parts(b"struct", [value.format])


def _begun_hash(walk: Walk, value: Any) -> Parts:  # noqa: ARG001
    size = () if value.digest_size else (64,)  # of SHAKE, which gives as much as one wants
    return Parts(b"hash", [value.name, value.block_size, value.digest(*size)])


def _plain_list(walk: Walk, value: Any) -> Parts:  # noqa: ARG001
    return Parts(b"view", list(value))


def _proxy(walk: Walk, value: Any) -> Parts:  # noqa: ARG001
    return Parts(b"proxy", [dict(value)])


def _namespace(walk: Walk, value: Any) -> Parts:  # noqa: ARG001
    return Parts(b"namespace", [state_of(value)])


PARTS: dict[str, PartsOf] = {
    "builtins.set": _set,
    "builtins.frozenset": _set,
    "builtins.complex": _complex,
    "builtins.memoryview": _memoryview,
    "builtins.mappingproxy": _proxy,
    "builtins.dict_keys": _plain_list,
    "builtins.dict_values": _plain_list,
    "builtins.dict_items": _plain_list,
    "collections.odict_keys": _plain_list,
    "builtins.odict_keys": _plain_list,
    "builtins.odict_values": _plain_list,
    "builtins.odict_items": _plain_list,
    "types.SimpleNamespace": _namespace,
    "pathlib.PurePath": _path,
    "re.Pattern": _pattern,
    "zoneinfo.ZoneInfo": _zone,
    "array.array": _array,
    "_io.BytesIO": _bytes_io,
    "_io.StringIO": _string_io,
    "functools.partial": _partial,
    "_struct.Struct": _struct,
    "_hashlib.HASH": _begun_hash,
    "_hashlib.HASHXOF": _begun_hash,
    "_hashlib.HMAC": _begun_hash,
    **{f"_{name}.{name}": _begun_hash for name in ("md5", "sha1")},
    "_blake2.blake2b": _begun_hash,
    "_blake2.blake2s": _begun_hash,
}
