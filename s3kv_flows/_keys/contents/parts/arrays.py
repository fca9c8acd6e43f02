"""Arrays of numpy, by their elements in logical order.

The memory layout does not count. numpy is never imported here: a caller with an array has imported it.
"""

from __future__ import annotations

import sys
from hashlib import sha256
from typing import Any

from s3kv_flows._keys.contents.parts.kinds import Parts, PartsOf, Walk, name_of
from s3kv_flows._keys.contents.parts.objects import reduced, state_of

__all__ = ["PARTS", "PIECE", "masked"]

PIECE = 8 * 2**20
"""What is not in order is copied in pieces of so many bytes."""

_LONG_DOUBLE = 10  # of its 16 bytes on x86; the others are whatever was there


def array(walk: Walk, value: Any) -> Parts:
    """Return the parts of an array: type of the elements, shape, content."""
    plain = _plain(value)
    label, objects = _content(plain)
    parts: list[object] = [objects]
    if plain.dtype.metadata:
        parts.append(dict(plain.dtype.metadata))
    if not _is_numpys_own(type(value)):
        if _says_how(type(value)):
            return reduced(walk, value)
        parts.append(state_of(value))
    return Parts(label, parts)


def masked(data: Any, mask: Any) -> tuple[Any, Any]:
    """Return an array whose masked elements are zero, and the mask."""
    if mask.any():
        data = data.copy()
        data[mask] = data.dtype.type(0) if data.dtype.kind not in "SUOV" else 0
    return data, mask


def _masked_array(walk: Walk, value: Any) -> Parts:  # noqa: ARG001
    numpy = sys.modules["numpy"]
    fill = value._fill_value  # noqa: SLF001  # without setting it, as the property does
    if fill is None:
        fill = numpy.ma.default_fill_value(value)
    hard = bool(value.hardmask)
    return Parts(
        b"masked hard" if hard else b"masked",
        [
            _plain(value.data),
            numpy.ma.getmaskarray(value),
            numpy.asarray(fill, dtype=value.dtype if value.dtype.names is None else None),
            {} if _is_numpys_own(type(value)) else _own_state(value),
        ],
    )


def _own_state(value: Any) -> dict[str, object]:
    numpys = {
        "_mask",
        "_fill_value",
        "_hardmask",
        "_sharedmask",
        "_optinfo",
        "_basedict",
        "_isfield",
        "_baseclass",
    }
    return {name: one for name, one in state_of(value).items() if name not in numpys}


def _scalar(walk: Walk, value: Any) -> Parts:
    if not _is_numpys_own(type(value)):
        return reduced(walk, value)
    label, objects = _content(sys.modules["numpy"].asarray(value))
    return Parts(b"scalar" + label, [objects])


def _dtype(walk: Walk, value: Any) -> Parts:  # noqa: ARG001
    return Parts(repr(_described(value)).encode(), [dict(value.metadata or {})])


def _plain(value: Any) -> Any:
    ndarray = sys.modules["numpy"].ndarray
    return value if type(value) is ndarray else value.view(ndarray)


def _is_numpys_own(kind: type) -> bool:
    return name_of(kind).startswith("numpy.")


def _says_how(kind: type) -> bool:
    owners = (
        next(base for base in kind.__mro__ if name in vars(base)) for name in ("__reduce__", "__reduce_ex__")
    )
    return any(owner is not object and not _is_numpys_own(owner) for owner in owners)


def _content(plain: Any) -> tuple[bytes, list[object]]:
    digest, objects = sha256(), list[object]()
    _update(digest, plain, objects)
    return repr((_described(plain.dtype), plain.shape)).encode() + digest.digest(), objects


def _described(dtype: Any) -> object:
    if dtype.names is not None:
        fields = []
        for name in dtype.names:
            inner, offset, *title = dtype.fields[name]
            fields.append((name, _described(inner), offset, *title))
        return fields, dtype.itemsize, dtype.isalignedstruct, dtype.type.__name__
    if dtype.subdtype is not None:
        inner, shape = dtype.subdtype
        return _described(inner), shape
    # Not the name of its type where the letters say it all: C has two types of eight bytes.
    return dtype.str, str(dtype), dtype.type.__name__ if dtype.kind == "V" else ""


def _update(digest: Any, plain: Any, objects: list[object]) -> None:
    """Take in the content of an array; what is Python objects in it goes to a list."""
    dtype = plain.dtype
    if dtype.names is not None:  # by field: between them is whatever was there
        for name in dtype.names:
            _update(digest, plain[name], objects)
    elif dtype.kind == "O":
        objects.extend(plain.reshape(-1).tolist())
    elif dtype.kind == "T":  # strings of any length, on a heap of numpy's
        objects.extend(plain.reshape(-1).astype(object).tolist())
    elif plain.size and dtype.itemsize:
        _update_raw(digest, plain)


def _update_raw(digest: Any, plain: Any) -> None:
    padded = plain.dtype.char in "gG" and plain.dtype.itemsize in (16, 32)
    if plain.flags.c_contiguous and not padded:
        digest.update(plain.reshape(-1).view("u1").data)
    elif plain.nbytes <= PIECE or not plain.ndim:
        raw = plain.copy(order="C").reshape(-1).view("u1")
        digest.update(raw.reshape(-1, 16)[:, :_LONG_DOUBLE].copy().data if padded else raw.data)
    elif len(plain) == 1:
        _update_raw(digest, plain[0])
    else:
        rows = max(1, PIECE * len(plain) // plain.nbytes)
        for start in range(0, len(plain), rows):
            _update_raw(digest, plain[start : start + rows])


PARTS: dict[str, PartsOf] = {
    "numpy.ndarray": array,
    "numpy.MaskedArray": _masked_array,
    "numpy.generic": _scalar,
    "numpy.dtype": _dtype,
}
