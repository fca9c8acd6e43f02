"""``s3kv checkpoints``: the states of runs, by hand."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from cyclopts import App, Parameter

from s3kv_flows.cli._console import is_confirmed
from s3kv_flows.cli._stores import saved_store

if TYPE_CHECKING:
    from rich.console import Console

__all__ = ["app"]

Store = Annotated[str, Parameter(help="The name of a saved store.")]
Name = Annotated[str, Parameter(help="The name of a checkpoint, as `ls` shows it.")]

_WIDE = 1000
"""Columns where no terminal has any."""

app = App(name="checkpoints", help="List the states of runs that are not done, and remove them.")


@app.command
def ls(store: Store) -> int:
    """List the names that have states, with how many, the newest one and their bytes."""
    from rich.filesize import decimal
    from rich.table import Table
    from rich.text import Text

    from s3kv_flows.checkpoints._snapshots import all_snapshots

    found = all_snapshots(saved_store(store).checkpoints)
    table = Table(title=f"checkpoints of {store}", title_justify="left")
    table.add_column("name", overflow="fold")
    for column in ("states", "newest", "bytes", "saved"):
        table.add_column(column)
    for name, states in found.items():
        newest, size = states[-1], sum(state.size for state in states)
        saved = f"{newest.saved_at:%Y-%m-%d %H:%M:%S}"
        table.add_row(Text(name), str(len(states)), str(newest.number), decimal(size), saved)
    console = _console()
    if found:
        console.print(table)
    console.print(f"{len(found):,} names, {sum(map(len, found.values())):,} states.")
    return 0


@app.command
def show(store: Store, name: Name) -> int:
    """Show the states of a name, the oldest first, with their tags and how many items were done."""
    from rich.filesize import decimal
    from rich.table import Table
    from rich.text import Text

    from s3kv_flows.checkpoints._snapshots import Snapshots
    from s3kv_flows.store._layout.marks import POSITION
    from s3kv_flows.store.errors import KeyNotFoundError

    states = Snapshots(saved_store(store).checkpoints, name)
    found = [(one, metadata) for one in states.listed() if (metadata := states.metadata(one)) is not None]
    if not found:
        raise KeyNotFoundError(f"there are no states of {name!r}")
    table = Table("number", "items done", "bytes", "saved", title=Text(name), title_justify="left")
    table.add_column("tags", overflow="fold")
    for state, metadata in found:
        saved = f"{state.saved_at:%Y-%m-%d %H:%M:%S}"
        tags = ", ".join(f"{key}={value}" for key, value in (states.tags(state) or {}).items())
        table.add_row(str(state.number), metadata.get(POSITION, ""), decimal(state.size), saved, Text(tags))
    _console().print(table)
    return 0


@app.command
def clear(store: Store, name: Name, *, yes: Annotated[bool, Parameter(negative="")] = False) -> int:
    """Remove the states of a name. What is locked stays. A run that is under way cannot save any more.

    Parameters
    ----------
    yes
        Do not ask; without it, nothing is removed where there is nobody to ask.
    """
    from s3kv_flows.checkpoints._snapshots import Snapshots
    from s3kv_flows.store.errors import KeyNotFoundError

    states = Snapshots(saved_store(store).checkpoints, name)
    if not (count := len(states.listed())):
        raise KeyNotFoundError(f"there are no states of {name!r}")
    if not yes and not is_confirmed(f"Remove {count} states of {name!r}? [y/N] "):
        print("Nothing was removed.")  # noqa: T201
        return 1
    removed = states.clear()
    print(f"Removed {len(removed)} of {count} states of {name!r}.")  # noqa: T201
    return 0


def _console() -> Console:
    """Return a console that cuts no name where it prints to a file, or to another program."""
    from rich.console import Console

    console = Console()
    return console if console.is_terminal else Console(width=_WIDE)
