"""First digests of values that the tasks' own code changes.

A memo that a task fills, a counter that it increments, a model that it loads once into a global name: if
their present value counted, each run would change the key of the next. So a value that the reached code
itself writes keeps the digest that it had when this process first saw it.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

__all__ = ["CONTENT", "FirstSeen", "Written"]

CONTENT = "[]"
"""Names the content of an object, where that is changed, and not an attribute."""

_KEPT = 20_000


class Written(NamedTuple):
    """A name that the reached code writes.

    Attributes:
        holder: What has the name: the namespace of a module, a cell, an object.
        name: Which name of it.
        bound: The value that it is bound to: for another one, there is another first digest. None where the
            code rebinds the name itself.
    """

    holder: object
    name: str
    bound: object

    @property
    def at(self) -> tuple[int, str, int]:
        """What tells it apart, while its holder and its value live."""
        return id(self.holder), self.name, id(self.bound)


class FirstSeen:
    """The first digests of written names: one object for the process.

    The holder of a name is kept, so that no other object gets its identity. Of more than 20,000 names, those
    that were used least recently are forgotten.
    """

    def __init__(self) -> None:
        self._kept: OrderedDict[tuple[int, str, int], tuple[Written, bytes]] = OrderedDict()
        self.unlock()

    def unlock(self) -> None:
        """Replace the lock in the child of a fork, where the thread that held it does not exist."""
        self._lock = threading.Lock()
        self._looking = 0

    def get(self, written: Written) -> bytes | None:
        """Return the first digest of a name; None where it was not seen before."""
        with self._lock:
            known = self._kept.get(written.at)
            if known is None:
                return None
            self._kept.move_to_end(written.at)
            return known[1]

    def keep(self, written: Written, digest: bytes) -> bytes:
        """Keep the first digest of a name, and return it; that of another thread, if that was earlier."""
        with self._lock:
            return self._kept.setdefault(written.at, (written, digest))[1]

    @contextmanager
    def looking(self) -> Iterator[None]:
        """Forget nothing while names are seen that depend on each other."""
        with self._lock:
            self._looking += 1
        try:
            yield
        finally:
            with self._lock:
                self._looking -= 1
                while not self._looking and len(self._kept) > _KEPT:
                    self._kept.popitem(last=False)
