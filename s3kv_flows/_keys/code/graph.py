"""The graph that a walk builds: nodes for functions, classes and values.

Every function, class and value that is reached becomes a node with a running number, in the order of
discovery, and is referred to by that number. So cycles cost nothing, two closures of one function are told
apart by their uses, and no module name enters: a script and an import of the same file are one.
"""

from __future__ import annotations

import sys
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from types import CellType, FunctionType
from typing import Any, NamedTuple

from s3kv_flows._keys.code.changes.first_look import Met, digest_of_token
from s3kv_flows._keys.code.changes.first_seen import CONTENT, FirstSeen, Written
from s3kv_flows._keys.code.classes.parts import is_project_class
from s3kv_flows._keys.code.syntax.modules import NotLoaded
from s3kv_flows._keys.code.syntax.texts import (
    READS_ANNOTATIONS,
    READS_DOCS,
    READS_SCHEMAS,
    READS_SUBCLASSES,
    encoded,
)
from s3kv_flows._keys.code.watch import ABSENT, Content, Watch, content_of
from s3kv_flows._keys.colours import Node

__all__ = ["SCHEME", "CodeDigest", "Found", "Graph", "Place", "Rules", "Token"]

SCHEME = "1"
"""Another number gives all code another digest."""

Token = bytes | int
"""Stands for a value: bytes, or the number of a node."""

_FOR_READERS = frozenset({"__final__", "__override__"})
"""What decorators for type checkers leave with a function."""


@dataclass(frozen=True)
class Rules:
    """Settings of all walks of one identity.

    Attributes:
        content: Digests values by their content, and tells which code they hold.
        first_seen: Digests of names that the walked code writes.
        ignored_names: Global or qualified names that do not count.
        ignored_types: Classes whose code does not count.
        packages: Installed packages that count as the project.
        settings: Whether the settings that modules leave behind count.
    """

    content: Callable[[object], Content]
    first_seen: FirstSeen
    ignored_names: frozenset[str]
    ignored_types: Collection[type]
    packages: Collection[str]
    settings: bool = True


class Place(NamedTuple):
    """A name of a module's namespace, a function, a class, or a function's closure."""

    holder: Any
    name: str


class CodeDigest(NamedTuple):
    """The digest of a function with everything that it reaches.

    Attributes:
        digest: 32 bytes.
        parts: A digest of each function, class and value that it reaches, by name: ``helpers.scale``. A part
            is the same in each process, and changes with that thing alone: its own references have parts
            of their own.
        notes: Texts for users, as on values that count by their type alone.
    """

    digest: bytes
    parts: Mapping[str, bytes]
    notes: tuple[str, ...]


@dataclass(frozen=True)
class Found:
    """The result of a walk.

    Attributes:
        code: The digest.
        watch: Tells whether it still holds.
        not_loaded: Modules of which the text counts, as they were not loaded.
    """

    code: CodeDigest
    watch: Watch
    not_loaded: frozenset[NotLoaded] = frozenset()


@dataclass
class _Node:
    subject: object  # kept alive, so that its id stays its own
    label: str
    tokens: list[Token] = field(default_factory=list)
    unordered: bool = False


class Graph(ABC):
    """Numbers nodes, and keeps which names the walked code writes. One object per walk.

    Args:
        rules: Settings of all walks of one identity.
        is_first_look: Whether what written names are bound to is visited where it was not seen before.
    """

    def __init__(self, rules: Rules, *, is_first_look: bool = False) -> None:
        self.rules = rules
        self.is_first_look = is_first_look
        self.root: object = None
        self.visited = ""
        self.modes: set[str] = set()
        self.names_of_texts: set[str] = set()
        self._asks_for_schemas = self._has_models = False
        self._validated: set[int] = set()
        self._written: set[tuple[int, str]] = set()
        self._rebound: set[tuple[int, str]] = set()
        self._written_names: dict[int, set[str]] = {}
        self._holders: list[object] = []
        self.restart()

    def restart(self) -> None:
        """Forget all nodes; what is known of written names stays."""
        self.watch = Watch()
        self.queue: deque[tuple[_Node, Callable[[], Iterable[Token]]]] = deque()
        self.parts: dict[str, bytes] = {}
        self.texts: dict[str, Token] = {}  # of modules that functions import when they run
        self.not_loaded: set[NotLoaded] = set()
        self.is_stale = False
        self._asked: set[tuple[int, str]] = set()
        self._asked_for_names: set[int] = set()
        self.met: list[Met] = []
        self._met: set[int] = set()
        self._nodes: list[_Node] = []
        self._numbers: dict[int, int] = {}
        self._leaves: dict[tuple[bytes, str], int] = {}
        self._notes: dict[str, None] = {}
        self._places: dict[str, tuple[Any, str]] = {}
        self._more_places: dict[str, dict[tuple[int, str], Place]] = {}  # of a name of two modules
        self._entered: dict[int, tuple[dict[str, Any], str]] = {}

    @abstractmethod
    def token(self, value: object, label: str) -> Token:
        """Return the token of any value; its references are visited later.

        Args:
            value: Anything.
            label: Its name among the parts, where it has no name of its own.
        """

    @abstractmethod
    def function(self, function: FunctionType) -> Token:
        """Return the token of a function."""

    @abstractmethod
    def cls(self, cls: type) -> Token:
        """Return the token of a class."""

    @abstractmethod
    def namespace(self, namespace: dict[str, Any], name: str) -> Token:
        """Return the token of everything in a module."""

    @abstractmethod
    def making(self, value: object, label: str) -> Sequence[Token]:
        """Return the tokens of the statements that made a value which shows nothing of itself.

        Args:
            value: Which one.
            label: Under which the value was reached.
        """

    @abstractmethod
    def ordered(self, members: Iterable[object]) -> list[object]:
        """Return the members of a set by what each is: a set has another order in each process."""

    @abstractmethod
    def first_digest(self, written: Written, value: object) -> bytes:
        """Return the digest of what a written name is bound to, which was not seen before."""

    def number(self, subject: object) -> int | None:
        """Return the number of a node, None for an unknown value."""
        return self._numbers.get(id(subject))

    def node(
        self, subject: object, label: str, visit: Callable[[], Iterable[Token]], *, unordered: bool = False
    ) -> Token:
        """Return the number of a new node.

        Args:
            subject: The value.
            label: Its name among the parts.
            visit: Called later for the tokens of the node.
            unordered: Whether the order of these tokens says nothing.
        """
        number = len(self._nodes)
        node = _Node(subject, label, unordered=unordered)
        self._nodes.append(node)
        self._numbers[id(subject)] = number
        self.queue.append((node, visit))
        return number

    def attribute(self, holder: object, name: str, value: object, label: str) -> Token:
        """Return the token of the value of an object's name, which the walked code may write."""
        if (name != CONTENT and issubclass(type(holder), (dict, FunctionType))) or issubclass(
            type(holder), type
        ):
            self.place(holder, name, label)
        if not self.is_written(holder, name):
            token = self.token(value, label)
            return token if isinstance(token, int) else self._leaf(token, label)
        bound = None if self.is_rebound(holder, name) or name == CONTENT else value
        written = Written(holder, name, bound)
        seen = self.rules.first_seen.get(written)
        if seen is None and self.is_first_look:
            return self._look(written, value, label)
        return self._leaf(b"first " + (seen or self.first_digest(written, value)), label)

    def _look(self, written: Written, value: object, label: str) -> Token:
        self._met.add(id(value))
        token = self.token(value, label)
        if isinstance(token, bytes):
            seen = self.rules.first_seen.keep(written, digest_of_token(token))
            return self._leaf(b"first " + seen, label)
        self.met.append(Met(written, value, token))
        return token

    def cell(self, cell: CellType, name: str, label: str) -> Token:
        """Return the token of the content of a closure's cell."""
        content = content_of(cell)
        if not self.is_written(cell, name):
            self.watch.cell(cell, content)
        return b"empty" if content is ABSENT else self.attribute(cell, name, content, label)

    def place(self, holder: object, name: str, label: str) -> None:
        """Record where the values under a label come from: which name of a module, a function, a class."""
        known = self._places.setdefault(label, (holder, name))
        if known[0] is not holder or known[1] != name:
            self._more_places.setdefault(label, {})[id(holder), name] = Place(holder, name)

    def places(self, label: str) -> Collection[Place]:
        """Return where the values under a label come from."""
        while label and label not in self._places:
            label = label.rpartition(".")[0]
        first = [Place(*self._places[label])] if label else []
        return [*first, *self._more_places.get(label, {}).values()]

    def enter(self, namespace: dict[str, Any], label: str) -> None:
        """Record that a function or a class of a module is reached."""
        self._entered.setdefault(id(namespace), (namespace, label.partition(".")[0]))

    def entered(self) -> Sequence[tuple[dict[str, Any], str]]:
        """Return the namespaces of modules that functions and classes were reached of, and the names."""
        return list(self._entered.values())

    def content(self, value: object, label: str, *, is_watched: bool = True) -> list[Token]:
        """Return the tokens of a value by its content, and of the code that it holds.

        Raises:
            Unkeyable: It has none.
        """
        content = self.rules.content(value)
        if is_watched:
            self.watch.value(value, content)
        return [b"value " + content.digest, *(self.token(one, label) for one in content.code)]

    def mark_written(self, holder: object, name: str, *, rebound: bool) -> None:
        """Record that the walked code mutates the value of an object's name, or rebinds the name."""
        at = (id(holder), name)
        if at in self._asked and (at not in self._written or (rebound and at not in self._rebound)):
            self.is_stale = True
        self._written.add(at)
        self._holders.append(holder)  # or another one could have its id
        if name not in self._written_names.setdefault(id(holder), set()):
            self._written_names[id(holder)].add(name)
            self.is_stale |= id(holder) in self._asked_for_names
        if rebound:
            self._rebound.add(at)

    def is_written(self, holder: object, name: str) -> bool:
        """Return whether the walked code mutates the value of an object's name, or rebinds the name."""
        self._asked.add((id(holder), name))
        return (id(holder), name) in self._written

    def written_names(self, holder: object) -> Collection[str]:
        """Return the names of an object that the walked code writes: also those that it has not as yet."""
        self._asked_for_names.add(id(holder))
        return self._written_names.get(id(holder), ())

    def names(self, holder: object, present: Iterable[str]) -> list[str]:
        """Return the sorted names of an object that count, as if all that are ever bound were."""
        bound = {name for name in self.written_names(holder) if self.is_rebound(holder, name)}
        return sorted({*present, *bound} - _FOR_READERS, key=str)

    def is_changed(self, value: object) -> bool:
        """Return whether the walked code changes what is in a value, which then counts as first seen.

        Not so the root of the walk, which may be that first look.
        """
        return self.is_written(value, CONTENT) and value is not self.root and id(value) not in self._met

    def is_rebound(self, holder: object, name: str) -> bool:
        """Return whether the walked code rebinds an object's name."""
        return (id(holder), name) in self._rebound

    def mark_validated(self, wrapper: FunctionType, wrapped: object) -> None:
        """Record that a package's wrapper may validate arguments by a function's annotations."""
        top = str(wrapper.__globals__.get("__name__")).partition(".")[0]
        if isinstance(wrapped, FunctionType) and top not in sys.stdlib_module_names:
            self._validated.add(id(wrapped))

    def is_validated(self, function: FunctionType) -> bool:
        """Return whether a function's annotations may make a difference."""
        return id(function) in self._validated

    def mark_modes(self, names: frozenset[str]) -> None:
        """Record whether the walked code reads docstrings, annotations or subclasses."""
        if names & READS_DOCS:
            self.modes.add("docs")
        if names & READS_SCHEMAS:
            self._mark_schemas(asked=True)
        if names & READS_ANNOTATIONS:
            self.modes.add("annotations")
        if names & READS_SUBCLASSES:
            self.modes.add("subclasses")

    def mark_model(self) -> None:
        """Record that the walked code reaches a class of which there may be a schema, with its docstring."""
        self._mark_schemas(found=True)

    def _mark_schemas(self, *, asked: bool = False, found: bool = False) -> None:
        self._asks_for_schemas |= asked
        self._has_models |= found
        if self._asks_for_schemas and self._has_models:
            self.modes.add("docs")

    @property
    def reads_documentation(self) -> bool:
        """Whether the walked code reads docstrings or annotations."""
        return not self.modes.isdisjoint(("docs", "annotations"))

    def note(self, text: str) -> None:
        """Keep a text for the user, once."""
        self._notes[text] = None

    def is_ignored(self, *names: str) -> bool:
        """Return whether any of these names of a thing is ignored."""
        return not self.rules.ignored_names.isdisjoint(names)

    def is_project(self, cls: type) -> bool:
        """Return whether a class is the project's."""
        return is_project_class(cls, self.rules.packages)

    def knowledge(self) -> tuple[int, int]:
        """Return a value that changes where a new walk would find other tokens."""
        return len(self._validated), len(self.modes)

    def found(self, head: list[Token]) -> Found:
        """Return the digest of all nodes, and of each one by its name."""
        labels: list[str] = []
        seen: dict[str, int] = {}
        for node in self._nodes:
            count = seen[node.label] = seen.get(node.label, 0) + 1
            labels.append(node.label if count == 1 else f"{node.label}#{count}")
        whole = sha256(encoded(f"s3kv code {SCHEME}\n"))
        for tokens in (head, *(node.tokens for node in self._nodes)):
            _add(whole, tokens)
        parts = dict(self.parts)
        for label, node in zip(labels, self._nodes, strict=True):
            part = sha256()
            _add(
                part, [b"-> " + encoded(labels[one]) if isinstance(one, int) else one for one in node.tokens]
            )
            parts[label] = part.digest()
        code = CodeDigest(whole.digest(), parts, tuple(self._notes))
        return Found(code, self.watch, frozenset(self.not_loaded))

    def coloured(self) -> list[Node]:
        """Return the nodes, not coloured as yet."""
        return [Node(b"code", node.unordered, node.tokens) for node in self._nodes]

    @property
    def subjects(self) -> Sequence[object]:
        """What the nodes are of."""
        return [node.subject for node in self._nodes]

    def learn(self, other: Graph) -> None:
        """Take over what another walk knows of written names, and of what matters to the walked code."""
        self.root = other.root
        self.modes |= other.modes
        self._validated |= other._validated
        self._written |= other._written
        self._rebound |= other._rebound
        self._holders += other._holders
        for at, names in other._written_names.items():
            self._written_names.setdefault(at, set()).update(names)

    def _leaf(self, token: bytes, label: str) -> Token:
        number = self._leaves.get((token, label))
        if number is None:
            number = self._leaves[token, label] = len(self._nodes)
            self._nodes.append(_Node(None, label, [token]))
        return number


def _add(digest: Any, tokens: Sequence[Token]) -> None:
    parts: list[bytes] = [b"%d\n" % len(tokens)]
    for token in tokens:
        parts += (b"#%d\n" % token,) if isinstance(token, int) else (b"%d:" % len(token), token)
    digest.update(b"".join(parts))
