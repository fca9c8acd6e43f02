"""Print lines, cells and JSON that hold text from a bucket."""

from __future__ import annotations

from collections.abc import Callable
from json import dumps
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.text import Text

__all__ = ["as_lines", "cell", "print_json", "say", "say_json"]


def say(*lines: object) -> None:
    """Print lines, each as one line, whatever it quotes."""
    for line in lines:
        print(_printable(line))  # noqa: T201


def as_lines(text: object) -> str:
    """Return a message of one or more lines without other control characters."""
    return "\n".join(map(_printable, str(text).split("\n")))


def cell(value: object, style: str = "") -> Text:
    """Return a cell of a table, in which nothing is markup."""
    from rich.text import Text

    return Text(_printable(value), style)


def print_json(data: object, *, default: Callable[[object], str] | None = None) -> None:
    """Print data as JSON: exact, and in characters that a terminal shows.

    Args:
        data: The data.
        default: Makes text of what JSON does not know.
    """
    say_json(dumps(data, indent=2, default=default))


def say_json(text: str) -> None:
    """Print JSON in ASCII; DEL is the only control character that Python leaves in it."""
    print(text.replace("\x7f", "\\u007f"))  # noqa: T201


def _printable(text: object) -> str:
    from s3kv_flows.store._layout.printable import printable  # which imports boto3, by its package

    return printable(text)
