"""What a text binds: the names of a module, of its classes.

A module that is loaded is compared with this: see :mod:`s3kv_flows._keys.code.syntax.loaded`. What a text
computes when it is imported cannot be compared; it is known as computed.
"""

from __future__ import annotations

import ast
import enum
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import CodeType
from typing import NamedTuple

from s3kv_flows._keys.code.syntax.bytecode.codes import nested_codes
from s3kv_flows._keys.code.syntax.bytecode.names import GETS_LOGGER
from s3kv_flows._keys.code.syntax.texts import CodeText, Import

__all__ = ["Bindings", "Defined", "DefinedClass", "Imported", "Literal", "Said", "Unknown", "bindings_of"]


class Literal(NamedTuple):
    """A constant, or a container of such."""

    value: object


class Defined(NamedTuple):
    """A function without decorators but those of methods, whose default values are literals."""

    defaults: tuple[object, ...]
    keyword_defaults: Mapping[str, object]


class Imported(NamedTuple):
    """What an import statement binds.

    Attributes:
        module: The statement; of ``import a.b`` the first part, where that is what it binds.
        attribute: The name that it takes from the module, None for the module itself.
    """

    module: Import
    attribute: str | None


class DefinedClass(NamedTuple):
    """A class.

    Attributes:
        members: What its body binds.
        bases: Their names; None where an expression makes one, or a decorator or a keyword has a say.
    """

    members: Mapping[str, Sequence[Said]]
    bases: tuple[str, ...] | None


class Unknown(enum.Enum):
    """What a text says of a name without telling its value."""

    COMPUTED = 1
    LOGGER = 2
    UNBOUND = 3


Said = Literal | Defined | Imported | DefinedClass | Unknown


@dataclass(frozen=True)
class Bindings:
    """What a text binds at its top level.

    Attributes:
        names: What each name may be bound to, as branches differ.
        changed: Names whose values, and names that, functions of the text change.
        arguments: Names of parameters whose values they change.
        attributes: Names of attributes that they change.
        of_others: Those of them that are not attributes of ``self``, and may be of a module.
        is_open: Whether it binds names that it does not spell, by ``globals()`` or a star.
        acts: Whether it does more than to bind names.
    """

    names: Mapping[str, Sequence[Said]]
    changed: frozenset[str]
    arguments: frozenset[str]
    attributes: frozenset[str]
    of_others: frozenset[str]
    is_open: bool
    acts: bool


_BINDS_UNSPELLED = frozenset({"globals", "locals", "vars", "setattr", "exec", "eval"})
_WRAPS = ("staticmethod", "classmethod", "property", "abstractmethod")
_BRANCHES = (ast.If, ast.Try, ast.For, ast.AsyncFor, ast.While, ast.With, ast.AsyncWith, ast.Match)
_TYPE_ALIAS = getattr(ast, "TypeAlias", ())


def bindings_of(
    tree: ast.Module, text: str | bytes, functions: Iterable[tuple[CodeType, CodeText]]
) -> Bindings:
    """Return what a module's text binds.

    Args:
        tree: Of the text.
        text: The text itself, in which words are found sooner than in its tree.
        functions: All functions in it, with what it says of them.
    """
    body = _Body(tree.body)
    changed: set[str] = set()
    arguments: set[str] = set()
    attributes: set[str] = set()
    of_others: set[str] = set()
    for code, said in functions:
        for root, *rest in said.writes:
            names = [name.rstrip("=") for name in rest]
            attributes.update(names)
            if root not in ("self", "cls"):
                of_others.update(names[:1])
            if root in code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]:
                arguments.add(root)
            elif root not in _locals(code):
                changed.add(root)
    source = text if isinstance(text, str) else text.decode("latin-1")  # words of Python are ASCII
    has_globals, may_bind = "global " in source, any(word in source for word in _BINDS_UNSPELLED)
    is_open = body.has_star
    for node in ast.walk(tree) if has_globals or may_bind else ():
        if isinstance(node, ast.Global):
            changed.update(node.names)
        elif isinstance(node, ast.Name):
            is_open |= node.id in _BINDS_UNSPELLED
    return Bindings(
        body.names(),
        frozenset(changed),
        frozenset(arguments),
        frozenset(attributes),
        frozenset(of_others),
        is_open,
        body.acts,
    )


def _locals(code: CodeType) -> set[str]:
    """Return the names that are local to a function, or to one within it."""
    found = {*code.co_varnames, *code.co_cellvars}
    for inner in nested_codes(code):
        found |= _locals(inner)
    return found


class _Body:
    """The statements of a module or of a class."""

    def __init__(self, statements: Sequence[ast.stmt]) -> None:
        self._found: dict[str, list[tuple[Said, bool]]] = {}
        self._used: set[str] = set()
        self.has_star = False
        self.acts = False
        self._depth = 0
        self._statements(statements)

    def names(self) -> dict[str, Sequence[Said]]:
        """Return what each name may be bound to when all statements have run."""
        return {name: self._last(name, found) for name, found in self._found.items()}

    def _last(self, name: str, found: Sequence[tuple[Said, bool]]) -> Sequence[Said]:
        last, is_certain = found[-1]
        possible = [last] if is_certain else [*(said for said, _ in found), Unknown.UNBOUND]
        # A call at the top level may have changed what it was given.
        is_used = name in self._used
        return [Unknown.COMPUTED if is_used and _can_change(said) else said for said in possible]

    def _statements(self, statements: Iterable[ast.stmt]) -> None:
        for statement in statements:
            self._statement(statement)

    def _statement(self, node: ast.stmt) -> None:
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            self._uses(*node.decorator_list, *node.args.defaults, *filter(None, node.args.kw_defaults))
            self._bind(node.name, _defined(node))
        elif isinstance(node, ast.ClassDef):
            self._uses(*node.decorator_list, *node.bases, *(keyword.value for keyword in node.keywords))
            body = _Body(node.body)
            self.acts |= body.acts
            self._bind(node.name, DefinedClass(body.names(), _bases(node)))
        elif isinstance(node, ast.Import):
            for alias in node.names:
                first = alias.name if alias.asname else alias.name.partition(".")[0]
                self._bind(alias.asname or first, Imported(Import(first, 0, ()), None))
        elif isinstance(node, ast.ImportFrom):
            self._import_from(node)
        elif isinstance(node, (ast.Assign, ast.AnnAssign)):
            self._assign(node)
        elif isinstance(node, _BRANCHES):
            self._branches(node)
        elif isinstance(node, _TYPE_ALIAS):
            self._bind(node.name.id, Unknown.COMPUTED)  # type: ignore[attr-defined,unused-ignore]
        elif not (isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)):
            self.acts |= not isinstance(node, (ast.Pass, ast.Global, ast.Break, ast.Continue))
            self._uses(node)
            self._stores(node)

    def _branches(self, node: ast.stmt) -> None:
        if isinstance(node, ast.If) and isinstance(node.test, ast.Compare):
            left = node.test.left
            if isinstance(left, ast.Name) and left.id == "__name__":
                self._statements(node.orelse)
                return
        self._depth += 1
        for child in _parts(node):
            if isinstance(child, ast.stmt):
                self._statement(child)
            else:
                self._uses(child)
                self._stores(child)
        self._depth -= 1

    def _import_from(self, node: ast.ImportFrom) -> None:
        for alias in node.names:
            if alias.name == "*":
                self.has_star = True
            else:
                said = Imported(Import(node.module or "", node.level, ()), alias.name)
                self._bind(alias.asname or alias.name, said)

    def _assign(self, node: ast.Assign | ast.AnnAssign) -> None:
        if node.value is None:
            return
        targets = node.targets if isinstance(node, ast.Assign) else [node.target]
        self._uses(node.value)
        # What two names share is not compared: either may be the way to change it.
        said = _said(node.value) if len(targets) == 1 else Unknown.COMPUTED
        for target in targets:
            if isinstance(target, ast.Name):
                self._bind(target.id, said)
            else:
                self._stores(target)
                self._used.update(_names(target))

    def _bind(self, name: str, said: Said) -> None:
        self._found.setdefault(name, []).append((said, self._depth == 0))

    def _uses(self, *nodes: ast.AST) -> None:
        """Record which names are used where something may change what they stand for."""
        for node in nodes:
            for inner in ast.walk(node):
                if isinstance(inner, (ast.Call, ast.AugAssign, ast.Delete)):
                    self._used.update(_names(inner))
                elif isinstance(inner, ast.NamedExpr):
                    self._bind(inner.target.id, Unknown.COMPUTED)
                elif isinstance(inner, (ast.Attribute, ast.Subscript)) and not isinstance(
                    inner.ctx, ast.Load
                ):
                    self._used.update(_names(inner))

    def _stores(self, node: ast.AST) -> None:
        """Record names that something else than a plain assignment binds."""
        for inner in ast.walk(node):
            if isinstance(inner, ast.Name) and not isinstance(inner.ctx, ast.Load):
                self._bind(inner.id, Unknown.COMPUTED)
            elif isinstance(inner, (ast.MatchAs, ast.MatchStar, ast.MatchMapping, ast.ExceptHandler)):
                name = getattr(inner, "rest", None) or getattr(inner, "name", None)
                if name:
                    self._bind(name, Unknown.COMPUTED)


def _parts(node: ast.AST) -> Iterator[ast.AST]:
    """Yield the statements and expressions in a statement with blocks, in order."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, (ast.stmt, ast.expr)):
            yield child
        else:
            if isinstance(child, ast.ExceptHandler) and child.name:
                yield ast.Name(child.name, ast.Store())
            if isinstance(child, ast.pattern):
                yield child
            else:
                yield from _parts(child)


def _names(node: ast.AST) -> Iterator[str]:
    return (inner.id for inner in ast.walk(node) if isinstance(inner, ast.Name))


def _literal(node: ast.expr) -> Literal | None:
    if not isinstance(
        node, (ast.Constant, ast.Dict, ast.List, ast.Tuple, ast.Set, ast.UnaryOp, ast.BinOp, ast.Call)
    ):
        return None
    try:
        return Literal(ast.literal_eval(node))
    except (ValueError, TypeError, SyntaxError, RecursionError, MemoryError):
        return None


def _said(node: ast.expr) -> Said:
    literal = _literal(node)
    if literal is not None:
        return literal
    if isinstance(node, ast.Call) and len(node.args) == 1 and not node.keywords:
        function, argument = node.func, node.args[0]
        name = getattr(function, "attr", None) or getattr(function, "id", "")
        if name in GETS_LOGGER and isinstance(argument, ast.Name) and argument.id == "__name__":
            return Unknown.LOGGER
    return Unknown.COMPUTED


def _can_change(said: Said) -> bool:
    if isinstance(said, Literal):
        return not isinstance(said.value, (type(None), bool, int, float, complex, str, bytes))
    return isinstance(said, (Defined, DefinedClass))


def _bases(node: ast.ClassDef) -> tuple[str, ...] | None:
    if node.decorator_list or node.keywords:
        return None
    names = [getattr(base, "attr", None) or getattr(base, "id", None) for base in node.bases]
    return None if None in names else tuple(map(str, names))


def _defined(node: ast.FunctionDef | ast.AsyncFunctionDef) -> Said:
    for one in node.decorator_list:
        if (getattr(one, "attr", None) or getattr(one, "id", None)) not in _WRAPS:
            return Unknown.COMPUTED
    arguments = node.args
    defaults = [_literal(one) for one in arguments.defaults]
    keywords = {
        argument.arg: _literal(default)
        for argument, default in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True)
        if default is not None
    }
    if None in defaults or None in keywords.values():
        return Unknown.COMPUTED
    return Defined(
        tuple(one.value for one in defaults if one is not None),
        {name: one.value for name, one in keywords.items() if one is not None},
    )
