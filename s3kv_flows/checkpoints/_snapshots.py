"""Snapshots: numbered states of one name, each number created once.

Numbers only grow, and a writer continues from the last one that it read. If another writer has continued
from there, the number exists, and the writer knows that it has been replaced: it cannot put an older state
above a newer one. Pruned numbers are free again, so a writer lists after each PUT whether its number is the
highest. Without any state, numbers begin with the milliseconds of the server's clock: above all that were
used before the states were cleared. A writer that was suspended meanwhile does not find the last state that
it read, and cannot become the newest either. (A writer that has neither read nor saved any state cannot know
that another run saved and cleared some.)

The states are objects ``<namespace><name>/<number>``, and S3 writes an object completely or not at all.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any

from s3kv_flows.store._kv import S3KV
from s3kv_flows.store._layout.marks import POSITION, is_own, name_mark
from s3kv_flows.store._objects.bucket import NewObject
from s3kv_flows.store._s3.bodies import Body
from s3kv_flows.store._s3.types import Fetched, ListedObject, ObjectInfo
from s3kv_flows.store._values.frames import frames
from s3kv_flows.store._values.rereading import read_and_decode
from s3kv_flows.store.errors import (
    ConflictError,
    CorruptValueError,
    KeyLockedError,
    KeyNotFoundError,
    StaleWriterError,
)

__all__ = ["PROMOTED", "Snapshot", "Snapshots", "all_snapshots", "has_position"]

_DIGITS = 15
_POSITION = re.compile("[0-9]{1,15}")
PROMOTED = "promoted"
"""The tag of a state that became a finalized output, which is not pruned. Its value is the output's key."""


@dataclass(frozen=True)
class Snapshot:
    """A saved state.

    Attributes:
        number: Its number; the higher, the newer.
        key: Its key in the store.
        size: Its stored size in bytes.
        saved_at: When it was saved, by the server's clock.
    """

    number: int
    key: str
    size: int
    saved_at: datetime


def all_snapshots(store: S3KV) -> dict[str, list[Snapshot]]:
    """Return the states of a store by their names, the oldest first: one request per 1,000."""
    found: dict[str, list[Snapshot]] = {}
    for item in store.client.list_objects(store.bucket_name, store.namespace.prefix):
        name, _, number = (store.namespace.key_of(item.name) or "").rpartition("/")
        if name and _is_number(number):
            found.setdefault(name, []).append(_snapshot(name, number, item))
    return found


class Snapshots:
    """The states of one name.

    Args:
        store: The store of the states; its codec writes frames.
        name: The name; ``/`` makes folders.

    Raises:
        InvalidKeyError: The name makes no valid key.
        ValueError: The name ends with ``/``, or is empty.
    """

    def __init__(self, store: S3KV, name: str) -> None:
        if not name or name.endswith("/"):
            raise ValueError(f"the name of states must not be empty, or end with '/': {name!r}")
        self.store, self.name = store, name
        self._staying: set[int] = set()
        store.namespace.name_of(self._key(0))

    def listed(self) -> list[Snapshot]:
        """Return the existing states, the oldest first: one request per 1,000."""
        space, found = self.store.namespace, []
        for item in self.store.client.list_objects(self.store.bucket_name, f"{space.prefix}{self.name}/"):
            number = (space.key_of(item.name) or "").removeprefix(f"{self.name}/")
            if _is_number(number):
                found.append(_snapshot(self.name, number, item))
        return found

    def following(self, existing: list[Snapshot]) -> int:
        """Return the number of the next state.

        Args:
            existing: The existing states, as :meth:`listed` returns them.
        """
        if existing:
            return existing[-1].number + 1
        return int(self.store.client.capabilities.now().timestamp() * 1000)

    def read(self, snapshot: Snapshot) -> Fetched:
        """Return a state as it is stored, verified but not unpickled: one request.

        Raises:
            KeyNotFoundError: The state no longer exists.
            CorruptValueError: The state is damaged.
        """
        fetched = self.store.fetch(snapshot.key)
        _require_own(fetched.info)
        frames.unpack(self.store.codec.name, bytearray(fetched.body or b""))
        return fetched

    def newest(
        self, existing: list[Snapshot], *, wanted: Callable[[ObjectInfo], bool] = lambda _: True
    ) -> tuple[Snapshot, Any, ObjectInfo] | None:
        """Return the newest state that is wanted and can be read, with its value and headers; else None.

        One request for each state that is tried; unwanted ones are not downloaded.

        Args:
            existing: The states to try, as :meth:`listed` returns them.
            wanted: Returns whether a state is wanted, by its headers.

        Raises:
            CorruptValueError: There are wanted states, and none can be read.
            KeyNotFoundError: No wanted state is left, and some were removed since they were listed.
        """
        corrupt: CorruptValueError | None = None
        missing: KeyNotFoundError | None = None
        for snapshot in reversed(existing):
            try:
                fetched, value = read_and_decode(partial(self._fetch, snapshot, wanted), self._decode)
                if fetched.body is not None:
                    return snapshot, value, fetched.info
            except KeyNotFoundError as exc:  # noqa: PERF203  # any of them may be missing or damaged
                missing = exc  # it was pruned since
            except CorruptValueError as exc:
                corrupt = corrupt or exc
        if error := missing or corrupt:
            raise error
        return None

    def _fetch(self, snapshot: Snapshot, wanted: Callable[[ObjectInfo], bool]) -> Fetched:
        fetched = self.store.fetch(snapshot.key, wanted=wanted)
        if fetched.body is not None:
            _require_own(fetched.info)
        return fetched

    def _decode(self, fetched: Fetched) -> Any:
        return None if fetched.body is None else self.store.codec.decode(fetched.body)

    def create(
        self,
        number: int,
        body: Body,
        *,
        metadata: Mapping[str, str] | None = None,
        tags: Mapping[str, str] | None = None,
        begins: bool = False,
        after: int | None = None,
    ) -> list[Snapshot]:
        """Save a state under a new number: one PUT and one LIST.

        Args:
            number: One above the last number that the writer read; see :meth:`following`.
            body: The state, as the codec of the store encodes it.
            metadata: User metadata of the object.
            tags: Tags of the object.
            begins: Whether the writer has listed no state at all. Two writers that begin have different
                numbers: one LIST more shows whether the other one was faster.
            after: The number of the last state that the writer read, which must still exist: if not, a
                writer that continued from there has cleared all states.

        Returns:
            The existing states, the oldest first.

        Raises:
            StaleWriterError: Another writer has continued from there.
            UnsupportedByServerError: The bucket cannot carry the condition that a number is new.
        """
        if begins and self.listed():
            raise self.stale(number)
        key = self._key(number)
        name = self.store.namespace.name_of(key)
        new = NewObject(
            body=body,
            content_type=self.store.codec.content_type,
            metadata={**(metadata or {}), **name_mark(name)},
            tags=tags or {},
        )
        try:
            self.store.objects.put(name, new, mode="create", probably_new=True)
        except ConflictError as exc:
            raise self.stale(number) from exc
        return self.require_newest(number, after)

    def require_newest(self, number: int, after: int | None) -> list[Snapshot]:
        """Return the existing states, if the one that was just saved is the newest: one LIST.

        Args:
            number: The number of that state.
            after: As for :meth:`create`.

        Raises:
            StaleWriterError: It is not the newest, or the state that it continues no longer exists; the
                saved state is removed again.
        """
        existing = self.listed()
        known = {one.number for one in existing}
        if max(known, default=number) > number or (after is not None and after not in known):
            self.store.purge(self._key(number))
            raise self.stale(number)
        return existing

    def writer_of(self, number: int, mark: str) -> str | None:
        """Return the metadata ``mark`` of the state with a number; None if it does not exist."""
        name = self.store.namespace.name_of(self._key(number))
        try:
            return self.store.objects.head(name).metadata.get(mark, "")
        except KeyNotFoundError:
            return None

    def prune(self, existing: list[Snapshot], keep: int) -> list[Snapshot]:
        """Remove all but the newest states; return the removed ones. Locked and promoted states stay.

        Two requests for each on a bucket without versions: its tags, and its removal.

        Args:
            existing: The states, as :meth:`create` returns them.
            keep: How many stay, at least one.
        """
        removed = []
        for snapshot in existing[: -max(keep, 1)]:
            if snapshot.number in self._staying:
                continue
            if PROMOTED not in (self.tags(snapshot) or {}) and self.remove(snapshot):
                removed.append(snapshot)
            else:
                self._staying.add(snapshot.number)  # so that its tags are not requested after each save
        return removed

    def clear(self) -> list[Snapshot]:
        """Remove all states, the oldest first; return the removed ones. Locked states stay."""
        return [snapshot for snapshot in self.listed() if self.remove(snapshot)]

    def remove(self, snapshot: Snapshot) -> bool:
        """Remove a state with all its versions; return whether it was removed. A locked state stays."""
        try:
            self.store.purge(snapshot.key)
        except KeyLockedError:
            return False
        return True

    def metadata(self, snapshot: Snapshot) -> Mapping[str, str] | None:
        """Return the user metadata of a state, with one HEAD; None if it no longer exists."""
        try:
            return self.store.objects.head(self.store.namespace.name_of(snapshot.key)).metadata
        except KeyNotFoundError:
            return None

    def tags(self, snapshot: Snapshot) -> dict[str, str] | None:
        """Return the tags of a state, with one request; None if it no longer exists."""
        try:
            return self.store.get_tags(snapshot.key)
        except KeyNotFoundError:
            return None

    def _key(self, number: int) -> str:
        return f"{self.name}/{number:0{_DIGITS}}"

    def stale(self, number: int) -> StaleWriterError:
        """Return the error of a writer that has been replaced."""
        return StaleWriterError(
            f"state {number} of {self.name!r} was saved by another run, which continues from there, or all "
            "states were removed: this run has been replaced, or two runs have one name"
        )


def _is_number(text: str) -> bool:
    return len(text) == _DIGITS and text.isascii() and text.isdigit()


def _snapshot(name: str, number: str, item: ListedObject) -> Snapshot:
    return Snapshot(int(number), f"{name}/{number}", item.size, item.last_modified)


def _require_own(info: ObjectInfo) -> None:
    """Raise CorruptValueError for a copy from another name, and for a malformed position."""
    if not is_own(info.name, info.metadata):
        raise CorruptValueError(f"{info.name!r} was not saved under this name", reason="metadata")
    if not has_position(info.metadata):
        raise CorruptValueError(f"{info.name!r} has a malformed position", reason="metadata")


def has_position(metadata: Mapping[str, str]) -> bool:
    """Tell whether the metadata of a state has no position, or that of a loop."""
    return _POSITION.fullmatch(metadata.get(POSITION, "0")) is not None
