"""Arrow tables and arrays, and polars frames, whatever their chunks.

A column is digested in pieces of equal numbers of rows, each leaf of its type by itself: validity, lengths of
values of variable length, and data. Missing values count as missing, whatever their bytes.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from hashlib import sha256
from typing import Any, Literal

from s3kv_flows._keys.contents.parts.kinds import Parts, PartsOf, Walk

__all__ = ["PARTS"]

_ROWS = 2**20


def _table(walk: Walk, value: Any) -> Parts:
    return Parts(b"%d rows" % value.num_rows, [value.schema, [walk.settled(one) for one in value.columns]])


def _column(walk: Walk, value: Any) -> Parts:  # noqa: ARG001
    """An array or a chunked one, which are types of their own, as what they hold."""
    chunks = value.chunks if hasattr(value, "chunks") else [value]
    digest, beside = sha256(), list[object]()
    for piece in _pieces(chunks, value.type):
        _update(digest, piece, beside)
    return Parts(b"%d " % len(value) + digest.digest(), [value.type, beside])


def _scalar(walk: Walk, value: Any) -> Parts:
    arrow = sys.modules["pyarrow"]
    try:
        alone = arrow.repeat(value, 1)
    except arrow.ArrowNotImplementedError:  # for this type
        alone = arrow.array([value.as_py()], type=value.type)
    return Parts(b"scalar", [walk.settled(alone)])


def _schema(walk: Walk, value: Any) -> Parts:  # noqa: ARG001
    return Parts(b"schema", [[value.field(number) for number in range(len(value))], value.metadata])


def _field(walk: Walk, value: Any) -> Parts:  # noqa: ARG001
    return Parts(b"nullable" if value.nullable else b"", [value.name, value.type, value.metadata])


def _type(walk: Walk, value: Any) -> Parts:  # noqa: ARG001
    """The name of a type leaves out what its fields say beside their types."""
    inner: list[object] = []
    for name in (
        "value_field",
        "key_field",
        "item_field",
        "value_type",
        "index_type",
        "run_end_type",
        "storage_type",
    ):
        inner.append(getattr(value, name, None))  # noqa: PERF401
    inner.extend(value.field(number) for number in range(value.num_fields) if hasattr(value, "field"))
    flags = [getattr(value, name, None) for name in ("ordered", "keys_sorted", "type_codes", "mode")]
    if hasattr(value, "extension_name"):
        inner.append((value.extension_name, value.__arrow_ext_serialize__()))
    return Parts(f"{value} {flags!r}".encode(), inner)


def _buffer(walk: Walk, value: Any) -> Parts:  # noqa: ARG001
    digest = sha256()
    digest.update(memoryview(value))
    return Parts(b"%d " % value.size + digest.digest())


def _pieces(chunks: list[Any], kind: Any) -> Iterator[Any]:
    """Yield pieces of the same number of rows, joined from chunks where they have to be."""
    arrow = sys.modules["pyarrow"]
    held, rows = list[Any](), 0
    for chunk in chunks:
        start = 0
        while start < len(chunk):
            part = chunk.slice(start, _ROWS - rows)
            start += len(part)
            rows += len(part)
            held.append(part)
            if rows == _ROWS:
                yield _joined(arrow, held, kind)
                held, rows = [], 0
    if held:
        yield _joined(arrow, held, kind)


def _joined(arrow: Any, held: list[Any], kind: Any) -> Any:
    if len(held) == 1:
        return held[0]
    if arrow.types.is_dictionary(kind):
        held = [part.dictionary_decode() for part in held]
    return arrow.concat_arrays(held)


def _update(digest: Any, piece: Any, beside: list[object]) -> None:
    """Take in the content of an array; what Arrow cannot take apart goes to a list, as Python has it."""
    arrow, types = sys.modules["pyarrow"], sys.modules["pyarrow"].types
    kind = piece.type
    if isinstance(piece, arrow.ExtensionArray):
        return _update(digest, piece.storage, beside)
    if types.is_dictionary(kind):
        return _update(digest, piece.dictionary_decode(), beside)
    if types.is_null(kind) or types.is_union(kind) or types.is_run_end_encoded(kind) or _is_view(kind):
        return beside.append(_as_python(piece, kind))
    digest.update(b"%d rows;" % len(piece))
    if piece.null_count:
        digest.update(b"missing;")
        digest.update(_fixed(piece.is_null().cast("uint8"), 8))
        piece = piece.drop_null()
    if types.is_struct(kind):
        for child in piece.flatten():
            _update(digest, child, beside)
    elif types.is_map(kind):
        piece = _from_the_start(piece, "i")
        digest.update(_offsets(piece, "i"))
        _update(digest, piece.keys, beside)
        _update(digest, piece.items, beside)
    elif types.is_list(kind) or types.is_large_list(kind):
        digest.update(_fixed(piece.value_lengths(), 64 if types.is_large_list(kind) else 32))
        _update(digest, piece.flatten(), beside)
    elif types.is_fixed_size_list(kind):
        _update(digest, piece.flatten(), beside)
    elif _has_offsets(types, kind):
        _update_strings(digest, piece, "q" if kind in _large(arrow) else "i")
    elif types.is_boolean(kind):
        digest.update(_fixed(piece.cast("uint8"), 8))
    else:
        digest.update(_fixed(piece, kind.bit_width))
    return None


def _is_view(kind: Any) -> bool:
    return "view" in str(kind)


def _has_offsets(types: Any, kind: Any) -> bool:
    return any(
        getattr(types, f"is_{name}")(kind) for name in ("string", "binary", "large_string", "large_binary")
    )


def _large(arrow: Any) -> tuple[Any, Any]:
    return arrow.large_string(), arrow.large_binary()


def _as_python(piece: Any, kind: Any) -> object:
    arrow = sys.modules["pyarrow"]
    if arrow.types.is_union(kind):
        return [(code.as_py(), one.as_py()) for code, one in zip(piece.type_codes, piece, strict=True)]
    return len(piece) if arrow.types.is_null(kind) else piece.to_pylist()


def _fixed(piece: Any, bits: int) -> memoryview:
    """Return the bytes of the values of an array that has as many for each."""
    data = piece.buffers()[1]
    if data is None:
        return memoryview(b"")
    width = bits // 8
    return memoryview(data)[piece.offset * width : (piece.offset + len(piece)) * width]


def _update_strings(digest: Any, piece: Any, code: Literal["i", "q"]) -> None:
    piece = _from_the_start(piece, code)
    where = _offsets(piece, code)
    digest.update(where)
    data = piece.buffers()[2]
    if data is not None and len(where):
        digest.update(memoryview(data)[: where[-1]])


def _from_the_start(piece: Any, code: Literal["i", "q"]) -> Any:
    """Return an array whose first value begins where its buffer does."""
    where = _offsets(piece, code)
    if not len(where) or (not where[0] and not piece.offset):
        return piece
    return sys.modules["pyarrow"].concat_arrays([piece, piece.slice(0, 0)])


def _offsets(piece: Any, code: Literal["i", "q"]) -> memoryview:
    offsets: Any = piece.buffers()[1]
    if offsets is None or not len(piece):
        return memoryview(b"").cast(code)
    return memoryview(offsets).cast("B").cast(code)[piece.offset : piece.offset + len(piece) + 1]


def _polars_frame(walk: Walk, value: Any) -> Parts:
    return Parts(b"%d rows" % value.height, [walk.settled(one) for one in value.get_columns()])


def _polars_series(walk: Walk, value: Any) -> Parts:
    return Parts(b"%d" % len(value), [value.name, value.dtype, *_polars_content(walk, value)])


def _polars_content(walk: Walk, value: Any) -> list[object]:
    polars = sys.modules["polars"]
    if value.dtype == polars.Object:
        return [value.to_list()]
    if value.dtype in (polars.Categorical, polars.Enum):
        value = value.cast(polars.String)
    try:
        return [walk.settled(value.to_arrow())]
    except ImportError:  # without pyarrow
        return [value.to_list()]


def _polars_type(walk: Walk, value: Any) -> Parts:  # noqa: ARG001
    inner = {name: getattr(value, name, None) for name in ("inner", "fields", "categories", "ordering")}
    return Parts(repr(value).encode(), [{name: one for name, one in inner.items() if one is not None}])


def _polars_field(walk: Walk, value: Any) -> Parts:  # noqa: ARG001
    return Parts(b"field", [value.name, value.dtype])


PARTS: dict[str, PartsOf] = {
    "pyarrow.Table": _table,
    "pyarrow.RecordBatch": _table,
    "pyarrow.Array": _column,
    "pyarrow.ChunkedArray": _column,
    "pyarrow.Scalar": _scalar,
    "pyarrow.Schema": _schema,
    "pyarrow.Field": _field,
    "pyarrow.DataType": _type,
    "pyarrow.Buffer": _buffer,
    "polars.DataFrame": _polars_frame,
    "polars.Series": _polars_series,
    "polars.DataType": _polars_type,
    "polars.Field": _polars_field,
}
