"""Put a store's lifecycle rules in its bucket, after reading them back.

Lifecycle rules delete without a further check, so none is enabled before the server has shown that it keeps
the rule as it was put. Ceph 16 accepts a rule for objects over some size, drops the size, and would expire
smaller objects, too.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection
from dataclasses import replace
from typing import Any

from s3kv_flows.maintenance._lifecycle.compiler import MAX_RULES, CompiledLifecycle, compile_rules
from s3kv_flows.maintenance._lifecycle.diff import LifecycleDiff, diff, meaning
from s3kv_flows.maintenance._lifecycle.ids import is_ours
from s3kv_flows.store._s3.client import S3Client
from s3kv_flows.store._s3.types import LifecycleConfiguration
from s3kv_flows.store.errors import UnsupportedByServerError

__all__ = ["CompiledLifecycle", "LifecycleDiff", "apply", "compile_rules", "diff", "remove"]

_READS = 30
"""How often, a second apart, to read rules that a server does not show yet: AWS may take as long."""


def apply(
    client: S3Client,
    bucket: str,
    compiled: CompiledLifecycle,
    prefix: str,
    *,
    pause: Callable[[float], object] = time.sleep,
) -> LifecycleDiff:
    """Set the lifecycle rules of a store in its bucket; foreign rules stay as they are.

    New and changed rules are put disabled, read back, and enabled if the server kept their meaning. If
    ``apply`` is stopped in between, they stay disabled, and another ``apply`` enables them.

    One request if nothing differs, two if rules are only removed, and four otherwise: GET, PUT, GET, PUT;
    more if the server keeps showing the former rules for a while, as AWS may.

    S3 replaces all rules of a bucket at once, and supports no condition for that. The foreign rules that are
    put were read in the request before, but a rule that somebody else puts in between is lost: do not change
    the rules of a bucket from two places at once.

    Args:
        client: The client.
        bucket: The bucket.
        compiled: The rules that the bucket is to have for this store.
        prefix: The prefix of the values of the store.
        pause: Sleeps for a number of seconds.

    Returns:
        The changes that were made.

    Raises:
        UnsupportedByServerError: The server refuses a rule, or changes its meaning; the former rules are
            restored.
        ValueError: With the foreign rules, there would be more than 1,000.
    """
    former = client.get_lifecycle(bucket)
    changes = diff(former, compiled, prefix)
    if not changes.differs:
        return changes
    new = {rule["ID"] for rule in (*changes.add, *(after for _, after in changes.change))}
    trial = _with_ours(former, _disabled(compiled.rules, new), prefix)
    if len(trial.rules) > MAX_RULES:
        raise ValueError(
            f"with {len(changes.foreign):,} foreign rules, bucket {bucket!r} would have {len(trial.rules):,} "
            f"lifecycle rules; S3 takes {MAX_RULES:,}"
        )
    client.put_lifecycle(bucket, trial)
    if not new:
        return changes
    kept = _read_back(client, bucket, former, trial, prefix, pause)
    if problems := _problems(kept, trial, prefix):
        client.put_lifecycle(bucket, _with_ours(kept, _ours(former, prefix), prefix))
        raise UnsupportedByServerError(
            f"{client.server} does not keep lifecycle rules as they are put: {'; '.join(problems)}. "
            f"Bucket {bucket!r} has its former rules again: leave these rules to the sweep"
        )
    client.put_lifecycle(bucket, _with_ours(kept, compiled.rules, prefix))
    return changes


def remove(client: S3Client, bucket: str, prefix: str) -> LifecycleDiff:
    """Remove the lifecycle rules of a store from its bucket, in one request or two."""
    return apply(client, bucket, CompiledLifecycle(), prefix)


def _read_back(
    client: S3Client,
    bucket: str,
    former: LifecycleConfiguration,
    trial: LifecycleConfiguration,
    prefix: str,
    pause: Callable[[float], object],
) -> LifecycleConfiguration:
    """Return the rules that the server shows once it no longer shows the former ones."""
    shown = client.get_lifecycle(bucket)
    for _ in range(_READS):
        is_former = _by_id(shown.rules) == _by_id(former.rules)
        if not is_former or not _problems(shown, trial, prefix):
            break
        pause(1)
        shown = client.get_lifecycle(bucket)
    return shown


def _problems(shown: LifecycleConfiguration, trial: LifecycleConfiguration, prefix: str) -> list[str]:
    """Return how the rules of this store differ from those that were put."""
    kept = _by_id(shown.rules)
    found = []
    for identity, wanted in _by_id(_ours(trial, prefix)).items():
        if identity not in kept:
            found.append(f"rule {identity!r} is missing")
            continue
        changed = [
            f"{name} {wanted.get(name)!r} became {kept[identity].get(name)!r}"
            for name in sorted({*wanted, *kept[identity]})
            if wanted.get(name) != kept[identity].get(name)
        ]
        if changed:
            found.append(f"in rule {identity!r}, {' and '.join(changed)}")
    return found


def _with_ours(
    configuration: LifecycleConfiguration, ours: Collection[dict[str, Any]], prefix: str
) -> LifecycleConfiguration:
    """Return the foreign rules, in their order, followed by ours."""
    foreign = [rule for rule in configuration.rules if not is_ours(rule.get("ID", ""), prefix)]
    return replace(configuration, rules=_in_one_form([*foreign, *ours]))


def _ours(configuration: LifecycleConfiguration, prefix: str) -> list[dict[str, Any]]:
    return [rule for rule in configuration.rules if is_ours(rule.get("ID", ""), prefix)]


def _disabled(rules: Collection[dict[str, Any]], identities: set[str]) -> list[dict[str, Any]]:
    return [rule | {"Status": "Disabled"} if rule["ID"] in identities else rule for rule in rules]


def _in_one_form(rules: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the rules with their prefixes in filters, if any rule has a filter: AWS takes no mixture.

    Only rules of the oldest form are rewritten, and they keep their meaning.
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
