"""First digests of values that the tasks' own code changes.

A memo that a task fills, a counter that it increments, a model that it loads once into a global name: if
their present value counted, each run would change the key of the next. So a value that the reached code
itself writes keeps the digest that it had when this process first saw it.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable

__all__ = ["CONTENT", "FirstSeen"]

CONTENT = "[]"
"""Names what is in an object, where that is changed, and not an attribute."""


_KEPT = 1_000


class FirstSeen:
    """Digests of names that are written, each as it was when it was first asked for.

    The holder of a name is kept, so that nothing else can come to have its identity; what was not
    asked for longest is forgotten when there are 1,000.
    """

    def __init__(self) -> None:
        self._kept: OrderedDict[tuple[int, str, int], tuple[object, object, bytes]] = OrderedDict()
        self._lock = threading.Lock()

    def unlock(self) -> None:
        """Go on in the child of a fork, where a thread that held the lock is not."""
        self._lock = threading.Lock()

    def digest(
        self, holder: object, name: str, value: object, look: Callable[[], tuple[bytes, bool]]
    ) -> bytes:
        """Return the digest that the value of a name had at first.

        Args:
            holder: What has the name: the namespace of a module, a cell, an object.
            name: Which name of it.
            value: What it was bound to: another one is another first sight. None where the name itself is
                rebound by the tasks' code.
            look: Called for the digest at first sight, and whether it is complete; one that is not, as it was
                asked for while it was made, is not kept.
        """
        at = (id(holder), name, id(value))
        with self._lock:
            known = self._kept.get(at)
            if known is not None:
                self._kept.move_to_end(at)
                return known[2]
        digest, complete = look()
        if not complete:
            return digest
        with self._lock:
            digest = self._kept.setdefault(at, (holder, value, digest))[2]
            while len(self._kept) > _KEPT:
                self._kept.popitem(last=False)
        return digest
