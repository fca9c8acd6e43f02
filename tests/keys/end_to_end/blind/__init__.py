"""Edits that were written without knowledge of the code, and run once before any repair."""

from __future__ import annotations

from tests.keys.code.cases import Edit
from tests.keys.end_to_end.blind.fifth import FIFTH
from tests.keys.end_to_end.blind.first import FIRST
from tests.keys.end_to_end.blind.fourth import FOURTH
from tests.keys.end_to_end.blind.second import SECOND
from tests.keys.end_to_end.blind.third import THIRD

__all__ = ["BLIND", "SETTINGS_AND_FIELDS"]

_DIFFERS = {
    "name of the module of a class": "the documentation says that names of modules do not count",
    "a graph of dask in a constant": "each process makes other names for its nodes",
    "a helper that reads its caller's globals": "the documentation says that it cannot be seen",
    "logging and a print of a module that the body imports": "the documentation says that the file counts",
    **dict.fromkeys(
        (
            "a frame that a query of polars names",
            "frames of a SQL context of polars",
            "frame of polars as a context registers globals",
        ),
        "polars looks for frames in its caller's frame, which is not that of the project here",
    ),
}
"""Edits of which something else was expected than is documented."""

SETTINGS_AND_FIELDS: list[Edit] = [edit for edit in (*FOURTH, *FIFTH) if edit.name not in _DIFFERS]
BLIND: list[Edit] = [
    *(edit for edit in (*FIRST, *SECOND, *THIRD) if edit.name not in _DIFFERS),
    *SETTINGS_AND_FIELDS,
]
