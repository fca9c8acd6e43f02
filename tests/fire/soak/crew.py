"""Workers that are killed and begun anew, or stopped for longer than a lease lasts."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

__all__ = ["LEASE_SECONDS", "Crew", "Place"]

ROOT = Path(__file__).parents[3]
LEASE_SECONDS = 6.0
_COMPUTES = 0.3
_KILLS_EVERY, _STOPS_EVERY = 5.0, 20.0
_ROUND = 4.0
_KINDS = ("plain", "single", "single", "output")
_NUMBERS = 3


@dataclass(frozen=True)
class Place:
    """Where workers work: two saved stores, the file that they note on, and Prefect's API."""

    lake: str
    vault: str
    journal: Path
    api: str


@dataclass
class Crew:
    """The workers, of which the first one is left alone.

    Attributes:
        reports: The last report of each process.
        samples: When the first worker reported, and what it used.
        kills: How many were killed.
        stops: The processes that were stopped.
    """

    place: Place
    workers: int
    dice: Random
    reports: list[dict[str, Any]] = field(default_factory=list)
    samples: list[tuple[float, dict[str, Any]]] = field(default_factory=list)
    kills: int = 0
    stops: list[int] = field(default_factory=list)

    def work(self, seconds: float) -> None:
        """Let them work, and kill and stop some of them."""
        self.began = time.monotonic()
        self._ends = self.began + seconds
        self._processes: dict[int, subprocess.Popen[str]] = {}
        threads = [threading.Thread(target=self._keep, args=(one,)) for one in range(self.workers)]
        for thread in [*threads, threading.Thread(target=self._kill), threading.Thread(target=self._stop)]:
            thread.start()
            self._threads = [*getattr(self, "_threads", []), thread]
        for thread in self._threads:
            thread.join()

    # --- how -----------------------------------------------------------------------------------

    def _keep(self, place: int) -> None:
        """Keep a worker at work until the end; begin another one when it was killed."""
        while time.monotonic() < self._ends:
            with suppress(BrokenPipeError), self._start() as process:  # of what it was told last
                self._processes[place] = process
                try:
                    self._drive(place, process)
                finally:
                    self._processes.pop(place, None)
                    process.kill()

    def _drive(self, place: int, process: subprocess.Popen[str]) -> None:
        report: dict[str, Any] = {}
        assert process.stdin
        assert process.stdout
        with suppress(BrokenPipeError):
            while (line := process.stdout.readline()) and time.monotonic() < self._ends:
                report = json.loads(line) or report
                if place == 0 and report:
                    self.samples.append((time.monotonic() - self.began, report))
                process.stdin.write(json.dumps(self._jobs()) + "\n")
                process.stdin.flush()
            report = json.loads(line) if line.strip() else report
        if report:
            self.reports.append(report)

    def _jobs(self) -> list[tuple[str, int]]:
        """Return a task of now, which others run at about the same time, and one of before."""
        now = int((time.monotonic() - self.began) / _ROUND) * _NUMBERS
        new, old = (self.dice.choice(_KINDS) for _ in range(2))
        return [(new, now + self.dice.randrange(_NUMBERS)), (old, self.dice.randrange(now + 1))]

    def _start(self) -> subprocess.Popen[str]:
        place = self.place
        arguments = (place.lake, place.vault, str(place.journal), str(LEASE_SECONDS), str(_COMPUTES))
        return subprocess.Popen(
            [sys.executable, "-m", "tests.fire.pipeline_worker", *arguments],
            cwd=ROOT,
            env={**os.environ, "PREFECT_API_URL": place.api},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )

    def _victim(self) -> subprocess.Popen[str] | None:
        others = [process for place, process in list(self._processes.items()) if place]
        return self.dice.choice(others) if others else None

    def _kill(self) -> None:
        while self._wait(_KILLS_EVERY):
            if (victim := self._victim()) is not None:
                victim.kill()
                self.kills += 1

    def _stop(self) -> None:
        while self._wait(_STOPS_EVERY):
            if (victim := self._victim()) is not None:
                self.stops.append(victim.pid)
                victim.send_signal(signal.SIGSTOP)
                threading.Event().wait(LEASE_SECONDS + 2)
                victim.send_signal(signal.SIGCONT)

    def _wait(self, seconds: float) -> bool:
        threading.Event().wait(max(0.0, min(seconds, self._ends - time.monotonic())))
        return time.monotonic() < self._ends
