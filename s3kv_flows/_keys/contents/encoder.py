"""Digests of values: equal contents have one, different contents never share one.

A value is a tree: containers and objects have parts, and atoms are written as they are. The C pickler writes
built-in trees (:mod:`.builtin_trees`); :mod:`.parts` lists the parts of everything else. Digests are made of
digests of parts. Each object is visited once, and no digest depends on which parts are the same object, on
the order of the visits, or on addresses. So every decision here follows from the content alone, too: from the
size of a tree when it is unrolled, never from how its parts are shared. Values that contain themselves are
the exception (:mod:`.cycles`).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from hashlib import sha256
from itertools import islice
from typing import Any, Protocol

from s3kv_flows._keys.contents import cycles
from s3kv_flows._keys.contents.builtin_trees import (
    CONTAINERS,
    MOST_PARTS,
    flattened,
    measure,
    small_blob,
    write,
)
from s3kv_flows._keys.contents.parts import CycleError, Parts, Token, layout_of, parts_of
from s3kv_flows._keys.contents.parts.secrets import slow_digest
from s3kv_flows._keys.contents.parts.small import SmallValues
from s3kv_flows._keys.errors import TooDeepError, Unkeyable, steady
from s3kv_flows._keys.project import module_of

__all__ = ["SCHEME", "ContentEncoder", "Digest"]

SCHEME = b"s3kv content 1"
"""Another scheme has other digests: change the number whenever one changes."""

_SLICE = 8192
"""So many parts of a long list are written at once."""


_FINER = 4
"""A slice that is too large is cut finer than what was seen of it asks for: it is deeper than that."""


@dataclass(frozen=True)
class Digest:
    """The digest of a value.

    Attributes:
        digest: 32 bytes: SHA-256.
        holds_secret: Whether it holds a secret, which could be guessed from a shortened digest.
    """

    digest: bytes
    holds_secret: bool


class ContentEncoder:
    """Digests values by type and content, whatever their history. Safe for use by threads at once.

    Args:
        code_of: Returns the digest of the code of a class, function or module where it is the project's:
            instances count with the code of their class. None for what counts by its name, as what is
            installed.
        ignore: Classes whose code does not count: they count by module and name.
    """

    def __init__(
        self, code_of: Callable[[object], bytes | None], ignore: Collection[type] = frozenset()
    ) -> None:
        self._code_of = code_of
        self._ignored = frozenset(ignore)

    def digest(self, value: object) -> bytes:
        """Return the digest of a value, 32 bytes.

        Raises:
            Unkeyable: The value, or a part of it, cannot be read without changing it, as an iterator, or has
                no content.
        """
        return self.examine(value).digest

    def examine(self, value: object) -> Digest:
        """Return the digest of a value, and whether it holds a secret.

        Raises:
            Unkeyable: As for ``digest``.
        """
        return steady(lambda: self._examine(value))

    def _examine(self, value: object) -> Digest:
        examination = _Examination(self._code_of, self._ignored)
        try:
            try:
                digest = examination.digest([value])
            except CycleError:
                digest = examination.cyclic_digest(value)
        except CycleError as exc:  # where a cycle cannot be followed
            raise Unkeyable(
                f"a secret in this {type(value).__name__} contains the value itself",
                "pass them as two inputs",
            ) from exc
        except RecursionError as exc:
            raise TooDeepError(
                f"this {type(value).__name__} is nested too deeply",
                "pass a flatter value, for example a list instead of a chain of objects",
            ) from exc
        return Digest(sha256(SCHEME + digest).digest(), examination.holds_secret)


class _Hash(Protocol):
    """As much of an object of hashlib as is needed."""

    def update(self, data: Any, /) -> None: ...


class _Examination:
    """One visit of one value. Visited objects are kept alive, as they are known by their address."""

    def __init__(self, code_of: Callable[[object], bytes | None], ignored: frozenset[type]) -> None:
        self.code_of = code_of
        self.holds_secret = False
        self._small = SmallValues(self.kind_token, layout_of)
        self._ignored = ignored
        self._known: dict[int, tuple[bytes, object]] = {}
        self._busy: set[int] = set()
        self._kinds: dict[type, bytes] = {}
        self._is_cyclic = False

    # What the parts of values need.

    def settled(self, value: Any) -> object:
        return value if self._is_cyclic else Token(self._token_of(value))

    def secret(self, value: object) -> bytes:
        self.holds_secret = True
        return slow_digest(self.digest([value]))

    # Digests.

    def digest(self, values: Sequence[object]) -> bytes:
        """Return the digest of a sequence of values."""
        digest = sha256()
        self._write(digest, values)
        return digest.digest()

    def token(self, value: object) -> bytes:
        """Return what stands for a value that is written as a number: a digest, or all of what is small."""
        if type(value) is Token:
            return value.digest
        blob = self._small.small(value)
        if blob is not None:
            return blob
        known = self._known.get(id(value))
        if known is not None:
            return known[0]
        if id(value) in self._busy:
            raise CycleError
        self._busy.add(id(value))
        try:
            token = self._token_of(value)
        finally:
            self._busy.discard(id(value))
        self._known[id(value)] = token, value
        return token

    def cyclic_digest(self, value: object) -> bytes:
        """Return the digest of a value that contains itself somewhere."""
        self._is_cyclic = True
        return cycles.digest(value, self._node, self._leaf)

    def kind_token(self, kind: type) -> bytes:
        """Return what stands for a type: its code where that counts, or its name."""
        token = self._kinds.get(kind)
        if token is None:
            code = None if kind in self._ignored else self.code_of(kind)
            text = (
                f"type {_module_of(kind)}.{kind.__qualname__}".encode() if code is None else b"code " + code
            )
            token = self._kinds[kind] = sha256(text).digest()
        return token

    def _token_of(self, value: Any) -> bytes:
        digest = sha256()
        if type(value) in CONTAINERS:
            digest.update(b"%s %d;" % (type(value).__name__.encode(), len(value)))
            self._write(digest, flattened(value))
            return digest.digest()
        parts = parts_of(self, value)
        digest.update(b"object" + self._head(value, parts))
        if parts.unordered:
            for token in sorted(self.digest([child]) for child in parts.children):
                digest.update(token)
        else:
            self._write(digest, parts.children)
        return digest.digest()

    def _head(self, value: object, parts: Parts) -> bytes:
        return b"%s%d:%s%d;" % (
            self.kind_token(type(value)), len(parts.label), parts.label, len(parts.children)
        )  # fmt: skip

    def _write(self, digest: _Hash, values: Sequence[object]) -> None:
        if len(values) <= _SLICE:
            self._write_slice(digest, values)
            return
        rest = iter(values)
        while piece := list(islice(rest, _SLICE)):
            self._write_slice(digest, piece)

    def _write_slice(self, digest: _Hash, values: Sequence[object]) -> None:
        tree = measure(values)
        if tree.size <= MOST_PARTS:
            if tree.small:
                blob = small_blob(values)
                digest.update(b"small %d;" % len(blob) + blob)
            else:
                digest.update(b"tree ")
                write(digest.update, values, self._numbers(digest, tree.others))
        elif len(values) == 1:
            digest.update(b"one " + self.token(values[0]))
        else:
            pieces = min(len(values), max(2, -(-_FINER * tree.size // MOST_PARTS)))
            length = -(-len(values) // pieces)
            digest.update(b"pieces of %d;" % length)
            for start in range(0, len(values), length):
                self._write_slice(digest, values[start : start + length])

    def _numbers(self, digest: _Hash, others: list[object]) -> dict[int, tuple[int, object]]:
        tokens = {id(other): self.token(other) for other in others}
        numbers = {token: number for number, token in enumerate(sorted(set(tokens.values())))}
        digest.update(b"%d;" % len(numbers) + b"".join([b"%d:%s" % (len(token), token) for token in numbers]))
        return {id(other): (numbers[tokens[id(other)]], other) for other in others}

    # Values that contain themselves: each container and each object is a node.

    def _leaf(self, value: object) -> bytes | None:
        """Return the digest of a value that has no objects in it, None where it must be looked into."""
        if type(value) is Token:
            return value.digest
        tree = measure([value])
        if tree.size <= MOST_PARTS and not tree.others:
            return self.digest([value])
        if type(value) in CONTAINERS:
            tree = measure(flattened(value))  # type: ignore[arg-type]  # a container
            if not tree.size and not tree.others:  # of atoms, however many
                return self.digest([value])
        return None

    def _node(self, value: Any) -> Parts:
        if type(value) in CONTAINERS:
            return Parts(type(value).__name__.encode(), flattened(value))
        parts = parts_of(self, value)
        return parts._replace(label=b"object" + self._head(value, parts))


def _module_of(kind: type) -> str:
    module = module_of(kind)
    return {"pathlib._local": "pathlib"}.get(module, module)  # as Python 3.13 has it
