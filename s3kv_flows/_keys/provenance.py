"""Whether a module was loaded from its file as it is.

A module keeps nothing of its statements, so they cannot be compared with a text. What proves it is time: the
file is older than this process; or it is older than the import of this file, and the module is not; or the
module was being loaded then, from code that the text compiles to.
"""

from __future__ import annotations

import os
import sys
import time
from contextlib import suppress
from pathlib import Path
from types import CodeType
from typing import Any

from s3kv_flows._keys.quiet import compile_quietly

__all__ = ["was_loaded_from"]

_UNPARSED = (SyntaxError, ValueError, RecursionError, MemoryError)


def was_loaded_from(name: str, path: str, newest_ns: int) -> bool:
    """Return whether a module is known to have been loaded from its file as it is now.

    Args:
        name: Of the module.
        path: Of the file, or of the archive that it is in.
        newest_ns: When the content or the status of that changed last, in nanoseconds since the epoch.
    """
    if _stood_at_start(path, newest_ns):
        return True  # also where something rewrote its code, as pytest does
    if name not in _UNDER_WAY:
        return name not in _EARLIER and newest_ns <= _LOADED_NS
    try:
        code = compile_quietly(Path(path).read_bytes())
        now = os.stat(path)  # noqa: PTH116 -- as stamp_of
    except (OSError, *_UNPARSED):
        return False
    return code == _UNDER_WAY[name] and max(now.st_mtime_ns, now.st_ctime_ns) == newest_ns


def _codes_under_way() -> dict[str, CodeType]:
    """Return the code of the modules that are being loaded, which import this one."""
    found: dict[str, CodeType] = {}
    frame: Any = sys._getframe()  # noqa: SLF001 -- where else is the code of a module?
    while frame is not None:
        if frame.f_code.co_name == "<module>":
            found[str(frame.f_globals.get("__name__"))] = frame.f_code
        frame = frame.f_back
    return found


def _stood_at_start(path: str, newest_ns: int) -> bool:
    """Return whether a file has been at its place, as it is, since before this process started.

    Not so where it was written since, or where somebody renamed a directory that it is in, or let a link
    point to another one. What is seen of that is the time of the last change of its status, as ``rename``
    leaves it; of the directories that this process imports from, whether they are the same.
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
_LOADED_NS = time.time_ns() - _TICKS_NS
_EARLIER = frozenset(sys.modules)
_UNDER_WAY = _codes_under_way()
