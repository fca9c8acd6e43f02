"""Trees are kept while code is examined, and no longer; garbage is collected again after that."""

from __future__ import annotations

import ast
import gc
import threading
from typing import Any

import pytest

from s3kv_flows._keys.code.syntax import parsing
from s3kv_flows._keys.identity import Identity
from tests.keys.code.test_code_identity import Load


def test_a_text_is_parsed_once_for_a_walk_and_nothing_of_it_stays(
    project: Load, monkeypatch: pytest.MonkeyPatch
) -> None:
    parsed: list[object] = []
    parse: Any = ast.parse

    def counted(text: str | bytes, *args: Any) -> Any:
        parsed.append(text)
        assert not gc.isenabled()
        return parse(text, *args)

    module = project(
        "import math\n\nRATE = math.pi\n\ndef helper(x): return x * RATE\n\ndef t(x): return helper(x)"
    )
    monkeypatch.setattr(ast, "parse", counted)
    Identity().code(module.t)
    assert len(parsed) == len(set(map(str, parsed))) == 1
    assert gc.isenabled()
    assert not parsing._TREES._known


def test_few_trees_are_kept_of_long_texts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parsing, "_MOST_TEXT", 20)
    texts = [f"value = {number}" for number in range(5)]  # nine characters each
    with parsing.examining():
        trees = [parsing.parse(text) for text in texts]
        assert [parsing.parse(text) is tree for text, tree in zip(texts[3:], trees[3:], strict=True)] == [
            True,
            True,
        ]
        assert list(parsing._TREES._known) == texts[3:]


def test_garbage_is_collected_once_the_last_thread_is_done() -> None:
    begun, done = threading.Event(), threading.Event()

    def examine() -> None:
        with parsing.examining():
            begun.set()
            done.wait()

    thread = threading.Thread(target=examine)
    with parsing.examining():
        thread.start()
        begun.wait()
        kept = parsing.parse("value = 1")
    assert not gc.isenabled()
    assert parsing.parse("value = 1") is kept
    done.set()
    thread.join()
    assert gc.isenabled()


def test_who_has_switched_the_collection_off_finds_it_off() -> None:
    gc.disable()
    try:
        with parsing.examining():
            pass
        assert not gc.isenabled()
    finally:
        gc.enable()
