"""Key templates: validate format strings, and fill them for a run."""

from __future__ import annotations

import re
from collections.abc import Mapping
from string import Formatter
from typing import Any

from prefect.runtime import deployment, flow_run, task_run

__all__ = ["format_key", "validate_key"]

_RUNTIME = {"deployment": deployment, "flow_run": flow_run, "task_run": task_run}
_ROOT = re.compile(r"[^.\[]*")


def validate_key(template: str) -> str:
    """Return the template of a key, if it is one.

    Raises:
        ValueError: It is empty, is no format string, or has a field that no run has.
    """
    if not template:
        raise ValueError("a key must not be empty")
    known = {"parameters", *_RUNTIME}
    try:
        fields = [field for _, field, _, _ in Formatter().parse(template) if field is not None]
    except ValueError as exc:
        raise ValueError(f"key {template!r} is not a format string: {exc}") from exc
    for field in fields:
        root = _ROOT.match(field)
        if root is None or root.group() not in known:
            raise ValueError(
                f"key {template!r}: {{{field}}} is none of {', '.join(sorted(known))}; write a parameter of "
                "the task as {parameters[NAME]}"
            )
    return template


def format_key(template: str, parameters: Mapping[str, Any]) -> str:
    """Return the key of the current run.

    Raises:
        LookupError: The run has no such parameter, or no flow run, task run or deployment, as the template
            names it: all runs would get one key.
        AttributeError: Runs have no such attribute.
        ValueError: A value does not support the format.
    """
    return _RunFormatter().vformat(template, (), {"parameters": parameters, **_RUNTIME})


class _RunFormatter(Formatter):
    """Formats attributes of the run, and refuses those that are None."""

    def get_field(self, field_name: str, args: Any, kwargs: Any) -> Any:
        found, root = super().get_field(field_name, args, kwargs)
        if found is None and root in _RUNTIME:
            raise LookupError(f"{{{field_name}}} has no value here: no {root} has it")
        return found, root
