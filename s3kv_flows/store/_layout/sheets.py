"""Make cells of CSV that no spreadsheet takes for a formula."""

from __future__ import annotations

from s3kv_flows.store._layout.printable import printable

__all__ = ["cell"]

_FORMULA = ("=", "+", "-", "@")
_APOSTROPHE = "'"
"""Before a cell, it makes spreadsheets take the rest as text."""


def cell(value: object) -> object:
    """Return a value for a cell: text in one line, and with an apostrophe where it would be a formula."""
    if not isinstance(value, str):
        return value
    # Spreadsheets skip what is blank before a formula, also a full-width sign is one to some.
    begins = value.lstrip()[:1].translate({0xFF1D: "=", 0xFF0B: "+", 0xFF0D: "-", 0xFF20: "@"})
    quoted = begins in _FORMULA or value[:1] in ("\t", "\r")
    return f"{_APOSTROPHE if quoted else ''}{printable(value)}"
