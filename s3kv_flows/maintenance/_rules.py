"""CleanupRule: validated conditions for removal, and the files that hold them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import MISSING, fields
from dataclasses import Field as DataclassField
from datetime import timedelta
from functools import lru_cache, wraps
from pathlib import Path
from typing import Annotated, Any, TypeVar

from pydantic import (
    BeforeValidator,
    ByteSize,
    ConfigDict,
    Field,
    ModelWrapValidatorHandler,
    PlainSerializer,
    PlainValidator,
    TypeAdapter,
    ValidationError,
    WithJsonSchema,
    field_validator,
    model_validator,
)
from pydantic.dataclasses import dataclass
from pydantic.fields import FieldInfo
from typing_extensions import Self

from s3kv_flows.maintenance._rule_errors import as_validation_error, problems_in, shown
from s3kv_flows.maintenance._rule_files import Item, read_items, read_text
from s3kv_flows.store._durations import CalendarDuration, DurationLike, format_duration, parse_duration
from s3kv_flows.store._layout.tags import validate_tags

__all__ = ["CleanupRule", "Duration", "GivenDuration", "Size", "parse_rules", "read_rules", "unknown_fields"]

# --- durations and sizes ------------------------------------------------------------------------------

_BYTES = TypeAdapter(ByteSize)


def _size(value: Any) -> int:
    """Return the bytes of a number, or of ``10 GB``."""
    try:
        size = _BYTES.validate_python(value)
        if isinstance(value, bool) or size < 0:
            raise ValueError("not a size")  # noqa: TRY301  # the next lines say it in full
    except ValueError:
        raise ValueError(f"write a size such as '500 GB', not {shown(value)}") from None
    return int(size)


def _count(value: Any) -> Any:
    """Refuse true, which pydantic takes for 1: what ``keep_last: yes`` would keep is one object."""
    if isinstance(value, bool):
        raise ValueError(f"write a whole number from 1 on, not {shown(value)}")  # noqa: TRY004
    return value


_READ = PlainValidator(parse_duration)
_WRITTEN = PlainSerializer(format_duration, return_type=str)
# Without "format": that would be ISO 8601 alone, and Prefect's server refuses any other notation.
_IN_FORMS = WithJsonSchema({"type": "string", "examples": ["30d", "1h30min", "1y6mo", "P30D"]})

Duration = Annotated[timedelta | CalendarDuration, _READ, _WRITTEN, _IN_FORMS]
"""What :func:`~s3kv_flows.store._durations.parse_duration` takes; dumped as text, such as ``30d``."""

GivenDuration = Annotated[DurationLike, _READ, _WRITTEN, _IN_FORMS]
"""A :data:`Duration` as a flow's parameter, which may also be given as text in Python."""

Count = Annotated[int, BeforeValidator(_count), Field(ge=1)]
"""How many: a whole number, at least one."""

# Both forms: Prefect's server checks the parameters of a run against the schema before the flow sees them.
_IN_BYTES = WithJsonSchema(
    {"anyOf": [{"type": "integer", "minimum": 0}, {"type": "string", "examples": ["10 GB", "10 GiB"]}]}
)

Size = Annotated[int, PlainValidator(_size), _IN_BYTES]
"""Bytes: a number, ``10 GB`` (powers of ten) or ``10 GiB`` (powers of two)."""


# --- rules --------------------------------------------------------------------------------------------

_REASONS = ("older_than", "expired", "keep_last", "max_bytes", "noncurrent_after")
"""The fields that make a rule remove anything; the others only narrow it."""


_Kind = TypeVar("_Kind", bound=type)


def _with_plain_errors(kind: _Kind) -> _Kind:
    """Let a class of pydantic say what is wrong with its arguments in one line for each mistake."""
    init: Callable[..., None] = kind.__init__  # type: ignore[misc]  # of the class itself

    @wraps(init)
    def plain(self: object, *args: object, **kwargs: object) -> None:
        try:
            init(self, *args, **kwargs)
        except ValidationError as exc:
            raise ValueError("\n".join(line for _, line in problems_in(exc))) from None

    kind.__init__ = plain  # type: ignore[misc]
    return kind


@_with_plain_errors
@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class CleanupRule:
    """Removes objects to which all of its conditions apply.

    An object matches if ``prefix``, ``tags``, ``unless_tags``, ``larger_than``, ``older_than`` and
    ``expired`` all apply. Matching objects are removed, except those that ``keep_last`` exempts, and only
    until ``max_bytes`` is met. With ``noncurrent_after`` a rule is about old versions instead, and its
    conditions apply to each version.

    Several rules are alternatives: one that removes an object is enough. Each is evaluated by itself. No
    rule removes an object under retention or legal hold, also of an older version, an object with a live
    lease, an object with the protect tag (on its current version), or an object younger than the grace
    period: ``keep_last`` does not count these, and the total of ``max_bytes`` includes them.

    Durations have a unit: ``30d``, ``1h30min``, ISO 8601 (``P30D``), or a timedelta. Months and years are
    those of the calendar, counted back from the moment of the plan, in UTC.

    Raises:
        ValueError: The rule is empty: it would remove everything it matches; it has fields that exclude each
            other; or a duration has no unit.
    """

    name: str = Field(description="The name of the rule in plans and reports.", min_length=1)
    prefix: str = Field(
        default="", description="Object names begin with this, such as s3kv-results/ or s3kv/raw/."
    )
    tags: dict[str, str] = Field(default_factory=dict, description="Tags that all must match.")
    unless_tags: dict[str, str] = Field(default_factory=dict, description="Tags of which none may match.")
    older_than: Duration | None = Field(
        default=None,
        description="The object was written at least this long ago, with the unit: 30d, 1h30min, 6mo.",
    )
    expired: bool = Field(
        default=False,
        description="The time to live that is recorded with a result, or in its tag ttl_days, has passed.",
    )
    keep_last: Count | None = Field(
        default=None, description="How many of the newest objects to keep, in each group."
    )
    group_by: str | None = Field(
        default=None,
        description="A tag: keep_last counts per value of it. Objects without the tag are one group.",
    )
    max_bytes: Size | None = Field(
        default=None,
        description="Remove the oldest until all matching objects take no more bytes than this: 10 GB.",
    )
    larger_than: Size | None = Field(default=None, description="The object has more bytes than this.")
    noncurrent_after: Duration | None = Field(
        default=None,
        description="Remove old versions this long after they were replaced or deleted: 7d, 1mo.",
    )

    @field_validator("tags", "unless_tags")
    @classmethod
    def _validate_tags(cls, tags: dict[str, str]) -> dict[str, str]:
        return validate_tags(tags)

    @field_validator("group_by")
    @classmethod
    def _validate_group(cls, key: str | None) -> str | None:
        if key is not None:
            validate_tags({key: ""})
        return key

    @model_validator(mode="after")
    def _refuse_empty(self) -> Self:
        if not any(_is_given(getattr(self, name)) for name in _REASONS):
            raise ValueError(
                f"it is empty: without {', '.join(_REASONS[:-1])} or {_REASONS[-1]} it would "
                "remove everything it matches, including objects written a moment ago"
            )
        if self.group_by is not None and self.keep_last is None:
            raise ValueError("group_by is for what keep_last counts, and needs keep_last")
        others = [name for name in ("expired", "keep_last", "max_bytes") if _is_given(getattr(self, name))]
        if self.noncurrent_after is not None and others:
            raise ValueError(
                f"noncurrent_after is about old versions, {' and '.join(others)} about objects: "
                "make two rules"
            )
        return self

    @model_validator(mode="wrap")  # around all other validators, which stand above
    @classmethod
    def _say_what_to_write(cls, value: Any, handler: ModelWrapValidatorHandler[Self]) -> Self:
        try:
            return handler(value)
        except ValidationError as exc:
            raise as_validation_error(exc, value, [one.name for one in fields(cls)]) from None

    @property
    def of_versions(self) -> bool:
        """Whether the rule is about old versions."""
        return self.noncurrent_after is not None

    @property
    def counts(self) -> bool:
        """Whether the removal of one object depends on which others match."""
        return self.keep_last is not None or self.max_bytes is not None

    @property
    def matches_by_tags(self) -> bool:
        """Whether matching an object needs its tags."""
        return bool(self.tags or self.unless_tags or self.expired)

    @property
    def asks_for_tags(self) -> bool:
        """Whether a decision about an object needs its tags."""
        return self.matches_by_tags or self.group_by is not None

    def __str__(self) -> str:
        """Return the rule in one line, with the fields that were given."""
        given = [
            f"{field.name}={_field_text(value)}"
            for field in fields(self)
            if field.name != "name"
            and _is_given(value := getattr(self, field.name))
            and value not in ("", {})
        ]
        return f"{self.name} ({', '.join(given)})"


def _is_given(value: object) -> bool:
    return value is not None and value is not False


def _field_text(value: object) -> str:
    return format_duration(value) if isinstance(value, timedelta | CalendarDuration) else repr(value)


def unknown_fields(rule: CleanupRule, known: frozenset[str]) -> list[str]:
    """Return the fields that a rule gives and the caller does not know.

    A caller that carries out a rule must refuse these: ignoring a field makes the rule remove more.

    Args:
        rule: The rule.
        known: The names of the fields that the caller supports.
    """
    others = _other_fields(type(rule), known)  # type: ignore[arg-type]  # a class is hashable
    return [field.name for field in others if _differs_from_default(getattr(rule, field.name), field)]


@lru_cache
def _other_fields(kind: type[CleanupRule], known: frozenset[str]) -> tuple[DataclassField[object], ...]:
    return tuple(field for field in fields(kind) if field.name not in known)


def _differs_from_default(value: object, field: DataclassField[object]) -> bool:
    default = field.default
    if isinstance(default, FieldInfo):
        default = default.get_default(call_default_factory=True, validated_data={})
    elif field.default_factory is not MISSING:
        default = field.default_factory()
    return bool(value != default)


# --- files of rules -----------------------------------------------------------------------------------

_RULE = TypeAdapter(CleanupRule)


def read_rules(path: Path) -> list[CleanupRule]:
    """Read the rules of a file.

    Raises:
        ValueError: The file cannot be read, is neither YAML nor JSON, or holds no list of valid rules. The
            message has a line for each mistake, with the file, the rule and the field.
    """
    return parse_rules(read_text(path), source=str(path))


def parse_rules(text: str, *, source: str = "the rules") -> list[CleanupRule]:
    """Parse rules in YAML or JSON: a list, or a mapping with the list under ``rules``.

    Args:
        text: The rules.
        source: What messages call the text.

    Raises:
        ValueError: The text is neither YAML nor JSON, or holds no list of valid rules, or two of one name.
            The message has a line for each mistake, with the rule and the field.
    """
    try:
        items = read_items(text)
    except ValueError as exc:
        raise ValueError(f"{source}: {exc}") from exc
    rules, problems = [], []
    for number, item in enumerate(items, 1):
        rule, found = _read(item)
        rules += [rule] if rule else []
        problems += [f"{_called(number, item)}: {problem}" for problem in found]
    if problems := [*problems, *_same_names(items)]:
        raise ValueError("\n".join(f"{source}: {problem}" for problem in problems))
    return rules


def _read(item: Item) -> tuple[CleanupRule | None, list[str]]:
    try:
        return _RULE.validate_python(item.value), item.all_problems(())
    except ValidationError as exc:
        return None, item.all_problems(problem for problem, _ in problems_in(exc))


def _called(number: int, item: Item) -> str:
    name = _name(item)
    return f"rule {number} {name!r}" if name else f"rule {number}"


def _name(item: Item) -> str | None:
    name = item.value.get("name") if isinstance(item.value, dict) else None
    return name if isinstance(name, str) else None


def _same_names(items: list[Item]) -> Iterator[str]:
    """Yield a line for each name that several rules have: reports and lifecycle rules go by names."""
    numbers: dict[str, list[str]] = {}
    for number, item in enumerate(items, 1):
        if name := _name(item):
            numbers.setdefault(name, []).append(str(number))
    for name, same in numbers.items():
        if len(same) > 1:
            yield f"rules {', '.join(same[:-1])} and {same[-1]} are called {name!r}: give each its own name"
