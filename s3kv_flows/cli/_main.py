"""The ``s3kv`` command. What a command needs is imported when it runs: start-up stays lean."""

from __future__ import annotations

import logging
import os
import signal
import sys
from json import dumps
from typing import Annotated, Any

from cyclopts import App, Parameter

from s3kv_flows.cli import _checkpoints as checkpoint_commands
from s3kv_flows.cli import _cleanup as maintenance_commands
from s3kv_flows.cli import _lifecycle as lifecycle_commands
from s3kv_flows.cli import _outputs as output_commands
from s3kv_flows.cli._diagnosis import FeatureName
from s3kv_flows.cli._stores import is_saved, saved_store

__all__ = ["app", "main"]

app = App(name="s3kv", help="S3 as the result cache and output vault of Prefect pipelines.")


for _command in (*output_commands.COMMANDS, *maintenance_commands.COMMANDS):
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
    object_lock: Annotated[bool, Parameter(negative="")] = False,
    save_credentials: Annotated[bool, Parameter(negative="")] = False,
    overwrite: Annotated[bool, Parameter(negative="")] = False,
) -> int:
    """Create the bucket where it is missing, and save the store as a Prefect block.

    Parameters
    ----------
    name
        What pipelines call the store: caching("NAME").
    bucket
        The bucket.
    endpoint_url
        URL of an S3-compatible server; by default S3_ENDPOINT_URL or AWS_ENDPOINT_URL_S3 of the
        environment, else AWS.
    region
        Region of the bucket.
    prefix
        What the names of values begin with; results lie beside it.
    object_lock
        Create the bucket with Object Lock, so that outputs can be finalized. It versions the bucket.
    save_credentials
        Save AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN of the environment in the
        block. Without it, every process finds its own credentials.
    overwrite
        Replace a store that is saved under this name.
    """
    from s3kv_flows.blocks import S3KVStore
    from s3kv_flows.store._kv import endpoint_from_environment

    store = S3KVStore(
        bucket_name=bucket,
        endpoint_url=endpoint_url or endpoint_from_environment(),
        region_name=region,
        prefix=prefix,
        **(_credentials() if save_credentials else {}),
    )
    # First what may be refused without leaving anything behind: the name, and Prefect's API.
    if is_saved(name) and not overwrite:
        raise ValueError(f"a store is saved as {name!r} already: take another name, or --overwrite")
    created = store.values.create_bucket(object_lock=object_lock)
    print(f"{'Created' if created else 'Found'} bucket {bucket!r} at {store.values.client.server}.")  # noqa: T201
    store.save(name, overwrite=overwrite)
    print(f"Saved the store as {name!r}: use it with @task(**caching({name!r})).")  # noqa: T201
    return 0


@app.command
def doctor(
    store: str | None = None,
    *,
    require: Annotated[tuple[FeatureName, ...], Parameter(negative="")] = (),
    json: Annotated[bool, Parameter(negative="")] = False,
) -> int:
    """Find out what a server can do, and what that means for the features of this package.

    It tries everything out in objects of its own, and deletes them again: within seconds, some 400
    requests. In a bucket that locks whatever is written it writes nothing. Exit status 1 if a feature
    cannot work that the store is configured for, or that is required.

    Parameters
    ----------
    store
        The name of a saved store; by default the one that S3_BUCKET and S3_ENDPOINT_URL name.
    require
        Features that have to work, beside the cache; single-flight is, where the store has a bucket for
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
        print(dumps(diagnosis.as_json(), indent=2))  # noqa: T201
    else:
        from rich.console import Console

        from s3kv_flows.cli._doctor import show

        show(diagnosis, Console())
    return 1 if diagnosis.failed else 0


@app.command
def demo() -> int:
    """Run a pipeline on real data, lock its report, clean up the rest, and show what it cost.

    It brings its own S3 and Prefect servers, unless S3_BUCKET (and S3_ENDPOINT_URL) and a Prefect API
    are given. Exit status 1 if any of its own expectations fails.
    """
    from rich.console import Console

    os.environ.setdefault("DO_NOT_TRACK", "1")  # before Prefect is imported: a demo sends nothing home
    console = Console()
    console.print("[dim]loading ...[/]")
    from s3kv_flows._demo.run import run_demo

    return run_demo(console)


_QUIET = {
    "PREFECT_LOGGING_LEVEL": "CRITICAL",
    # Its worker of events warns of each that is still on its way; a temporary server logs what goes wrong
    # with its own chores, with tracebacks, through the loggers of other packages.
    "PREFECT_LOGGING_ROOT_LEVEL": "CRITICAL",
    "PREFECT_LOGGING_TO_API_WHEN_MISSING_FLOW": "ignore",
    # Of the temporary server that Prefect starts where no API is set.
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "PREFECT_SERVER_LOGGING_LEVEL": "CRITICAL",
    "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "90",
}
"""Prefect's settings while a command runs, unless the environment has others."""


def main() -> None:
    """Run the command; exit with its status. Errors of this package are one line."""
    for name in ("SIGTERM", "SIGHUP"):  # so that what a command started is stopped, too
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), _terminate)
    # Before Prefect is imported: what a command has to say it prints itself, without tracebacks.
    for setting, value in _QUIET.items():
        os.environ.setdefault(setting, value)
    # Where nothing sets logging up, Python prints warnings by itself; Prefect has some at the end.
    logging.getLogger().addHandler(logging.NullHandler())
    from s3kv_flows.store.errors import S3KVError

    try:
        sys.exit(app(result_action="return_value"))
    except (S3KVError, ValueError) as exc:
        sys.exit(f"s3kv: {exc}")
    except BrokenPipeError:  # whoever read the output has had enough
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
