"""``s3kv lifecycle``: cleanup rules as lifecycle rules of the bucket."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import App, Parameter

from s3kv_flows.cli._cleanup_options import CleanupOptions
from s3kv_flows.cli._saved_stores import saved_store
from s3kv_flows.cli._terminal import print_json, say

if TYPE_CHECKING:
    from s3kv_flows.blocks import S3KVStore
    from s3kv_flows.maintenance._lifecycle.apply import CompiledLifecycle, LifecycleDiff
    from s3kv_flows.store._s3.client import S3Client

__all__ = ["app"]

Flag = Annotated[bool, Parameter(negative="")]
Store = Annotated[str, Parameter(help="The name of a saved store.")]

app = App(name="lifecycle", help="Let S3 itself carry out cleanup rules, as lifecycle rules of the bucket.")


@app.command
def diff(
    store: Store,
    *,
    options: CleanupOptions,
    json: Flag = False,
) -> int:
    """Show what `apply` would change, and which rules only a sweep can carry out, with the reason.

    Lines begin with + for a new rule, - for a removed one, ~ for a changed one, and = for an unchanged one.

    Parameters
    ----------
    json
        Print JSON.
    """
    from s3kv_flows.maintenance._lifecycle.apply import diff as compare

    block = saved_store(store)
    client = block.values.client
    compiled = _compile(block, options)
    found = compare(client.get_lifecycle(block.bucket_name), compiled, block.prefix)
    if json:
        print_json(_as_data(found, compiled), default=str)  # foreign rules may hold dates
    else:
        _print_lines(found, compiled, block, client)
    return 0


@app.command
def apply(
    store: Store,
    *,
    options: CleanupOptions,
) -> int:
    """Set the lifecycle rules that `diff` shows; foreign rules of the bucket stay as they are.

    They are put disabled, read back, and enabled if the server kept their meaning.
    """
    from s3kv_flows.maintenance._lifecycle.apply import apply as put

    block = saved_store(store)
    client = block.values.client
    compiled = _compile(block, options)
    _print_lines(put(client, block.bucket_name, compiled, block.prefix), compiled, block, client)
    return 0


@app.command
def show(store: Store, *, json: Flag = False) -> int:
    """Print the lifecycle rules of the bucket: those of the store, and foreign ones.

    Parameters
    ----------
    json
        Print JSON.
    """
    from s3kv_flows.maintenance._lifecycle.diff import describe
    from s3kv_flows.maintenance._lifecycle.ids import is_ours, short_id

    block = saved_store(store)
    existing = block.values.client.get_lifecycle(block.bucket_name).rules
    ours = [rule for rule in existing if is_ours(rule.get("ID", ""), block.prefix)]
    foreign = [rule for rule in existing if rule not in ours]
    if json:
        print_json({"own": ours, "foreign": foreign}, default=str)
        return 0
    say(f"bucket {block.bucket_name}: {len(ours)} rules of this store, {len(foreign)} foreign")
    for origin, rules in (("own", ours), ("foreign", foreign)):
        for rule in rules:
            name = short_id(rule.get("ID", ""), block.prefix) or "(without an ID)"
            say(f"  {origin:<7}  {name}: {describe(rule)}")
    return 0


def _compile(block: S3KVStore, options: CleanupOptions) -> CompiledLifecycle:
    from s3kv_flows.maintenance._lifecycle.apply import compile_rules
    from s3kv_flows.maintenance._rules import read_rules

    client, bucket = block.values.client, block.bucket_name
    return compile_rules(
        read_rules(options.rules),
        prefix=block.prefix,
        versioned=client.is_versioned(bucket),
        object_lock=client.has_object_lock(bucket, surely=True),
        protect_tag=options.spared,
        grace=options.grace,
    )


def _as_data(found: LifecycleDiff, compiled: CompiledLifecycle) -> dict[str, Any]:
    return {
        "add": found.add,
        "remove": found.remove,
        "change": [{"from": before, "to": after} for before, after in found.change],
        "unchanged": found.unchanged,
        "foreign": found.foreign,
        "inexpressible": dict(compiled.inexpressible),
        "notes": compiled.notes,
    }


def _print_lines(
    found: LifecycleDiff, compiled: CompiledLifecycle, block: S3KVStore, client: S3Client
) -> None:
    from s3kv_flows.maintenance._lifecycle.diff import describe
    from s3kv_flows.maintenance._lifecycle.ids import short_id

    def rule_line(sign: str, rule: dict[str, Any], former: str = "") -> str:
        return f"{sign} {short_id(rule['ID'], block.prefix)}: {former}{describe(rule)}"

    lines = [rule_line("+", rule) for rule in found.add]
    lines += [rule_line("-", rule) for rule in found.remove]
    lines += [rule_line("~", after, f"{describe(before)} -> ") for before, after in found.change]
    lines += [rule_line("=", rule) for rule in found.unchanged]
    if found.foreign:
        lines.append(f"foreign, unchanged: {', '.join(one or '(no ID)' for one in found.foreign)}")
    lines += [f"only by a sweep: {name}: {reason}" for name, reason in compiled.inexpressible.items()]
    lines += [f"note: {note}" for note in compiled.notes]
    if client.capabilities.declared.executes_lifecycle is False:
        lines.append("note: this server accepts lifecycle rules, but does not carry them out")
    say(*lines)
