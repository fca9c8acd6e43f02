"""The lifecycle rules of a store in its bucket: compiled, compared, and put there with care.

Lifecycle rules delete without asking anybody, so that none is enabled before the server has shown that it
understood it. Ceph 16 takes a rule for objects over some size, drops the size, and would expire the others,
too.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection
from dataclasses import replace
from typing import Any

from s3kv_flows.maintenance._lifecycle.compiler import MAX_RULES, CompiledLifecycle, compile_rules
from s3kv_flows.maintenance._lifecycle.diff import LifecycleDiff, diff, meaning
from s3kv_flows.maintenance._lifecycle.ids import is_own
from s3kv_flows.store._s3.client import S3Client
from s3kv_flows.store._s3.types import LifecycleConfiguration
from s3kv_flows.store.errors import UnsupportedByServerError

__all__ = ["CompiledLifecycle", "LifecycleDiff", "apply", "compile_rules", "diff", "remove"]

_READS = 30
"""How often, a second apart, rules are read that a server does not show yet: AWS may take as long."""


def apply(
    client: S3Client,
    bucket: str,
    compiled: CompiledLifecycle,
    prefix: str,
    *,
    pause: Callable[[float], object] = time.sleep,
) -> LifecycleDiff:
    """Give a bucket the lifecycle rules of a store, and leave those of others as they are.

    New and changed rules are put disabled, read back, and enabled when they came back as they were meant.
    Stopped between the two, they stay disabled, and another ``apply`` enables them.

    One request where nothing differs, two where rules are only removed, and else four: GET, PUT, GET, PUT;
    more where the server goes on to show the former rules for a while, as AWS may.

    S3 replaces all rules of a bucket at once, and knows no condition for that. What is put was read in the
    request before, but a rule that somebody else puts in between is lost: let one at a time change the rules
    of a bucket.

    Args:
        client: The client.
        bucket: The bucket.
        compiled: The rules that it is to have of this store.
        prefix: The prefix of the values of the store.
        pause: Waits for so many seconds.

    Returns:
        What was done.

    Raises:
        UnsupportedByServerError: The server refuses a rule, or makes something else of it; the former rules
            are back.
        ValueError: With the rules of others, there would be more than 1,000.
    """
    former = client.get_lifecycle(bucket)
    found = diff(former, compiled, prefix)
    if not found.differs:
        return found
    new = {rule["ID"] for rule in (*found.add, *(after for _, after in found.change))}
    trial = _with_own(former, _disabled(compiled.rules, new), prefix)
    if len(trial.rules) > MAX_RULES:
        raise ValueError(
            f"with {len(found.foreign):,} rules of others, bucket {bucket!r} would have {len(trial.rules):,} "
            f"lifecycle rules, and S3 takes {MAX_RULES:,}"
        )
    client.put_lifecycle(bucket, trial)
    if not new:
        return found
    now = _read_back(client, bucket, former, trial, prefix, pause)
    if problems := _problems(now, trial, prefix):
        client.put_lifecycle(bucket, _with_own(now, _own(former, prefix), prefix))
        raise UnsupportedByServerError(
            f"{client.server} does not keep lifecycle rules as they are put: {'; '.join(problems)}. "
            f"Bucket {bucket!r} has its former rules: leave these to the sweep"
        )
    client.put_lifecycle(bucket, _with_own(now, compiled.rules, prefix))
    return found


def remove(client: S3Client, bucket: str, prefix: str) -> LifecycleDiff:
    """Remove the lifecycle rules of a store from its bucket: one request, or two."""
    return apply(client, bucket, CompiledLifecycle(), prefix)


def _read_back(
    client: S3Client,
    bucket: str,
    former: LifecycleConfiguration,
    trial: LifecycleConfiguration,
    prefix: str,
    pause: Callable[[float], object],
) -> LifecycleConfiguration:
    """Return the rules as the server shows them, when it shows the former ones no more."""
    now = client.get_lifecycle(bucket)
    for _ in range(_READS):
        is_former = _by_id(now.rules) == _by_id(former.rules)
        if not is_former or not _problems(now, trial, prefix):
            break
        pause(1)
        now = client.get_lifecycle(bucket)
    return now


def _problems(now: LifecycleConfiguration, trial: LifecycleConfiguration, prefix: str) -> list[str]:
    """Return what the server made of the rules of this store, other than was asked for."""
    kept = _by_id(now.rules)
    found = []
    for identity, wanted in _by_id(_own(trial, prefix)).items():
        if identity not in kept:
            found.append(f"rule {identity!r} is not there")
            continue
        changed = [
            f"{name} {wanted.get(name)!r} became {kept[identity].get(name)!r}"
            for name in sorted({*wanted, *kept[identity]})
            if wanted.get(name) != kept[identity].get(name)
        ]
        if changed:
            found.append(f"of rule {identity!r}, {' and '.join(changed)}")
    return found


def _with_own(
    configuration: LifecycleConfiguration, own: Collection[dict[str, Any]], prefix: str
) -> LifecycleConfiguration:
    """Return the rules of others, in their order, and these."""
    foreign = [rule for rule in configuration.rules if not is_own(rule.get("ID", ""), prefix)]
    return replace(configuration, rules=_in_one_form([*foreign, *own]))


def _own(configuration: LifecycleConfiguration, prefix: str) -> list[dict[str, Any]]:
    return [rule for rule in configuration.rules if is_own(rule.get("ID", ""), prefix)]


def _disabled(rules: Collection[dict[str, Any]], identities: set[str]) -> list[dict[str, Any]]:
    return [rule | {"Status": "Disabled"} if rule["ID"] in identities else rule for rule in rules]


def _in_one_form(rules: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the rules with their prefixes in filters, where any has a filter: AWS takes no mixture.

    Only rules of the oldest form are written anew, and they mean what they meant.
    """
    if not any("Filter" in rule for rule in rules):
        return rules
    return [
        {name: value for name, value in rule.items() if name != "Prefix"}
        | {"Filter": {"Prefix": rule["Prefix"]}}
        if "Prefix" in rule and "Filter" not in rule
        else rule
        for rule in rules
    ]


def _by_id(rules: Collection[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    return {rule.get("ID", ""): meaning(rule) for rule in rules}
