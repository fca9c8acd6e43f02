"""Compare lifecycle rules by their meaning, not by their notation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from s3kv_flows.maintenance._lifecycle.compiler import CompiledLifecycle
from s3kv_flows.maintenance._lifecycle.ids import is_ours
from s3kv_flows.store._s3.types import LifecycleConfiguration

__all__ = ["LifecycleDiff", "describe", "diff", "meaning"]

Rule = dict[str, Any]


@dataclass(frozen=True)
class LifecycleDiff:
    """The changes that give a bucket the lifecycle rules of a store.

    Attributes:
        add: Rules that the bucket lacks.
        remove: Rules of this store that the bucket should not have any more.
        change: The current and the wanted rule, for each rule whose meaning differs.
        unchanged: Rules whose meaning does not differ.
        foreign: The IDs of rules that are not of this store: they stay as they are.
    """

    add: tuple[Rule, ...] = ()
    remove: tuple[Rule, ...] = ()
    change: tuple[tuple[Rule, Rule], ...] = ()
    unchanged: tuple[Rule, ...] = ()
    foreign: tuple[str, ...] = ()

    @property
    def differs(self) -> bool:
        """Whether there is any change."""
        return bool(self.add or self.remove or self.change)


def diff(current: LifecycleConfiguration, compiled: CompiledLifecycle, prefix: str) -> LifecycleDiff:
    """Compare the rules of a bucket with those of a store.

    Args:
        current: The rules of the bucket.
        compiled: The rules of the store.
        prefix: The prefix of the values of the store: rules with other IDs are foreign.
    """
    ours = {rule["ID"]: rule for rule in current.rules if is_ours(rule.get("ID", ""), prefix)}
    wanted = {rule["ID"]: rule for rule in compiled.rules}
    both = [(ours[identity], rule) for identity, rule in wanted.items() if identity in ours]
    return LifecycleDiff(
        add=tuple(rule for identity, rule in wanted.items() if identity not in ours),
        remove=tuple(rule for identity, rule in ours.items() if identity not in wanted),
        change=tuple((old, new) for old, new in both if meaning(old) != meaning(new)),
        unchanged=tuple(old for old, new in both if meaning(old) == meaning(new)),
        foreign=tuple(rule.get("ID", "") for rule in current.rules if rule.get("ID", "") not in ours),
    )


def meaning(rule: Mapping[str, Any]) -> dict[str, Any]:
    """Return a rule in one normal form: servers write the same rule in several ways.

    The prefix may be in the rule, in its filter, or in the filter's ``And``; tags in either of the latter. A
    missing prefix equals an empty one, and a false value an absent one.
    """
    given = rule.get("Filter") or {}
    joined = given.get("And") or {}
    tags = [*joined.get("Tags", ()), *([given["Tag"]] if given.get("Tag") else ())]
    conditions = {**joined, **given}
    normal = {
        name: value for name, value in conditions.items() if name not in ("And", "Tag", "Tags", "Prefix")
    }
    normal["Prefix"] = rule.get("Prefix") or given.get("Prefix") or joined.get("Prefix") or ""
    normal["Tags"] = {tag["Key"]: tag["Value"] for tag in tags}
    for name, value in rule.items():
        if name not in ("ID", "Filter", "Prefix") and value:
            normal[name] = _without_false(value)
    return normal


def describe(rule: Mapping[str, Any]) -> str:
    """Return a lifecycle rule in one line."""
    parts = meaning(rule)
    what = f"below {parts.pop('Prefix')!r}"
    tags = ", ".join(f"{key}={value}" for key, value in sorted(parts.pop("Tags").items()))
    what += f" with {tags}" if tags else ""
    if (size := parts.pop("ObjectSizeGreaterThan", None)) is not None:
        what += f" over {size:,} bytes"
    status = parts.pop("Status", "Enabled")
    actions = ", ".join(_action(name, value) for name, value in parts.items())
    return f"{what}: {actions or 'nothing'}{'' if status == 'Enabled' else ' (disabled)'}"


def _action(name: str, value: Any) -> str:
    match name, value:
        case "Expiration", {"Days": days, **rest} if not rest:
            return f"expire after {_days(days)}"
        case "Expiration", {"ExpiredObjectDeleteMarker": True, **rest} if not rest:
            return "remove delete markers that hide nothing"
        case "NoncurrentVersionExpiration", {"NoncurrentDays": days, **rest} if not rest:
            return f"remove old versions after {_days(days)}"
        case "AbortIncompleteMultipartUpload", {"DaysAfterInitiation": days}:
            return f"abort incomplete uploads after {_days(days)}"
    return f"{name} {value}"


def _days(count: int) -> str:
    return f"{count:,} day{'s' * (count != 1)}"


def _without_false(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: one for name, one in value.items() if one is not None and one is not False}
    return value
