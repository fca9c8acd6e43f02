"""What code does to what it names, found in bytecode.

The instructions are followed once, with a stack that holds where each value came from: a name with the
attributes that follow it. Where two ways meet, what they do not agree on is unknown, as is what an
instruction that is not listed here leaves. So something may be overlooked, and nothing is found that is not
there.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from types import CodeType

from s3kv_flows._keys.code.syntax.bytecode.codes import nested_codes
from s3kv_flows._keys.code.syntax.bytecode.reader import A_SLICE, WITHIN, Reader, joined
from s3kv_flows._keys.code.syntax.texts import Chain

__all__ = ["WITHIN", "Effects", "effects_of", "writes_of"]

_IS_KNOWN = sys.version_info[:2] <= (3, 13)
"""Later versions may mean something else by an instruction."""


@dataclass(frozen=True)
class Effects:
    """What code, with all that is nested in it, does to what it names.

    The first part of a chain is a local name, a name of a function around, or ``@`` with a global name; after
    that come attributes, ``*`` for something within, and ``get()`` for what a method returned. A local name
    that is bound once, to such a chain, is replaced by that.

    Attributes:
        changes: What is changed in place; what is bound anew ends with a sign, as in ``CodeText.writes``.
        uses: What is read, also by an operator: ``("@a", "__getitem__")``.
        calls: What is called, each with its arguments: after ``name=`` where they have one, None where their
            origin is unknown.
    """

    changes: frozenset[Chain]
    uses: frozenset[Chain]
    calls: frozenset[tuple[Chain, tuple[Chain | None, ...]]]


def writes_of(code: CodeType) -> frozenset[Chain]:
    """Return what code, and all that is nested in it, changes in place: as ``CodeText.writes``."""
    if not _IS_KNOWN:
        return frozenset()
    return frozenset(map(_as_in_text, _changes_of(code))) - {(), ("__annotations__",)}


def _changes_of(code: CodeType) -> set[Chain]:
    found = set(Reader(code).changes)
    for inner in nested_codes(code):
        found |= {
            chain for chain in _changes_of(inner) if chain[0][0] in "@?" or chain[0] in inner.co_freevars
        }
    return found


def _as_in_text(chain: Chain) -> Chain:
    if any(part.endswith(")") for part in chain):
        return ()
    end = next((at for at, part in enumerate(chain) if part in (WITHIN, A_SLICE)), len(chain))
    return (chain[0].lstrip("@?"), *chain[1:end])


def effects_of(code: CodeType) -> Effects:
    """Return what code, and all that is nested in it, does to what it names."""
    if not _IS_KNOWN:
        return Effects(frozenset(), frozenset(), frozenset())
    reader = Reader(code)
    changes, uses, calls = reader.changes | reader.set_by_name, set(reader.uses), set(reader.calls)
    free = {*code.co_freevars, *code.co_cellvars}
    for inner in nested_codes(code):
        nested = effects_of(inner)
        iterated = reader.iterated.get(inner)

        def outside(chain: Chain, inner: CodeType = inner, iterated: Chain | None = iterated) -> Chain:
            """Return a chain of nested code as one of this code; empty where it starts within that."""
            if chain[0] == ".0":
                return joined(iterated, chain[1:]) if iterated else ()
            return chain if chain[0][0] == "@" or (chain[0] in inner.co_freevars and chain[0] in free) else ()

        changes |= {outside(chain) for chain in nested.changes}
        uses |= {outside(chain) for chain in nested.uses}
        calls |= {
            (outside(callee), tuple(_argument(one, outside) for one in given))
            for callee, given in nested.calls
        }

    def original(chain: Chain) -> Chain:
        for _ in range(10):
            if chain and chain[0] in reader.aliases:
                chain = joined(reader.aliases[chain[0]], chain[1:])
        return chain if chain and chain[0][0] != "?" and chain[0] not in reader.rebound else ()

    return Effects(
        frozenset(filter(None, map(original, changes))),
        frozenset(filter(None, map(original, uses))),
        frozenset(
            (original(callee), tuple(_argument(one, original) for one in given))
            for callee, given in calls
            if original(callee)
        ),
    )


def _argument(given: Chain | None, move: Callable[[Chain], Chain]) -> Chain | None:
    if not given:
        return None
    if given[0].endswith("="):
        value = move(given[1:])
        return (given[0], *value) if value else None
    return move(given) or None
