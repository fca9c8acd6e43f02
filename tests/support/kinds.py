"""A script with a class of each kind, which tests run in many ways: as ``__main__``, imported, loaded.

Each argument is the name of a cached result, in the store that ``LAKE`` names. The script prints which of its
values are not what they should be, and whether it computed them.
"""

from __future__ import annotations

import abc
import enum
import json
import os
import sys
from collections import namedtuple
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Generic, NamedTuple, TypeVar

import attrs
from pydantic import BaseModel

T = TypeVar("T")


class Color(enum.Enum):
    RED = 1
    BLUE = "b"

    def other(self) -> Color:
        return Color.BLUE if self is Color.RED else Color.RED


class Level(enum.IntEnum):
    LOW = 1
    HIGH = 2


class Right(enum.Flag):
    READ = enum.auto()
    WRITE = enum.auto()


class Bit(enum.IntFlag):
    A = 1
    B = 2


class Text(str, enum.Enum):
    X = "x"


@dataclass
class Point:
    x: int
    tags: list[str] = field(default_factory=list)

    def twin(self) -> Point:
        return Point(self.x)


@dataclass(frozen=True, order=True)
class Frozen:
    x: int


@dataclass(frozen=True, slots=True)
class FrozenSlots:
    x: int


class Pair(NamedTuple):
    a: int
    b: str = "b"


Row = namedtuple("Row", "a b")  # noqa: PYI024 -- one of the kinds


class MyError(Exception):
    def __init__(self, code: int, detail: str = "") -> None:
        super().__init__(code, detail)
        self.code = code


class DeeperError(MyError):
    pass


class Model(BaseModel):
    number: int
    inner: Model | None = None


class Colored(Model):
    color: Color = Color.RED


@attrs.define
class Attributes:
    x: int = 0


class Box(Generic[T]):
    def __init__(self, content: T) -> None:
        self.content = content


class IntBox(Box[int]):
    pass


class Page(BaseModel, Generic[T]):
    items: list[T]


class Meta(type):
    pass


class WithMeta(metaclass=Meta):
    pass


class Base(abc.ABC):
    @abc.abstractmethod
    def name(self) -> str: ...


class Derived(Base):
    def __init__(self) -> None:
        super().__init__()

    def name(self) -> str:
        return "derived"


class Outer:
    class Inner:
        class Core(enum.Enum):
            A = 1

    @dataclass
    class Data:
        x: int


class Node:
    def __init__(self) -> None:
        self.kind: type = Node
        self.me = self
        self.peer = Peer


class Peer:
    node = Node

    @lru_cache  # noqa: B019 -- one of the kinds
    def made(self) -> Node:
        return Node()


class Slots:
    __slots__ = ("__weakref__", "a")

    def __init__(self) -> None:
        self.a = 3


class Items(list[int]):
    pass


class Number(int):
    pass


if "a condition":

    class Conditional:
        pass


def values() -> dict[str, Any]:
    return {
        "enum": Color.RED,
        "enums": list(Color),
        "int enum": Level.HIGH,
        "flag": Right.READ,
        "flags": Right.READ | Right.WRITE,
        "int flags": Bit.A | Bit.B,
        "str enum": Text.X,
        "dataclass": Point(1),
        "frozen": Frozen(1),
        "frozen slots": FrozenSlots(1),
        "NamedTuple": Pair(1),
        "namedtuple": Row(1, 2),
        "error": MyError(3),
        "deeper error": DeeperError(3),
        "model": Model(number=1, inner=Model(number=2)),
        "derived model": Colored(number=1),
        "attrs": Attributes(1),
        "generic": Box(1),
        "derived generic": IntBox(1),
        "alias": Box[int],
        "generic model": Page[int](items=[1]),
        "metaclass": WithMeta(),
        "abstract": Derived(),
        "nested enum": Outer.Inner.Core.A,
        "nested dataclass": Outer.Data(1),
        "nested class": Outer.Inner(),
        "node": Node(),
        "peer": Peer(),
        "slots": Slots(),
        "list": Items([1]),
        "int": Number(3),
        "conditional": Conditional(),
        "class": Color,
        "keys": {Color.RED: 1, Frozen(2): 2},
        "set": {Color.RED, Level.LOW},
    }


EQUAL = (int, str, list, dict, set, tuple, BaseModel, Point, Frozen, FrozenSlots, Attributes, Outer.Data)
"""Instances of these are equal to others."""


def wrong(found: dict[str, Any]) -> list[str]:
    """Return the names of the values that are not what :func:`values` returns here."""
    bad = []
    for name, value in values().items():
        back = found[name]
        right = type(back) is type(value)
        if isinstance(value, (enum.Enum, type)):
            right = right and back is value
        elif isinstance(value, EQUAL):
            right = right and back == value
        if not right:
            bad.append(name)
    return bad + [name for name, check in CHECKS.items() if not check(found)]


def is_caught(found: dict[str, Any]) -> bool:
    try:
        raise found["deeper error"]  # noqa: TRY301 -- to see whether it is caught
    except MyError as error:
        return error.code == 3
    except Exception:  # noqa: BLE001 -- of another class of this name
        return False


def matches(found: dict[str, Any]) -> bool:
    match found["dataclass"], found["enum"]:
        case Point(x=1), Color.RED:
            return True
    return False


CHECKS: dict[str, Callable[[dict[str, Any]], bool]] = {
    "except": is_caught,
    "match": matches,
    "isinstance": lambda found: isinstance(found["abstract"], Base) and isinstance(found["error"], MyError),
    "methods": lambda found: found["enum"].other() is Color.BLUE and found["dataclass"].twin() == Point(1),
    "itself": lambda found: found["node"].me is found["node"] and found["node"].peer is Peer,
}


def cached(name: str) -> list[str]:
    """Return what of the values is wrong that a task has under this name, and whether it computed them."""
    from prefect import task

    from s3kv_flows import caching

    computed = []

    @task(**caching(os.environ["LAKE"], key=name))
    def kinds() -> dict[str, Any]:
        computed.append("computed")
        return values()

    bad = wrong(kinds())
    return [*computed, *bad]


def show(names: list[str]) -> None:
    print(json.dumps({name: cached(name) for name in names}))  # noqa: T201


if __name__ == "__main__":
    show(sys.argv[1:])
