"""How many values instructions of Python take from the stack, and leave."""

from __future__ import annotations

import opcode
import sys
from collections.abc import Callable

__all__ = ["STACK_EFFECTS"]

_VERSION = sys.version_info[:2]
_Effect = tuple[int, int] | Callable[[int], tuple[int, int]]

_FAMILIES: dict[str, _Effect] = {"UNARY": (1, 1), "BINARY": (2, 1), "INPLACE": (2, 1)}
_EFFECTS: dict[str, _Effect] = {
    **dict.fromkeys(["NOP", "RESUME", "PRECALL", "EXTENDED_ARG", "CACHE"], (0, 0)),
    **dict.fromkeys(["COPY_FREE_VARS", "MAKE_CELL"], (0, 0)),
    **dict.fromkeys(["DELETE_FAST", "DELETE_NAME", "DELETE_GLOBAL", "DELETE_DEREF"], (0, 0)),
    **dict.fromkeys(["POP_TOP", "STORE_NAME", "STORE_GLOBAL"], (1, 0)),
    **dict.fromkeys(["LIST_APPEND", "LIST_EXTEND", "SET_ADD", "SET_UPDATE"], (1, 0)),
    **dict.fromkeys(["DICT_UPDATE", "DICT_MERGE"], (1, 0)),
    "MAP_ADD": (2, 0),
    **dict.fromkeys(
        ["PUSH_NULL", "LOAD_CONST", "LOAD_CLOSURE", "LOAD_BUILD_CLASS", "LOAD_ASSERTION_ERROR", "LOAD_LOCALS",
         "LOAD_FAST_AND_CLEAR", "IMPORT_FROM"],
        (0, 1),
    ),
    **dict.fromkeys(
        ["GET_ITER", "LIST_TO_TUPLE", "FORMAT_SIMPLE", "CONVERT_VALUE", "TO_BOOL", "CALL_INTRINSIC_1",
         "YIELD_VALUE", "GET_YIELD_FROM_ITER"],
        (1, 1),
    ),
    **dict.fromkeys(
        ["COMPARE_OP", "IS_OP", "CONTAINS_OP", "IMPORT_NAME", "FORMAT_WITH_SPEC", "SET_FUNCTION_ATTRIBUTE",
         "CALL_INTRINSIC_2"],
        (2, 1),
    ),
    **dict.fromkeys(["BUILD_TUPLE", "BUILD_LIST", "BUILD_SET", "BUILD_STRING", "BUILD_SLICE"],
                    lambda count: (count, 1)),
    "END_FOR": (2, 0) if _VERSION == (3, 12) else (1, 0),
    "BUILD_MAP": lambda count: (2 * count, 1),
    "BUILD_CONST_KEY_MAP": lambda count: (count + 1, 1),
    "FORMAT_VALUE": lambda flags: (2 if flags & 4 else 1, 1),
    "UNPACK_EX": lambda counts: (1, (counts & 255) + 1 + (counts >> 8)),
}  # fmt: skip


def _effect(name: str) -> _Effect | None:
    found: _Effect | None = _EFFECTS.get(name) or _FAMILIES.get(name.partition("_")[0])
    return found


STACK_EFFECTS: list[_Effect | None] = [_effect(name) for name in (*opcode.opname, *[""] * 256)[:256]]
"""By the number of an instruction: how many values it takes and leaves, or a function of its argument."""
