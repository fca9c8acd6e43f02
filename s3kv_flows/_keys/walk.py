"""One walk over everything that a function reaches: functions, classes, modules and the values they use.

Whatever is reached is a node with a running number, in the order in which it is found; what refers to it does
so by that number. So cycles cost nothing, two closures of one function are told apart by where each is used,
and no name of a module enters: a script, and the same file imported, are one.
"""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from operator import attrgetter
from pathlib import PurePath
from types import CellType, FunctionType, ModuleType
from typing import Any, NamedTuple

from s3kv_flows._keys.classes import is_project_class, parts_of_class
from s3kv_flows._keys.first_seen import FirstSeen
from s3kv_flows._keys.names import Names
from s3kv_flows._keys.project import is_project_function
from s3kv_flows._keys.reach import CODES
from s3kv_flows._keys.values import Values
from s3kv_flows._keys.watch import ABSENT, Watch, content_of

__all__ = ["SCHEME", "Found", "Isolated", "Rules", "Token", "Walk"]

SCHEME = "1"
"""Another number gives all code another digest."""

Token = bytes | int
"""What stands for something: bytes, or the number of a node."""

_READS_DOCS = frozenset({"__doc__", "getdoc"})
_READS_ANNOTATIONS = frozenset(
    {"__annotations__", "get_type_hints", "get_annotations", "signature", "getfullargspec", "__signature__"}
)
_READS_SUBCLASSES = "__subclasses__"


class Isolated(NamedTuple):
    """The digest of something alone: whether it is complete, or was asked for while it was made."""

    digest: bytes
    watch: Watch
    complete: bool


@dataclass(frozen=True)
class Rules:
    """What holds for all walks of one identity.

    Attributes:
        value_digest: What digests values that hold no code that is looked at here.
        isolated: What returns the digest of something alone, with all that it reaches.
        first_seen: What is known of names that the walked code writes.
        ignored_names: Global or qualified names that do not count.
        ignored_types: Classes whose code does not count.
        packages: Installed packages that count as the project.
    """

    value_digest: Callable[[object], bytes]
    isolated: Callable[[object], Isolated]
    first_seen: FirstSeen
    ignored_names: frozenset[str]
    ignored_types: Collection[type]
    packages: set[str]


@dataclass(frozen=True)
class Found:
    """What a walk found: the digest of all, of each part by name, and what to look at again."""

    digest: bytes
    parts: dict[str, bytes]
    watch: Watch
    notes: tuple[str, ...]


@dataclass
class _Node:
    subject: object  # kept, so that nothing else gets its identity
    label: str
    tokens: list[Token] = field(default_factory=list)


class Walk:
    """Walks from a root; one object per digest that is not known yet."""

    def __init__(self, rules: Rules) -> None:
        self.rules = rules
        self.watch = Watch()
        self._written: set[tuple[int, str]] = set()
        self._rebound: set[tuple[int, str]] = set()
        self.validated: set[int] = set()
        self._modes: set[str] = set()
        self._start()

    def run(self, root: object, others: Iterable[Callable[[Walk], Token]] = ()) -> Found:
        """Return what is found from a root, and from what is named besides."""
        while True:
            before = self._known()
            self._start()
            head = [self.token(root, "value"), *(other(self) for other in others)]
            while self._queue:
                node, visit = self._queue.popleft()
                node.tokens = list(visit())
            # What is found to be written counts otherwise, also where it was looked at before.
            if not self._is_stale and before == self._known():
                return self._found(head)

    def token(self, value: object, label: str) -> Token:
        """Return what stands for a value; what it reaches is looked at later.

        Args:
            value: Anything.
            label: What to call it among the parts, where it has no name of its own.
        """
        known = self._numbers.get(id(value))
        return known if known is not None else self.values.token(value, label)

    def node(self, subject: object, label: str, visit: Callable[[], Iterable[Token]]) -> Token:
        """Return the number of a new node.

        Args:
            subject: What it stands for.
            label: What to call it among the parts.
            visit: Called later for what it is made of.
        """
        number = len(self._nodes)
        node = _Node(subject, label)
        self._nodes.append(node)
        self._numbers[id(subject)] = number
        self._queue.append((node, visit))
        return number

    def mark_written(self, holder: object, name: str, *, rebound: bool) -> None:
        """Keep that the walked code changes what an object's name is bound to, or binds it anew."""
        at = (id(holder), name)
        if at in self._asked and (at not in self._written or (rebound and at not in self._rebound)):
            self._is_stale = True
        self._written.add(at)
        if rebound:
            self._rebound.add(at)

    def is_written(self, holder: object, name: str) -> bool:
        """Tell whether the walked code changes what an object's name is bound to, or binds it anew."""
        self._asked.add((id(holder), name))
        return (id(holder), name) in self._written

    def is_rebound(self, holder: object, name: str) -> bool:
        """Tell whether the walked code binds an object's name anew."""
        return (id(holder), name) in self._rebound

    def note(self, text: str) -> None:
        """Keep what the user may want to know, once."""
        self._notes[text] = None

    def alone(self, value: object) -> bytes:
        """Return the digest of something without regard to where it was found."""
        found = self.rules.isolated(value)
        self.watch.take(found.watch)
        return found.digest

    def _alone(self, value: object) -> tuple[bytes, bool]:
        found = self.rules.isolated(value)
        return found.digest, found.complete

    def is_ignored(self, *names: str) -> bool:
        """Tell whether something does not count, by any of its names."""
        return not self.rules.ignored_names.isdisjoint(names)

    def is_project(self, cls: type) -> bool:
        """Tell whether a class is the project's."""
        return is_project_class(cls, self.rules.packages)

    def function(self, function: FunctionType) -> Token:
        """Return what stands for a function."""
        name = str(function.__globals__.get("__name__"))
        label = f"{stem(name, function.__globals__)}.{function.__qualname__}"
        if not is_project_function(function, self.rules.packages):
            return self._installed(function, name, label)
        if self.is_ignored(function.__qualname__, f"{name}.{function.__qualname__}"):
            return f"ignored {function.__qualname__}".encode()
        return self.node(function, label, lambda: self._function(function, label))

    def cls(self, cls: type) -> Token:
        """Return what stands for a class."""
        name = f"{cls.__module__}.{cls.__qualname__}"
        if not self.is_project(cls):
            return f"installed {name.replace('pathlib._local.', 'pathlib.')}".encode()  # as 3.13 calls it
        if cls in self.rules.ignored_types or self.is_ignored(cls.__qualname__, name):
            return f"ignored {cls.__qualname__}".encode()
        label = f"{stem(cls.__module__)}.{cls.__qualname__}"
        return self.node(cls, label, lambda: self._class(cls, label))

    def namespace(self, namespace: dict[str, Any], name: str) -> Token:
        """Return what stands for everything that a module holds."""
        known = self._numbers.get(id(namespace))
        label = stem(name, namespace)
        return (
            known
            if known is not None
            else self.node(namespace, label, lambda: self._namespace(namespace, label))
        )

    def attribute(self, holder: object, name: str, value: object, label: str) -> Token:
        """Return what stands for what an object's name is bound to, which the walked code may change."""
        if not self.is_written(holder, name):
            token = self.token(value, label)
            return token if isinstance(token, int) else self._leaf(token, label)
        subject = None if self.is_rebound(holder, name) else value
        seen = self.rules.first_seen.digest(holder, name, subject, lambda: self._alone(value))
        return self._leaf(b"first " + seen, label)

    def _leaf(self, token: bytes, label: str) -> Token:
        number = self._leaves.get((token, label))
        if number is None:
            number = self._leaves[token, label] = len(self._nodes)
            self._nodes.append(_Node(None, label, [token]))
        return number

    def cell(self, cell: CellType, name: str, label: str) -> Token:
        """Return what stands for what a closure holds."""
        content = content_of(cell)
        if not self.is_written(cell, name):
            self.watch.cell(cell, content)
        return b"empty" if content is ABSENT else self.attribute(cell, name, content, label)

    def _known(self) -> tuple[int, int]:
        return len(self.validated), len(self._modes)

    def _start(self) -> None:
        self.watch = Watch()
        self.values = Values(self)
        self.names = Names(self)
        self._asked: set[tuple[int, str]] = set()
        self._is_stale = False
        self._nodes: list[_Node] = []
        self._numbers: dict[int, int] = {}
        self._leaves: dict[tuple[bytes, str], int] = {}
        self._queue: deque[tuple[_Node, Callable[[], Iterable[Token]]]] = deque()
        self._notes: dict[str, None] = {}
        self.parts: dict[str, bytes] = {}
        self.texts: dict[str, Token] = {}

    def _function(self, function: FunctionType, label: str) -> Iterable[Token]:
        facts = CODES.facts(function)
        self.watch.function(function)
        self.names.mark_written(function, facts)
        self._look_for_modes(facts.uses.names)
        yield b"function"
        yield function.__qualname__.encode()
        yield facts.digest
        arguments = function.__code__.co_varnames
        defaults = function.__defaults__ or ()
        yield b"%d defaults" % len(defaults)
        first = function.__code__.co_argcount - len(defaults)
        for at, value in enumerate(defaults):
            yield self.attribute(function, f"{arguments[first + at]}=", value, label)
        keywords = function.__kwdefaults__ or {}
        yield b"%d keywords" % len(keywords)
        for name in sorted(keywords):
            yield name.encode()
            yield self.attribute(function, f"{name}=", keywords[name], label)
        yield from self._own_attributes(function, label)
        if "annotations" in self._modes or self.values.is_validated(function):
            yield self.token(dict(function.__annotations__), label)
        for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
            yield name.encode()
            yield from self.names.cell(function, cell, name, facts)
        yield from self.names.globals(function, facts, label)
        yield from self.names.imports(function, facts)

    def _own_attributes(self, function: FunctionType, label: str) -> Iterable[Token]:
        attributes = function.__dict__
        yield b"%d attributes" % len(attributes)
        self.watch.mapping(attributes)
        for name in sorted(attributes):
            yield name.encode()
            yield self.attribute(function, name, attributes[name], label)
        if "docs" in self._modes:
            yield f"docs {function.__doc__}".encode("utf-8", "surrogatepass")

    def _installed(self, function: FunctionType, name: str, label: str) -> Token:
        own = getattr(function.__code__, "co_qualname", function.__code__.co_name).rpartition(".")[2]
        told = f"installed {name}.{own}".encode()
        wrapped = function.__dict__.get("__wrapped__", ABSENT)
        if not function.__closure__ and wrapped is ABSENT:
            return told
        return self.node(function, label, lambda: self._wrapper(function, told, wrapped, label))

    def _wrapper(self, function: FunctionType, told: bytes, wrapped: object, label: str) -> Iterable[Token]:
        """A function of a package that was made for one of the project, or with values of it."""
        yield told
        if wrapped is not ABSENT:
            yield b"wraps"
            self.watch.mapping(function.__dict__)
            self.values.validates(function, wrapped)
            yield self.token(wrapped, label)
        registry = function.__dict__.get("registry")
        if function.__globals__.get("__name__") == "functools" and registry is not None:
            self.watch.mapping(registry)
            found = [
                (
                    f"{cls.__module__}.{cls.__qualname__}" if not self.is_project(cls) else cls.__qualname__,
                    cls,
                )
                for cls in registry
            ]
            for name, cls in sorted(found, key=lambda one: one[0]):
                yield name.encode()
                yield self.token(cls, label)
                yield self.token(registry[cls], label)
            return
        for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
            content = content_of(cell)
            if content is not function:
                yield name.encode()
                self.values.validates(function, content)
                yield self.cell(cell, name, label)

    def _class(self, cls: type, label: str) -> Iterable[Token]:
        self.watch.mapping(vars(cls))
        yield b"class"
        yield cls.__qualname__.encode()
        metaclass = type(cls)
        if self.is_project(metaclass):
            yield self.token(metaclass, label)
        yield b"%d bases" % len(cls.__bases__)
        for base in cls.__bases__:
            yield self.token(base, label)
        if "docs" in self._modes:
            yield f"docs {cls.__doc__}".encode("utf-8", "surrogatepass")
        if "subclasses" in self._modes:
            found: list[type] = list(filter(self.is_project, type.__subclasses__(cls)))
            self.watch.call(lambda: len(type.__subclasses__(cls)), len(type.__subclasses__(cls)))
            for subclass in sorted(found, key=attrgetter("__qualname__")):
                yield self.token(subclass, label)
        for name, value in parts_of_class(cls):
            if self.is_ignored(f"{cls.__qualname__}.{name}"):
                continue
            yield name.encode()
            yield self.attribute(cls, name, value, f"{label}.{name}")

    def _namespace(self, namespace: dict[str, Any], label: str) -> Iterable[Token]:
        self.watch.mapping(namespace)
        is_notebook = "get_ipython" in namespace
        for name in sorted(namespace):
            if name.startswith("__") and name.endswith("__"):
                continue
            if is_notebook and (name.startswith("_") or name in ("In", "Out", "exit", "quit", "get_ipython")):
                continue
            if not self.is_ignored(name, f"{label}.{name}"):
                yield name.encode()
                yield self.names.bound(namespace, name, namespace[name], f"{label}.{name}")

    def _look_for_modes(self, names: frozenset[str]) -> None:
        if names & _READS_DOCS:
            self._modes.add("docs")
        if names & _READS_ANNOTATIONS:
            self._modes.add("annotations")
        if _READS_SUBCLASSES in names:
            self._modes.add("subclasses")

    def _found(self, head: list[Token]) -> Found:
        labels: list[str] = []
        seen: dict[str, int] = {}
        for node in self._nodes:
            seen[node.label] = seen.get(node.label, 0) + 1
            labels.append(node.label if seen[node.label] == 1 else f"{node.label}#{seen[node.label]}")
        whole = sha256(f"s3kv code {SCHEME}\n".encode())
        for tokens in (head, *(node.tokens for node in self._nodes)):
            _add(whole, tokens)
        parts = dict(self.parts)
        for label, node in zip(labels, self._nodes, strict=True):
            part = sha256()
            _add(
                part, [b"-> " + labels[one].encode() if isinstance(one, int) else one for one in node.tokens]
            )
            parts[label] = part.digest()
        return Found(whole.digest(), parts, self.watch, tuple(self._notes))


def _add(digest: Any, tokens: Sequence[Token]) -> None:
    parts: list[bytes] = [b"%d\n" % len(tokens)]
    for token in tokens:
        parts += (b"#%d\n" % token,) if isinstance(token, int) else (b"%d:" % len(token), token)
    digest.update(b"".join(parts))


def stem(name: str, namespace: dict[str, Any] | None = None) -> str:
    """Return what to call a module among the parts: the same for a script and for what imports it."""
    if name == "__main__" or name.startswith("__prefect_loader_"):
        if namespace is None:
            module: ModuleType | None = sys.modules.get(name)
            namespace = vars(module) if module is not None else {}
        file = namespace.get("__file__")
        return PurePath(file).stem if isinstance(file, str) else "main"
    return name.rpartition(".")[2]
