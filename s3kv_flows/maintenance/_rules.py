"""CleanupRule: what may go, as validated data."""

from __future__ import annotations

from dataclasses import MISSING, fields
from dataclasses import Field as DataclassField
from datetime import timedelta
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any

import yaml
from pydantic import (
    BeforeValidator,
    ByteSize,
    ConfigDict,
    Field,
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

from s3kv_flows.store._durations import CalendarDuration, DurationLike, format_duration, parse_duration
from s3kv_flows.store._layout.tags import validate_tags

__all__ = ["CleanupRule", "Duration", "GivenDuration", "Size", "parse_rules", "read_rules", "unknown_fields"]

_REASONS = ("older_than", "expired", "keep_last", "max_bytes", "noncurrent_after")
"""What makes a rule remove anything; the other fields only narrow it."""


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class CleanupRule:
    """Removes objects to which all of its conditions apply.

    The conditions ``prefix``, ``tags``, ``unless_tags``, ``larger_than``, ``older_than`` and ``expired`` make
    the matching set, which goes, but for what ``keep_last`` exempts, and only as far as ``max_bytes`` asks
    for. With ``noncurrent_after`` a rule is about old versions instead, and its conditions are those of each
    version.

    Several rules are alternatives: one that removes an object is enough. Each is reckoned by itself. Never
    removed, by no rule, is what is under retention or legal hold, also of an older version, what a live
    lease is for, what carries the protect tag (a key, by its current version), and what is younger than the
    grace period: it is not counted by ``keep_last``, and is counted in the total of ``max_bytes``.

    Durations have a unit: ``30d``, ``1h30min``, ISO 8601 (``P30D``), or a timedelta. Months and years are
    those of the calendar, counted back from the moment of the plan, in UTC.

    Raises:
        ValueError: The rule is empty: it would remove everything it matches; it has fields that do not go
            together; or a duration has no unit.
    """

    name: str = Field(description="What plans and reports call the rule.", min_length=1)
    prefix: str = Field(
        default="", description="Object names begin with this, such as s3kv-results/ or s3kv/raw/."
    )
    tags: dict[str, str] = Field(default_factory=dict, description="Tags that all must match.")
    unless_tags: dict[str, str] = Field(default_factory=dict, description="Tags of which none may match.")
    older_than: Duration | None = Field(
        default=None,
        description="At least so long since the object was written, with the unit: 30d, 1h30min, 6mo.",
    )
    expired: bool = Field(
        default=False,
        description="Past the time to live that is recorded with a result; or that its tag ttl_days names.",
    )
    keep_last: Annotated[int, Field(ge=1)] | None = Field(
        default=None, description="So many of the newest stay, of each group."
    )
    group_by: str | None = Field(
        default=None, description="A tag: keep_last counts per value of it; what has none is a group, too."
    )
    max_bytes: Size | None = Field(
        default=None, description="The oldest go until all that match take no more bytes than this: 10 GB."
    )
    larger_than: Size | None = Field(default=None, description="The object has more bytes than this.")
    noncurrent_after: Duration | None = Field(
        default=None, description="Old versions go, so long after they were replaced or deleted: 7d, 1mo."
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
                f"rule {self.name!r} is empty: without {', '.join(_REASONS[:-1])} or {_REASONS[-1]} it would "
                "remove everything it matches, also what was written a moment ago"
            )
        if self.group_by is not None and self.keep_last is None:
            raise ValueError(f"rule {self.name!r}: group_by says of what keep_last counts, and needs it")
        others = [name for name in ("expired", "keep_last", "max_bytes") if _is_given(getattr(self, name))]
        if self.noncurrent_after is not None and others:
            raise ValueError(
                f"rule {self.name!r}: noncurrent_after is about old versions, {' and '.join(others)} about "
                "objects: make two rules"
            )
        return self

    @property
    def of_versions(self) -> bool:
        """Whether the rule is about old versions."""
        return self.noncurrent_after is not None

    @property
    def counts(self) -> bool:
        """Whether what it removes depends on what else matches."""
        return self.keep_last is not None or self.max_bytes is not None

    @property
    def matches_by_tags(self) -> bool:
        """Whether its matching set cannot be told without tags."""
        return bool(self.tags or self.unless_tags or self.expired)

    @property
    def asks_for_tags(self) -> bool:
        """Whether the rule cannot decide without the tags of an object."""
        return self.matches_by_tags or self.group_by is not None

    def __str__(self) -> str:
        """Return the rule as one line: what was given."""
        given = [
            f"{field.name}={_shown(value)}"
            for field in fields(self)
            if field.name != "name"
            and _is_given(value := getattr(self, field.name))
            and value not in ("", {})
        ]
        return f"{self.name} ({', '.join(given)})"


def _is_given(value: object) -> bool:
    return value is not None and value is not False


def unknown_fields(rule: CleanupRule, known: frozenset[str]) -> list[str]:
    """Return the fields that a rule gives, and that are not among those that somebody knows.

    Who carries out a rule has to refuse these: a field that is left out makes a rule remove more.

    Args:
        rule: The rule.
        known: The names of the fields that are heeded.
    """
    others = _others(type(rule), known)  # type: ignore[arg-type]  # a class is hashable
    return [field.name for field in others if _differs(getattr(rule, field.name), field)]


@lru_cache
def _others(kind: type[CleanupRule], known: frozenset[str]) -> tuple[DataclassField[object], ...]:
    return tuple(field for field in fields(kind) if field.name not in known)


def _differs(value: object, field: DataclassField[object]) -> bool:
    """Tell whether a field is not as it is by default."""
    default = field.default
    if isinstance(default, FieldInfo):
        default = default.get_default(call_default_factory=True, validated_data={})
    elif field.default_factory is not MISSING:
        default = field.default_factory()
    return bool(value != default)


def _shown(value: object) -> str:
    return format_duration(value) if isinstance(value, timedelta | CalendarDuration) else repr(value)


_RULES = TypeAdapter(list[CleanupRule])


def read_rules(path: Path) -> list[CleanupRule]:
    """Return the rules of a file.

    Raises:
        ValueError: It cannot be read, is no YAML, holds no list of rules, or one that is refused; with where.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as exc:
        raise ValueError(f"rules cannot be read from {str(path)!r}: {exc}") from exc
    return parse_rules(text, source=str(path))


def parse_rules(text: str, *, source: str = "the rules") -> list[CleanupRule]:
    """Return the rules of a text in YAML or JSON: a list, or a mapping with the list under ``rules``.

    Raises:
        ValueError: It is no YAML, holds no list of rules, or one that is refused; with where.
    """
    try:
        found = yaml.safe_load(text)
    except yaml.YAMLError as exc:
        raise ValueError(f"{source}: no YAML and no JSON: {exc}") from exc
    if isinstance(found, dict) and list(found) == ["rules"]:
        found = found["rules"]
    try:
        rules = _RULES.validate_python(found)
    except ValidationError as exc:
        problems = "; ".join(
            f"{'.'.join(map(str, error['loc'])) or 'rules'}: {error['msg']}" for error in exc.errors()
        )
        raise ValueError(f"{source}: {problems}") from exc
    if len(names := {rule.name for rule in rules}) < len(rules):
        twice = next(name for name in names if sum(rule.name == name for rule in rules) > 1)
        raise ValueError(f"{source}: two rules are called {twice!r}")
    return rules


_BYTES = TypeAdapter(ByteSize)


def _size(value: Any) -> Any:
    """Return the bytes of ``10 GB``; anything else is for pydantic."""
    if isinstance(value, bool):
        raise ValueError("a size is no yes or no")  # noqa: TRY004  # pydantic takes ValueErrors
    return int(_BYTES.validate_python(value)) if isinstance(value, str) else value


_READ = PlainValidator(parse_duration)
_WRITTEN = PlainSerializer(format_duration, return_type=str)
# Without "format": that would be ISO 8601 alone, and Prefect's server refuses what is of another format.
_IN_FORMS = WithJsonSchema({"type": "string", "examples": ["30d", "1h30min", "1y6mo", "P30D"]})

Duration = Annotated[timedelta | CalendarDuration, _READ, _WRITTEN, _IN_FORMS]
"""What :func:`~s3kv_flows.store._durations.parse_duration` takes; dumped as text, such as ``30d``."""

GivenDuration = Annotated[DurationLike, _READ, _WRITTEN, _IN_FORMS]
"""A :data:`Duration` as an argument of a flow, which is also given as text in Python."""

Size = Annotated[int, BeforeValidator(_size), Field(ge=0)]
"""Bytes: a number, ``10 GB`` (powers of ten) or ``10 GiB`` (powers of two)."""
