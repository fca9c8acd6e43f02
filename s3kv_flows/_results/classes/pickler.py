"""Pickling classes of scripts by their origin, with their copies beside.

cloudpickle copies the classes of ``__main__`` into the pickle, so that another process loads instances of
other classes: ``Color.RED != Color.RED``, ``except MyError`` does not catch. Here the pickle holds the origin
of such a class, and the process that loads it uses its own class. Where it has none with the same code, it
uses the copy: these are in a buffer of their own.
"""

from __future__ import annotations

import io
import operator
import pickle
from abc import abstractmethod
from typing import Any, BinaryIO

from s3kv_flows._keys.project import module_of
from s3kv_flows._results.classes.cloudpickle_registry import copying_scripts
from s3kv_flows._results.classes.copies import Copies, class_or_copy, fill_copy, make_copy
from s3kv_flows._results.classes.origins import Origin, origin_of
from s3kv_flows._results.refused import require_lasting
from s3kv_flows.store._values.pickling import Pickler

__all__ = ["ClassPickler"]


class _Origins:
    """The origins of classes, each found out once per pickle."""

    def __init__(self) -> None:
        self._known: dict[int, tuple[type, Origin | None]] = {}

    def of(self, cls: type) -> Origin | None:
        if id(cls) not in self._known:
            self._known[id(cls)] = (cls, origin_of(cls))
        return self._known[id(cls)][1]


class _OriginPickler(Pickler):
    """Finds the classes of scripts in a value."""

    def __init__(
        self, stream: BinaryIO, buffers: list[pickle.PickleBuffer] | None, origins: _Origins
    ) -> None:
        super().__init__(stream, buffers)
        self.origins = origins

    def reducer_override(self, obj: Any) -> Any:
        """Return how to pickle an object, or NotImplemented for pickle's own way."""
        if not issubclass(type(obj), type):
            return super().reducer_override(obj)
        generic = _generic_model(obj)
        if generic is not None:
            return operator.getitem, generic
        origin = self.origins.of(obj)
        return super().reducer_override(obj) if origin is None else self.reduce_class(obj, origin)

    @abstractmethod
    def reduce_class(self, cls: type, origin: Origin) -> tuple[Any, ...]:
        """Return how to pickle a class of a script."""


class ClassPickler(_OriginPickler):
    """Pickles a value, with the origins of the classes of scripts, and then the copies of these classes."""

    def __init__(self, stream: BinaryIO, buffers: list[pickle.PickleBuffer]) -> None:
        super().__init__(stream, buffers, _Origins())
        self._buffers = buffers
        self._classes: list[type] = []
        self._copies = Copies(b"")
        self._place = pickle.PickleBuffer(b" ")  # of the copies, which are not known before the end

    def dump(self, value: Any) -> None:
        """Pickle a value."""
        super().dump(value)
        if self._classes:
            (at,) = [at for at, buffer in enumerate(self._buffers) if buffer is self._place]
            self._buffers[at] = pickle.PickleBuffer(_copies(self._classes, self.origins))

    def reducer_override(self, obj: Any) -> Any:
        """Return how to pickle an object, or NotImplemented for pickle's own way."""
        require_lasting(obj)
        return (Copies, (self._place,)) if obj is self._copies else super().reducer_override(obj)

    def reduce_class(self, cls: type, origin: Origin) -> tuple[Any, ...]:
        """Return how to pickle a class of a script: by its origin."""
        self._classes.append(cls)
        return class_or_copy, (self._copies, len(self._classes) - 1, *origin)


class _CopyPickler(_OriginPickler):
    """Pickles copies of classes, of which the process that loads them uses those that it does not have."""

    def reduce_class(self, cls: type, origin: Origin) -> tuple[Any, ...]:
        """Return how to pickle a class of a script: as cloudpickle does, if it is needed."""
        make, arguments, state, _, _, fill = Pickler.reducer_override(self, cls)
        known = tuple(origin)
        return make_copy, (known, make, arguments), (known, fill, state), None, None, fill_copy


def _copies(classes: list[type], origins: _Origins) -> bytes:
    stream = io.BytesIO()
    pickler = _CopyPickler(stream, None, origins)
    if all(module_of(cls) == "__main__" for cls in classes):
        pickler.dump(classes)
    else:
        with copying_scripts():
            pickler.dump(classes)
    return stream.getvalue()


def _generic_model(cls: type) -> tuple[type, Any] | None:
    """Return the generic model and the arguments of a model of pydantic such as ``Page[int]``.

    It has no name, and pydantic makes it once per process.
    """
    said = vars(cls).get("__pydantic_generic_metadata__")
    if not said or not isinstance(said.get("origin"), type):
        return None
    arguments = said["args"]
    return said["origin"], arguments[0] if len(arguments) == 1 else arguments
