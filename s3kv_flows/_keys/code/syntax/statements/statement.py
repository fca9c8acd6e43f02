"""Statement: what runs when a module is imported."""

from __future__ import annotations
import __future__

import ast
from dataclasses import replace
from types import CodeType

from s3kv_flows._keys.code.syntax.bytecode.names import uses_of
from s3kv_flows._keys.code.syntax.canonical import canonical_file
from s3kv_flows._keys.quiet import compile_quietly

__all__ = ["Statement", "statement_of"]

_FLAGS = __future__.annotations.compiler_flag | ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
"""Names in annotations are none that a statement uses; a cell of a notebook may await."""
_ANNOTATIONS = "__annotations__"


class Statement:
    """A statement that runs when a module is imported.

    Attributes:
        digest: Of its tree, without comments and formatting.
        code: What it compiles to.
        uses: The names that it uses, also later, in functions.
    """

    def __init__(self, digest: bytes, code: CodeType) -> None:
        self.digest = digest
        self.code = code
        uses = uses_of(code)
        self.uses = replace(  # to annotate a name is no use of it
            uses,
            globals=tuple(chain for chain in uses.globals if chain[0] != _ANNOTATIONS),
            names=uses.names - {_ANNOTATIONS},
        )


def statement_of(node: ast.stmt) -> Statement:
    module = ast.Module(body=[node], type_ignores=[])
    code = compile_quietly(module, _FLAGS)
    return Statement(canonical_file(module)[0].digest, code)
