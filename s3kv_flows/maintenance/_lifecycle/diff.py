"""What would change in the lifecycle rules of a bucket: a comparison of meanings, not of spellings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from s3kv_flows.maintenance._lifecycle.compiler import CompiledLifecycle
from s3kv_flows.maintenance._lifecycle.ids import is_own
from s3kv_flows.store._s3.types import LifecycleConfiguration

__all__ = ["LifecycleDiff", "describe", "diff", "meaning"]

Rule = dict[str, Any]


@dataclass(frozen=True)
class LifecycleDiff:
    """What to do with the rules of a bucket, so that it has those of a store.

    Attributes:
        add: Rules that are not there.
        remove: Rules of this store that are there, and are not to be.
        change: What is there, and what is to be there instead, of each rule that means something else.
        unchanged: Rules that are as they are to be.
        foreign: The IDs of rules that are not of this store: they stay as they are.
    """

    add: tuple[Rule, ...] = ()
    remove: tuple[Rule, ...] = ()
    change: tuple[tuple[Rule, Rule], ...] = ()
    unchanged: tuple[Rule, ...] = ()
    foreign: tuple[str, ...] = ()

    @property
    def differs(self) -> bool:
        """Whether there is anything to do."""
        return bool(self.add or self.remove or self.change)


def diff(current: LifecycleConfiguration, compiled: CompiledLifecycle, prefix: str) -> LifecycleDiff:
    """Compare the rules of a bucket with those of a store.

    Args:
        current: The rules of the bucket.
        compiled: What they are to be.
        prefix: The prefix of the values of the store: rules with other IDs are foreign.
    """
    own = {rule["ID"]: rule for rule in current.rules if is_own(rule.get("ID", ""), prefix)}
    wanted = {rule["ID"]: rule for rule in compiled.rules}
    both = [(own[identity], rule) for identity, rule in wanted.items() if identity in own]
    return LifecycleDiff(
        add=tuple(rule for identity, rule in wanted.items() if identity not in own),
        remove=tuple(rule for identity, rule in own.items() if identity not in wanted),
        change=tuple((old, new) for old, new in both if meaning(old) != meaning(new)),
        unchanged=tuple(old for old, new in both if meaning(old) == meaning(new)),
        foreign=tuple(rule.get("ID", "") for rule in current.rules if rule.get("ID", "") not in own),
    )


def meaning(rule: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a rule says, however it is written: servers write the same in several ways.

    A prefix is in the rule, in its filter, or in the filter's ``And``, tags are in either of these, a missing
    prefix is an empty one, and what is false is as good as absent.
    """
    given = rule.get("Filter") or {}
    joined = given.get("And") or {}
    tags = [*joined.get("Tags", ()), *([given["Tag"]] if given.get("Tag") else ())]
    conditions = {**joined, **given}
    said = {name: value for name, value in conditions.items() if name not in ("And", "Tag", "Tags", "Prefix")}
    said["Prefix"] = rule.get("Prefix") or given.get("Prefix") or joined.get("Prefix") or ""
    said["Tags"] = {tag["Key"]: tag["Value"] for tag in tags}
    for name, value in rule.items():
        if name not in ("ID", "Filter", "Prefix") and value:
            said[name] = _without_false(value)
    return said


def describe(rule: Mapping[str, Any]) -> str:
    """Return a lifecycle rule in a line."""
    said = meaning(rule)
    what = f"below {said.pop('Prefix')!r}"
    tags = ", ".join(f"{key}={value}" for key, value in sorted(said.pop("Tags").items()))
    what += f" with {tags}" if tags else ""
    if (size := said.pop("ObjectSizeGreaterThan", None)) is not None:
        what += f" over {size:,} bytes"
    status = said.pop("Status", "Enabled")
    done = ", ".join(_action(name, value) for name, value in said.items())
    return f"{what}: {done or 'nothing'}{'' if status == 'Enabled' else ' (disabled)'}"


def _action(name: str, value: Any) -> str:
    match name, value:
        case "Expiration", {"Days": days, **rest} if not rest:
            return f"expire after {_days(days)}"
        case "Expiration", {"ExpiredObjectDeleteMarker": True, **rest} if not rest:
            return "remove delete markers that hide nothing"
        case "NoncurrentVersionExpiration", {"NoncurrentDays": days, **rest} if not rest:
            return f"remove old versions after {_days(days)}"
        case "AbortIncompleteMultipartUpload", {"DaysAfterInitiation": days}:
            return f"give unfinished uploads up after {_days(days)}"
    return f"{name} {value}"


def _days(count: int) -> str:
    return f"{count:,} day{'s' * (count != 1)}"


def _without_false(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: one for name, one in value.items() if one is not None and one is not False}
    return value
