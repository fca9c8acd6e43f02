"""What is wrong with a cleanup rule, in one line per mistake."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from difflib import get_close_matches

from pydantic import ValidationError
from pydantic_core import ArgsKwargs, ErrorDetails, InitErrorDetails, PydanticCustomError

__all__ = ["Problem", "as_validation_error", "problems_in", "shown"]

_TYPE = "cleanup_rule"
_NO_TEXT = ("string_type", "string_unicode")


@dataclass(frozen=True)
class Problem:
    """One mistake in a rule.

    Attributes:
        place: The field, then the tag; empty where it is about the rule.
        text: What is wrong and what to write, without the place.
        wants_text: Whether text was expected and something else found.
    """

    place: tuple[str, ...]
    text: str
    wants_text: bool = False

    def __str__(self) -> str:
        return " ".join(": ".join((*self.place, self.text)).splitlines())  # a tag may be of several lines


def as_validation_error(exc: ValidationError, value: object, fields: Sequence[str]) -> ValidationError:
    """Return the error with the mistakes in plain words, for callers that ask pydantic.

    Prefect shows these lines for the parameters of a flow run, after the position of the rule and the field.

    Args:
        exc: What pydantic found.
        value: What was to become a rule.
        fields: The names of the fields of a rule, in order.
    """
    rule = _rule_of(value)
    lines = [
        InitErrorDetails(
            type=PydanticCustomError(
                _TYPE, "{rule}: {text}", {"rule": rule, "text": problem.text, "problem": problem}
            ),
            loc=problem.place,
            input=value,
        )
        for problem in _problems(exc.errors(include_url=False), fields)
    ]
    return ValidationError.from_exception_data("CleanupRule", lines, hide_input=True)


def problems_in(exc: ValidationError) -> list[tuple[Problem, str]]:
    """Return the mistakes in an error of :func:`as_validation_error`, each with its line."""
    found = [error["ctx"] for error in exc.errors(include_url=False)]
    return [(one["problem"], f"{one['rule']}: {one['problem']}") for one in found]


def shown(value: object) -> str:
    """Return a value as a person would write it in a file, cut where it is long."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, date):
        return f"the date {value.isoformat()}"
    if isinstance(value, Mapping):
        return "a mapping"
    if isinstance(value, list | tuple | set | frozenset):
        return "a list"
    if not isinstance(value, str | int | float):
        return f"a {type(value).__name__}"
    try:
        text = repr(value)
    except ValueError:  # an int of thousands of digits
        return "a number of thousands of digits"
    return text if len(text) <= 60 else f"{text[:40]}..."


def _rule_of(value: object) -> str:
    """Return what to call the rule: by its name, where it has one."""
    name: object = None
    if isinstance(value, Mapping):
        name = value.get("name")
    elif isinstance(value, ArgsKwargs):
        name = value.args[0] if value.args else (value.kwargs or {}).get("name")
    return f"rule {name!r}" if isinstance(name, str) and name else "rule"


def _problems(errors: list[ErrorDetails], fields: Sequence[str]) -> list[Problem]:
    """Return the mistakes, unknown fields first: one of them may be the name that is missing."""
    unknown = [error for error in errors if error["type"] == "unexpected_keyword_argument"]
    misspelt = {_near(str(error["loc"][-1]), fields) for error in unknown}
    rest = [
        error
        for error in errors
        if error not in unknown and not (error["type"] == "missing" and error["loc"][-1] in misspelt)
    ]
    problems = [_problem(error, fields) for error in (*unknown, *rest)]
    return list(dict.fromkeys(problems))


def _problem(error: ErrorDetails, fields: Sequence[str]) -> Problem:
    kind, value = error["type"], error["input"]
    if kind == "invalid_key":
        return Problem((), f"the name of a field is text, not {shown(error['loc'][-1])}")
    place = _place(error["loc"], fields)
    if kind == "unexpected_keyword_argument":
        name = str(error["loc"][-1])  # which may be empty
        near = _near(name, fields)
        return Problem((), f"no field {name!r}: {f'{near}?' if near else _list(fields)}")
    if kind == "missing":
        return Problem((), f"it has no {place[-1]}: give it one")
    if kind == "unexpected_positional_argument":
        return Problem((), f"a rule has {len(fields)} fields, and more were given")
    if kind == "dataclass_type":
        return Problem(
            (), f"write a mapping with its fields, such as {{name: raw, older_than: 30d}}, not {shown(value)}"
        )
    return Problem(place, _text(error, kind, value), wants_text=kind in _NO_TEXT)


def _text(error: ErrorDetails, kind: str, value: object) -> str:
    if kind == "value_error":
        return _of_field(str(error["ctx"]["error"]), value)
    if kind in _NO_TEXT:
        return f"write text, not {shown(value)}{_in_quotes(value)}"
    if kind == "string_too_short":
        return "it is empty: write some text"
    if kind == "dict_type":
        return f"write names and values, such as {{stage: raw}}, not {shown(value)}"
    if kind.startswith("bool"):
        return f"write true or false, not {shown(value)}"
    if kind.startswith(("int", "finite")) or kind == "greater_than_equal":
        least = error.get("ctx", {}).get("ge", 1)
        return f"write a whole number from {least} on, not {shown(value)}"
    if kind == "multiple_argument_values":
        return "it is given twice"
    return error["msg"]


def _of_field(text: str, value: object) -> str:
    """Return what a field says of a value; a date where a duration is due is better told than by its type."""
    if isinstance(value, date):
        return f"write how long ago, such as 30d, not {shown(value)}"
    return text


def _in_quotes(value: object) -> str:
    if isinstance(value, bool | int | float | date):
        return ": put it into quotes"
    return ' ("" where it is empty)' if value is None else ""


def _place(loc: Iterable[int | str], fields: Sequence[str]) -> tuple[str, ...]:
    """Return field and tag of pydantic's location; an argument in Python may be given by position."""
    first, *rest = loc or ("",)
    field = fields[first] if isinstance(first, int) and first < len(fields) else str(first)
    tags = [_tag(one) for one in rest if one != "[key]"]
    return tuple(one for one in (field, *tags) if one)


def _tag(key: int | str) -> str:
    return {"True": "true", "False": "false", "None": "null"}.get(str(key), str(key))


def _near(name: str, fields: Sequence[str]) -> str | None:
    found = get_close_matches(name.lower().replace("-", "_").replace(" ", "_"), fields, n=1)
    return found[0] if found else None


def _list(names: Sequence[str]) -> str:
    return f"the fields are {', '.join(names[:-1])} and {names[-1]}"
