"""Each error of a value that cannot be used says why, from a closed list, in every process."""

from __future__ import annotations

import ast
import copy
import pickle
from collections.abc import Iterator

import pytest

from s3kv_flows.store.errors import (
    CORRUPT_REASONS,
    TAMPERED_REASONS,
    CorruptValueError,
    TamperedValueError,
)
from tests.test_architecture import MODULES

REASONS: dict[str, tuple[str, ...]] = {
    "CorruptValueError": CORRUPT_REASONS,
    "TamperedValueError": TAMPERED_REASONS,
}


def unexplained(tree: ast.AST) -> Iterator[str]:
    """Yield, in words, what makes such an error without a reason of its list."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Name) and node.exc.id in REASONS:
            yield f"line {node.lineno}: a class is raised"
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in REASONS:
            given = [one.value for one in node.keywords if one.arg == "reason"]
            if not given:
                yield f"line {node.lineno}: no reason"
            elif not isinstance(given[0], ast.Constant) or given[0].value not in REASONS[node.func.id]:
                yield f"line {node.lineno}: a reason that is none"


def test_every_error_of_the_package_has_a_reason_of_the_list() -> None:
    found = {name: list(unexplained(tree)) for name, tree in MODULES.items()}
    assert {name: lines for name, lines in found.items() if lines} == {}


@pytest.mark.parametrize(
    "statement",
    [
        "raise CorruptValueError",
        "raise CorruptValueError('x')",
        "raise CorruptValueError('x', reason='bad luck')",
        "raise CorruptValueError('x', reason='root')",
        "raise CorruptValueError('x', reason=why)",
        "return TamperedValueError('x', reason='checksum')",
    ],
)
def test_the_check_sees_what_it_looks_for(statement: str) -> None:
    assert len(list(unexplained(ast.parse(statement)))) == 1


def test_no_reason_is_in_both_lists() -> None:
    assert len({*CORRUPT_REASONS, *TAMPERED_REASONS}) == len(CORRUPT_REASONS) + len(TAMPERED_REASONS) == 17


ERRORS: list[CorruptValueError] = [CorruptValueError("text", reason=one) for one in CORRUPT_REASONS]
ERRORS += [TamperedValueError("text", reason=one) for one in TAMPERED_REASONS]


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: error.reason)
def test_an_error_keeps_its_reason_in_another_process_and_in_another_message(
    error: CorruptValueError,
) -> None:
    located = error.located("the value of 'key'")
    for again in (pickle.loads(pickle.dumps(error)), copy.copy(error), located):
        assert type(again) is type(error)
        assert again.reason == error.reason
    assert str(pickle.loads(pickle.dumps(located))) == "the value of 'key': text"


def test_a_codec_of_a_user_need_not_give_a_reason() -> None:
    assert CorruptValueError("text").reason == "codec"
