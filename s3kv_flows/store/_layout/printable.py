r"""Show text from a bucket in one line, without control characters.

Who may write to a bucket chooses names, tags and metadata. In a terminal or a log, an escape sequence in them
moves the cursor, changes colours or the clipboard; a line break forges a line; and marks of direction let a
name read as another one. They are shown as Python writes them: ``\x1b``, ``\n``, ``\u202e``.
"""

from __future__ import annotations

import logging
import unicodedata
from typing import TYPE_CHECKING, Any

__all__ = ["PrintableLines", "loggable", "printable"]

if TYPE_CHECKING:
    _Adapter = logging.LoggerAdapter[Any]
else:
    _Adapter = logging.LoggerAdapter  # which Python 3.10 does not know as a generic class

_NOT_SHOWN = ("Zl", "Zp")
"""Line and paragraph separators; all categories of control, format and no characters begin with C."""


def printable(text: object) -> str:
    """Return a text in one line, with each character that is not shown as itself as its escape."""
    text = str(text)
    return text if text.isprintable() else "".join(map(_shown, text))


def loggable(name: str) -> logging.Logger:
    """Return the logger of a module, whose lines show what they quote as :func:`printable` does."""
    logger = logging.getLogger(name)
    logger.addFilter(_escape)
    return logger


class PrintableLines(_Adapter):
    """Passes lines on to another logger, with what they quote as :func:`printable` shows it."""

    def process(self, msg: Any, kwargs: Any) -> tuple[Any, Any]:
        """Return a line as it is: ``extra`` is that of the other logger."""
        return msg, kwargs

    def log(self, level: int, msg: object, *args: object, **kwargs: Any) -> None:
        """Log a line, as of the caller."""
        kwargs["stacklevel"] = kwargs.get("stacklevel", 1) + 1
        super().log(level, msg, *_all_shown(args), **kwargs)


def _escape(record: logging.LogRecord) -> bool:
    if isinstance(record.args, tuple):
        record.args = _all_shown(record.args)
    return True


def _all_shown(arguments: tuple[object, ...]) -> tuple[Any, ...]:
    return tuple(one if isinstance(one, int | float) else _Shown(one) for one in arguments)


class _Shown:
    """An argument of a line of a log, by its text or its ``repr``."""

    def __init__(self, value: object) -> None:
        self._value = value

    def __str__(self) -> str:
        return printable(self._value)

    def __repr__(self) -> str:
        return printable(repr(self._value))


def _shown(char: str) -> str:
    kind = unicodedata.category(char)
    return char.encode("unicode_escape").decode() if kind[0] == "C" or kind in _NOT_SHOWN else char
