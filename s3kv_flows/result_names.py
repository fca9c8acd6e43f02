"""Names for results that people look for: format strings, as Prefect's ``result_storage_key`` takes them.

Prefect drops the cache policy of a task that has a ``result_storage_key``, and with it hits and locks. So a
name is what a cache policy returns here.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from string import Formatter
from typing import Any

from prefect.runtime import deployment, flow_run, task_run

__all__ = ["formatted_key", "validate_key"]

_RUNTIME = {"deployment": deployment, "flow_run": flow_run, "task_run": task_run}
_ROOT = re.compile(r"[^.\[]*")


def validate_key(template: str) -> str:
    """Return the template of a key.

    Raises:
        ValueError: It is empty, no format string, or names something else than what there is in a run.
    """
    if not template:
        raise ValueError("a key must not be empty")
    known = {"parameters", *_RUNTIME}
    try:
        fields = [field for _, field, _, _ in Formatter().parse(template) if field is not None]
    except ValueError as exc:
        raise ValueError(f"key {template!r} is no format string: {exc}") from exc
    for field in fields:
        root = _ROOT.match(field)
        if root is None or root.group() not in known:
            raise ValueError(
                f"key {template!r}: {{{field}}} is none of {', '.join(sorted(known))}; a parameter of the "
                "task is {parameters[its name]}"
            )
    return template


def formatted_key(template: str, parameters: Mapping[str, Any]) -> str:
    """Return the key of the current run.

    Raises:
        LookupError: There is no such parameter, or nothing of that kind is run: all would have one name.
        AttributeError: There is no such thing of a run.
        ValueError: A value does not take the format.
    """
    return _OfRun().vformat(template, (), {"parameters": parameters, **_RUNTIME})


class _OfRun(Formatter):
    """Formats what is known of a run, and refuses what is not."""

    def get_field(self, field_name: str, args: Any, kwargs: Any) -> Any:
        found, root = super().get_field(field_name, args, kwargs)
        if found is None and root in _RUNTIME:
            raise LookupError(f"{{{field_name}}} is not known here: there is no {root} that has it")
        return found, root
