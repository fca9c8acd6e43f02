"""Saved stores: loaded once per process, reloaded in the background.

A cached task run needs its store, which Prefect's API holds by name. To ask for it in each run costs two
requests, and more time than the result itself. So a process asks once, and goes on with what it got for a
minute; then one thread asks again, while runs use the old one.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Hashable
from concurrent.futures import Future
from dataclasses import dataclass, field
from functools import partial
from typing import Generic, TypeVar
from weakref import WeakValueDictionary

from prefect.blocks.core import Block
from prefect.exceptions import ObjectNotFound
from prefect.logging import get_logger

from s3kv_flows._prefect import api_identity, in_current_settings, saved_as

__all__ = ["SavedStores"]

B = TypeVar("B", bound=Block)

_FRESH_SECONDS = 60.0
"""After so long a store is reloaded in the background."""
_STALE_SECONDS = 300.0
"""After so long it is reloaded before it is used: nobody has for a while."""
_PAUSE_SECONDS = 5.0
"""For so long after a load, a refused request or a failure is no reason for another one."""


@dataclass
class _Entry(Generic[B]):
    """What is known of one name.

    Attributes:
        lock: Held while it is reloaded.
        store: The store; None while none was loaded.
        given: All that runs have got under this name, as long as they live.
        loaded_at: When it was loaded last, or that was tried.
        loading: The first load, which others wait for.
        failure: What that ended with, other than that there is no such store.
        is_refreshing: Whether a thread reloads it in the background.
        pause: For how long a refused request is no reason to reload it.
    """

    lock: threading.Lock = field(default_factory=threading.Lock)
    store: B | None = None
    given: WeakValueDictionary[int, B] = field(default_factory=WeakValueDictionary)
    loaded_at: float = 0.0
    loading: Future[B] | None = None
    failure: Exception | None = None
    is_refreshing: bool = False
    pause: float = _PAUSE_SECONDS


class SavedStores(Generic[B]):
    """The stores that this process has loaded, by name and by the API that they are saved in.

    Args:
        load: Loads a store by its name: one request to Prefect's API or two. Raises ValueError because of
            ObjectNotFound where there is none.
        clock: Returns seconds.
    """

    def __init__(self, load: Callable[[str], B], clock: Callable[[], float] = time.monotonic) -> None:
        self._load = load
        self._clock = clock
        self._entries: dict[Hashable, _Entry[B]] = {}
        self._lock = threading.Lock()
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self._reset_after_fork)

    def get(self, name: str) -> B:
        """Return the store of this name: no request, after the first one of a process.

        A store that is saved later is found then. One that was saved again elsewhere is seen after a minute,
        or at once where no run has asked for five. An API that did not answer is asked again after 5 s.

        Raises:
            ValueError: No store is saved under this name.
        """
        entry = self._entry(name)
        store = entry.store
        if store is None:
            return self._load_first(name, entry)
        age = self._clock() - entry.loaded_at
        if age > _STALE_SECONDS:
            with entry.lock:
                if self._clock() - entry.loaded_at > _STALE_SECONDS:
                    self._reload(name, entry)
            return entry.store if entry.store is not None else self._load_first(name, entry)
        if age > _FRESH_SECONDS:
            self._reload_later(name, entry)
        return store

    def renewed(self, store: B) -> B | None:
        """Return the store as it is saved now, if that differs from one that was refused; else None.

        The credentials may have been rotated, or the bucket moved. At most one request in five seconds, and
        in a minute where nothing had changed.

        Args:
            store: One that :meth:`get` returned; others are nobody's but their owner's.
        """
        name, _ = saved_as(store)
        entry = self._entries.get(self._key(name)) if isinstance(name, str) else None
        if entry is None or not isinstance(name, str) or entry.given.get(id(store)) is not store:
            return None
        with entry.lock:
            if entry.store is store and self._clock() - entry.loaded_at >= entry.pause:
                self._reload(name, entry)
                entry.pause = _FRESH_SECONDS if entry.store is store else _PAUSE_SECONDS
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

    def _load_first(self, name: str, entry: _Entry[B]) -> B:
        """Load a store; of several threads, one asks, and the others have what it gets."""
        with self._lock:
            if entry.store is not None:
                return entry.store
            if entry.failure is not None and self._clock() - entry.loaded_at < _PAUSE_SECONDS:
                raise entry.failure
            others, mine = entry.loading, Future[B]()
            if others is None:
                entry.loading = mine
        if others is not None:
            return others.result()
        try:
            store = self._load(name)
        except BaseException as exc:
            entry.failure = exc if isinstance(exc, Exception) and not _is_missing(exc) else None
            entry.loaded_at = self._clock()
            entry.loading = None
            mine.set_exception(exc)
            raise
        self._keep(entry, store)
        entry.failure = entry.loading = None
        mine.set_result(store)
        return store

    def _keep(self, entry: _Entry[B], store: B) -> None:
        entry.given[id(store)] = store
        entry.loaded_at = self._clock()
        entry.store = store

    def _reload_later(self, name: str, entry: _Entry[B]) -> None:
        with self._lock:
            if entry.is_refreshing:
                return
            entry.is_refreshing = True
        reload = in_current_settings(partial(self._reload_alone, name, entry))  # which tell the API to ask
        try:
            threading.Thread(target=reload, name="s3kv-saved-store", daemon=True).start()
        except RuntimeError:  # there are too many threads, or the interpreter ends: another run will
            entry.is_refreshing = False

    def _reload_alone(self, name: str, entry: _Entry[B]) -> None:
        try:
            with entry.lock:
                self._reload(name, entry)
        finally:
            entry.is_refreshing = False

    def _reload(self, name: str, entry: _Entry[B]) -> None:
        """Load a store again; keep the old one where the API does not answer, or not as it should."""
        try:
            store = self._load(name)
        except Exception as exc:  # noqa: BLE001  # Prefect's client lets errors of any HTTP library through
            if _is_missing(exc):  # the next run fails, as one that begins in another process does
                entry.store = None
            else:
                get_logger("s3kv_flows").debug("The store %r was not reloaded: %r", name, exc)
        else:
            if entry.store is None or not _is_same(entry.store, store):
                self._keep(entry, store)
        entry.loaded_at = self._clock()

    def _reset_after_fork(self) -> None:
        """Forget, in the child of a fork, the threads that are not there."""
        self._lock = threading.Lock()
        for entry in self._entries.values():
            entry.lock = threading.Lock()
            entry.loading = None
            entry.is_refreshing = False


def _is_missing(exc: BaseException) -> bool:
    return isinstance(exc, ValueError) and isinstance(exc.__cause__, ObjectNotFound)


def _is_same(one: Block, other: Block) -> bool:
    return one is other or (one.__dict__ == other.__dict__ and saved_as(one) == saved_as(other))
