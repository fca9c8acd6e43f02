"""The ``s3kv`` command: its subcommands, and errors as one line.

A command imports what it needs when it runs, so that start-up stays fast.
"""

from __future__ import annotations

import logging
import os
import signal
import sys
from pathlib import Path
from typing import Annotated, Any

from cyclopts import App, Parameter

from s3kv_flows.cli import _checkpoints as checkpoint_commands
from s3kv_flows.cli import _cleanup as cleanup_commands
from s3kv_flows.cli import _lifecycle as lifecycle_commands
from s3kv_flows.cli import _outputs as output_commands
from s3kv_flows.cli._diagnosis import FeatureName
from s3kv_flows.cli._saved_stores import endpoint_of, in_one_line, is_saved, saved_store
from s3kv_flows.cli._terminal import as_lines, print_json, say

__all__ = ["app", "main"]

app = App(name="s3kv", help="S3 as the result cache and output vault of Prefect pipelines.")


for _command in (*output_commands.COMMANDS, *cleanup_commands.COMMANDS):
    app.command(_command)


app.command(lifecycle_commands.app)


app.command(checkpoint_commands.app)


@app.command
def init(
    name: str,
    *,
    bucket: str,
    endpoint_url: str | None = None,
    region: str | None = None,
    prefix: str = "s3kv/",
    namespace: str = "",
    verify: Path | None = None,
    no_verify: Annotated[bool, Parameter(negative="")] = False,
    object_lock: Annotated[bool, Parameter(negative="")] = False,
    save_credentials: Annotated[bool, Parameter(negative="")] = False,
    overwrite: Annotated[bool, Parameter(negative="")] = False,
) -> int:
    """Create the bucket if it does not exist, and save the store as a Prefect block.

    Parameters
    ----------
    name
        The name of the store in pipelines: caching("NAME").
    bucket
        The bucket.
    endpoint_url
        URL of an S3-compatible server, without the bucket; by default S3_ENDPOINT_URL of the environment,
        or what boto3 finds there or in a profile (AWS_ENDPOINT_URL), or else AWS. It is saved.
    region
        Region of the bucket.
    prefix
        The prefix of the names of values; results lie beside it.
    namespace
        Sets the cached results of this store's users apart from those of others in the bucket.
    verify
        Path of the only CA bundle to trust, on each machine that runs tasks. By default, every process
        trusts what boto3 would: AWS_CA_BUNDLE, the profile, or the bundle that it ships.
    no_verify
        Verify no certificates at all.
    object_lock
        Create the bucket with Object Lock, so that outputs can be finalized. It versions the bucket.
    save_credentials
        Save AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN of the environment in the
        block. Without it, every process finds credentials by itself.
    overwrite
        Replace the store that is saved under this name.
    """
    from s3kv_flows.blocks import S3KVStore
    from s3kv_flows.store._kv import endpoint_from_environment

    if verify is not None and no_verify:
        raise ValueError("--verify names a CA bundle, and --no-verify trusts everybody: give one of them")
    if verify is not None and not verify.is_file():
        raise ValueError(f"--verify: there is no CA bundle {str(verify)!r}")
    store = S3KVStore(
        bucket_name=bucket,
        endpoint_url=endpoint_url or endpoint_from_environment(),
        region_name=region,
        prefix=prefix,
        namespace=namespace,
        # Whoever loads the store has another working directory.
        verify=not no_verify if verify is None else str(verify.absolute()),
        **(_credentials() if save_credentials else {}),
    )
    # First the checks that leave nothing behind when they fail: the name, and Prefect's API.
    if is_saved(name) and not overwrite:
        raise ValueError(f"a store is already saved as {name!r}: choose another name, or give --overwrite")
    store.endpoint_url = endpoint_of(store)
    created = store.values.create_bucket(object_lock=object_lock)
    say(f"{'Created' if created else 'Found'} bucket {bucket!r} at {store.values.client.server}.")
    store.save(name, overwrite=overwrite)
    say(f"Saved the store as {name!r}: use it with @task(**caching({name!r})).")
    return 0


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


def _credentials() -> dict[str, Any]:
    names = ("aws_access_key_id", "aws_secret_access_key", "aws_session_token")
    found = {name: os.environ.get(name.upper()) for name in names}
    if not found["aws_access_key_id"] or not found["aws_secret_access_key"]:
        raise ValueError("AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY are not set in the environment")
    return {name: value for name, value in found.items() if value}
