"""A canonical dump of syntax trees, without comments, docstrings and formatting.

Positions, docstrings, ``pass``, and annotations of functions and local variables are left out, but for one
that alone makes its name a local one. Annotations in class bodies stay, as they may be fields; so do those of
a decorated function, in the dump of the code around it, as ``register`` may read them. The dump is our own
because :func:`ast.dump` differs between versions of Python; empty fields are left out, so that a field that a
newer Python adds changes nothing where it is not used.

One pass over a file visits each node once: nested functions enter the dump around them by their digest.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from hashlib import sha256
from typing import Any, NamedTuple, TypeVar

from s3kv_flows._keys.code.syntax.texts import (
    NO_DOCUMENTATION,
    READERS,
    Chain,
    CodeText,
    Documentation,
    FileText,
    Import,
    constant,
)

__all__ = ["Scope", "canonical_file"]

Scope = ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda

_T = TypeVar("_T")
_NAMES_ITS_TARGET: tuple[Any, ...] = (ast.ExceptHandler, ast.MatchAs, ast.MatchStar, ast.MatchMapping)

# fmt: off
MUTATORS = frozenset(
    [
        "__delitem__", "__setitem__", "add", "append", "appendleft", "clear", "difference_update",
        "discard", "extend", "extendleft", "insert", "intersection_update", "move_to_end", "pop",
        "popitem", "popleft", "remove", "reverse", "rotate", "setdefault", "sort", "subtract",
        "symmetric_difference_update", "update",
    ]
)
# fmt: on
"""Methods of built-in containers that change them."""


def canonical_file(tree: ast.Module) -> tuple[FileText, Sequence[tuple[Scope, CodeText]]]:
    """Return what a file says: as a whole, and each function in it.

    Raises:
        RecursionError: The tree is nested too deeply.
    """
    dump = _Dump()
    dump.nodes(tree.body)
    return dump.file(), dump.functions


class _Lengths(NamedTuple):
    """How long the lists of a dump are, at some statement of the file."""

    tokens: int
    documentation: int
    imports: int
    readers: int


class _Frame:
    __slots__ = (
        "annotated", "bound", "documentation", "documented", "names", "names_bound", "of_others", "tokens",
        "writes",
    )  # fmt: skip

    def __init__(self) -> None:
        self.tokens: list[str] = []
        self.names: set[str] = set()
        self.writes: set[Chain] = set()
        self.bound: set[str] = set()
        self.names_bound: set[str] = set()  # by imports, patterns and handlers of exceptions
        self.annotated: set[str] = set()  # without a value
        self.of_others: set[str] = set()  # global and nonlocal ones
        self.documentation: list[str] = []
        self.documented: set[str] = set()  # the names in it

    def writes_outside(self) -> set[Chain]:
        """Return what is changed of the functions around, and of the module."""
        own = self.bound - self.of_others
        return {chain for chain in self.writes if chain[0] not in own}


class _Dump:
    def __init__(self) -> None:
        self.functions: list[tuple[Scope, CodeText]] = []
        self.imports: list[Import] = []
        self._readers: list[str] = []
        self._frame = self._outermost = _Frame()
        self._of_script: list[tuple[_Lengths, _Lengths]] = []
        self._in_class = False
        self._special: dict[type[ast.AST], Callable[..., None]] = {
            ast.Name: self._name,
            ast.Attribute: self._attribute,
            ast.Constant: self._constant,
            ast.Call: self._call,
            ast.FunctionDef: self._function,
            ast.AsyncFunctionDef: self._function,
            ast.Lambda: self._lambda,
            ast.ClassDef: self._class,
            ast.AnnAssign: self._annotated,
            ast.Subscript: self._subscript,
            ast.JoinedStr: self._joined,
            ast.Expr: self._expression,
            ast.Pass: self._pass,
            ast.BinOp: self._binary,
            ast.Compare: self._compare,
            ast.If: self._if,
            ast.Import: self._import,
            ast.ImportFrom: self._import_from,
            **dict.fromkeys(_NAMES_ITS_TARGET, self._naming),
            ast.Global: self._of_others,
            ast.Nonlocal: self._of_others,
            **dict.fromkeys((ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp), self._comprehension),
        }

    def file(self) -> FileText:
        """Return what was dumped as a whole, and without what only a script runs."""
        frame = self._outermost
        said = _documentation(frame.documentation, frame.documented)
        whole = FileText(_digest(frame.tokens), self.imports, said, frozenset(self._readers))
        if not self._of_script:
            return whole
        parts: tuple[list[Any], ...] = (frame.tokens, frame.documentation, self.imports, self._readers)
        tokens, documentation, imports, readers = (
            _without(found, [(start[at], end[at]) for start, end in self._of_script])
            for at, found in enumerate(parts)
        )
        said = _documentation(documentation, frame.documented)
        return whole._replace(as_imported=FileText(_digest(tokens), imports, said, frozenset(readers)))

    def enter(self) -> _Frame:
        around, self._frame = self._frame, _Frame()
        return around

    def leave(self, around: _Frame) -> CodeText:
        inner, self._frame = self._frame, around
        around.names |= inner.names
        around.writes |= inner.writes_outside()
        documentation = _documentation(inner.documentation, inner.documented)
        if inner.documentation:
            around.documentation.append(documentation.digest.hex())
            around.documented |= inner.documented
        return CodeText(_digest(inner.tokens), frozenset(inner.names), frozenset(inner.writes), documentation)

    def _node(self, node: ast.AST) -> None:
        kind = node.__class__
        special = self._special.get(kind)
        if special is not None:
            special(node)
        else:
            self._any(node)

    def _any(self, node: ast.AST) -> None:
        kind = node.__class__
        opening, fields = _FIELDS.get(kind) or _fields(kind)
        tokens = self._frame.tokens
        tokens.append(opening)
        for field in fields:
            value = getattr(node, field, None)
            if value is None:
                continue
            if isinstance(value, list):
                if value:
                    tokens.append(field)
                    self.nodes(value)
            else:
                tokens.append(field)
                if isinstance(value, ast.AST):
                    self._node(value)
                else:
                    tokens.append(constant(value))
        tokens.append(")")

    def nodes(self, nodes: Sequence[ast.AST | str | None]) -> None:
        tokens = self._frame.tokens
        tokens.append("[")
        for node in nodes:
            if isinstance(node, ast.AST):
                self._node(node)
            else:  # names of global, the missing key of ** in a dict, the missing default of an argument
                tokens.append("-" if node is None else node)
        tokens.append("]")

    def _of_others(self, node: ast.Global | ast.Nonlocal) -> None:
        self._frame.of_others.update(node.names)
        self._any(node)

    def _comprehension(self, node: ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp) -> None:
        with self._names_of_its_own() as bound:
            self._any(node)
            targets = {one for generator in node.generators for one in _targets(generator.target)}
            by_walrus = bound - targets
            bound &= targets
        self._frame.bound |= by_walrus

    @contextmanager
    def _names_of_its_own(self) -> Iterator[set[str]]:
        """Have what binds names within a function bind none of the function's."""
        frame = self._frame
        bound, writes, names_bound = frame.bound, frame.writes, frame.names_bound
        frame.bound, frame.writes, frame.names_bound = set(), set(), set()
        yield frame.bound
        writes |= frame.writes_outside()
        frame.bound, frame.writes, frame.names_bound = bound, writes, names_bound

    def _pass(self, node: ast.Pass) -> None:
        pass

    def _if(self, node: ast.If) -> None:
        if _is_type_checking(node.test):
            self.nodes(node.orelse)
            return
        is_of_script = self._frame is self._outermost and is_main_block(node.test)
        tokens, start = self._frame.tokens, self._lengths()
        tokens.append("(If")
        self._node(node.test)
        self.nodes(node.body)
        if is_of_script and node.orelse:
            self._of_script.append((start, self._lengths()))
        self.nodes(node.orelse)
        tokens.append(")")
        if is_of_script and not node.orelse:
            self._of_script.append((start, self._lengths()))

    def _lengths(self) -> _Lengths:
        frame = self._frame
        return _Lengths(len(frame.tokens), len(frame.documentation), len(self.imports), len(self._readers))

    def _naming(self, node: ast.AST) -> None:
        name = getattr(node, "name", None) or getattr(node, "rest", None)
        if isinstance(name, str):
            self._frame.names_bound.add(name)
        self._any(node)

    def _import(self, node: ast.Import) -> None:
        for alias in node.names:
            self.imports.append(Import(alias.name, 0, ()))
            self._frame.names_bound.add(alias.asname or alias.name.partition(".")[0])
            self._frame.tokens.append(f"(import {alias.name} {alias.asname or ''})")

    def _import_from(self, node: ast.ImportFrom) -> None:
        names = tuple(alias.name for alias in node.names)
        self.imports.append(Import(node.module or "", node.level, names))
        self._frame.names_bound.update(alias.asname or alias.name for alias in node.names)
        self._frame.tokens.append(f"(from {'.' * node.level}{node.module or ''}")
        self._frame.tokens += [f"{alias.name} {alias.asname or ''}" for alias in node.names]
        self._frame.tokens.append(")")

    def _expression(self, node: ast.Expr) -> None:
        if not isinstance(node.value, ast.Constant):  # docstrings, also of attributes, ``...``
            self._node(node.value)
        elif isinstance(node.value.value, str):
            self._frame.documentation.append(constant(node.value.value))

    def _name(self, node: ast.Name) -> None:
        self._frame.tokens.append(f"={node.id}")
        self._frame.names.add(node.id)
        if node.id in READERS:
            self._readers.append(node.id)
        if not isinstance(node.ctx, ast.Load):
            self._frame.bound.add(node.id)

    def _attribute(self, node: ast.Attribute) -> None:
        if not isinstance(node.ctx, ast.Load):
            self._written(node, "=")
        self._node(node.value)
        self._frame.tokens.append(f".{node.attr}")
        if node.attr in READERS:
            self._readers.append(node.attr)

    def _subscript(self, node: ast.Subscript) -> None:
        if not isinstance(node.ctx, ast.Load):
            self._written(node.value)
        self._frame.tokens.append("(Subscript")
        self._node(node.value)
        self._node(node.slice)
        self._frame.tokens.append(")")

    def _call(self, node: ast.Call) -> None:
        if isinstance(node.func, ast.Attribute) and node.func.attr in MUTATORS:
            self._written(node.func.value)
        tokens = self._frame.tokens
        tokens.append("(Call")
        self._node(node.func)
        self.nodes(node.args)
        for keyword in node.keywords:
            tokens.append(f"{keyword.arg or '**'}=")
            self._node(keyword.value)
        tokens.append(")")

    def _written(self, node: ast.AST, sign: str = "") -> None:
        names: list[str] = []
        while not isinstance(node, ast.Name):
            if isinstance(node, ast.Attribute):
                names.append(node.attr + ("" if names else sign))
            elif isinstance(node, ast.Subscript):
                names.clear()  # something within what is named: that counts as changed
                sign = ""
            else:
                return
            node = node.value
        self._frame.writes.add((node.id, *reversed(names)))

    def _binary(self, node: ast.BinOp) -> None:
        tokens = self._frame.tokens
        tokens.append(f"({node.op.__class__.__name__}")
        self._node(node.left)
        self._node(node.right)
        tokens.append(")")

    def _compare(self, node: ast.Compare) -> None:
        tokens = self._frame.tokens
        tokens.append("(Compare")
        self._node(node.left)
        for operator, other in zip(node.ops, node.comparators, strict=True):
            tokens.append(operator.__class__.__name__)
            self._node(other)
        tokens.append(")")

    def _constant(self, node: ast.Constant) -> None:
        self._frame.tokens.append(constant(node.value))

    def _joined(self, node: ast.JoinedStr) -> None:
        self._frame.tokens.append("(JoinedStr")
        text = ""  # versions differ in how they cut what stands between two fields
        for part in node.values:
            if isinstance(part, ast.Constant):
                text += str(part.value)
                continue
            self._frame.tokens.append(ascii(text))
            text = ""
            self._node(part)
        self._frame.tokens += [ascii(text), ")"]

    def _annotated(self, node: ast.AnnAssign) -> None:
        if self._in_class:
            self._frame.tokens.append("(Field")
            self._node(node.target)
            self._node(node.annotation)
            if node.value is not None:
                self._node(node.value)
            self._frame.tokens.append(")")
        elif node.value is not None:
            self._node(ast.Assign(targets=[node.target], value=node.value))
        elif isinstance(node.target, ast.Name):
            if node.simple:  # one in parentheses does nothing
                self._frame.annotated.add(node.target.id)
        else:  # what the attribute is of, or the item, is evaluated
            self._frame.tokens.append("(Local")
            self._node(node.target)
            self._frame.tokens.append(")")

    def _made_local(self) -> None:
        """Add the names that are local for an annotation alone: the function reads no global one of them."""
        frame = self._frame
        alone = frame.annotated - frame.bound - frame.names_bound
        frame.tokens += [f"(Local ={name})" for name in sorted(alone)]
        frame.bound |= frame.annotated

    def _class(self, node: ast.ClassDef) -> None:
        tokens = self._frame.tokens
        tokens.append(f"(Class {node.name}")
        self.nodes(node.decorator_list)
        self.nodes(node.bases)
        for keyword in node.keywords:
            tokens.append(f"{keyword.arg or '**'}=")
            self._node(keyword.value)
        self.nodes(getattr(node, "type_params", []))
        in_class, self._in_class = self._in_class, True
        with self._names_of_its_own():
            self.nodes(node.body)
        self._in_class = in_class
        tokens.append(")")
        self._frame.bound.add(node.name)

    def _function(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> None:
        tokens = self._frame.tokens
        tokens.append(f"(def {node.name}")
        self.nodes(node.decorator_list)
        self._defaults(node.args)
        if node.decorator_list:
            self._annotations(node)
        else:
            self._document(node)
        self._scope(node)
        tokens.append(")")
        self._frame.bound.add(node.name)

    def _lambda(self, node: ast.Lambda) -> None:
        self._defaults(node.args)
        self._scope(node)

    def _annotations(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> None:
        """Of what is decorated where it is defined they may make a difference, as to ``register``."""
        given = node.args
        arguments = [*given.posonlyargs, *given.args, *given.kwonlyargs, given.vararg, given.kwarg]
        self.nodes([argument.annotation if argument is not None else None for argument in arguments])
        self.nodes([node.returns])

    def _document(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> None:
        frame, self._frame = self._frame, _Frame()
        self._annotations(node)
        if any(token not in _NO_ANNOTATIONS for token in self._frame.tokens):
            frame.documentation += [node.name, *self._frame.tokens]
            frame.documented |= self._frame.names
        self._frame = frame

    def _defaults(self, arguments: ast.arguments) -> None:
        self.nodes(arguments.defaults)
        self.nodes(arguments.kw_defaults)

    def _scope(self, node: Scope) -> None:
        around, in_class = self.enter(), self._in_class
        self._in_class = False
        tokens = self._frame.tokens
        tokens.append(node.__class__.__name__)
        given = node.args
        for kind, arguments in (
            ("/", given.posonlyargs),
            ("", given.args),
            ("*", [given.vararg] if given.vararg else []),
            ("=", given.kwonlyargs),
            ("**", [given.kwarg] if given.kwarg else []),
        ):
            tokens += [f"{kind}{argument.arg}" for argument in arguments]
            self._frame.bound.update(argument.arg for argument in arguments)
        tokens.append(":")
        if isinstance(node, ast.Lambda):
            self._node(node.body)
        else:
            self.nodes(node.body)
        self._made_local()
        self._in_class = in_class
        text = self.leave(around)
        self.functions.append((node, text))
        self._frame.tokens.append(text.digest.hex())


_NO_ANNOTATIONS = frozenset("[]-")


def _digest(tokens: Sequence[str]) -> bytes:
    return sha256("\n".join(tokens).encode()).digest()


def _documentation(tokens: Sequence[str], names: set[str]) -> Documentation:
    return Documentation(_digest(tokens), frozenset(names)) if tokens else NO_DOCUMENTATION


def _without(found: list[_T], spans: Sequence[tuple[int, int]]) -> list[_T]:
    """Return a list without some of its parts, which are in order."""
    kept, at = [], 0
    for start, end in spans:
        kept += found[at:start]
        at = end
    return kept + found[at:]


def is_main_block(test: ast.expr) -> bool:
    """Return whether what is under a condition runs in a script alone: ``__name__ == "__main__"``."""
    if isinstance(test, ast.BoolOp) and isinstance(test.op, ast.And):
        return is_main_block(test.values[0])
    if not isinstance(test, ast.Compare) or len(test.ops) != 1 or not isinstance(test.ops[0], ast.Eq):
        return False
    sides = (test.left, test.comparators[0])
    return any(isinstance(one, ast.Name) and one.id == "__name__" for one in sides) and any(
        isinstance(one, ast.Constant) and one.value == "__main__" for one in sides
    )


def _targets(target: ast.expr) -> set[str]:
    return {node.id for node in ast.walk(target) if isinstance(node, ast.Name)}


def _is_type_checking(test: ast.expr) -> bool:
    name = test.attr if isinstance(test, ast.Attribute) else test.id if isinstance(test, ast.Name) else ""
    return name == "TYPE_CHECKING"


_FIELDS: dict[type[ast.AST], tuple[str, tuple[str, ...]]] = {}


def _fields(kind: type[ast.AST]) -> tuple[str, tuple[str, ...]]:
    fields = tuple(sorted({*kind._fields} - {"ctx", "type_comment", "kind"}))
    return _FIELDS.setdefault(kind, (f"({kind.__name__}", fields))
