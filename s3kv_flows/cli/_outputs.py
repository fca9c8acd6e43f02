"""Commands about finalized outputs: publish, verify, lock, repair, audit, and who may do what."""

from __future__ import annotations

import json
import os
import sys
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal
from uuid import UUID

from cyclopts import Parameter

from s3kv_flows.cli._stores import is_name, prefect_client, saved_store

if TYPE_CHECKING:
    from s3kv_flows.store._kv import S3KV
    from s3kv_flows.store._outputs.receipts import Receipt
from collections import Counter

from rich.console import Console
from rich.table import Table
from rich.text import Text

from s3kv_flows.store._outputs.audit import PROBLEMS, AuditRow, LockAudit

__all__ = ["COMMANDS", "show"]

Flag = Annotated[bool, Parameter(negative="")]
Store = Annotated[str, Parameter(help="The name of a saved store.")]
Key = Annotated[str, Parameter(help="The key of a value, or an object name as s3kv audit shows it.")]
Reason = Annotated[str, Parameter(help="Why. It is kept in Prefect, with who did it.")]


def finalize(
    store: str,
    key: str,
    file: Path,
    *,
    days: float | None = None,
    mode: Literal["GOVERNANCE", "COMPLIANCE"] = "GOVERNANCE",
    i_understand: Flag = False,
    legal_hold: Flag = False,
    supersede: Flag = False,
    accept_races: Flag = False,
    receipt: Path | None = None,
) -> int:
    """Publish the JSON of a file under a key, locked in the request that writes it.

    Parameters
    ----------
    store
        The name of a saved store, with Object Lock.
    key
        The key.
    file
        A file with JSON.
    days
        For how many days nothing may alter or delete it.
    mode
        GOVERNANCE can be lifted by who may bypass it, COMPLIANCE by nobody.
    i_understand
        Confirm that nobody can lift a COMPLIANCE retention or make it shorter.
    legal_hold
        Forbid to delete it until the hold is released, too.
    supersede
        Write a new version where the key has another content; the old one stays, locked.
    accept_races
        Publish also where two writers at once could not be told apart.
    receipt
        A file to write the receipt to; by default it is printed.
    """
    from s3kv_flows.store._locks.retention import Retention
    from s3kv_flows.tasks.outputs import finalize_value

    value = json.loads(file.read_text())
    retention = None if days is None else Retention(days=days, mode=mode, i_understand=i_understand)
    given = finalize_value(
        saved_store(store),
        key,
        value,
        retention,
        legal_hold=legal_hold,
        supersede=supersede,
        accept_races=accept_races,
    )
    if receipt is None:
        print(given.to_json())  # noqa: T201
        return 0
    receipt.write_text(given.to_json())
    print(f"{given.outcome}: {given.object_name}, version {given.version_id}; receipt in {receipt}")  # noqa: T201
    return 0


def verify(receipt: str, *, store: str | None = None, json: Flag = False) -> int:
    """Check that exactly the version of a receipt is there, unchanged, locked and not hidden.

    Exit status 1 if it is not. Only a server that you name is asked: that of --store, or of the environment;
    a receipt of another one is refused.

    Parameters
    ----------
    receipt
        A file with the receipt, - for standard input, or the key or id of its artifact in Prefect.
    store
        The name of a saved store to read it with, which has to be of the receipt's bucket; by default the
        server and the credentials of the environment, and its S3_BUCKET, where that is set.
    json
        Print JSON.
    """
    given = _receipt(receipt)
    kv = _environment_of(given, receipt) if store is None else saved_store(store).values
    found = kv.outputs.verify(given)
    if not _is_same_server(kv.client.server, given.endpoint):
        found.notes.append(f"the receipt names {given.endpoint} as its server; {kv.client.server} was asked")
    if json:
        _print_json(
            {"holds": found.holds, "problems": found.problems, "notes": found.notes, **given.as_dict()}
        )
        return 0 if found.holds else 1
    where = f"{given.object_name} in bucket {given.bucket}, version {given.version_id}"
    if found.holds:
        until = (
            f"{given.mode} until {given.retain_until:%Y-%m-%d %H:%M} UTC" if given.retain_until else "held"
        )
        print(f"{where}: there, unchanged, locked ({until}). SHA-256 {given.sha256}")  # noqa: T201
    else:
        print(f"{where}: the receipt does not hold.")  # noqa: T201
    for line in [*found.problems, *(f"note: {note}" for note in found.notes)]:
        print(f"  {line}")  # noqa: T201
    return 0 if found.holds else 1


def extend(store: Store, key: Key, *, days: float, reason: Reason, i_understand: Flag = False) -> int:
    """Make a retention end this many days from now, in the mode it has.

    Parameters
    ----------
    days
        Days from now.
    i_understand
        Confirm that nobody can make a COMPLIANCE retention shorter again.
    """
    from s3kv_flows.tasks.locks import extend_retention

    until = extend_retention(saved_store(store), key, days, reason, i_understand)
    print(f"{key}: locked until {until.isoformat(timespec='seconds')}")  # noqa: T201
    return 0


def release(store: Store, key: Key, *, reason: Reason) -> int:
    """Lift a governance retention, by the permission s3:BypassGovernanceRetention."""
    from s3kv_flows.tasks.locks import release_retention

    release_retention(saved_store(store), key, reason)
    print(f"{key}: its retention is lifted")  # noqa: T201
    return 0


def hold(store: Store, key: Key, *, reason: Reason) -> int:
    """Forbid to delete a key until its legal hold is released."""
    from s3kv_flows.tasks.locks import place_hold

    place_hold(saved_store(store), key, reason)
    print(f"{key}: under legal hold")  # noqa: T201
    return 0


def unhold(store: Store, key: Key, *, reason: Reason) -> int:
    """Release a key from its legal hold."""
    from s3kv_flows.tasks.locks import release_hold

    release_hold(saved_store(store), key, reason)
    print(f"{key}: released from its legal hold")  # noqa: T201
    return 0


def repair(
    store: Store, key: Key, *, reason: Reason = "its locked version was hidden", dry_run: Flag = False
) -> int:
    """Let a key read as its locked version again, where somebody has hidden it.

    Delete markers go. A newer version is copied aside, to s3kv-shadows/, and then goes, too.

    Parameters
    ----------
    dry_run
        Say what would be done, and do nothing.
    """
    from s3kv_flows.tasks.outputs import repair_output

    block = saved_store(store)
    if dry_run:
        kv, own_key = block.locate(key)
        done = kv.outputs.repair(own_key, dry_run=True)
    else:
        done = repair_output(block, key, reason)
    if done.version_id is None:
        print(f"{key}: nothing locked is hidden")  # noqa: T201
        return 0
    print(f"{key}: {'would read' if dry_run else 'reads'} as version {done.version_id} again")  # noqa: T201
    for marker in done.delete_markers:
        print(f"  deleted: delete marker {marker}")  # noqa: T201
    for version_id, target in done.moved.items():
        print(f"  moved: version {version_id} to {target}")  # noqa: T201
    return 0


def audit(
    store: Store,
    *,
    within_days: float = 30,
    final_tag: Annotated[tuple[str, ...], Parameter(negative="")] = (),
    format: Literal["table", "csv", "json"] = "table",  # noqa: A002  # what users look for
) -> int:
    """Report what is locked and until when, what ends soon, and what should be locked and is not.

    Exit status 1 if something is hidden, or not locked although it should be.

    Parameters
    ----------
    within_days
        Retentions that end so soon are reported as expiring.
    final_tag
        KEY=VALUE: what carries all these tags should be locked.
    format
        How to print it.
    """
    tags = _tags(final_tag)
    found = saved_store(store).audit(within=timedelta(days=within_days), final_tags=tags)
    if format == "table":
        from rich.console import Console

        from s3kv_flows.cli._outputs import show

        show(found, Console())
    else:
        print(found.as_csv() if format == "csv" else found.as_json(), end="")  # noqa: T201
    return 1 if found.problems else 0


def policy(
    store: str | None = None,
    *,
    role: Literal["pipeline", "janitor", "auditor", "admin"],
    bucket: str | None = None,
    prefix: str = "s3kv/",
    principal: str | None = None,
    partition: Literal["aws", "aws-cn", "aws-us-gov"] | None = None,
) -> int:
    """Print the policy that a role needs, and nothing more: for IAM, or for the bucket.

    Parameters
    ----------
    store
        The name of a saved store; without it, give --bucket.
    role
        pipeline reads, writes and finalizes; janitor deletes, and reads no value; auditor reads; admin may
        lift governance retentions, too.
    bucket
        The bucket.
    prefix
        What the names of values begin with.
    principal
        An ARN: print a policy of the bucket for it.
    partition
        The partition of the ARNs; by default that of the principal, or else aws.
    """
    from s3kv_flows.store._iam import role_policy

    leases = None
    if store is not None:
        block = saved_store(store)
        bucket, prefix, leases = block.bucket_name, block.prefix, block.lease_bucket_name
    if bucket is None:
        raise ValueError("which bucket? Give the name of a saved store, or --bucket")
    made = role_policy(role, bucket, prefix, lease_bucket=leases, principal=principal, partition=partition)
    _print_json(made)
    return 0


COMMANDS = (finalize, verify, extend, release, hold, unhold, repair, audit, policy)


def _receipt(where: str) -> Receipt:
    from s3kv_flows.store._outputs.receipts import Receipt

    if where == "-":
        return Receipt.from_json(sys.stdin.read())
    if Path(where).is_file():
        return Receipt.from_json(Path(where).read_text())
    return Receipt.from_dict(_artifact(where))


def _environment_of(given: Receipt, where: str) -> S3KV:
    """Return the store of a receipt at the server that the environment names.

    A receipt is data, whoever made it: no server is asked because a receipt names it, with credentials that
    are not meant for it and an answer that nobody else vouches for.
    """
    from s3kv_flows.store._kv import S3KV

    kv = S3KV(bucket_name=os.environ.get("S3_BUCKET") or given.bucket, enable_local_cache=False)
    if _is_same_server(kv.client.server, given.endpoint):
        return kv
    name = given.store if given.store is not None and is_name(given.store) else "NAME"
    raise ValueError(
        f"the receipt names the server {given.endpoint!r}, and the environment {kv.client.server!r}: if you "
        f"trust it, name a store of yours that is there: s3kv verify {where} --store {name}"
    )


def _is_same_server(one: str, other: str) -> bool:
    return one.rstrip("/").lower() == other.rstrip("/").lower()


def _artifact(where: str) -> dict[str, Any]:
    """Return the receipt in an artifact of Prefect, by its key, where the newest counts, or by its id."""
    import httpx
    from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterId, ArtifactFilterKey
    from prefect.client.schemas.sorting import ArtifactSort

    if _is_uuid(where):
        wanted = ArtifactFilter(id=ArtifactFilterId(any_=[UUID(where)]))
    else:
        wanted = ArtifactFilter(key=ArtifactFilterKey(any_=[where]))
    try:
        with prefect_client() as client:
            found = client.read_artifacts(artifact_filter=wanted, sort=ArtifactSort.CREATED_DESC, limit=1)
    except (httpx.HTTPError, RuntimeError) as exc:
        sys.exit(f"s3kv: {where!r} is no file, and Prefect's API cannot be asked for an artifact: {exc}")
    if not found or not isinstance(found[0].data, str):
        raise ValueError(f"{where!r} is neither a file nor an artifact in Prefect")
    rows = json.loads(found[0].data)
    return dict(rows[0]) if isinstance(rows, list) and rows else {}


def _is_uuid(text: str) -> bool:
    try:
        UUID(text)
    except ValueError:
        return False
    return True


def _tags(given: tuple[str, ...]) -> dict[str, str]:
    pairs = [one.partition("=") for one in given]
    if wrong := [key for key, equals, _ in pairs if not equals or not key]:
        raise ValueError(f"a tag is KEY=VALUE, got {', '.join(wrong)}")
    return {key: value for key, _, value in pairs}


def _print_json(data: dict[str, Any]) -> None:
    print(json.dumps(data, indent=2))  # noqa: T201


def show(found: LockAudit, console: Console) -> None:
    """Print an audit: its rows, problems first, and what they come to."""
    table = Table(title=f"locks of bucket {found.bucket}", title_justify="left")
    for column, justify in (("state", "left"), ("object", "left"), ("until", "left"), ("days", "right")):
        wraps = column == "object"
        table.add_column(column, justify=justify, overflow="fold", no_wrap=not wraps)  # type: ignore[arg-type]  # rich's literal
    table.add_column("mode", no_wrap=True)
    table.add_column("hold", no_wrap=True)
    for row in found.rows:
        table.add_row(*_cells(row))
    if found.rows:
        console.print(table)
    counts = Counter(row.state for row in found.rows)
    told = ", ".join(f"{count} {state}" for state, count in counts.items()) or "nothing is locked"
    console.print(f"{found.audited_at:%Y-%m-%d %H:%M} UTC, {found.versions:,} versions: {told}.")
    if {"hidden", "shadowed"} & set(counts):
        console.print("[bold]s3kv repair STORE OBJECT[/] brings back what is hidden or shadowed.")


def _cells(row: AuditRow) -> tuple[str | Text, ...]:
    style = "bold red" if row.state in PROBLEMS else "yellow" if row.state == "expiring" else ""
    return (
        Text(row.state, style),
        Text(row.object),
        f"{row.retain_until:%Y-%m-%d}" if row.retain_until else "",
        "" if row.days_left is None else f"{row.days_left:.1f}",
        row.mode or "",
        "held" if row.legal_hold else "",
    )
