"""CleanupRule: validated conditions for removal, and the files that hold them."""

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

# --- durations and sizes ------------------------------------------------------------------------------

_BYTES = TypeAdapter(ByteSize)


def _size(value: Any) -> Any:
    """Return the bytes of ``10 GB``; pydantic validates anything else."""
    if isinstance(value, bool):
        raise ValueError("a size is a number or text such as 10 GB, not a boolean")  # noqa: TRY004  # pydantic takes ValueErrors
    return int(_BYTES.validate_python(value)) if isinstance(value, str) else value


_READ = PlainValidator(parse_duration)
_WRITTEN = PlainSerializer(format_duration, return_type=str)
# Without "format": that would be ISO 8601 alone, and Prefect's server refuses any other notation.
_IN_FORMS = WithJsonSchema({"type": "string", "examples": ["30d", "1h30min", "1y6mo", "P30D"]})

Duration = Annotated[timedelta | CalendarDuration, _READ, _WRITTEN, _IN_FORMS]
"""What :func:`~s3kv_flows.store._durations.parse_duration` takes; dumped as text, such as ``30d``."""

GivenDuration = Annotated[DurationLike, _READ, _WRITTEN, _IN_FORMS]
"""A :data:`Duration` as a flow's parameter, which may also be given as text in Python."""

Size = Annotated[int, BeforeValidator(_size), Field(ge=0)]
"""Bytes: a number, ``10 GB`` (powers of ten) or ``10 GiB`` (powers of two)."""


# --- rules --------------------------------------------------------------------------------------------

_REASONS = ("older_than", "expired", "keep_last", "max_bytes", "noncurrent_after")
"""The fields that make a rule remove anything; the others only narrow it."""


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
    keep_last: Annotated[int, Field(ge=1)] | None = Field(
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
                f"rule {self.name!r} is empty: without {', '.join(_REASONS[:-1])} or {_REASONS[-1]} it would "
                "remove everything it matches, including objects written a moment ago"
            )
        if self.group_by is not None and self.keep_last is None:
            raise ValueError(
                f"rule {self.name!r}: group_by is for what keep_last counts, and needs keep_last"
            )
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

_RULES = TypeAdapter(list[CleanupRule])


def read_rules(path: Path) -> list[CleanupRule]:
    """Read the rules of a file.

    Raises:
        ValueError: The file cannot be read, is neither YAML nor JSON, or holds no list of valid rules; the
            message names the file and the field.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as exc:
        raise ValueError(f"rules cannot be read from {str(path)!r}: {exc}") from exc
    return parse_rules(text, source=str(path))


def parse_rules(text: str, *, source: str = "the rules") -> list[CleanupRule]:
    """Parse rules in YAML or JSON: a list, or a mapping with the list under ``rules``.

    Args:
        text: The rules.
        source: What messages call the text.

    Raises:
        ValueError: The text is neither YAML nor JSON, or holds no list of valid rules; the message names the
            field.
    """
    try:
        parsed = yaml.safe_load(text)
    except yaml.YAMLError as exc:
        raise ValueError(f"{source}: neither YAML nor JSON: {exc}") from exc
    if isinstance(parsed, dict) and list(parsed) == ["rules"]:
        parsed = parsed["rules"]
    try:
        rules = _RULES.validate_python(parsed)
    except ValidationError as exc:
        problems = "; ".join(
            f"{'.'.join(map(str, error['loc'])) or 'rules'}: {error['msg']}" for error in exc.errors()
        )
        raise ValueError(f"{source}: {problems}") from exc
    if len(names := {rule.name for rule in rules}) < len(rules):
        twice = next(name for name in names if sum(rule.name == name for rule in rules) > 1)
        raise ValueError(f"{source}: two rules are called {twice!r}")
    return rules
