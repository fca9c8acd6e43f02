"""Facts of code objects, each found once: digest, names, writes."""

from __future__ import annotations

import weakref
from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import CodeType, FunctionType
from typing import Any

from s3kv_flows._keys.code.syntax.bytecode.codes import bytecode_digest
from s3kv_flows._keys.code.syntax.bytecode.effects import Effects, effects_of, writes_of
from s3kv_flows._keys.code.syntax.bytecode.names import Uses, uses_of
from s3kv_flows._keys.code.syntax.sources import TEXTS, SourceTexts
from s3kv_flows._keys.code.syntax.texts import NO_DOCUMENTATION, Chain, Documentation

__all__ = ["CODES", "CodeFacts", "Codes"]


@dataclass(frozen=True)
class CodeFacts:
    """What is known of a code object.

    Attributes:
        digest: Of its syntax tree; of its bytecode, and the version of Python, where no text compiles to it.
        uses: The names it uses.
        effects: What it does to what it names, as far as its bytecode shows.
        writes: What it changes in place, as far as its text says, or its bytecode shows.
        documentation: What its text has for readers.
    """

    digest: bytes
    uses: Uses
    writes: frozenset[Chain]
    effects: Effects
    documentation: Documentation = NO_DOCUMENTATION


class Codes:
    """The facts of this process's code objects, each found once: :data:`CODES`."""

    def __init__(self, texts: SourceTexts) -> None:
        self._texts = texts
        self._known: dict[int, tuple[weakref.ref[CodeType], CodeFacts]] = {}

    def facts(self, function: FunctionType) -> CodeFacts:
        """Return the facts of a function's code."""
        code = function.__code__
        at = id(code)
        known = self._known.get(at)
        if known is not None and known[0]() is code:
            return known[1]
        facts = self._find(code, function.__globals__)
        self._known[at] = (weakref.ref(code, lambda _: self._known.pop(at, None)), facts)
        return facts

    def adopt(self, exported: Mapping[bytes, bytes]) -> None:
        """Use the digests that another process exported, for code that came from there."""
        self._texts.adopt(exported)
        self._known = {}

    def _find(self, code: CodeType, namespace: Mapping[str, Any]) -> CodeFacts:
        uses = uses_of(code)
        text = self._texts.find(code, namespace)
        if text is None:
            return CodeFacts(bytecode_digest(code), uses, writes_of(code), effects_of(code))
        # Names that only annotations use are left out; names of class bodies are spelled otherwise there.
        kept = tuple(chain for chain in uses.globals if chain[0] in text.names or chain[0].startswith("_"))
        return CodeFacts(
            text.digest,
            replace(uses, globals=kept),
            text.writes,
            effects_of(code),
            text.documentation,
        )


CODES = Codes(TEXTS)
"""The facts of this process's code objects."""
