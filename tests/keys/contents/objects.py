"""Classes and functions for values of the tests."""

from __future__ import annotations

import enum
import functools
import sqlite3
import threading
from collections import namedtuple
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from pydantic import BaseModel, ConfigDict, PrivateAttr, SecretStr

from s3kv_flows._keys.contents.encoder import ContentEncoder
from s3kv_flows._keys.identity import Identity


def encoder() -> ContentEncoder:
    return Identity().contents


class Color(enum.Enum):
    RED = 1
    BLUE = 2


class Shade(enum.Enum):
    RED = 1


class Number(enum.IntEnum):
    ONE = 1


class Access(enum.Flag):
    READ = 1
    WRITE = 2


@dataclass
class Point:
    x: Any
    y: Any = 0


@dataclass
class Place:
    x: Any
    y: Any = 0


@dataclass(frozen=True)
class Frozen:
    x: Any
    hidden: Any = field(default=None, repr=False, compare=False)


@dataclass
class Slotted:
    __slots__ = ("_Slotted__own", "x")
    x: Any

    def own(self, value: Any) -> Slotted:
        self._Slotted__own = value
        return self


class Dynamic:
    def __init__(self, **attributes: Any) -> None:
        self.__dict__.update(attributes)


class Equal:
    """Says that it is equal to everything; to be asked is a mistake."""

    def __init__(self, value: Any) -> None:
        self.value = value

    def __eq__(self, other: object) -> bool:
        raise AssertionError("asked whether it is equal")

    def __hash__(self) -> int:
        raise AssertionError("asked for its hash")


class Lazy:
    def __init__(self, base: int) -> None:
        self.base = base

    @functools.cached_property
    def square(self) -> int:
        return self.base**2


class Forgetful:
    """Pickled without its cache."""

    def __init__(self, value: Any, cache: Any = None) -> None:
        self.value = value
        self.cache = cache

    def __getstate__(self) -> dict[str, Any]:
        return {"value": self.value}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(**state)  # type: ignore[misc]


class Unpicklable:
    def __reduce__(self) -> tuple[Any, ...]:
        raise RuntimeError("not me")


class Words(str):
    __slots__ = ("note",)


class Names(list[Any]):
    note: Any = None


class Table(dict[Any, Any]):
    note: Any = None


class Group(set[Any]):
    note: Any = None


class Liar(dict[Any, Any]):
    """Says that something else is in it, to pickle as well."""

    def items(self) -> Any:
        return [(1, 2)]


class Marked(set[Any]):
    __slots__ = ("note",)


class Sentinel:
    """Pickled by its name; the task that gets it can look into it."""

    def __init__(self, value: Any) -> None:
        self.value = value

    def __reduce__(self) -> str:
        return "SENTINEL"


class Count(int):
    note: Any = None


class Node:
    def __init__(self, name: str, parent: Node | None = None) -> None:
        self.name = name
        self.parent = parent
        self.children: list[Node] = []
        if parent is not None:
            parent.children.append(self)


class Member:
    """Of a team, whose members are a set."""

    def __init__(self, name: str, team: set[Member]) -> None:
        self.name = name
        self.team = team
        team.add(self)


class Pair(NamedTuple):
    a: Any
    b: Any


Other = namedtuple("Other", ["a", "b"])  # noqa: PYI024  # the kind of the standard library


class Model(BaseModel):
    model_config = ConfigDict(extra="allow", arbitrary_types_allowed=True)
    a: Any = 1
    _hidden: Any = PrivateAttr(default=None)

    def with_hidden(self, value: Any) -> Model:
        self._hidden = value
        return self


class Account(BaseModel):
    user: str
    password: SecretStr


class Reader:
    """Holds an iterator among other things."""

    def __init__(self, source: Any) -> None:
        self.source = source


class Countdown:
    """An iterator of a user."""

    def __init__(self, start: int) -> None:
        self.left = start

    def __iter__(self) -> Countdown:
        return self

    def __next__(self) -> int:
        if not self.left:
            raise StopIteration
        self.left -= 1
        return self.left


def scaler(factor: Any) -> Callable[[Any], Any]:
    def scale(value: Any) -> Any:
        return value * factor

    return scale


def double(value: Any) -> Any:
    return value * 2


def triple(value: Any) -> Any:
    return value * 3


def raised(message: str, cause: BaseException | None = None) -> Exception:
    error = ValueError(message)
    error.__cause__ = cause
    return error


def database() -> sqlite3.Connection:
    return sqlite3.connect(":memory:")


def lock_holder() -> Reader:
    return Reader({"lock": threading.Lock()})


def family() -> Node:
    root = Node("root")
    for name in ("a", "b"):
        child = Node(name, root)
        Node("leaf", child)
    return root


def team(*names: str) -> Member:
    members: set[Member] = set()
    first, *_ = [Member(name, members) for name in names]
    return first


def shared(depth: int) -> list[Any]:
    """Return a list of lists that shares its parts: 2**depth of them when unrolled."""
    value: list[Any] = []
    for _ in range(depth):
        value = [value, value]
    return value


def copied(depth: int) -> list[Any]:
    return [copied(depth - 1), copied(depth - 1)] if depth else []


def with_note(note: Any) -> Names:
    value = Names()
    value.note = note
    return value


def own_parent(value: Any) -> list[Any]:
    found = [value]
    found.insert(0, found)
    return found
