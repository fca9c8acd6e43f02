"""The ``s3kv`` command: its subcommands, and errors as one line.

A command imports what it needs when it runs, so that start-up stays fast.
"""

from __future__ import annotations

import logging
import os
import signal
import sys
from typing import Annotated

from cyclopts import App, Parameter

from s3kv_flows.cli import _checkpoints as checkpoint_commands
from s3kv_flows.cli import _cleanup as cleanup_commands
from s3kv_flows.cli import _lifecycle as lifecycle_commands
from s3kv_flows.cli import _outputs as output_commands
from s3kv_flows.cli._diagnosis import FeatureName
from s3kv_flows.cli._saved_stores import in_one_line, saved_store
from s3kv_flows.cli._stores import init as init_command
from s3kv_flows.cli._stores import keys as key_commands
from s3kv_flows.cli._terminal import as_lines, print_json

__all__ = ["app", "main"]

app = App(name="s3kv", help="S3 as the result cache and output vault of Prefect pipelines.")


for _command in (*output_commands.COMMANDS, *cleanup_commands.COMMANDS):
    app.command(_command)


app.command(lifecycle_commands.app)


app.command(checkpoint_commands.app)


app.command(key_commands.app)


app.command(init_command.init)


@app.command
def doctor(
    store: str | None = None,
    *,
    require: Annotated[tuple[FeatureName, ...], Parameter(negative="")] = (),
    json: Annotated[bool, Parameter(negative="")] = False,
) -> int:
    """Examine what a server supports, and which features of this package work on it.

    It tries everything in objects of its own, and deletes them: some 400 requests, within seconds. Without
    the permission to delete, one of 64 bytes stays; in a bucket with a default retention it writes nothing.
    Exit status 1 if a feature cannot work that is required, or that the store is configured for.

    Parameters
    ----------
    store
        The name of a saved store; by default the bucket and server in S3_BUCKET and S3_ENDPOINT_URL.
    require
        Features that must work, besides the cache, and besides single-flight if the store has a bucket for
        leases.
    json
        Print JSON.
    """
    from s3kv_flows.blocks import S3KVStore
    from s3kv_flows.cli._diagnosis import diagnose
    from s3kv_flows.store._s3.examination import examine

    block = S3KVStore.from_env() if store is None else saved_store(store)
    results = block.results
    found = examine(
        results.client,
        block.bucket_name,
        results.namespace.prefix,
        lease_bucket=block.lease_bucket_name,
        lease_prefix=block.lease_namespace.prefix,
    )
    configured: tuple[FeatureName, ...] = ("single-flight",) if block.lease_bucket_name else ()
    diagnosis = diagnose(found, (*configured, *require))
    if json:
        print_json(diagnosis.as_json())
    else:
        from rich.console import Console

        from s3kv_flows.cli._doctor import show

        show(diagnosis, Console())
    return 1 if diagnosis.failed else 0


@app.command
def demo() -> int:
    """Run a pipeline on real data, lock its report, clean up the rest, and show the cost.

    It starts its own S3 and Prefect servers, unless S3_BUCKET (and S3_ENDPOINT_URL) and a Prefect API
    are set. Exit status 1 if any of its expectations fails.
    """
    from rich.console import Console

    os.environ.setdefault("DO_NOT_TRACK", "1")  # before Prefect is imported: no telemetry from a demo
    console = Console()
    console.print("[dim]loading ...[/]")
    from s3kv_flows._demo.run import run_demo

    return run_demo(console)


_QUIET = {
    "PREFECT_LOGGING_LEVEL": "CRITICAL",
    # Its event worker warns about each event not yet sent; a temporary server logs failures of its background
    # services, with tracebacks, through the loggers of other packages.
    "PREFECT_LOGGING_ROOT_LEVEL": "CRITICAL",
    "PREFECT_LOGGING_TO_API_WHEN_MISSING_FLOW": "ignore",
    # For the temporary server that Prefect starts if no API is set.
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "PREFECT_SERVER_LOGGING_LEVEL": "CRITICAL",
    "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "90",
}
"""Prefect's settings while a command runs; the environment overrides them."""


def main() -> None:
    """Run the command; exit with its status. Errors of this package are one line."""
    for name in ("SIGTERM", "SIGHUP"):  # so that processes that a command started are stopped, too
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), _terminate)
    # Before Prefect is imported: a command prints its own messages, without tracebacks.
    for setting, value in _QUIET.items():
        os.environ.setdefault(setting, value)
    # Without a handler, Python prints warnings itself; Prefect logs some at the end.
    logging.getLogger().addHandler(logging.NullHandler())
    from s3kv_flows.store.errors import S3KVError

    try:
        try:
            status = app(result_action="return_value")
        finally:
            sys.stdout.flush()  # here, where it is noticed that nobody reads it
        sys.exit(status)
    except (S3KVError, ValueError) as exc:
        sys.exit(f"s3kv: {as_lines(in_one_line(exc))}")
    except BrokenPipeError:  # the reader of the output closed it
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(128 + signal.SIGPIPE)
    except KeyboardInterrupt:
        sys.exit(130)


def _terminate(signum: int, frame: object) -> None:  # noqa: ARG001  # the signature of a handler
    sys.exit(128 + signum)
