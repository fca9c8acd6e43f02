"""The most memory that a value may take, whatever a bucket claims.

A few bytes can claim any size: a header says 10 TB, or some kilobytes decompress to gigabytes. The limit is
one of the process, as its memory is, and not of a store: half of what the machine or the control group has,
or what ``S3KV_MAX_VALUE_BYTES`` in the environment says.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from functools import lru_cache
from pathlib import Path, PurePosixPath

from s3kv_flows.store.errors import CorruptValueError

__all__ = ["VARIABLE", "max_value_bytes", "require_within"]

VARIABLE = "S3KV_MAX_VALUE_BYTES"
"""The variable of the environment that replaces the limit, in bytes."""

_UNKNOWN_MEMORY = 8 << 30  # of a system that does not say how much it has
_GROUPS = Path("/sys/fs/cgroup")
_OWN_GROUPS = Path("/proc/self/cgroup")
_MOST_DIGITS = 18


def max_value_bytes() -> int:
    """Return the most bytes that one value may take in memory.

    Raises:
        ValueError: The environment does not give a number of bytes.
    """
    text = os.environ.get(VARIABLE)
    if not text:
        return _memory() // 2
    if not (text.isascii() and text.isdecimal() and len(text) <= _MOST_DIGITS and int(text)):
        raise ValueError(f"{VARIABLE} is a number of bytes, not {text!r}")
    return int(text)


def require_within(size: int, what: str) -> None:
    """Refuse a size before memory is taken for it.

    Raises:
        CorruptValueError: A value may not take so much.
    """
    if size > (limit := max_value_bytes()):
        raise CorruptValueError(
            f"{what} has {size} bytes, and a value may take {limit}: where it is to be trusted, set "
            f"{VARIABLE} in the environment",
            reason="too_large",
        )


@lru_cache(maxsize=1)
def _memory() -> int:
    """Return the memory of the control group or the machine, in bytes: the smaller one."""
    return min(_of_machine(), *_of_groups())


def _of_machine() -> int:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):  # Windows has no sysconf
        return _UNKNOWN_MEMORY


def _of_groups() -> Iterator[int]:
    """Yield the limits of the control groups of this process: cgroups(7), versions 2 and 1."""
    yield _of_machine()
    with suppress(OSError):
        for line in _OWN_GROUPS.read_text().splitlines():
            number, controllers, path = line.split(":", 2)
            if number == "0":
                yield from _limits(_GROUPS, path, "memory.max")
            elif "memory" in controllers.split(","):
                yield from _limits(_GROUPS / "memory", path, "memory.limit_in_bytes")


def _limits(root: Path, path: str, name: str) -> Iterator[int]:
    """Yield the limits of a group and those around it; in a container, the path may be that of its host."""
    group = PurePosixPath(path)
    for one in (group, *group.parents):
        with suppress(OSError, ValueError):  # "max" is no limit
            yield int((root / one.relative_to("/") / name).read_text())
