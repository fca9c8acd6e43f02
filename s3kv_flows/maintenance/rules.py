"""CleanupRule: what may go, as validated data."""

from __future__ import annotations

from datetime import timedelta

from pydantic import ConfigDict, Field, field_validator, model_validator
from pydantic.dataclasses import dataclass
from typing_extensions import Self

from s3kv_flows.store.tags import validate_tags

__all__ = ["CleanupRule"]


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class CleanupRule:
    """Removes objects to which all of its conditions apply.

    Several rules are alternatives: one that removes an object is enough. What is locked, carries the
    protect tag or is younger than the grace period is never removed, by no rule.

    Raises:
        ValueError: The rule has no ``older_than``: it would remove everything it matches.
    """

    name: str = Field(description="What plans and reports call the rule.", min_length=1)
    prefix: str = Field(
        default="", description="Object names begin with this, such as s3kv-results/ or s3kv/raw/."
    )
    tags: dict[str, str] = Field(default_factory=dict, description="Tags that all must match.")
    unless_tags: dict[str, str] = Field(default_factory=dict, description="Tags of which none may match.")
    older_than: timedelta | None = Field(
        default=None, description="At least so long since the object was written."
    )

    @field_validator("tags", "unless_tags")
    @classmethod
    def _validate_tags(cls, tags: dict[str, str]) -> dict[str, str]:
        return validate_tags(tags)

    @field_validator("older_than")
    @classmethod
    def _validate_age(cls, age: timedelta | None) -> timedelta | None:
        if age is not None and age < timedelta(0):
            raise ValueError("older_than must not be negative")
        return age

    @model_validator(mode="after")
    def _refuse_empty(self) -> Self:
        if self.older_than is None:
            raise ValueError(
                f"rule {self.name!r} is empty: without older_than it would remove everything it matches, "
                "also what was written a moment ago"
            )
        return self

    @property
    def asks_for_tags(self) -> bool:
        """Whether the rule cannot decide without the tags of an object."""
        return bool(self.tags or self.unless_tags)
