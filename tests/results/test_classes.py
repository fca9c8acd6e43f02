"""Results that hold classes of scripts, read by another process: here, by modules that are made anew."""

from __future__ import annotations

import dataclasses
import sys
import weakref
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import cloudpickle
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from cloudpickle import cloudpickle as cloudpickle_module
from hypothesis import given
from hypothesis import strategies as st
from prefect.utilities.importtools import load_script_as_module
from pydantic import BaseModel

from s3kv_flows._results.classes import origins
from s3kv_flows._results.classes.pickler import ClassPickler
from s3kv_flows._results.codec import RESULT_CODEC
from s3kv_flows.store._values import pickling
from s3kv_flows.store._values.codecs import CloudpickleCodec
from s3kv_flows.store.errors import CorruptValueError, EncodingError
from tests.support import kinds

Runs = Callable[..., Any]

LOADER = "__prefect_loader_0123456789abcdef__"


@pytest.fixture
def runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Runs:
    """Run the text of a script in a module, as another process would, which knows no other class of it."""

    def run(text: str, name: str = "__main__", file: str | None = "pipeline.py") -> Any:
        for known in ("__main__", "pipeline", "pkg.pipeline", "__mp_main__", LOADER):
            if known in sys.modules:
                monkeypatch.delitem(sys.modules, known)
        monkeypatch.setattr(cloudpickle_module, "_DYNAMIC_CLASS_TRACKER_BY_ID", weakref.WeakValueDictionary())
        monkeypatch.setattr(
            cloudpickle_module, "_DYNAMIC_CLASS_TRACKER_BY_CLASS", weakref.WeakKeyDictionary()
        )
        module = ModuleType(name)
        path = "<string>"
        if file is not None:
            path = str(tmp_path / file)
            Path(path).write_text(text)
            module.__file__ = path
        monkeypatch.setitem(sys.modules, name, module)
        if name != "__main__":
            other = ModuleType("__main__")
            monkeypatch.setitem(sys.modules, "__main__", module if name == "__mp_main__" else other)
        exec(compile(text, path, "exec", dont_inherit=True), vars(module))  # noqa: S102
        return module

    return run


def encode(value: Any) -> bytearray:
    return bytearray(bytes(RESULT_CODEC.encode(value)))


def decode(body: bytearray) -> Any:
    return RESULT_CODEC.decode(body)


KINDS = Path(kinds.__file__).read_text().partition("if __name__")[0]

COLORS = """
import enum
class Color(enum.Enum):
    RED = 1
class Other:
    pass
"""


@pytest.mark.parametrize("reader", ["__main__", "pipeline", "pkg.pipeline", LOADER, "__mp_main__"])
@pytest.mark.parametrize("writer", ["__main__", LOADER, "__mp_main__"])
def test_each_kind_of_class_is_that_of_the_process_that_reads(runs: Runs, writer: str, reader: str) -> None:
    body = encode(runs(KINDS, writer).values())
    again = runs(KINDS, reader)
    assert again.wrong(decode(body)) == []


@pytest.mark.parametrize("reader", ["__main__", LOADER])
def test_an_imported_class_is_that_of_the_process_that_runs_its_file(
    runs: Runs, reader: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    body = encode(runs(KINDS, "pipeline").values())
    again = runs(KINDS, reader)
    if reader == "__main__":
        monkeypatch.syspath_prepend(tmp_path)
    assert again.wrong(decode(body)) == []
    assert "pipeline" not in sys.modules


def test_a_file_that_prefect_loaded_has_its_own_classes(
    runs: Runs, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    body = encode(runs(COLORS).Color.RED)
    monkeypatch.delitem(sys.modules, "__main__")
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.setitem(sys.modules, "pipeline", ModuleType("pipeline"))
    loaded = load_script_as_module(str(tmp_path / "pipeline.py"))
    assert loaded.__name__.startswith("__prefect_loader_")
    try:
        assert decode(body) is loaded.Color.RED
    finally:
        del sys.modules[loaded.__name__]


def test_a_notebook_finds_its_classes_again(runs: Runs) -> None:
    body = encode(runs(COLORS, file=None).Color.RED)
    again = runs(COLORS, file=None)
    assert decode(body) is again.Color.RED


@pytest.mark.parametrize("file", ["other.py", None])
def test_another_script_gets_copies(runs: Runs, file: str | None) -> None:
    body = encode(runs(COLORS).Color.RED)
    other = runs(COLORS, file=file)
    back = decode(body)
    assert type(back) is not other.Color
    assert (type(back).__name__, back.value) == ("Color", 1)


def test_a_class_of_another_code_is_another_class(runs: Runs) -> None:
    first = runs(COLORS)
    body = encode([first.Color.RED, first.Other()])
    edited = runs(COLORS.replace("RED = 1", "RED = 2"))
    color, other = decode(body)
    assert type(color) is not edited.Color
    assert color.value == 1
    assert type(other) is edited.Other


def test_what_does_not_change_the_meaning_of_a_class_does_not_change_the_class(runs: Runs) -> None:
    body = encode(runs(COLORS).Color.RED)
    same = runs(COLORS.replace("RED = 1", 'RED = 1  # of roses\n    """Doc."""'))
    assert decode(body) is same.Color.RED


FAMILY = """
class Base:
    def name(self):
        return "base"
class Child(Base):
    def __init__(self):
        super().__init__()
        self.kind = Child
    def name(self):
        return "child of " + super().name()
    def peer(self):
        return Peer()
class Peer:
    def child(self):
        return Child()
"""


def test_copies_of_one_result_are_of_one_class(runs: Runs) -> None:
    first = runs(FAMILY)
    body = encode([first.Child(), first.Peer(), first.Child, first.Child(), first.Base()])
    edited = runs(FAMILY.replace("base", "root"))
    child, peer, cls, another, base = decode(body)
    assert type(child) is type(another) is cls is child.kind is type(peer.child())
    assert type(child.peer()) is type(peer) is not edited.Peer
    assert cls.__mro__[1] is type(base) is not edited.Base
    assert child.name() == "child of base"


def test_a_copy_is_a_child_of_the_class_that_was_found(runs: Runs) -> None:
    first = runs(FAMILY)
    body = encode([first.Child(), first.Base()])
    edited = runs(FAMILY.replace("child of", "heir of"))
    child, base = decode(body)
    assert type(base) is edited.Base
    assert isinstance(child, edited.Base)
    assert type(child) is not edited.Child
    assert child.name() == "child of base"
    assert edited.Child().name() == "heir of base"


def test_a_copy_that_only_copies_reach_is_replaced_by_the_class_that_was_found(runs: Runs) -> None:
    body = encode(runs(FAMILY).Peer())
    edited = runs(FAMILY.replace("return Child()", "return Child() or 1"))
    child = decode(body).child()
    assert type(child) is not edited.Child  # it reaches what was edited
    assert isinstance(child, edited.Base)


BOMB = """
class Bomb:
    def __reduce__(self):
        import sys
        return sys.intern, (5,)
class Armed:
    bomb = Bomb()
    def __init__(self):
        self.x = 1
"""


def test_copies_are_not_unpickled_where_the_classes_are_found(runs: Runs) -> None:
    body = encode(runs(BOMB).Armed())
    again = runs(BOMB)
    assert type(decode(body)) is again.Armed
    runs(BOMB.replace("self.x = 1", "self.x = 2"))
    with pytest.raises(CorruptValueError, match="intern"):
        decode(body)


def test_what_was_written_without_origins_is_still_read(runs: Runs) -> None:
    body = bytearray(bytes(CloudpickleCodec().encode(runs(COLORS).Color.RED)))
    runs(COLORS)
    assert decode(body).value == 1


def test_a_class_without_a_digest_is_copied(runs: Runs, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(_: object) -> bytes:
        raise RuntimeError("no digest")

    value = runs(COLORS).Color.RED
    monkeypatch.setattr(origins._IDENTITY.codes, "code_of", fails)
    assert pickles(value) == pickles(value, ClassPickler)


def test_a_class_of_a_function_is_copied_and_its_base_is_found(runs: Runs) -> None:
    text = f"{FAMILY}\ndef make():\n    class Local(Base):\n        pass\n    return Local()\n"
    body = encode(runs(text).make())
    again = runs(text)
    back = decode(body)
    assert type(back).__name__ == "Local"
    assert isinstance(back, again.Base)


def test_a_function_is_copied_and_uses_the_class_that_was_found(runs: Runs) -> None:
    text = f"{COLORS}\ndef paint():\n    return Color.RED\n"
    body = encode(runs(text).paint)
    again = runs(text)
    assert decode(body)() is again.Color.RED


def test_a_copy_that_a_task_got_from_another_process_is_known_by_its_file(runs: Runs) -> None:
    sent = cloudpickle.dumps(runs(KINDS).Point)
    runs("", file="worker.py")
    body = encode(cloudpickle.loads(sent)(1))
    again = runs(KINDS)
    assert decode(body) == again.Point(1)


def test_a_script_that_cannot_be_copied_is_refused_as_before(runs: Runs) -> None:
    module = runs("import threading\nclass Locked:\n    lock = threading.Lock()\n")
    with pytest.raises(EncodingError, match="cannot pickle"):
        encode(module.Locked())


def test_cloudpickle_has_its_own_list_of_modules_again(runs: Runs) -> None:
    module = runs(COLORS, LOADER)
    encode(module.Color.RED)
    assert cloudpickle.list_registry_pickle_by_value() == set()
    cloudpickle.register_pickle_by_value(module)
    try:
        encode(module.Color.RED)
        assert cloudpickle.list_registry_pickle_by_value() == {LOADER}
    finally:
        cloudpickle.unregister_pickle_by_value(module)


# --- what has no such classes -------------------------------------------------------------------------


def pickles(value: Any, pickler: type[pickling.Pickler] = pickling.Pickler) -> list[bytes]:
    return [bytes(buffer) for buffer in pickling.dump(value, pickler)]


@dataclasses.dataclass
class Here:
    """A class that can be imported."""

    x: int


class Plain(BaseModel):
    x: int


class Outside:
    pass


def local_class() -> Any:
    class Local(Here):
        def other(self) -> Here:
            return Here(self.x)

    return Local(1)


LOCAL = local_class()


@pytest.mark.parametrize(
    "value",
    [
        np.arange(1000),
        pd.DataFrame({"a": [1, 2], "b": ["x", "y"]}),
        pa.table({"a": list(range(1000))}).slice(5, 5),
        Here(1),
        Plain(x=1),
        [Outside, Here, int, type(None)],
        LOCAL,
        lambda x: Here(x),
        kinds.Color.RED,
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_holds_no_class_of_a_script_is_pickled_as_before(value: Any) -> None:
    assert pickles(value) == pickles(value, ClassPickler)


any_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text()
    | st.binary()
    | st.dates(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner) | st.tuples(inner, inner),
    max_leaves=20,
)


@given(any_values)
def test_any_plain_value_is_pickled_as_before_and_comes_back(value: Any) -> None:
    assert pickles(value) == pickles(value, ClassPickler)
    assert decode(encode(value)) == value
