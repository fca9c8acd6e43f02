"""What other threads do while a digest is made, at each of its lines."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from itertools import count
from types import FrameType
from typing import Any

import pytest

from s3kv_flows._keys.errors import UnsteadyError, steady
from s3kv_flows._keys.identity import Identity

Load = Callable[[str], Any]


def meanwhile(work: Callable[[], object], rooms: tuple[str, ...], change: Callable[[int], object]) -> int:
    """Call a function; hand the number of each line that runs in some files on, and return how many ran."""
    numbers = count()

    def look(frame: FrameType, event: str, _: object) -> Any:
        if not frame.f_code.co_filename.replace("\\", "/").endswith(rooms):
            return None
        if event == "line":
            change(next(numbers))
        return look

    kept = sys.gettrace()
    sys.settrace(look)
    try:
        work()
    finally:
        sys.settrace(kept)
    return next(numbers)


CLASSES = """
import argparse
class Base: __slots__ = ("a", "__dict__")
class Scaler(Base):
    def __init__(self, factor): self.factor = factor
N = argparse.Namespace(s=Scaler(2), k=[Scaler(3)])
def t(): return N, Scaler
"""


@pytest.mark.parametrize("turn", [0, 1, 2])
def test_pickle_may_write_into_classes_at_any_moment(project: Load, turn: int) -> None:
    m, other = project(CLASSES), project(CLASSES)
    expected = Identity().code(other.t).digest
    identity = Identity()
    found: list[bytes] = []

    def toggle(number: int) -> None:
        for at, cls in enumerate((m.Scaler, m.Base)):
            if "__slotnames__" in vars(cls):
                del cls.__slotnames__
            elif (number + at) % 3 != turn:
                cls.__slotnames__ = ["a"]

    files = ("_keys/code/classes/parts.py", "_keys/code/walk.py", "_keys/code/watch.py", "parts/objects.py")
    lines = meanwhile(lambda: found.append(identity.code(m.t).digest), files, toggle)
    assert lines > 100
    assert found == [expected] == [identity.code(m.t).digest]


@pytest.mark.parametrize(
    ("text", "change", "back"),
    [
        ("class A: k = 1\nN = A()\nN.k = 1\ndef t(): return N", "m.N.k = 2", "m.N.k = 1"),
        ("N = [1, 2]\ndef t(): return N", "m.N[0] = 2", "m.N[0] = 1"),
        ("N = {1: len, 2: [3]}\ndef t(): return N", "m.N[2][0] = 2", "m.N[2][0] = 3"),
        ("class A: k = 1\ndef t(): return A", "m.A.k = 2", "m.A.k = 1"),
        ("class A(list): pass\nN = A([1])\ndef t(): return N", "m.N[0] = 2", "m.N[0] = 1"),
        ("def t(x=1): return x", "m.t.__defaults__ = (2,)", "m.t.__defaults__ = (1,)"),
        (
            "import argparse\nN = argparse.Namespace(k=1, f=len)\ndef t(): return N",
            "m.N.k = 2",
            "m.N.k = 1",
        ),
    ],
)
def test_a_change_while_a_digest_is_made_shows_the_next_time(
    project: Load, text: str, change: str, back: str
) -> None:
    m = project(text)
    files = tuple(f"_keys/code/{one}.py" for one in ("walk", "values", "containers", "instances", "watch"))
    lines = meanwhile(lambda: Identity().code(m.t), files, lambda _: None)
    before = Identity().code(m.t).digest
    exec(change, {"m": m})  # noqa: S102
    after = Identity().code(m.t).digest
    assert after != before
    for moment in range(lines):
        exec(back, {"m": m})  # noqa: S102
        identity = Identity()

        def at_the_moment(number: int, moment: int = moment) -> None:
            if number == moment:
                exec(change, {"m": m})  # noqa: S102

        meanwhile(lambda identity=identity: identity.code(m.t), files, at_the_moment)  # type: ignore[misc]
        assert identity.code(m.t).digest == after, moment


def test_a_value_that_loses_its_content_counts_by_its_type(project: Load) -> None:
    m = project("import argparse, threading\nN = argparse.Namespace()\ndef t(): return N")
    identity = Identity()
    before = identity.code(m.t).digest
    m.N.lock = m.threading.Lock()
    assert identity.code(m.t).digest not in (before, b"")
    del m.N.lock
    assert identity.code(m.t).digest == before


def test_a_value_that_changes_while_it_is_digested_is_looked_at_again() -> None:
    class Busy:
        changes = 3

        def __reduce__(self) -> Any:
            self.changes -= 1
            if self.changes >= 0:
                raise RuntimeError("dictionary changed size during iteration")
            return Busy, ()

    def fail() -> None:
        raise RuntimeError("Set changed size during iteration")

    identity = Identity(ignore=[Busy])
    found = identity.inputs({"a": Busy()})
    busy = Busy()
    busy.changes = 0
    assert identity.inputs({"a": busy}) == found
    with pytest.raises(UnsteadyError, match="all the time"):
        steady(fail)


def test_a_module_that_another_thread_is_importing_counts_as_a_loaded_one(project: Load) -> None:
    text = "def t():\n    import loading\n    return loading.N\n--- loading.py\nN = 1\n"
    m = project(text)
    before = Identity().code(m.t).digest
    m.t()
    loading = sys.modules["loading"]
    spec: Any = loading.__spec__
    spec._initializing = True
    del loading.N
    identity = Identity()
    assert identity.code(m.t).digest == before
    spec._initializing = False
    loading.N = 2  # type: ignore[attr-defined]
    assert identity.code(m.t).digest != before


def at_each_line(
    project: Load, files: tuple[str, ...], text: str, name: str, other: str
) -> Iterator[tuple[bytes, bytes]]:
    """Yield two digests; the second was made while the first was, at another of its lines each time."""
    moment = 0
    while True:
        m = project(f"# {moment}\n{text}")  # a text of its own: nothing of it is known as yet
        inner: list[bytes] = []

        def ask(number: int, moment: int = moment, m: Any = m, inner: list[bytes] = inner) -> None:
            if number == moment:
                inner.append(Identity().code(getattr(m, other)).digest)

        outer: list[bytes] = []
        meanwhile(lambda m=m, outer=outer: outer.append(Identity().code(getattr(m, name)).digest), files, ask)  # type: ignore[misc]
        if not inner:
            return
        yield outer[0], inner[0]
        moment += 1


def test_two_threads_that_look_for_what_made_a_value_find_the_same(project: Load) -> None:
    text = (
        "import threading\nRATE = 2\ndef make():\n    lock = threading.Lock()\n"
        "    def t(): return lock, RATE\n    return t\nt = make()\n"
    )
    expected = Identity().code(project(text).t).digest
    found = list(at_each_line(project, ("syntax/statements/tree.py",), text, "t", "t"))
    assert set(found) == {(expected, expected)}


def test_two_threads_that_look_for_settings_ask_what_can_be_set_each_for_its_own(project: Load) -> None:
    text = (
        "import behind\nbehind.M = 2\ndef t(): return 1\n"
        "def u():\n    import behind\n    return behind.N\n--- behind.py\nN = 1\n"
    )
    m = project(text)
    expected = Identity().code(m.t).digest, Identity().code(m.u).digest
    found = list(at_each_line(project, ("syntax/statements/calls.py",), text, "t", "u"))
    assert len(found) > 10
    assert set(found) == {expected}
