"""Small projects, each with one edit: compact data for the tests of what code reaches.

A project is one text: what stands before the first line ``--- path`` is ``m.py``, which defines the task
``t``. The edit replaces the first text by the second, in all files.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Edit:
    name: str
    text: str
    old: str
    new: str
    changes: bool
    options: dict[str, Any] = field(default_factory=dict)

    def files(self, *, edited: bool) -> Iterator[tuple[str, str]]:
        text = self.text
        if edited:
            assert self.old in text, self.name
            text = text.replace(self.old, self.new)
            assert text != self.text, self.name
        path = "m.py"
        lines: list[str] = []
        for line in text.lstrip("\n").splitlines():
            if line.startswith("--- "):
                yield path, "\n".join(lines) + "\n"
                path, lines = line[4:], []
            else:
                lines.append(line)
        yield path, "\n".join(lines) + "\n"

    def write(self, directory: Path, *, edited: bool) -> Path:
        for path, text in self.files(edited=edited):
            file = directory / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)
        return directory


class Table(list[Edit]):
    """Edits under names that are used once."""

    def _add(self, name: str, text: str, edit: str, *, changes: bool, **options: Any) -> None:
        assert all(one.name != name for one in self), name
        old, _, new = edit.partition(" => ")
        self.append(Edit(name, text, old, new, changes, options))

    def counts(self, name: str, text: str, edit: str, **options: Any) -> None:
        self._add(name, text, edit, changes=True, **options)

    def does_not(self, name: str, text: str, edit: str, **options: Any) -> None:
        self._add(name, text, edit, changes=False, **options)
