"""What a module's text runs when it is imported, statement by statement.

Two kinds of statements count where no value tells what they did: those that made a value without a content
(a compiled format, a callback for C), and those that left a setting with another module: an installed one (a
seed, the precision of decimals), or one that counts by its text.
"""

from __future__ import annotations
import __future__

import ast
import dis
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import cached_property, lru_cache
from types import CodeType

from s3kv_flows._keys.code.syntax.bytecode.codes import bytecode_digest, nested_codes
from s3kv_flows._keys.code.syntax.bytecode.names import uses_of
from s3kv_flows._keys.code.syntax.canonical import canonical_file
from s3kv_flows._keys.code.syntax.parsing import parse, parsing
from s3kv_flows._keys.code.syntax.texts import Chain, Import

__all__ = ["Body", "Statement", "body_of_cells", "body_of_code"]

_FLAGS = __future__.annotations.compiler_flag | ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
"""Names in annotations are none that a statement uses; a cell of a notebook may await."""
_UNPARSED = (SyntaxError, ValueError, RecursionError, MemoryError)
_ANNOTATIONS = "__annotations__"
_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
_DEFINITIONS = (*_FUNCTIONS, ast.ClassDef)
_IMPORTS = (ast.Import, ast.ImportFrom)
_CHANGES_BUILT_IN = {"setattr", "delattr", "exec"}
_SETS = re.compile(
    r"_?(set|seed|manual_seed|use|register|simplefilter|filter|update|enable|disable|config|install|add|insert"
    r"|append|extend|load|pickle|pop|clear|remove|reset|apply|patch|putenv|unsetenv|chdir|umask|tzset).*"
)
"""Names of functions that leave a setting, where a call may also be there for what it returns."""
_SHARED = re.compile(r"(get|current|default)[a-z_]*|[a-z_]*(context|options|config|settings)")
"""Names of functions that return what a package keeps for all, such as ``getcontext``."""
_REGISTERS = re.compile(r".*(register|listens?_for|hook|install).*")
"""Names of decorators that keep what they are given for somebody else."""
_QUIET = {"logging", "loguru", "structlog", "prefect", "s3kv_flows"}
"""Packages whose settings change no result."""
_QUIET_CHAINS = {
    *(("sys", name) for name in ("path", "exit", "argv", "stdout", "stderr")),
    *(("asyncio", "run"), ("anyio", "run"), ("typer", "run"), ("unittest", "main"), ("pytest", "main")),
}
"""Where code is, and calls that run a whole program."""


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


CanBeSet = Callable[[Import], bool]
"""Tells whether an import statement is of modules that settings can be left with."""
Called = Callable[[Import, str], "Body | None"]
"""Returns the body of the project's module that a function is imported from."""


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

    def sets_by(self, name: str, can_be_set: CanBeSet, called: Called, seen: _Seen) -> bool:
        """Return whether a function, or a method of a class, leaves a setting when it is called."""
        return not self._whole and self._tree.sets_by(name, can_be_set, called, seen)

    @property
    def _tree(self) -> _Tree:
        return _tree_of(self._texts)


_Seen = set[tuple[object, str]]
"""Functions that were looked into already: each once, or calls of calls would have no end."""


class _Tree:
    """The trees of a module's text, or of the cells of a notebook."""

    def __init__(self, texts: object, cells: Sequence[ast.Module]) -> None:
        self._texts = texts
        self._cells = cells
        self._indexes: dict[int, dict[str, list[ast.stmt]]] = {}
        self._harmless: _Seen = set()
        self._is_notebook = len(cells) > 1
        self._last_scope: _Scope | None = None

    def making(self, path: Chain) -> list[Statement]:
        bodies = [cell.body for cell in self._cells]
        last = self._last_bound.get(path[0], 0)  # of cells, the last that binds it begins anew
        return [_statement(one) for body in bodies[last:] for one in self._of(body, path)]

    def _of(self, body: Sequence[ast.stmt], path: Chain) -> Iterator[ast.stmt]:
        index = self._indexes.get(id(body))
        if index is None:
            index = self._indexes[id(body)] = {}
            for node in body:
                for name in _may_make(node):
                    index.setdefault(name, []).append(node)
        for node in index.get(path[0], ()):
            if isinstance(node, ast.ClassDef) and node.name == path[0] and len(path) > 1:
                yield from list(self._of(node.body, path[1:])) or [node]
            else:
                yield node

    @cached_property
    def _last_bound(self) -> dict[str, int]:
        """By names: the last cell that binds them."""
        return {name: at for at, cell in enumerate(self._cells) for one in cell.body for name in _bound(one)}

    def origins(self, name: str) -> list[tuple[Import, str]]:
        found: list[tuple[Import, str]] = []
        for node in self._nodes:
            if isinstance(node, ast.ImportFrom):
                for alias in node.names:
                    if alias.name == "*":
                        found.append((Import(node.module or "", node.level, ()), name))
                    elif (alias.asname or alias.name) == name:
                        found.append((Import(node.module or "", node.level, ()), alias.name))
        return found

    def imports(self) -> list[Import]:
        return [one for node in self._nodes if isinstance(node, _IMPORTS) for one in _imports(node)]

    def settings(self, can_be_set: CanBeSet, called: Called) -> list[Statement]:
        found: dict[bytes, Statement] = {}
        scope = self._scope(can_be_set)
        for cell in self._cells:
            for at, node in enumerate(cell.body):
                # What a cell ends with is shown: it may be there for that.
                is_shown = self._is_notebook and at == len(cell.body) - 1
                if self._sets(node, scope, called, strict=is_shown):
                    statement = _statement(node)
                    found.pop(statement.digest, None)  # as a cell may run again
                    found[statement.digest] = statement
        return list(found.values())

    def sets_by(self, name: str, can_be_set: CanBeSet, called: Called, seen: _Seen) -> bool:
        """Return whether a function, or a method of a class, leaves a setting when it is called."""
        if (self._texts, name) in seen:
            return False
        seen.add((self._texts, name))
        for definition in self._definitions.get(name, ()):
            nodes = list(ast.walk(definition))
            scope = _Scope(nodes, can_be_set, self._scope(can_be_set))
            if any(scope.sets(node, strict=True) for node in nodes):
                return True
            chains = [_called(node) for node in nodes]
            chains += [_chain(base)[0] for base in getattr(definition, "bases", ())]
            if any(self._leads_to_setter(chain, can_be_set, called, seen) for chain in chains):
                return True
        return False

    def _scope(self, can_be_set: CanBeSet) -> _Scope:
        if self._last_scope is None or self._last_scope.can_be_set is not can_be_set:
            self._last_scope = _Scope(self._nodes, can_be_set)
            self._harmless = set()  # for what could be set before
        return self._last_scope

    def _sets(self, node: ast.stmt, scope: _Scope, called: Called, *, strict: bool) -> bool:
        if isinstance(node, _DEFINITIONS) and any(map(scope.registers, node.decorator_list)):
            return True
        return any(
            scope.sets(one, strict=strict) or self._leaves_setting(_called(one), scope.can_be_set, called)
            for one in _now(node)
        )

    def _leaves_setting(self, chain: Chain, can_be_set: CanBeSet, called: Called) -> bool:
        if not chain:
            return False
        seen = self._harmless.copy()
        if self._leads_to_setter(chain, can_be_set, called, seen):
            return True
        self._harmless = seen  # nothing that was looked into leads to a setting
        return False

    def _leads_to_setter(self, chain: Chain, can_be_set: CanBeSet, called: Called, seen: _Seen) -> bool:
        if not chain:
            return False
        root = self._aliases.get(chain[0], chain[0])
        if root in self._definitions:
            return self.sets_by(root, can_be_set, called, seen)
        for imported, name in self._imported_as.get(root, ()):
            last = name or (chain[1] if len(chain) > 1 else "")
            other = called(imported, last) if last else None
            if other is not None and other.sets_by(last, can_be_set, called, seen):
                return True
        return False

    @cached_property
    def _definitions(self) -> dict[str, list[ast.FunctionDef | ast.ClassDef]]:
        found: dict[str, list[ast.FunctionDef | ast.ClassDef]] = {}
        for node in self._nodes:
            # What wraps a function may call it, or not: a flow is no setting.
            if isinstance(node, (ast.FunctionDef, ast.ClassDef)) and not node.decorator_list:
                found.setdefault(node.name, []).append(node)
        return found

    @cached_property
    def _aliases(self) -> dict[str, str]:
        """Names for what functions return, and for instances of classes."""
        found: dict[str, str] = {}
        for node in self._nodes:
            if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
                chain, _ = _chain(node.value)
                if chain:
                    found[node.targets[0].id] = chain[0]
        return found

    @cached_property
    def _imported_as(self) -> dict[str, list[tuple[Import, str]]]:
        found: dict[str, list[tuple[Import, str]]] = {}
        for node in self._nodes:
            if isinstance(node, _IMPORTS):
                for imported, bound, name in _names_bound(node):
                    found.setdefault(bound, []).append((imported, name))
        return found

    @cached_property
    def _nodes(self) -> list[ast.AST]:
        return [one for cell in self._cells for statement in cell.body for one in _now(statement)]


def _statement(node: ast.stmt) -> Statement:
    module = ast.Module(body=[node], type_ignores=[])
    code = compile(module, "<statement>", "exec", flags=_FLAGS, dont_inherit=True)
    return Statement(canonical_file(module)[0].digest, code)


@lru_cache(maxsize=8)
def _tree_of(texts: tuple[str | bytes, ...]) -> _Tree:
    try:
        with parsing():
            return _Tree(texts, [parse(text) for text in texts])
    except _UNPARSED:  # then the module was not loaded from it
        return _Tree(texts, [])


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


class _Scope:
    """What the names of a module stand for, as its text says."""

    def __init__(self, nodes: Sequence[ast.AST], can_be_set: CanBeSet, around: _Scope | None = None) -> None:
        self.can_be_set = can_be_set
        self.roots: dict[str, Chain] = around.roots.copy() if around else {}
        """By names: what they were imported as."""
        self.made: set[str] = around.made.copy() if around else set()
        """Names of what installed packages keep for all, as it was returned."""
        self.has_star: bool = around is not None and around.has_star
        self._around = around
        self._bound = {name for node in nodes for name in _bound_by(node)}
        for node in nodes:
            if isinstance(node, _IMPORTS):
                for imported, bound, name in _names_bound(node):
                    if not can_be_set(imported._replace(names=(name,) if name else ())):
                        self.roots.pop(bound, None)
                    elif bound == "*":
                        self.has_star = True
                    else:
                        self.roots[bound] = (imported.name.partition(".")[0], *([name] if name else ()))
            elif isinstance(node, ast.Assign) and len(node.targets) == 1:
                self._assigned(node.targets[0], node.value)

    def _assigned(self, target: ast.expr, value: ast.expr) -> None:
        chain, calls = _chain(value)
        if isinstance(target, ast.Name) and chain and self._can_be_set(chain):
            if calls:
                if _SHARED.fullmatch(chain[-1]):
                    self.made.add(target.id)
            else:
                self.roots[target.id] = (*self.roots.get(chain[0], (chain[0],)), *chain[1:])

    def sets(self, node: ast.AST, *, strict: bool) -> bool:
        """Return whether a node changes something of a module that can be set."""
        targets: list[ast.expr] = []
        if isinstance(node, (ast.Assign, ast.Delete)):
            targets = list(node.targets)
        elif isinstance(node, (ast.AugAssign, ast.AnnAssign)):
            targets = [node.target]
        for target in targets:
            for one in ast.walk(target):
                chain, _ = _chain(one)
                if len(chain) > 1 and (chain[0] in self.made or self._is_loud(chain)):
                    return True
        chain = _called(node)
        if not chain:
            return False
        if chain[0] in _CHANGES_BUILT_IN and not self.is_bound(chain[0]):
            return True
        return self._is_loud(chain) and (not strict or _SETS.fullmatch(chain[-1]) is not None)

    def registers(self, decorator: ast.expr) -> bool:
        """Return whether a decorator keeps what it is given with an installed package."""
        chain, _ = _chain(decorator)
        return bool(chain) and self._is_loud(chain) and any(map(_REGISTERS.fullmatch, chain))

    def is_bound(self, name: str) -> bool:
        return name in self._bound or (self._around is not None and self._around.is_bound(name))

    def _can_be_set(self, chain: Chain) -> bool:
        return chain[0] in self.roots or (self.has_star and not self.is_bound(chain[0]))

    def _is_loud(self, chain: Chain) -> bool:
        if not self._can_be_set(chain):
            return False
        whole = (*self.roots.get(chain[0], chain[:1]), *chain[1:])
        return whole[0] not in _QUIET and whole[:2] not in _QUIET_CHAINS


def _now(node: ast.AST) -> Iterator[ast.AST]:
    """Yield a node with what of it runs when the module is imported: no bodies of functions."""
    pending = [node]
    for one in pending:
        yield one
        if isinstance(one, (*_FUNCTIONS, ast.Lambda)):
            pending += getattr(one, "decorator_list", [])
            pending += [default for default in (*one.args.defaults, *one.args.kw_defaults) if default]
        elif isinstance(one, ast.If) and _is_left_out(one.test):
            pending += one.orelse
        else:
            pending += ast.iter_child_nodes(one)


def _is_left_out(test: ast.expr) -> bool:
    """Return whether a condition is that of a script, or of type checkers."""
    if isinstance(test, ast.Compare):
        return any(isinstance(one, ast.Name) and one.id == "__name__" for one in ast.walk(test))
    return (test.attr if isinstance(test, ast.Attribute) else getattr(test, "id", "")) == "TYPE_CHECKING"


def _may_make(node: ast.stmt) -> set[str]:
    """Return the names that a statement binds, or uses so that it may change what they are bound to."""
    if isinstance(node, _IMPORTS):
        return set()
    parts: list[ast.AST] = [node]
    found: set[str] = set()
    if isinstance(node, _DEFINITIONS):  # a body that only uses it does not change it
        found.add(node.name)
        parts = list(node.decorator_list)
    for one in (one for part in parts for one in _now(part)):
        if isinstance(one, ast.Name):
            found.add(one.id)
        found.update(_bound_by(one))
    return found


def _bound(node: ast.AST) -> set[str]:
    return {name for one in _now(node) for name in _bound_by(one)}


def _bound_by(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
        yield node.id
    elif isinstance(node, (*_DEFINITIONS, ast.ExceptHandler, ast.MatchAs, ast.MatchStar)) and node.name:
        yield node.name
    elif isinstance(node, ast.MatchMapping) and node.rest:
        yield node.rest
    elif isinstance(node, _IMPORTS):
        yield from (bound for _, bound, _ in _names_bound(node))


def _imports(node: ast.Import | ast.ImportFrom) -> list[Import]:
    if isinstance(node, ast.Import):
        return [Import(alias.name, 0, ()) for alias in node.names]
    return [Import(node.module or "", node.level, tuple(alias.name for alias in node.names))]


def _names_bound(node: ast.Import | ast.ImportFrom) -> Iterator[tuple[Import, str, str]]:
    """Yield imports with the name that they bind, and the name of what they take from the module."""
    for alias in node.names:
        if isinstance(node, ast.Import):
            yield Import(alias.name, 0, ()), alias.asname or alias.name.partition(".")[0], ""
        else:
            yield Import(node.module or "", node.level, ()), alias.asname or alias.name, alias.name


def _called(node: ast.AST) -> Chain:
    """Return what a statement calls whose value is dropped."""
    value = node.value if isinstance(node, ast.Expr) else None
    if isinstance(value, ast.Await):
        value = value.value
    return _chain(value.func)[0] if isinstance(value, ast.Call) else ()


def _chain(node: ast.AST) -> tuple[Chain, bool]:
    """Return the name and the attributes of an expression, and whether it calls or subscribes anything."""
    names: list[str] = []
    calls = False
    while not isinstance(node, ast.Name):
        if isinstance(node, ast.Attribute):
            names.append(node.attr)
            node = node.value
        elif isinstance(node, ast.Subscript):
            names.append("[]")
            node = node.value
        elif isinstance(node, ast.Call):
            calls = True
            node = node.func
        else:
            return (), calls
    return (node.id, *reversed(names)), calls


def _may_set(code: CodeType) -> bool:
    """Return whether a module's code drops the value of a call, binds attributes or items, or registers."""
    if any(map(_REGISTERS.fullmatch, code.co_names)):
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
