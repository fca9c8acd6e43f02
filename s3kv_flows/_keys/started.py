"""Whether a file stood at its place when this process started."""

from __future__ import annotations

import os
import sys
import time
from contextlib import suppress
from pathlib import Path

__all__ = ["stood_at_start"]


def stood_at_start(path: str, newest_ns: int) -> bool:
    """Return whether a file has been at its place, as it is, since before this process started.

    Not so where it was written since, or where somebody renamed a directory that it is in, or let a link
    point to another one. What is seen of that is the time of the last change of its status, as ``rename``
    leaves it; of the directories that this process imports from, whether they are the same.

    Args:
        path: Of the file.
        newest_ns: When its content or its status changed last, in nanoseconds since the epoch.
    """
    if newest_ns > STARTED_NS:
        return False
    starts = (os.path.abspath(path), os.path.realpath(path))  # noqa: PTH100 -- links and all
    return not any(map(_was_put_there, {one for start in starts for one in Path(start).parents}))


def _was_put_there(place: Path) -> bool:
    """Return whether a directory, or a link to one, was given its name since this process started."""
    try:
        own = place.lstat()
    except OSError:
        return True
    if own.st_ctime_ns <= STARTED_NS:
        return False
    known = _KNOWN_PLACES.get(str(place))
    if known is not None:
        return known != (own.st_dev, own.st_ino)
    # To be renamed changes its status alone; what is written into it changes its content at the same instant.
    return place.is_symlink() or own.st_mtime_ns < own.st_ctime_ns


def _started_ns() -> int:
    """Return when this process started, by the clock of files; 0 where that is not known.

    A process that was forked has code that its parent loaded, at a time that nobody knows.
    """
    try:
        fields = Path("/proc/self/stat").read_text().rpartition(")")[2].split()
        flags, started = int(fields[6]), int(fields[19])
        if flags & 0x40:  # forked, and went on without exec
            return 0
        age_ns = time.clock_gettime_ns(time.CLOCK_BOOTTIME) - started * 10**9 // os.sysconf("SC_CLK_TCK")
    except (OSError, ValueError, IndexError, AttributeError):
        return 0
    return time.time_ns() - age_ns + _TICKS_NS


def _known_places() -> dict[str, tuple[int, int]]:
    """Return the directories that this process imports from, as far as they stood there when it started."""
    script = vars(sys.modules["__main__"]).get("__file__")
    found: dict[str, tuple[int, int]] = {}
    for start in [*sys.path, *([script] if isinstance(script, str) else [])]:
        with suppress(OSError):  # the current directory may be gone
            path = Path(start).absolute()
            for place in [path, *path.parents]:
                own = place.lstat()
                if own.st_ctime_ns <= STARTED_NS:
                    found[str(place)] = own.st_dev, own.st_ino
    return found


_TICKS_NS = 20_000_000
"""The two clocks are of some milliseconds each; no module is loaded so soon after its process started."""

STARTED_NS = _started_ns()
_KNOWN_PLACES = _known_places()
