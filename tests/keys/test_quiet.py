"""Texts are compiled without warnings, and filters of warnings stay those of the program."""

from __future__ import annotations

import ast
import warnings
from collections.abc import Callable
from typing import Any

import pytest

from s3kv_flows._keys.identity import Identity
from s3kv_flows._keys.quiet import compile_quietly, parse_quietly

Load = Callable[[str], Any]

WARNED_OF = """
import threading
PATTERN, IS_ONE = "\\d", 1 is 1
LOCK = threading.Lock() if 1 is 1 else "\\d"
def t():
    assert (PATTERN, "always")
    return LOCK, IS_ONE, "\\d"
"""


def others(filters: Any) -> list[Any]:
    """Return all filters but the one for the texts that are compiled here."""
    return [one for one in filters if "s3kv_flows" not in getattr(one[3], "pattern", "")]


@pytest.mark.parametrize("action", ["error", "always", "default", "module", "once"])
def test_no_filter_makes_a_difference_and_none_is_changed(project: Load, action: Any) -> None:
    with warnings.catch_warnings(record=True) as given:
        warnings.simplefilter("ignore")
        m, other = project(WARNED_OF), project(WARNED_OF)
        expected = Identity().code(other.t)
        warnings.simplefilter(action)
        warnings.filterwarnings("ignore", "of the user")
        before = others(warnings.filters)
        assert Identity().code(m.t).digest == expected.digest
        assert others(warnings.filters) == before
        assert given == []
        assert len(warnings.filters) <= len(before) + 1


def test_filters_that_a_thread_keeps_while_a_text_is_parsed_are_its_own(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    parse: Any = ast.parse
    thread = warnings.catch_warnings()

    def parse_meanwhile(*args: Any) -> Any:
        thread.__enter__()
        return parse(*args)

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with monkeypatch.context() as patch:
            patch.setattr(ast, "parse", parse_meanwhile)
            parse_quietly("'\\d'")
        thread.__exit__(None, None, None)
        with pytest.raises(UserWarning):
            warnings.warn("of the user", stacklevel=1)


def test_an_error_that_a_thread_makes_of_warnings_meanwhile_is_none_of_the_text(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    parse: Any = ast.parse
    times: list[str] = []

    def parse_meanwhile(text: str, *args: Any) -> Any:
        times.append(text)
        if len(times) == 1:
            warnings.simplefilter("error")
        return parse(text, *args)

    with warnings.catch_warnings(), monkeypatch.context() as patch:
        patch.setattr(ast, "parse", parse_meanwhile)
        assert isinstance(parse_quietly("'\\d'"), ast.Module)
    assert len(times) == 2


@pytest.mark.parametrize("work", [compile_quietly, parse_quietly])
def test_what_is_none_of_pythons_is_refused(work: Callable[[str], object]) -> None:
    with pytest.raises(SyntaxError):
        work("def")
