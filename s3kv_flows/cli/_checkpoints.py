"""``s3kv checkpoints``: list, show and clear the states of runs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from cyclopts import App, Parameter

from s3kv_flows.cli._console import is_confirmed
from s3kv_flows.cli._saved_stores import saved_store
from s3kv_flows.cli._terminal import cell, say

if TYPE_CHECKING:
    from rich.console import Console

__all__ = ["app"]

Store = Annotated[str, Parameter(help="The name of a saved store.")]
Name = Annotated[str, Parameter(help="The name of a checkpoint, as `ls` shows it.")]

_WIDE = 1000
"""Columns of output that is not a terminal."""

app = App(name="checkpoints", help="List and remove the saved states of runs.")


@app.command
def ls(store: Store) -> int:
    """List checkpoints: the number of states, the newest one and the bytes of each."""
    from rich.filesize import decimal
    from rich.table import Table

    from s3kv_flows.checkpoints._snapshots import all_snapshots

    found = all_snapshots(saved_store(store).checkpoints)
    table = Table(title=cell(f"checkpoints of {store}"), title_justify="left")
    table.add_column("name", overflow="fold")
    for column in ("states", "newest", "bytes", "saved"):
        table.add_column(column)
    for name, states in found.items():
        newest, size = states[-1], sum(state.size for state in states)
        saved = f"{newest.saved_at:%Y-%m-%d %H:%M:%S}"
        table.add_row(cell(name), str(len(states)), str(newest.number), decimal(size), saved)
    console = _console()
    if found:
        console.print(table)
    console.print(f"{len(found):,} checkpoints, {sum(map(len, found.values())):,} states.")
    return 0


@app.command
def show(store: Store, name: Name) -> int:
    """Show the states of a checkpoint, the oldest first, with their tags and finished items."""
    from rich.filesize import decimal
    from rich.table import Table

    from s3kv_flows.checkpoints._snapshots import Snapshots
    from s3kv_flows.store._layout.marks import POSITION
    from s3kv_flows.store.errors import KeyNotFoundError

    states = Snapshots(saved_store(store).checkpoints, name)
    found = [(one, metadata) for one in states.listed() if (metadata := states.metadata(one)) is not None]
    if not found:
        raise KeyNotFoundError(f"checkpoint {name!r} has no states")
    table = Table("number", "items done", "bytes", "saved", title=cell(name), title_justify="left")
    table.add_column("tags", overflow="fold")
    for state, metadata in found:
        saved = f"{state.saved_at:%Y-%m-%d %H:%M:%S}"
        tags = ", ".join(f"{key}={value}" for key, value in (states.tags(state) or {}).items())
        position = cell(metadata.get(POSITION, ""))
        table.add_row(str(state.number), position, decimal(state.size), saved, cell(tags))
    _console().print(table)
    return 0


@app.command
def clear(store: Store, name: Name, *, yes: Annotated[bool, Parameter(negative="")] = False) -> int:
    """Remove the states of a checkpoint. Locked states stay. A running task can save no more states.

    Parameters
    ----------
    yes
        Do not ask for confirmation. Without a terminal to ask on, it is needed.
    """
    from s3kv_flows.checkpoints._snapshots import Snapshots
    from s3kv_flows.store.errors import KeyNotFoundError

    states = Snapshots(saved_store(store).checkpoints, name)
    if not (count := len(states.listed())):
        raise KeyNotFoundError(f"checkpoint {name!r} has no states")
    if not yes and not is_confirmed(f"Remove {count} states of checkpoint {name!r}? [y/N] "):
        say("Nothing was removed.")
        return 1
    removed = states.clear()
    say(f"Removed {len(removed)} of {count} states of {name!r}.")
    return 0


def _console() -> Console:
    """Return a console that does not truncate names in output that is not a terminal."""
    from rich.console import Console

    console = Console()
    return console if console.is_terminal else Console(width=_WIDE)
