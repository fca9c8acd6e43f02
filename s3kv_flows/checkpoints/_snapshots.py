"""Numbered states of one name: the numbers only grow, and each is created once.

A writer goes on from the number that it saw last. If another one has gone on from there, the number is
taken, and the writer knows that it has been replaced: it cannot put an older state on top of a newer one.
Numbers that were pruned are free again, so that a writer looks, after each, whether its own is the highest.
Where there is no state, numbers begin with the milliseconds of the server's clock: above all that were used
before states were cleared. Who slept through that does not find the state that it saw last, and cannot come
out on top either. (Who has neither seen nor saved any cannot know that another run came, and went.)

The states are objects ``<namespace><name>/<number>``, and an object of S3 is there whole, or not at all.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from s3kv_flows.store._kv import S3KV
from s3kv_flows.store._layout.marks import is_own, name_mark
from s3kv_flows.store._objects.bucket import NewObject
from s3kv_flows.store._s3.bodies import Body
from s3kv_flows.store._s3.types import Fetched, ListedObject, ObjectInfo
from s3kv_flows.store._values import frames
from s3kv_flows.store.errors import (
    ConflictError,
    CorruptValueError,
    KeyLockedError,
    KeyNotFoundError,
    StaleWriterError,
)

__all__ = ["PROMOTED", "Snapshot", "Snapshots", "all_snapshots"]

_DIGITS = 15
PROMOTED = "promoted"
"""The tag of a state that became a finalized output: it is not pruned. Its value is the key of that."""


@dataclass(frozen=True)
class Snapshot:
    """A state that was saved.

    Attributes:
        number: Its number; of two, the higher is the newer.
        key: Its key in the store.
        size: Bytes, as it is stored.
        saved_at: When, by the server's clock.
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
        InvalidKeyError: The name makes no key.
        ValueError: The name ends with ``/``, or is empty.
    """

    def __init__(self, store: S3KV, name: str) -> None:
        if not name or name.endswith("/"):
            raise ValueError(f"a name of states is not empty, and does not end with '/': {name!r}")
        self.store, self.name = store, name
        self._staying: set[int] = set()
        store.namespace.name_of(self._key(0))

    def listed(self) -> list[Snapshot]:
        """Return the states that are there, the oldest first: one request per 1,000."""
        space, found = self.store.namespace, []
        for item in self.store.client.list_objects(self.store.bucket_name, f"{space.prefix}{self.name}/"):
            number = (space.key_of(item.name) or "").removeprefix(f"{self.name}/")
            if _is_number(number):
                found.append(_snapshot(self.name, number, item))
        return found

    def following(self, there: list[Snapshot]) -> int:
        """Return the number of the next state.

        Args:
            there: The states that are there, as :meth:`listed` returns them.
        """
        if there:
            return there[-1].number + 1
        return int(self.store.client.capabilities.now().timestamp() * 1000)

    def read(self, snapshot: Snapshot) -> Fetched:
        """Return a state as it is stored, verified but not unpickled: one request.

        Raises:
            KeyNotFoundError: It has gone.
            CorruptValueError: It is damaged.
        """
        fetched = self.store.fetch(snapshot.key)
        _require_own(fetched.info)
        frames.unpack(self.store.codec.name, bytearray(fetched.body or b""))
        return fetched

    def newest(
        self, there: list[Snapshot], *, wanted: Callable[[ObjectInfo], bool] = lambda _: True
    ) -> tuple[Snapshot, Any, ObjectInfo] | None:
        """Return the newest state that is wanted and can be read, with what its headers say; None for none.

        One request for each that is looked at: those that are not wanted are not downloaded.

        Args:
            there: The states to look at, as :meth:`listed` returns them.
            wanted: Tells by the headers.

        Raises:
            CorruptValueError: There are wanted ones, and none can be read.
            KeyNotFoundError: None is left that is wanted, and some have gone since they were listed.
        """
        damage: CorruptValueError | None = None
        gone: KeyNotFoundError | None = None
        for snapshot in reversed(there):
            try:
                fetched = self.store.fetch(snapshot.key, wanted=wanted)
                if fetched.body is None:
                    continue
                _require_own(fetched.info)
                return snapshot, self.store.codec.decode(fetched.body), fetched.info
            except KeyNotFoundError as exc:
                gone = exc  # it was pruned meanwhile
            except CorruptValueError as exc:
                damage = damage or exc
        if error := gone or damage:
            raise error
        return None

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
        """Save a state under a number that nobody has used: one PUT and one LIST.

        Args:
            number: One above the last that the writer saw; see :meth:`following`.
            body: The state, as the codec of the store encodes it.
            metadata: User metadata of the object.
            tags: Tags of the object.
            begins: Whether the writer saw no state at all. Of two that begin, each has a number of its own:
                one LIST more shows whether the other one was faster.
            after: The number of the state that the writer saw last, which has to be there still: where it is
                not, who had gone on from there has cleared all.

        Returns:
            The states that are there now, the oldest first.

        Raises:
            StaleWriterError: Somebody else has gone on from there.
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
        return self.require_foremost(number, after)

    def require_foremost(self, number: int, after: int | None) -> list[Snapshot]:
        """Return the states that are there, of which one that was just saved is the newest: one LIST.

        Args:
            number: Its number.
            after: As for :meth:`create`.

        Raises:
            StaleWriterError: It is not, or what it goes on from is gone; it was removed again.
        """
        there = self.listed()
        known = {one.number for one in there}
        if max(known, default=number) > number or (after is not None and after not in known):
            self.store.purge(self._key(number))
            raise self.stale(number)
        return there

    def writer_of(self, number: int, mark: str) -> str | None:
        """Return the metadata ``mark`` of the state with a number; None where there is no such state."""
        name = self.store.namespace.name_of(self._key(number))
        try:
            return self.store.objects.head(name).metadata.get(mark, "")
        except KeyNotFoundError:
            return None

    def prune(self, there: list[Snapshot], keep: int) -> list[Snapshot]:
        """Remove all but the newest ones; return what was removed. What is locked or promoted stays.

        Two requests for each on a bucket without versions: its tags, and its removal.

        Args:
            there: The states, as :meth:`create` returns them.
            keep: How many stay, one at least.
        """
        removed = []
        for snapshot in there[: -max(keep, 1)]:
            if snapshot.number in self._staying:
                continue
            if PROMOTED not in (self.tags(snapshot) or {}) and self.remove(snapshot):
                removed.append(snapshot)
            else:
                self._staying.add(snapshot.number)  # and is not asked about after each save
        return removed

    def clear(self) -> list[Snapshot]:
        """Remove all states, the oldest first; return what was removed. What is locked stays."""
        return [snapshot for snapshot in self.listed() if self.remove(snapshot)]

    def remove(self, snapshot: Snapshot) -> bool:
        """Remove a state, with all its versions; tell whether it has gone. What is locked stays."""
        try:
            self.store.purge(snapshot.key)
        except KeyLockedError:
            return False
        return True

    def metadata(self, snapshot: Snapshot) -> Mapping[str, str] | None:
        """Return the user metadata of a state, with one HEAD; None where it has gone."""
        try:
            return self.store.objects.head(self.store.namespace.name_of(snapshot.key)).metadata
        except KeyNotFoundError:
            return None

    def tags(self, snapshot: Snapshot) -> dict[str, str] | None:
        """Return the tags of a state, with one request; None where it has gone."""
        try:
            return self.store.get_tags(snapshot.key)
        except KeyNotFoundError:
            return None

    def _key(self, number: int) -> str:
        return f"{self.name}/{number:0{_DIGITS}}"

    def stale(self, number: int) -> StaleWriterError:
        """Return the error of a writer that has been replaced."""
        return StaleWriterError(
            f"state {number} of {self.name!r} was saved by somebody else, who goes on from there, or all "
            "were removed: this run has been replaced, or two run under one name"
        )


def _is_number(text: str) -> bool:
    return len(text) == _DIGITS and text.isascii() and text.isdigit()


def _snapshot(name: str, number: str, item: ListedObject) -> Snapshot:
    return Snapshot(int(number), f"{name}/{number}", item.size, item.last_modified)


def _require_own(info: ObjectInfo) -> None:
    """Raise CorruptValueError for a copy under another name."""
    if not is_own(info.name, info.metadata):
        raise CorruptValueError(f"{info.name!r} was not saved under this name")
