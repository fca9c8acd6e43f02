"""A watch over everything that unpickles: whether it was given what came from a bucket."""

from __future__ import annotations

import _pickle
import contextlib
import io
import pickle
import sys
from collections.abc import Callable, Iterator
from typing import Any

import cloudpickle
import pytest

from s3kv_flows._results.classes import unpickler
from s3kv_flows._results.codec import RESULT_CODEC
from s3kv_flows.store._values.codecs import CODECS

__all__ = ["GENUINE", "HOSTILE", "Bird", "Watch", "forbidding", "sing", "watching"]

HOSTILE, GENUINE = "canary-hostile-4f1c", "canary-genuine-9a27"
"""Stand in the pickles of the attacker, and in those of a store that somebody else has changed."""

_sung: list[str] = []


def sing(what: str) -> str:
    """Run, where an attacker's pickle is loaded."""
    _sung.append(f"ran: {what}")
    return what


def _audit(event: str, args: tuple[Any, ...]) -> None:
    if event == "pickle.find_class" and args[1] == sing.__name__:
        _sung.append("the unpickler has found the class of the canary")


sys.addaudithook(_audit)  # the unpickler in C raises the event, whoever calls it


class Bird:
    """Sings where it is unpickled."""

    def __reduce__(self) -> Any:
        return sing, (HOSTILE,)


class Watch:
    """What was unpickled of what came from the bucket."""

    def __init__(self) -> None:
        self.calls: list[str] = []

    def require_silence(self) -> None:
        """Require that nothing of a bucket has reached an unpickler, or was run by one."""
        assert self.calls == []
        assert _sung == []

    def seen(self, where: str, data: Any) -> None:
        content = bytes(data)
        self.calls += [f"{where}: {mark}" for mark in (HOSTILE, GENUINE) if mark.encode() in content]


@contextlib.contextmanager
def watching(monkeypatch: pytest.MonkeyPatch) -> Iterator[Watch]:
    """Watch every way to unpickle."""
    watch = Watch()
    _sung.clear()

    def of_bytes(where: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def loads(data: Any, *args: Any, **options: Any) -> Any:
            watch.seen(where, data)
            return real(data, *args, **options)

        return loads

    def of_file(where: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def load(file: Any, *args: Any, **options: Any) -> Any:
            watch.seen(where, file.getvalue() if isinstance(file, io.BytesIO) else b"")
            return real(file, *args, **options)

        return load

    for module in (pickle, _pickle, cloudpickle, cloudpickle.cloudpickle):
        for name, wrap in (("loads", of_bytes), ("load", of_file), ("Unpickler", of_file)):
            if hasattr(module, name):
                monkeypatch.setattr(module, name, wrap(f"{module.__name__}.{name}", getattr(module, name)))
    monkeypatch.setattr(unpickler, "_Unpickler", of_file("our unpickler", unpickler._Unpickler))
    for codec in (CODECS["cloudpickle"], RESULT_CODEC):
        monkeypatch.setattr(codec, "_loads", of_bytes(f"codec {codec.name}", codec._loads))  # type: ignore[attr-defined]
    yield watch
    monkeypatch.undo()


@contextlib.contextmanager
def forbidding(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Have every way to unpickle raise."""

    def refuse(*_: Any, **__: Any) -> Any:
        raise AssertionError("something is unpickled")

    with monkeypatch.context() as patched:
        for module in (pickle, _pickle, cloudpickle, cloudpickle.cloudpickle):
            for name in ("loads", "load", "Unpickler"):
                if hasattr(module, name):
                    patched.setattr(module, name, refuse)
        patched.setattr(unpickler, "_Unpickler", refuse)
        for codec in (CODECS["cloudpickle"], RESULT_CODEC):
            patched.setattr(codec, "_loads", refuse)
        yield
