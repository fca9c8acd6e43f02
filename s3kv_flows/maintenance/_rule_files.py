"""Files of rules as data, in which nothing is written twice."""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from s3kv_flows.maintenance._rule_errors import Problem, shown

__all__ = ["Item", "read_items", "read_text"]


@dataclass
class Item:
    """An item of the list, before it becomes a rule.

    Attributes:
        value: The item: a dict, if it is a mapping.
        written: What is something other than text, and stands in the file, by field and tag.
        problems: What is wrong with how it is written.
    """

    value: Any
    written: dict[tuple[str, ...], _Scalar] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)

    def all_problems(self, found: Iterable[Problem]) -> list[str]:
        """Return everything that is wrong, with what the validation found.

        A field that must be text is shown as the file has it: YAML has made False of ``no``.
        """
        lines, told = list(self.problems), set[tuple[str, ...]]()
        for problem in found:
            told.add(problem.place)
            lines.append(self._line(problem))
        odd = {place: one for place, one in self.written.items() if place not in told and _is_odd(one)}
        return lines + [
            str(Problem(place, f"{scalar.text} is read as {scalar.value}: write that"))
            for place, scalar in odd.items()
        ]

    def _line(self, problem: Problem) -> str:
        scalar = self.written.get(problem.place)
        if scalar is None or scalar.value is None:
            return str(problem)
        if problem.wants_text:
            return str(Problem(problem.place, _misread(scalar)))
        return f"{problem} ({scalar.text} is read as {scalar.value})" if _is_odd(scalar) else str(problem)


class _Pairs(list[tuple[Any, Any]]):
    """A mapping as it is written: in order, with the keys that stand there twice."""


class _Scalar(NamedTuple):
    """Something other than text, and what stands in the file."""

    value: Any
    text: str


_MAX_BYTES = 256 * 1024
_MAX_ITEMS = 1000
"""The most items of a list, and the most rules: S3 takes as many lifecycle rules."""
_MAX_FIELDS = 100
_MAX_PARTS = 100_000
"""The most fields and items in all. Aliases repeat what stands in the file once."""
_MAX_SCALAR = 100
"""The most characters of a number or a date."""

_NUMBER = re.compile(r"[-+]?(0|[1-9][0-9_]*)(\.[0-9_]*)?([eE][-+]?[0-9]+)?")


def _is_odd(scalar: _Scalar) -> bool:
    """Tell whether YAML 1.1 takes for a number what people would not: 010 for 8, and 1:30 for 90."""
    is_number = isinstance(scalar.value, int | float) and not isinstance(scalar.value, bool)
    return is_number and not _NUMBER.fullmatch(scalar.text)


def _misread(scalar: _Scalar) -> str:
    same = scalar.text == shown(scalar.value)
    return (
        f"{scalar.text} is {'' if same else f'read as {shown(scalar.value)}, '}not text: put it into quotes"
    )


# --- bytes to text ------------------------------------------------------------------------------------


def read_text(path: Path) -> str:
    """Read a file in UTF-8, or in UTF-16 with a byte order mark, as PowerShell writes it.

    Raises:
        ValueError: The file cannot be read, or is in another encoding.
    """
    try:
        with path.open("rb") as file:
            raw = file.read(_MAX_BYTES + 1)
    except OSError as exc:
        raise ValueError(f"rules cannot be read from {str(path)!r}: {exc.strerror or exc}") from exc
    if len(raw) > _MAX_BYTES:
        raise ValueError(f"{path}: it has more than {_MAX_BYTES:,} bytes: these are no rules")
    wide = raw.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    try:
        return raw.decode("utf-16" if wide else "utf-8-sig")
    except UnicodeDecodeError as exc:
        line = raw[: exc.start].count(b"\n") + 1
        raise ValueError(f"{path}: line {line}: this is not UTF-8: save the file in UTF-8") from exc


# --- text to items ------------------------------------------------------------------------------------


def read_items(text: str) -> list[Item]:
    """Return the items of a list in YAML or JSON, or of the list under ``rules``.

    Raises:
        ValueError: There is no such list; the message is one line.
    """
    if len(text) > _MAX_BYTES:
        raise ValueError(f"it has more than {_MAX_BYTES:,} characters: these are no rules")
    parsed = _parse(text.removeprefix("\ufeff"))
    if isinstance(parsed, _Pairs) and "rules" in (keys := [key for key, _ in parsed]):
        if others := [key for key in keys if key != "rules"]:
            raise ValueError(
                f"beside 'rules' stands {_text_of(others[0])!r}: a file has rules and nothing else"
            )
        if len(keys) > 1:
            raise ValueError("'rules' stands there twice: make one list of them")
        parsed = parsed[0][1]
    if not isinstance(parsed, list) or isinstance(parsed, _Pairs):
        raise ValueError(_no_list(parsed))  # noqa: TRY004  # of a file
    if len(parsed) > _MAX_ITEMS:
        raise ValueError(f"there are {len(parsed):,} rules, and {_MAX_ITEMS:,} is the most")
    return [_item(one) for one in parsed]


def _no_list(parsed: Any) -> str:
    if isinstance(parsed, _Scalar) and parsed.value is None:
        return "there are no rules in it: write a list of them, or [] for none"
    if isinstance(parsed, _Pairs):
        is_rule = any(key == "name" for key, _ in parsed)
        what = "one rule" if is_rule else "a mapping"
        return f"this is {what}, not a list of rules: begin each rule with '- name: '"
    return f"this is {shown(_plain(parsed))}, not a list of rules: begin each rule with '- name: '"


def _item(data: Any) -> Item:
    """Return an item as plain Python, with what is wrong in how it is written."""
    if not isinstance(data, _Pairs):
        return Item(_plain(data))
    item = Item({})
    for key, value in _once(data, (), item):
        if isinstance(value, _Pairs):
            item.value[key] = {
                tag: _noted(inner, (key, tag), item) for tag, inner in _once(value, (key,), item)
            }
        else:
            item.value[key] = _noted(value, (key,), item)
    return item


def _once(pairs: _Pairs, place: tuple[str, ...], item: Item) -> Iterator[tuple[str, Any]]:
    """Yield each key with its first value; note those that stand there twice or are not text."""
    seen: set[str] = set()
    for key, value in pairs:
        text = _text_of(key)
        if text in seen:
            item.problems.append(str(Problem(place, f"{text!r} stands there twice: leave one")))
            continue
        seen.add(text)
        if isinstance(key, _Scalar) and place:  # of a field, the next thing said is that there is none
            item.problems.append(str(Problem(place, _misread(key))))
        yield text, value


def _noted(value: Any, place: tuple[str, ...], item: Item) -> Any:
    if isinstance(value, _Scalar):
        item.written[place] = value
    return _plain(value)


def _text_of(key: Any) -> str:
    return key if isinstance(key, str) else key.text if isinstance(key, _Scalar) else shown(_plain(key))


def _plain(data: Any) -> Any:
    """Return data without what stands in the file; of collections, the kind alone."""
    if isinstance(data, _Scalar):
        return data.value
    return {} if isinstance(data, _Pairs) else [] if isinstance(data, list) else data


# --- YAML and JSON ------------------------------------------------------------------------------------


def _parse(text: str) -> Any:
    """Return lists, pairs, texts and scalars.

    JSON is tried first where the text begins like it. YAML reads most of JSON, but not tabs, and not
    characters beyond 16 bits in its escapes.
    """
    if text.lstrip().startswith(("{", "[")):
        try:
            return _of_json(json.loads(text, object_pairs_hook=_Pairs))
        except _TooManyError:
            raise
        except (ValueError, RecursionError):
            pass  # YAML in braces, perhaps: and it says what is wrong with JSON, too
    try:
        return _of_yaml(text)
    except yaml.reader.ReaderError as exc:
        line = text[: exc.position].count("\n") + 1
        raise ValueError(f"line {line}: a control character ({exc.character:#04x}): remove it") from exc
    except yaml.MarkedYAMLError as exc:
        raise ValueError(_in_one_line(exc)) from exc


def _of_json(value: Any) -> Any:
    if isinstance(value, _Pairs):
        _require_few(len(value))
        return _Pairs((key, _of_json(inner)) for key, inner in value)
    if isinstance(value, list):
        return [_of_json(inner) for inner in value]
    return value if isinstance(value, str) else _Scalar(value, json.dumps(value))


class _TooManyError(ValueError):
    """A mapping has more fields than any rule."""


def _require_few(fields: int) -> None:
    if fields > _MAX_FIELDS:
        raise _TooManyError(f"a mapping in it has {fields:,} fields, and no rule has more than {_MAX_FIELDS}")


def _in_one_line(exc: yaml.MarkedYAMLError) -> str:
    mark = exc.problem_mark or exc.context_mark
    where = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
    problem = exc.problem or ""
    if r"'\t'" in problem:
        return f"{where}neither YAML nor JSON: there is a tab: indent with spaces"
    if "expected a single document" in (exc.context or ""):
        return f"{where}there are two documents, divided by '---': make one list of them"
    context = f" {exc.context}" if exc.context else ""
    return f"{where}neither YAML nor JSON: {problem}{context}"


def _of_yaml(text: str) -> Any:
    loader = _ShallowLoader(text)
    try:
        node = loader.get_single_node()
        return _Scalar(None, "") if node is None else _Nodes(loader).data(node)
    finally:
        loader.dispose()


_TEXT = "tag:yaml.org,2002:str"
_COLLECTIONS = ("tag:yaml.org,2002:map", "tag:yaml.org,2002:seq")


class _ShallowLoader(yaml.SafeLoader):
    """Refuses what is nested deeply: each level costs stack, and more time than the one before it."""

    _DEEPEST = 30

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self._depth = 0

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        """Return the next node, with those in it."""
        self._depth += 1
        if self._depth > self._DEEPEST:
            raise ValueError("neither YAML nor JSON: it is nested too deeply")
        node: yaml.Node | None = super().compose_node(parent, index)
        self._depth -= 1
        return node


class _Nodes:
    """Nodes of YAML as data. Anchors and merge keys do what they do everywhere."""

    _DEEPEST = 6
    """Rules are four levels deep: what is deeper is no rule, and may be endless."""

    def __init__(self, loader: yaml.SafeLoader) -> None:
        self._loader = loader
        self._made: dict[tuple[int, int], Any] = {}  # aliases of aliases would take for ever
        self._parts = 0

    def data(self, node: yaml.Node, depth: int = 0) -> Any:
        key = (id(node), depth)
        if key not in self._made:
            self._made[key] = self._new(node, depth)
        return self._made[key]

    def _new(self, node: yaml.Node, depth: int) -> Any:
        if isinstance(node, yaml.CollectionNode):
            self._require_plain(node)
        if isinstance(node, yaml.MappingNode):
            return self._pairs(node, depth) if depth < self._DEEPEST else _Pairs()
        if isinstance(node, yaml.SequenceNode):
            return [self.data(one, depth + 1) for one in node.value] if depth < self._DEEPEST else []
        return self._scalar(node)

    def _require_plain(self, node: yaml.CollectionNode) -> None:
        """Refuse a collection of a type of its own, and the one with which there are too many parts."""
        line = node.start_mark.line + 1
        if node.tag not in _COLLECTIONS:
            raise ValueError(f"line {line}: the type {node.tag[:60]!r} is not known in rules: leave it out")
        if isinstance(node, yaml.MappingNode):
            _require_few(len(node.value))
        self._count(len(node.value))

    def _count(self, parts: int) -> None:
        self._parts += parts
        if self._parts > _MAX_PARTS:
            raise ValueError(f"it has more than {_MAX_PARTS:,} fields, with what its aliases repeat")

    def _pairs(self, node: yaml.MappingNode, depth: int) -> _Pairs:
        pairs, merged = _Pairs(), dict[str, tuple[Any, Any]]()
        for key_node, value_node in node.value:
            if key_node.tag == "tag:yaml.org,2002:merge":
                merged = {**self._merged(value_node, depth), **merged}
            else:
                pairs.append((self.data(key_node, depth + 1), self.data(value_node, depth + 1)))
        own = {_text_of(key) for key, _ in pairs}
        _require_few(len(merged) + len(pairs))
        return _Pairs([*(pair for key, pair in merged.items() if key not in own), *pairs])

    def _merged(self, node: yaml.Node, depth: int) -> dict[str, tuple[Any, Any]]:
        """Return the pairs that ``<<`` brings: of several mappings, the first that has a key."""
        several = node.value if isinstance(node, yaml.SequenceNode) else [node]
        found: dict[str, tuple[Any, Any]] = {}
        for one in several:
            data = self.data(one, depth + 1)
            if not isinstance(data, _Pairs):
                line = one.start_mark.line + 1
                raise ValueError(  # noqa: TRY004  # of a file
                    f"line {line}: '<<' merges mappings, such as *raw, not {shown(_plain(data))}"
                )
            self._count(len(data))
            _require_few(len(data))
            found = {**{_text_of(key): (key, value) for key, value in data}, **found}
        return found

    def _scalar(self, node: yaml.Node) -> Any:
        line = node.start_mark.line + 1
        try:
            if node.tag != _TEXT and len(node.value) > _MAX_SCALAR:
                raise ValueError("it is too long")  # noqa: TRY301  # it takes long, too
            value = self._loader.construct_object(node)
        except (ValueError, ArithmeticError, LookupError, AttributeError, TypeError) as exc:
            # The 31st of February, or what a type such as !!int or !!timestamp stands before.
            raise ValueError(
                f"line {line}: {node.value[:40]} is no date and no number: put it into quotes"
            ) from exc
        return value if isinstance(value, str) else _Scalar(value, node.value)
