"""What a module's text runs when it is imported, statement by statement.

Two kinds of statements count where no value tells what they did: those that made a value without a content
(a compiled format, a callback for C), and those that left a setting with another module: an installed one (a
seed, the precision of decimals), or one that counts by its text.
"""

from __future__ import annotations

import ast
import dis
from collections.abc import Sequence
from functools import cached_property
from types import CodeType

from s3kv_flows._keys.code.syntax.bytecode.codes import bytecode_digest, nested_codes
from s3kv_flows._keys.code.syntax.canonical import canonical_file
from s3kv_flows._keys.code.syntax.parsing import parse, parsing
from s3kv_flows._keys.code.syntax.statements.calls import Called, Seen
from s3kv_flows._keys.code.syntax.statements.settings import REGISTERS, CanBeSet
from s3kv_flows._keys.code.syntax.statements.statement import Statement
from s3kv_flows._keys.code.syntax.statements.tree import Tree, tree_of
from s3kv_flows._keys.code.syntax.texts import Chain, Import

__all__ = ["Body", "Statement", "body_of_cells", "body_of_code"]


class Body:
    """The statements of a module, or of all cells of a notebook.

    Only what was asked for is kept of the trees: those of a project take more memory than its code.

    Attributes:
        digest: Of the whole.
    """

    def __init__(
        self, digest: bytes, texts: tuple[str | bytes, ...], whole: Sequence[Statement] = ()
    ) -> None:
        self.digest = digest
        self._texts = texts
        self._whole = whole  # where there is no text
        self._making: dict[Chain, list[Statement]] = {}
        self._origins: dict[str, list[tuple[Import, str]]] = {}

    def making(self, path: Chain) -> list[Statement]:
        """Return the statements that bind a name, or may change what it is bound to.

        Args:
            path: A global name; of what is in a class, with the names of classes before it.
        """
        if self._whole or not path:
            return list(self._whole)
        if path not in self._making:
            self._making[path] = self._tree.making(path)
        return self._making[path]

    def origins(self, name: str) -> list[tuple[Import, str]]:
        """Return the modules that a name may be imported from, with the name that it has there."""
        if self._whole:  # bytecode does not say under which names they are bound
            return [
                (imported._replace(names=()), name if of == "*" else of)
                for one in self._whole
                for imported in one.uses.imports
                for of in imported.names
            ]
        if name not in self._origins:
            self._origins[name] = self._tree.origins(name)
        return self._origins[name]

    @cached_property
    def imports(self) -> list[Import]:
        """All imports that run when the module is imported."""
        if self._whole:
            return [imported for one in self._whole for imported in one.uses.imports]
        return self._tree.imports()

    def settings(self, can_be_set: CanBeSet, called: Called) -> list[Statement]:
        """Return the statements that change what other modules keep for the whole process.

        Args:
            can_be_set: Tells the imports of such modules.
            called: Finds functions of the project that statements call: what they set counts.
        """
        if self._whole:
            return [one for one in self._whole if _may_set(one.code)]
        return self._tree.settings(can_be_set, called)

    def sets_by(self, name: str, can_be_set: CanBeSet, called: Called, seen: Seen) -> bool:
        """Return whether a function, or a method of a class, leaves a setting when it is called."""
        return not self._whole and self._tree.calls.sets_by(name, can_be_set, called, seen)

    def calls_argument(self, name: str) -> bool:
        """Return whether a function, or the constructor of a class, calls what it is given at once."""
        return not self._whole and self._tree.calls.calls_argument(name)

    @property
    def _tree(self) -> Tree:
        return tree_of(self._texts)


def body_of_cells(texts: Sequence[str | bytes]) -> Body:
    """Return the body of the cells of a notebook.

    Raises:
        SyntaxError: A text is none of Python's.
    """
    with parsing():
        nodes = [node for text in texts for node in parse(text).body]
    return Body(canonical_file(ast.Module(body=nodes, type_ignores=[]))[0].digest, tuple(texts))


def body_of_code(code: CodeType) -> Body:
    """Return the body of a module without a text: all of it is one statement."""
    digest = bytecode_digest(code)
    return Body(digest, (), [Statement(digest, code)])


def _may_set(code: CodeType) -> bool:
    """Return whether a module's code drops the value of a call, binds attributes or items, or registers."""
    if any(map(REGISTERS.fullmatch, code.co_names)):
        return True
    last = ""
    for one in dis.get_instructions(code):
        if one.opname in ("STORE_ATTR", "STORE_SUBSCR", "DELETE_ATTR", "DELETE_SUBSCR"):
            return True
        if one.opname == "POP_TOP" and last.startswith("CALL"):
            return True
        if one.opname not in ("CACHE", "NOP", "EXTENDED_ARG"):
            last = one.opname
    return any(
        _may_set(inner) for inner in nested_codes(code) if inner.co_name in ("<listcomp>", "<genexpr>")
    )
