"""Saved stores: loaded once per process, looked at again in the background.

A cached task run needs its store, which Prefect's API holds by name. To ask for it in each run costs two
requests, and more time than the result itself. So a process asks once, and goes on with what it got for a
minute; then one thread asks again, while runs use the old one.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from functools import partial
from typing import Generic, TypeVar

from prefect.blocks.core import Block
from prefect.logging import get_logger

from s3kv_flows._prefect import api_identity, in_current_settings, saved_as

__all__ = ["SavedStores"]

B = TypeVar("B", bound=Block)

_FRESH_SECONDS = 60.0
"""After so long a store is looked at again."""
_PAUSE_SECONDS = 5.0
"""For so long after a look, a refused request is no reason for another one."""


@dataclass
class _Entry(Generic[B]):
    lock: threading.Lock = field(default_factory=threading.Lock)
    store: B | None = None
    looked_at: float = 0.0
    is_refreshing: bool = False


class SavedStores(Generic[B]):
    """The stores that this process has loaded, by name and by the API that they are saved in.

    Args:
        load: Loads a store by its name: one request to Prefect's API or two. Raises ValueError where there
            is none.
        clock: Returns seconds.
    """

    def __init__(self, load: Callable[[str], B], clock: Callable[[], float] = time.monotonic) -> None:
        self._load = load
        self._clock = clock
        self._entries: dict[Hashable, _Entry[B]] = {}
        self._lock = threading.Lock()
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self._go_on)

    def get(self, name: str) -> B:
        """Return the store of this name: no request, after the first one of a process.

        A failure is not remembered: a store that is saved later is found then. One that was saved again
        elsewhere is seen after a minute.

        Raises:
            ValueError: No store is saved under this name.
        """
        entry = self._entry(name)
        store = entry.store
        if store is None:
            with entry.lock:  # of several threads, one asks
                if entry.store is None:
                    entry.store = self._load(name)
                    entry.looked_at = self._clock()
                return entry.store
        if self._clock() - entry.looked_at > _FRESH_SECONDS:
            self._refresh_later(name, entry)
        return store

    def renewed(self, store: B) -> B | None:
        """Return the store as it is saved now, if that differs from one that was refused; else None.

        The credentials may have been rotated, or the bucket moved. At most one request in five seconds.
        """
        name, _ = saved_as(store)
        entry = self._entries.get(self._key(name)) if isinstance(name, str) else None
        if entry is None or not isinstance(name, str):
            return None
        with entry.lock:
            if entry.store is None:
                return None
            if _is_same(entry.store, store):
                if self._clock() - entry.looked_at < _PAUSE_SECONDS:
                    return None
                self._look_again(name, entry)
            found = entry.store
        return None if found is None or _is_same(found, store) else found

    def forget(self, name: str | None) -> None:
        """Load the store of this name anew when it is needed: it was saved, or deleted, in this process."""
        if name is not None:
            with self._lock:
                for key in [key for key in self._entries if isinstance(key, tuple) and key[-1] == name]:
                    del self._entries[key]

    def _entry(self, name: str) -> _Entry[B]:
        key = self._key(name)
        entry = self._entries.get(key)
        if entry is None:
            with self._lock:
                entry = self._entries.setdefault(key, _Entry())
        return entry

    def _key(self, name: str) -> Hashable:
        return (*api_identity(), name)

    def _refresh_later(self, name: str, entry: _Entry[B]) -> None:
        with self._lock:
            if entry.is_refreshing:
                return
            entry.is_refreshing = True
        look = in_current_settings(partial(self._refresh, name, entry))  # which tell the API to ask
        threading.Thread(target=look, name="s3kv-saved-store", daemon=True).start()

    def _refresh(self, name: str, entry: _Entry[B]) -> None:
        try:
            with entry.lock:
                self._look_again(name, entry)
        finally:
            entry.is_refreshing = False

    def _look_again(self, name: str, entry: _Entry[B]) -> None:
        """Load a store again; keep the old one where the API does not answer."""
        entry.looked_at = self._clock()
        try:
            store = self._load(name)
        except ValueError:  # it was deleted: the next run fails, as one that begins in another process does
            entry.store = None
        except Exception as exc:  # noqa: BLE001  # Prefect's client lets errors of any HTTP library through
            get_logger("s3kv_flows").debug("The store %r was not looked at again: %r", name, exc)
        else:
            if entry.store is None or not _is_same(entry.store, store):
                entry.store = store

    def _go_on(self) -> None:
        """Go on in the child of a fork, where the threads that hold locks do not exist."""
        self._lock = threading.Lock()
        for entry in self._entries.values():
            entry.lock = threading.Lock()
            entry.is_refreshing = False


def _is_same(one: Block, other: Block) -> bool:
    return one is other or (one.__dict__ == other.__dict__ and saved_as(one) == saved_as(other))
