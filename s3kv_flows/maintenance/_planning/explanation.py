"""Explain, rule by rule, why a plan keeps or removes a key."""

from __future__ import annotations

from s3kv_flows.maintenance._planning.matching import UNKNOWN, whole_seconds
from s3kv_flows.maintenance._planning.plan import CleanupPlan, Decision

__all__ = ["explain"]


def explain(plan: CleanupPlan, name: str) -> str:
    """Return, in lines, what a plan does with a key, and what each rule decides about it.

    Raises:
        KeyError: The key is not in the plan.
        ValueError: The plan was not made by :func:`~s3kv_flows.maintenance._planning.plan.plan`.
    """
    removal = next((one for one in plan.remove if one.entry.name == name), None)
    kept = next((one for one in plan.keep if one.entry.name == name), None)
    pruned = next((one for one in plan.prune if one.entry.name == name), None)
    decision = removal or kept
    if decision is None:
        raise KeyError(f"{name!r} is not in the plan")
    if plan.context is None:
        raise ValueError("only a plan returned by plan() can be explained")
    lines = [f"{name}: {'would go' if removal else 'stays'}: {decision.reason}", *_key_lines(plan, decision)]
    lines += [f"  rule {rule.name!r} {_rule_text(plan, decision, rule.name)}" for rule in plan.rules]
    if pruned is not None:
        lines.append(f"  {len(pruned.going)} of its versions would go: {pruned.reason}")
    return "\n".join(lines)


def _key_lines(plan: CleanupPlan, decision: Decision) -> list[str]:
    context, entry = plan.context, decision.entry
    if context is None:
        return []
    age = whole_seconds(context.now - entry.current.last_modified)
    tags = entry.current.tags
    tag_text = (
        "not looked up" if tags is None else ", ".join(f"{k}={v}" for k, v in sorted(tags.items())) or "none"
    )
    versions = f", {len(entry.older)} older versions" if entry.older else ""
    lines = [
        f"  written {entry.current.last_modified:%Y-%m-%d %H:%M:%S} UTC, {age} ago",
        f"  bytes: {entry.size:,}{versions}",
        f"  tags: {tag_text}",
    ]
    protection = context.protection(entry)
    if protection is not None and protection != UNKNOWN and not entry.current.is_delete_marker:
        lines.append(f"  protected: {protection}")
    return lines


def _rule_text(plan: CleanupPlan, decision: Decision, rule_name: str) -> str:
    context, entry = plan.context, decision.entry
    rule = next(rule for rule in plan.rules if rule.name == rule_name)
    if context is None or rule.of_versions:
        return "is about old versions"
    if entry.current.is_delete_marker:
        return "does not match: the key is deleted"
    if mismatches := context.mismatches(entry, rule):
        return f"does not match: {' and '.join(mismatches)}"
    selection = plan.selections[rule_name]
    if entry.name in selection.removed:
        return "removes it"
    return f"matches it, but keeps it: {selection.exempt.get(entry.name) or decision.reason}"
