"""Which statements leave a setting with another module."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Sequence

from s3kv_flows._keys.code.syntax.statements.nodes import (
    IMPORTS,
    bound_by,
    chain_of,
    dropped_call,
    names_bound,
)
from s3kv_flows._keys.code.syntax.texts import Chain, Import

__all__ = ["REGISTERS", "CanBeSet", "Scope"]

_CHANGES_BUILT_IN = {"setattr", "delattr", "exec"}
_SETS = re.compile(
    r"_?(set|seed|manual_seed|use|register|simplefilter|filter|update|enable|disable|config|install|add|insert"
    r"|append|extend|load|pickle|pop|clear|remove|reset|apply|patch|putenv|unsetenv|chdir|umask|tzset).*"
)
"""Names of functions that leave a setting, where a call may also be there for what it returns."""
_SETS_AND_RETURNS = re.compile(
    r"_?(set(?!diff|xor|_index|_axis)|seed|manual_seed|use_|register|enable|disable|config|install|reset|patch"
    r"|load_dotenv|tzset|umask|filterwarnings|simplefilter).*"
)
"""Names of functions that leave a setting, where what they return is kept."""
_SHARED = re.compile(r"(get|current|default)[a-z_]*|[a-z_]*(context|options|config|settings)")
"""Names of functions that return what a package keeps for all, such as ``getcontext``."""
REGISTERS = re.compile(r".*(register|listens?_for|hook|install).*")
"""Names of decorators that keep what they are given for somebody else."""
_QUIET = {"logging", "loguru", "structlog", "prefect", "s3kv_flows"}
"""Packages whose settings change no result."""
_QUIET_CHAINS = {
    *(("sys", name) for name in ("path", "exit", "argv", "stdout", "stderr")),
    *(("asyncio", "run"), ("anyio", "run"), ("typer", "run"), ("unittest", "main"), ("pytest", "main")),
}
"""Where code is, and calls that run a whole program."""


CanBeSet = Callable[[Import], bool]
"""Tells whether an import statement is of modules that settings can be left with."""


class Scope:
    """What the names of a module stand for, as its text says."""

    def __init__(self, nodes: Sequence[ast.AST], can_be_set: CanBeSet, around: Scope | None = None) -> None:
        self.can_be_set = can_be_set
        self.harmless: set[tuple[object, str]] = set()
        """Functions that lead to no setting, of what can be set here."""
        self.roots: dict[str, Chain] = around.roots.copy() if around else {}
        """By names: what they were imported as."""
        self.made: set[str] = around.made.copy() if around else set()
        """Names of what installed packages keep for all, as it was returned."""
        self.has_star: bool = around is not None and around.has_star
        self._around = around
        self._bound = {name for node in nodes for name in bound_by(node)}
        for node in nodes:
            if isinstance(node, IMPORTS):
                for imported, bound, name in names_bound(node):
                    if not can_be_set(imported._replace(names=(name,) if name else ())):
                        self.roots.pop(bound, None)
                    elif bound == "*":
                        self.has_star = True
                    else:
                        self.roots[bound] = (imported.name.partition(".")[0], *([name] if name else ()))
            elif isinstance(node, ast.Assign) and len(node.targets) == 1:
                self._assigned(node.targets[0], node.value)

    def _assigned(self, target: ast.expr, value: ast.expr) -> None:
        chain, calls = chain_of(value)
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
                chain, _ = chain_of(one)
                if len(chain) > 1 and (chain[0] in self.made or self._is_loud(chain)):
                    return True
        chain = dropped_call(node)
        if chain:
            return self._is_loud(chain) and (not strict or _SETS.fullmatch(chain[-1]) is not None)
        if not isinstance(node, ast.Call):
            return False
        chain, calls = chain_of(node.func)
        if chain and chain[0] in _CHANGES_BUILT_IN and not self.is_bound(chain[0]):
            return True
        # A method of what a call returned changes that, and no setting.
        return not calls and self._is_loud(chain) and _SETS_AND_RETURNS.fullmatch(chain[-1]) is not None

    def registers(self, decorator: ast.expr) -> bool:
        """Return whether a decorator keeps what it is given with an installed package."""
        chain, _ = chain_of(decorator)
        return bool(chain) and self._is_loud(chain) and any(map(REGISTERS.fullmatch, chain))

    def is_bound(self, name: str) -> bool:
        return name in self._bound or (self._around is not None and self._around.is_bound(name))

    def _can_be_set(self, chain: Chain) -> bool:
        return chain[0] in self.roots or (self.has_star and not self.is_bound(chain[0]))

    def _is_loud(self, chain: Chain) -> bool:
        if not chain or not self._can_be_set(chain):
            return False
        whole = (*self.roots.get(chain[0], chain[:1]), *chain[1:])
        return whole[0] not in _QUIET and whole[:2] not in _QUIET_CHAINS
