"""``s3kv demo``: run a pipeline, edit it, test its lock, clean up.

Every statement that it prints is checked: the exit status is 1 if any of them does not hold.
"""

from __future__ import annotations

import logging
import os
import secrets
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from types import ModuleType
from typing import TYPE_CHECKING, Any

from prefect.settings import (
    PREFECT_API_URL,
    PREFECT_FLOWS_HEARTBEAT_FREQUENCY,
    PREFECT_HOME,
    PREFECT_LOGGING_LEVEL,
    PREFECT_SERVER_ALLOW_EPHEMERAL_MODE,
    temporary_settings,
)
from pydantic import SecretStr
from rich.console import Console
from rich.panel import Panel
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from s3kv_flows import CleanupRule, Retention, S3KVStore
from s3kv_flows._demo.project import DemoProject, demo_project
from s3kv_flows._demo.servers import embedded_prefect, embedded_s3
from s3kv_flows.store._kv import S3KV
from s3kv_flows.store.errors import ConflictError, HiddenOutputError, KeyLockedError

if TYPE_CHECKING:
    from s3kv_flows._demo.pipeline import StepFigures
    from s3kv_flows.flows._maintain import MaintenanceReport
    from s3kv_flows.store._outputs.receipts import Receipt

__all__ = ["run_demo"]

MONTHS = list(range(1, 13))

_RULES = [
    CleanupRule("intermediate results", tags={"stage": "intermediate"}, older_than=timedelta(0)),
    # Selects the locked report, which no rule can remove.
    CleanupRule("everything else", older_than=timedelta(0)),
]


@dataclass
class Demo:
    """A run of the demo: the console, and the statements that did not hold."""

    console: Console
    failed: list[str] = field(default_factory=list)

    def expect(self, holds: bool, statement: str) -> None:  # noqa: FBT001  # reads as a sentence
        """Print a statement, marked by whether it holds."""
        self.console.print(f"  [green]✓[/] {statement}" if holds else f"  [bold red]✗ {statement}[/]")
        if not holds:
            self.failed.append(statement)

    @contextmanager
    def working(self, what: str) -> Iterator[Callable[[str], None]]:
        """Show a spinner, a text and the time; the yielded function changes the text."""
        columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
        with Progress(*columns, console=self.console, transient=True) as progress:
            shown = progress.add_task(what)
            yield lambda text: progress.update(shown, description=text)


def run_demo(console: Console, *, months: list[int] = MONTHS) -> int:
    """Run the demo; return the exit status.

    It uses ``S3_ENDPOINT_URL`` and ``S3_BUCKET``, and the Prefect API of the current profile, if they
    are set; otherwise temporary servers, which end with it.
    """
    demo = Demo(console)
    console.rule("[bold]s3kv_flows demo")
    with ExitStack() as servers:
        _enter_prefect(demo, servers)
        store = _enter_store(demo, servers)
        _show(demo, store, servers.enter_context(demo_project()), months)
    if demo.failed:
        console.print(f"\n[bold red]{len(demo.failed)} expectations did not hold.[/]")
        return 1
    console.print("\n[bold green]Everything above was checked while it ran.[/]")
    return 0


# --- servers ---------------------------------------------------------------------------------------


def _enter_prefect(demo: Demo, servers: ExitStack) -> None:
    logger = logging.getLogger("prefect")
    servers.callback(logger.setLevel, logger.level)
    logger.setLevel(logging.CRITICAL)  # the demo prints its own lines
    if PREFECT_API_URL.value():
        demo.console.print(f"Prefect: [cyan]{PREFECT_API_URL.value()}[/]")
        return
    home = Path(servers.enter_context(TemporaryDirectory(prefix="s3kv-demo-")))
    with demo.working("starting a temporary Prefect server"):
        api = servers.enter_context(embedded_prefect(home))
    servers.enter_context(
        temporary_settings(
            {
                PREFECT_API_URL: api,
                PREFECT_HOME: home,
                PREFECT_SERVER_ALLOW_EPHEMERAL_MODE: False,
                PREFECT_LOGGING_LEVEL: "CRITICAL",
                # At the end of a flow, Prefect waits up to a second for the thread of its heartbeat.
                PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None,
            }
        )
    )
    demo.console.print("Prefect: a temporary server, which ends with the demo")


def _enter_store(demo: Demo, servers: ExitStack) -> S3KVStore:
    from s3kv_flows._demo.pipeline import STORE

    if os.environ.get("S3_BUCKET"):
        given = S3KVStore.from_env()
        # A new prefix, so that the cleanup cannot delete other objects.
        store = given.model_copy(update={"prefix": f"s3kv-demo-{secrets.token_hex(4)}/"})
        where = f"bucket {store.bucket_name!r} at {store.values.client.server}"
        demo.console.print(
            f"S3:      {where}, below {store.prefix!r}. "
            "[yellow]The report stays there twice, locked for a year.[/]"
        )
    else:
        store = S3KVStore(
            bucket_name="demo-lake",
            endpoint_url=servers.enter_context(embedded_s3()),
            region_name="us-east-1",
            aws_access_key_id="demo",
            aws_secret_access_key=SecretStr("any"),
        )
        demo.console.print("S3:      an embedded server, which ends with the demo")
    store.values.create_bucket(object_lock=True)
    store.save(STORE, overwrite=True)
    return store


# --- statements ------------------------------------------------------------------------------------


def _show(demo: Demo, store: S3KVStore, project: DemoProject, months: list[int]) -> None:
    pipeline = project.load()
    with demo.working("running the pipeline on the flights of 2013, for the first time"):
        report, cold, table = pipeline.flight_delays(months)
    _show_report(demo, report)
    with demo.working("running it again"):
        again, cached, _ = pipeline.flight_delays(months)
    demo.console.print("\n[bold]The second run[/]")
    demo.expect(again == report, "gives the same report")
    demo.expect(all(step.hits == step.tasks for step in cached), "computes nothing")
    demo.expect(all(step.requests == step.tasks for step in cached), "costs one request per task")
    _edit(demo, project, months, report)

    name = _locked_name(store.results)
    before = _versions(store.results, name)
    _try_to_break(demo, store, pipeline, table)
    swept = _clean_up(demo)
    demo.console.print("\n[bold]After all that[/]")
    demo.expect(
        _versions(store.results, name) == before, "the report has no new version and no delete marker"
    )
    demo.expect(store.results.get(_key(store.results, name)) == report, "and still reads as it was written")
    _publish(demo, store, report)
    demo.console.print(_steps_table(cold, cached))
    demo.console.print(_objects_table(store, name, swept))


def _show_report(demo: Demo, report: dict[str, Any]) -> None:
    late = report["minutes_late"]
    wet, dry = report["minutes_late_when_wet"], report["minutes_late_when_dry"]
    lines = (
        f"{report['flights']:,} flights out of New York. Minutes late on arrival, on average:",
        f"  most punctual   {report['most_punctual']} ({late[report['most_punctual']]:+.1f})",
        f"  least punctual  {report['least_punctual']} ({late[report['least_punctual']]:+.1f})",
        f"  in wet hours {wet:+.1f}, in dry ones {dry:+.1f}",
    )
    demo.console.print(Panel("\n".join(lines), title="the report", expand=False))


def _edit(demo: Demo, project: DemoProject, months: list[int], report: dict[str, Any]) -> None:
    """Edit a helper that one task reaches; show what is computed again."""
    project.edit(', "distance"]', "]")
    edited = project.load()
    with demo.working("running it once more, after an edit"):
        again, steps, _ = edited.flight_delays(months)
    computed = {step.name: step.tasks - step.hits for step in steps}
    demo.console.print('\n[bold]After an edit of one helper[/]: _used_columns() drops "distance"')
    demo.expect(computed["extract"] == 0, "extract does not reach it, and computes nothing")
    demo.expect(
        computed["clean"] == len(months), f"clean reaches it, and computes {computed['clean']} months"
    )
    demo.expect(
        computed["join weather"] == len(months) and computed["delays"] == 1,
        "so do the tasks whose inputs have changed by that: join weather and delays",
    )
    demo.expect(
        computed["report (locked)"] == 0 and again == report,
        "the table of delays is the same, so that the locked report is a hit",
    )


def _try_to_break(demo: Demo, store: S3KVStore, pipeline: ModuleType, table: Any) -> None:
    results = store.results
    name = _locked_name(results)
    key = _key(results, name)
    demo.console.print("\n[bold]The report is locked[/]")
    state = pipeline.publish_report.with_options(refresh_cache=True)(table, return_state=True)
    demo.expect(state.is_failed(), "a task that would refresh it fails before it computes")
    _expect_refusal(demo, "overwriting", lambda: results.add(key, "another report"))
    _expect_refusal(demo, "deleting", lambda: results.delete(key))


def _expect_refusal(demo: Demo, action: str, attempt: Callable[[], object]) -> None:
    try:
        attempt()
    except KeyLockedError as refusal:
        until = f"{refusal.retain_until:%Y-%m-%d}" if refusal.retain_until else "?"
        demo.expect(True, f"{action} it is refused: {refusal.mode} retention until {until}")
    else:
        demo.expect(False, f"{action} it is refused")


def _clean_up(demo: Demo) -> MaintenanceReport:
    from s3kv_flows._demo.pipeline import STORE
    from s3kv_flows.flows._maintain import maintain_store

    with demo.working("planning a cleanup, as a dry run"):
        dry = maintain_store(STORE, _RULES, dry_run=True, grace=timedelta(0))
    with demo.working("sweeping"):
        swept = maintain_store(STORE, _RULES, grace=timedelta(0))
    demo.console.print("\n[bold]The cleanup[/]")
    demo.expect(
        bool(dry.planned) and not dry.removed, f"as a dry run plans to remove {len(dry.planned)} objects"
    )
    demo.expect(
        set(swept.removed) == set(dry.planned),
        f"removes exactly those, and frees {swept.freed_bytes / 1e6:.1f} MB",
    )
    demo.expect(len(swept.protected) == 1, "keeps the report, although a rule selects it")
    return swept


def _publish(demo: Demo, store: S3KVStore, report: dict[str, Any]) -> None:
    from s3kv_flows._demo.pipeline import STORE
    from s3kv_flows.tasks.outputs import finalize_value, repair_output, verify_receipt

    def finalize(value: dict[str, Any]) -> Receipt:
        # The demo is the only writer, so the server need not exclude a second one.
        return finalize_value(STORE, "reports/2013", value, Retention(days=365), accept_races=True)

    with demo.working("publishing the report under a name"):
        receipt, again = finalize(report), finalize(report)
    demo.console.print(f"\n[bold]Published as {receipt.object_name}[/], SHA-256 {receipt.sha256[:16]}…")
    demo.expect(again.outcome == "unchanged", "publishing the same again changes nothing")
    try:
        finalize({"flights": 0})
        demo.expect(False, "publishing other content is a conflict")
    except ConflictError:
        demo.expect(True, "publishing other content is a conflict")
    # S3 allows this to every client; this call does not check for locks.
    store.values.client.delete_object(store.bucket_name, receipt.object_name)
    try:
        store.values.get("reports/2013")
        demo.expect(False, "once a delete marker hides it, reads raise an error")
    except HiddenOutputError:
        demo.expect(True, "once a delete marker hides it, reads raise an error")
    demo.expect(not verify_receipt(STORE, receipt).holds, "and its receipt does not hold")
    repair_output(STORE, "reports/2013", "hidden by the demo")
    demo.expect(
        store.values.get("reports/2013") == report and verify_receipt(STORE, receipt).holds,
        "a repair brings it back, and its receipt holds",
    )


# --- the tables ------------------------------------------------------------------------------------


def _steps_table(cold: list[StepFigures], cached: list[StepFigures]) -> Table:
    table = Table(title="\ncost of each step", title_justify="left")
    table.add_column("step")
    table.add_column("tasks", justify="right")
    for run in ("cold", "cached"):
        for unit in ("s", "requests", "MB"):
            table.add_column(f"{run}\n{unit}", justify="right", style="dim" if run == "cold" else "bold")
    for first, second in zip(cold, cached, strict=True):
        table.add_row(
            first.name,
            str(first.tasks),
            *_cells(first.seconds, first.requests, first.megabytes),
            *_cells(second.seconds, second.requests, second.megabytes),
        )
    table.add_section()
    table.add_row("together", str(sum(step.tasks for step in cold)), *_sums(cold), *_sums(cached))
    return table


def _sums(steps: list[StepFigures]) -> tuple[str, str, str]:
    return _cells(
        sum(step.seconds for step in steps),
        sum(step.requests for step in steps),
        sum(step.megabytes for step in steps),
    )


def _cells(seconds: float, requests: int, megabytes: float) -> tuple[str, str, str]:
    return f"{seconds:.2f}", str(requests), f"{megabytes:.2f}"


def _objects_table(store: S3KVStore, locked: str, swept: MaintenanceReport) -> Table:
    info = store.results.objects.head(locked)
    table = Table(title="\nresults after the cleanup", title_justify="left", show_header=False)
    table.add_column(style="bold")
    table.add_column(justify="right")
    table.add_column()
    until = f"{info.retain_until:%Y-%m-%d}" if info.retain_until else "?"
    table.add_row("locked", "1", f"{locked}\n{info.lock_mode} retention until {until}")
    table.add_row("swept", str(len(swept.removed)), f"intermediate results, {swept.freed_bytes / 1e6:.1f} MB")
    left = sum(1 for _ in store.results.iter_keys())
    table.add_row("kept", str(left), "the report" if left == 1 else "objects")
    return table


def _locked_name(results: S3KV) -> str:
    names = (results.namespace.name_of(key) for key in results.iter_keys())
    return next(name for name in names if results.objects.head(name).lock_mode)


def _key(results: S3KV, name: str) -> str:
    return results.namespace.key_of(name) or name


def _versions(results: S3KV, name: str) -> list[tuple[str, bool]]:
    return [(version.version_id, version.is_delete_marker) for version in results.objects.versions(name)]
