"""Cleanup rules in files: a list of rules in YAML, or in JSON, which is YAML."""

from __future__ import annotations

from pathlib import Path

import yaml
from pydantic import TypeAdapter, ValidationError

from s3kv_flows.maintenance.rules import CleanupRule

__all__ = ["parse_rules", "read_rules"]

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
