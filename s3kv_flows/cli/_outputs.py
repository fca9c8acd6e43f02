"""Commands for finalized outputs: publish, verify, lock, repair, audit, policy."""

from __future__ import annotations

import json
import os
import sys
from collections import Counter
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal
from uuid import UUID

from cyclopts import Parameter
from rich.console import Console
from rich.table import Table
from rich.text import Text

from s3kv_flows.cli._saved_stores import is_name, prefect_client, saved_store
from s3kv_flows.cli._terminal import as_lines, cell, print_json, say, say_json

if TYPE_CHECKING:
    from s3kv_flows.store._kv import S3KV
    from s3kv_flows.store._outputs.audit import AuditRow, LockAudit
    from s3kv_flows.store._outputs.receipts import Receipt, Verification
    from s3kv_flows.store._outputs.repairs import Repair

__all__ = ["COMMANDS"]

Flag = Annotated[bool, Parameter(negative="")]
Store = Annotated[str, Parameter(help="The name of a saved store.")]
Key = Annotated[str, Parameter(help="The key of a value, or an object name as s3kv audit shows it.")]
_MAX_ARTIFACT = 128 * 1024
"""The most bytes of an artifact with a receipt."""

Reason = Annotated[str, Parameter(help="The reason. It is recorded in Prefect, with its author.")]


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
    """Publish a JSON file under a key, locked from the request that writes it.

    Parameters
    ----------
    store
        The name of a saved store, with Object Lock.
    key
        The key.
    file
        A JSON file.
    days
        The days during which nobody may change or delete it.
    mode
        GOVERNANCE can be lifted with the permission to bypass it, COMPLIANCE by nobody.
    i_understand
        Confirm that nobody can lift or shorten a COMPLIANCE retention.
    legal_hold
        Place a legal hold, too, which forbids deletion until it is released.
    supersede
        Write a new version if the key has different content; the old one stays, locked.
    accept_races
        Publish even if the server cannot exclude a concurrent writer.
    receipt
        A file to write the receipt to; by default it is printed.
    """
    from s3kv_flows.store._locks.retention import Retention
    from s3kv_flows.tasks.outputs import finalize_value

    try:
        value = json.loads(file.read_text())
    except OSError as exc:
        raise ValueError(f"the file {str(file)!r} cannot be read: {exc.strerror or exc}") from exc
    except RecursionError as exc:
        raise ValueError(f"the file {str(file)!r} is nested too deeply") from exc
    retention = None if days is None else Retention(days=days, mode=mode, i_understand=i_understand)
    made = finalize_value(
        saved_store(store),
        key,
        value,
        retention,
        legal_hold=legal_hold,
        supersede=supersede,
        accept_races=accept_races,
    )
    if receipt is None:
        say_json(made.to_json())
        return 0
    receipt.write_text(made.to_json())
    say(f"{made.outcome}: {made.object_name}, version {made.version_id}; receipt in {receipt}")
    return 0


def verify(receipt: str, *, store: str | None = None, json: Flag = False) -> int:
    """Verify that exactly the version of a receipt exists, unchanged, locked and not hidden.

    Exit status 1 if it does not. Requests are only sent to a server that you name: that of --store, or of the
    environment. A receipt of another server is refused.

    Parameters
    ----------
    receipt
        A file with the receipt, - for standard input, or the key or id of its artifact in Prefect.
    store
        The name of a saved store with the receipt's bucket; by default the server and the credentials of the
        environment, and its S3_BUCKET if that is set.
    json
        Print JSON.
    """
    given = _read_receipt(receipt)
    kv = _store_of_environment(given, receipt) if store is None else saved_store(store).values
    found = kv.outputs.verify(given)
    if not _is_same_server(kv.client.server, given.endpoint):
        found.notes.append(
            f"the receipt names {given.endpoint} as its server; the request went to {kv.client.server}"
        )
    if json:
        print_json(
            {"holds": found.holds, "problems": found.problems, "notes": found.notes, **given.as_dict()}
        )
    else:
        _print_verification(given, found)
    return 0 if found.holds else 1


def extend(store: Store, key: Key, *, days: float, reason: Reason, i_understand: Flag = False) -> int:
    """Extend a retention to this many days from now, in the same mode.

    Parameters
    ----------
    days
        Days from now.
    i_understand
        Confirm that nobody can shorten a COMPLIANCE retention.
    """
    from s3kv_flows.tasks.locks import extend_retention

    until = extend_retention(saved_store(store), key, days, reason, i_understand)
    say(f"{key}: locked until {until.isoformat(timespec='seconds')}")
    return 0


def release(store: Store, key: Key, *, reason: Reason) -> int:
    """Remove a governance retention; this needs s3:BypassGovernanceRetention."""
    from s3kv_flows.tasks.locks import release_retention

    release_retention(saved_store(store), key, reason)
    say(f"{key}: retention removed")
    return 0


def hold(store: Store, key: Key, *, reason: Reason) -> int:
    """Place a legal hold on a key, which forbids deletion until it is released."""
    from s3kv_flows.tasks.locks import place_hold

    place_hold(saved_store(store), key, reason)
    say(f"{key}: legal hold placed")
    return 0


def unhold(store: Store, key: Key, *, reason: Reason) -> int:
    """Release the legal hold of a key."""
    from s3kv_flows.tasks.locks import release_hold

    release_hold(saved_store(store), key, reason)
    say(f"{key}: legal hold released")
    return 0


def repair(
    store: Store, key: Key, *, reason: Reason = "its locked version was hidden", dry_run: Flag = False
) -> int:
    """Make a key read as its locked version again, after somebody hid that.

    Delete markers are removed. A newer version is copied to s3kv-shadows/, and then removed.

    Parameters
    ----------
    dry_run
        Show what would be done, and change nothing.
    """
    from s3kv_flows.tasks.outputs import repair_output

    block = saved_store(store)
    if dry_run:
        kv, kv_key = block.locate(key)
        done = kv.outputs.repair(kv_key, dry_run=True)
    else:
        done = repair_output(block, key, reason)
    _print_repair(key, done, dry_run=dry_run)
    return 0


def audit(
    store: Store,
    *,
    within_days: float = 30,
    final_tag: Annotated[tuple[str, ...], Parameter(negative="")] = (),
    format: Literal["table", "csv", "json"] = "table",  # noqa: A002  # what users look for
) -> int:
    """Report which objects are locked and until when, which locks end soon, and which are missing.

    Exit status 1 if a locked version is hidden, or if an object should be locked and is not.

    Parameters
    ----------
    within_days
        Retentions that end within this many days are reported as expiring.
    final_tag
        KEY=VALUE: objects with all these tags should be locked.
    format
        The output format.
    """
    tags, within = _parse_tags(final_tag), _parse_days(within_days)
    found = saved_store(store).audit(within=within, final_tags=tags)
    if format == "table":
        _print_audit(found, Console())
    else:
        _print_sheet(found, format)
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
    """Print the least policy that a role needs: for IAM, or for the bucket.

    Parameters
    ----------
    store
        The name of a saved store; without it, give --bucket.
    role
        pipeline reads, writes and finalizes; janitor deletes, and reads no value; auditor reads; admin may
        also remove governance retentions.
    bucket
        The bucket.
    prefix
        The prefix of the names of values.
    principal
        An ARN: print a bucket policy for it.
    partition
        The partition of the ARNs; by default that of the principal, or else aws.
    """
    from s3kv_flows.store._iam import role_policy

    leases = None
    if store is not None:
        block = saved_store(store)
        bucket, prefix, leases = block.bucket_name, block.prefix, block.lease_bucket_name
    if bucket is None:
        raise ValueError("no bucket given: give the name of a saved store, or --bucket")
    made = role_policy(role, bucket, prefix, lease_bucket=leases, principal=principal, partition=partition)
    print_json(made)
    return 0


COMMANDS = (finalize, verify, extend, release, hold, unhold, repair, audit, policy)


# --- receipts -----------------------------------------------------------------------------------------


def _read_receipt(where: str) -> Receipt:
    from s3kv_flows.store._outputs.receipts import Receipt

    if where == "-":
        return Receipt.read(sys.stdin.buffer)
    try:
        if Path(where).is_file():
            with Path(where).open("rb") as file:
                return Receipt.read(file)
    except OSError as exc:
        raise ValueError(f"the receipt {where!r} cannot be read: {exc.strerror or exc}") from exc
    return Receipt.from_dict(_read_artifact(where))


def _store_of_environment(given: Receipt, where: str) -> S3KV:
    """Return the store of a receipt on the server that the environment names.

    A receipt is untrusted data: no request goes to a server only because a receipt names it. That server
    would get credentials that are not meant for it, and nobody else vouches for its answer.
    """
    from s3kv_flows.store._kv import S3KV

    kv = S3KV(bucket_name=os.environ.get("S3_BUCKET") or given.bucket, enable_local_cache=False)
    if _is_same_server(kv.client.server, given.endpoint):
        return kv
    name = given.store if given.store is not None and is_name(given.store) else "NAME"
    raise ValueError(
        f"the receipt names the server {given.endpoint!r}, and the environment {kv.client.server!r}: if you "
        f"trust that server, name a saved store on it: s3kv verify {where} --store {name}"
    )


def _is_same_server(one: str, other: str) -> bool:
    return one.rstrip("/").lower() == other.rstrip("/").lower()


def _read_artifact(where: str) -> dict[str, Any]:
    """Return the receipt in a Prefect artifact: by id, or the newest one by key."""
    import httpx
    from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterId, ArtifactFilterKey
    from prefect.client.schemas.sorting import ArtifactSort

    from s3kv_flows.store._layout.documents import read_document

    if _is_uuid(where):
        wanted = ArtifactFilter(id=ArtifactFilterId(any_=[UUID(where)]))
    else:
        wanted = ArtifactFilter(key=ArtifactFilterKey(any_=[where]))
    try:
        with prefect_client() as client:
            found = client.read_artifacts(artifact_filter=wanted, sort=ArtifactSort.CREATED_DESC, limit=1)
    except (httpx.HTTPError, RuntimeError) as exc:
        text = f"{where!r} is not a file, and Prefect's API is not reachable for an artifact: {exc}"
        sys.exit(f"s3kv: {as_lines(text)}")
    if not found or not isinstance(found[0].data, str):
        raise ValueError(f"{where!r} is neither a file nor an artifact in Prefect")
    try:
        rows = read_document(found[0].data, max_bytes=_MAX_ARTIFACT)
    except ValueError as exc:
        raise ValueError(f"the artifact {where!r} holds no receipt: {exc}") from exc
    return rows[0] if isinstance(rows, list) and rows and isinstance(rows[0], dict) else {}


def _is_uuid(text: str) -> bool:
    try:
        UUID(text)
    except ValueError:
        return False
    return True


# --- arguments and output -----------------------------------------------------------------------------


def _parse_tags(given: tuple[str, ...]) -> dict[str, str]:
    pairs = [one.partition("=") for one in given]
    if wrong := [key for key, equals, _ in pairs if not equals or not key]:
        raise ValueError(f"--final-tag takes KEY=VALUE, got {', '.join(wrong)}")
    return {key: value for key, _, value in pairs}


def _parse_days(given: float) -> timedelta:
    try:
        return timedelta(days=given)
    except (OverflowError, ValueError) as exc:
        raise ValueError(f"--within-days takes at most 1,000 years (365,250 days), got {given}") from exc


def _print_verification(receipt: Receipt, found: Verification) -> None:
    where = f"{receipt.object_name} in bucket {receipt.bucket}, version {receipt.version_id}"
    if found.holds:
        until = receipt.retain_until
        lock = f"{receipt.mode} until {until:%Y-%m-%d %H:%M} UTC" if until else "legal hold"
        say(f"{where}: exists, unchanged, locked ({lock}). SHA-256 {receipt.sha256}")
    else:
        say(f"{where}: verification failed.")
    for line in [*found.problems, *(f"note: {note}" for note in found.notes)]:
        say(f"  {line}")


def _print_repair(key: str, done: Repair, *, dry_run: bool) -> None:
    if done.version_id is None:
        say(f"{key}: no locked version is hidden")
        return
    say(f"{key}: {'would read' if dry_run else 'reads'} as version {done.version_id} again")
    for marker in done.delete_markers:
        say(f"  deleted: delete marker {marker}")
    for version_id, target in done.moved.items():
        say(f"  moved: version {version_id} to {target}")


def _print_sheet(found: LockAudit, form: Literal["csv", "json"]) -> None:
    if form == "json":
        say_json(found.as_json())
    else:
        print(found.as_csv(), end="")  # noqa: T201  # whose cells hold no control characters


def _print_audit(found: LockAudit, console: Console) -> None:
    """Print an audit: its rows, problems first, and a summary."""
    table = Table(title=cell(f"locks of bucket {found.bucket}"), title_justify="left")
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
    summary = ", ".join(f"{count} {state}" for state, count in counts.items()) or "nothing is locked"
    console.print(f"{found.audited_at:%Y-%m-%d %H:%M} UTC, {found.versions:,} versions: {summary}.")
    if {"hidden", "shadowed"} & set(counts):
        console.print("[bold]s3kv repair STORE OBJECT[/] restores a hidden or shadowed version.")


def _cells(row: AuditRow) -> tuple[str | Text, ...]:
    from s3kv_flows.store._outputs.audit import PROBLEMS

    style = "bold red" if row.state in PROBLEMS else "yellow" if row.state == "expiring" else ""
    return (
        cell(row.state, style),
        cell(row.object),
        f"{row.retain_until:%Y-%m-%d}" if row.retain_until else "",
        "" if row.days_left is None else f"{row.days_left:.1f}",
        cell(row.mode or ""),
        cell(", ".join(filter(None, ("held" if row.legal_hold else "", row.other_locks)))),
    )
