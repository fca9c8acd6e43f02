"""Memory: one operation in a fresh process, and the peak of what the system gave it (Linux).

python -m tests.benchmarks.results.memory < what.json
"""

from __future__ import annotations

import gc
import json
import re
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

from tests.benchmarks.place import Place
from tests.benchmarks.results.cases import CASES, Case, array_case
from tests.benchmarks.results.peers import PEERS
from tests.benchmarks.results.rounds import OPERATIONS, Operation

__all__ = ["is_measurable", "peaks"]

ROOT = Path(__file__).parents[3]
_PROCESS = Path("/proc/self")


def is_measurable() -> bool:
    """Tell whether this system lets a process forget its peak."""
    return (_PROCESS / "clear_refs").exists()


def peaks(case: Case, peer: str, place: Place) -> dict[Operation, float]:
    """Return the peaks of a miss and of a hit, as multiples of the value's size.

    That of a miss is what comes beside the value; that of a hit is all, the value included.
    """
    found: dict[Operation, float] = {}
    for operation in reversed(OPERATIONS):  # the miss writes what the hit reads
        what = {
            "case": case.name,
            "peer": peer,
            "operation": operation,
            "place": asdict(place) | {"directory": str(place.directory)},
        }
        done = subprocess.run(
            [sys.executable, "-m", "tests.benchmarks.results.memory"],
            input=json.dumps(what),
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=True,
        )
        found[operation] = float(done.stdout)
    return found


def _measure(case: Case, peer_name: str, operation: Operation, place: Place) -> float:
    warm = array_case(1 << 10)
    small = warm.make()
    peer = PEERS[peer_name](place, small)
    with peer.run(f"{peer_name}-{operation}-warm") as run:
        run.miss(small)
    with peer.run(f"{peer_name}-{operation}-warm") as run:
        run.hit()
    value = case.make()
    size = case.size(value)
    if operation == "miss":
        peer = PEERS[peer_name](place, value)
    else:
        value = None
    gc.collect()
    with peer.run(f"{peer_name}-{case.name}") as run:
        before = _start()
        if operation == "miss":
            run.miss(value)
        else:
            value = run.hit()
        peak = _status("VmHWM")
    return (peak - before) / size


def _start() -> int:
    """Forget the peak so far; return what the process holds now, in bytes."""
    (_PROCESS / "clear_refs").write_text("5")
    return _status("VmRSS")


def _status(name: str) -> int:
    found = re.search(rf"^{name}:\s+(\d+) kB", (_PROCESS / "status").read_text(), re.MULTILINE)
    assert found
    return int(found[1]) * 1024


def main() -> None:
    what = json.load(sys.stdin)
    place = Place(**what["place"] | {"directory": Path(what["place"]["directory"])})
    print(_measure(CASES[what["case"]], what["peer"], what["operation"], place))  # noqa: T201


if __name__ == "__main__":
    main()
