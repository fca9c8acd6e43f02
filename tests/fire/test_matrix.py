"""Every operation, with every fault, once and always: right or refused, never wrong."""

from __future__ import annotations

import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from types import SimpleNamespace
from typing import Any

import pytest

from s3kv_flows.store import S3KV, SigningKey
from s3kv_flows.store._objects import transfer, uploads
from s3kv_flows.store._s3.transport.time import retries
from s3kv_flows.store.errors import S3KVError, StoreUnavailableError
from tests.fire.cases import CASES, Case
from tests.fire.proxy import Asked, Fault, FireProxy
from tests.fire.proxy.faults import may_apply
from tests.servers.moto import moto

pytestmark = pytest.mark.fire

KEY = SigningKey.generate("fire")
QUICK, MEDIUM, PATIENT = 0.25, 3.0, 12.0
"""Limits of an operation, in seconds: where it must fail, and where it must not."""
SLACK = 20.0
"""Seconds that a busy machine may add."""

AT_ONCE = 8
MOST_PLACES = 2
"""In how many requests of one operation a fault is tried, one after the other."""

SLOW = {Fault.STALL, Fault.TRICKLE}
UNKNOWN = SLOW | {Fault.FLIP_SENT}
"""After these, a write may be refused although it is tried again: its time is over, or its body may be one
that changes while it is sent."""


@dataclass
class Field:
    """A server, the proxy before it, and the stores of each kind."""

    url: str
    proxy: FireProxy
    folder: Path
    buckets: dict[str, str] = field(default_factory=dict)
    made: dict[tuple[str, str, float], S3KV] = field(default_factory=dict)

    def store(self, kind: str, url: str, limit: float) -> S3KV:
        """Return the store of a kind; a limit makes a client of its own."""
        if (kind, url, limit) not in self.made:
            bucket = self.buckets.setdefault(kind, f"bucket-{uuid.uuid4().hex[:16]}")
            made = S3KV(
                url,
                bucket,
                codec="bytes" if "bytes" in kind else "json",
                signing_key=None if "plain" in kind else KEY.reveal(),
                enable_local_cache=kind == "kept",
                cache_directory=self.folder,
                operation_timeout_seconds=limit,
            )
            if kind != "no bucket":
                if url == self.url:
                    made.create_bucket(object_lock=kind == "locking")
                self._warm(made)
            self.made[kind, url, limit] = made
        return self.made[kind, url, limit]

    def _warm(self, store: S3KV) -> None:
        """Let a client learn what the bucket can do; with a short limit, that may take some attempts."""
        for _ in range(10):
            store.client._boto.breaker.heard()  # all kinds of the same limit share a client
            with suppress(StoreUnavailableError):
                store.add("warm", b"0" if store.codec.name == "bytes" else 0)
                return

    def clean(self, case: Case) -> S3KV:
        return self.store(case.kind, self.url, 60.0)


@pytest.fixture
def url() -> Iterator[str]:
    """Run a server, and let parts and pauses be small."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("S3_UPLOAD_PART_MIN_SIZE", "1")  # of moto: parts are small here
        patch.setattr(transfer, "FIRST_BYTES", 1 << 20)
        patch.setattr(transfer, "PART_BYTES", 16 << 10)
        patch.setattr(uploads, "MULTIPART_FROM", 32 << 10)
        patch.setattr(retries, "random", SimpleNamespace(random=lambda: 0.01))
        with moto() as server:
            yield server.url


@dataclass
class Outcome:
    value: Any
    error: Exception | None
    seconds: float


def attempt(act: Callable[[], Any]) -> Outcome:
    began = time.monotonic()
    try:
        return Outcome(act(), None, time.monotonic() - began)
    except Exception as exc:  # noqa: BLE001  # what may escape is what this is about
        return Outcome(None, exc, time.monotonic() - began)


class Tried:
    """One case: what it is without faults, and what it becomes with each."""

    def __init__(self, ground: Field, case: Case) -> None:
        self.ground, self.case, self.clean = ground, case, ground.clean(case)
        self.key, self.key_number, self.counts = "", 0, Counter[str]()
        through = self._through(60.0)
        key = self._prepared()
        self.before = self._state(key)
        before = ground.proxy.asked.copy()
        self.value = case.act(through, key)
        self.counts = ground.proxy.asked - before
        self.after = self._state(key)
        self.found: list[str] = []

    def once(self, operation: str, fault: Fault, place: int) -> None:
        """Let one request get a fault: the operation must work, or fail as a write may."""
        may_fail = fault is Fault.TRICKLE or (fault in UNKNOWN and not _is_read(operation))
        for limit in (QUICK * (1 if may_fail else 2) if fault in SLOW else MEDIUM, PATIENT):
            outcome, state, injected = self._run(fault, operation, limit, only=place)
            if not injected or (outcome.error is None and (outcome.value, state) == (self.value, self.after)):
                return
            if isinstance(outcome.error, StoreUnavailableError):
                if may_fail and state in self._whole:
                    return
                continue
            break
        self._note(f"once ({place})", operation, fault, outcome, state)

    def always(self, operation: str, fault: Fault) -> None:
        """Let all of its requests get a fault: it must fail in time, and leave all as before or as after."""
        outcome, state, injected = self._run(fault, operation, QUICK)
        if not injected:
            return
        limit = 5 * QUICK * (self.counts.total() + 2) + SLACK
        is_refused = isinstance(outcome.error, S3KVError) and state in self._whole
        # Nothing is missing where an answer ends within its last line.
        is_right = outcome.error is None and (outcome.value, state) == (self.value, self.after)
        if (is_refused or is_right) and outcome.seconds < limit:
            return
        self._note("always", operation, fault, outcome, state)

    # --- how -------------------------------------------------------------------------------

    @property
    def _only_reads(self) -> bool:
        return self.case.kind != "kept" and all(_is_read(one) for one in self.counts)

    @property
    def _whole(self) -> tuple[Any, ...]:
        return self.before, self.after, *self.case.between

    def _through(self, limit: float) -> S3KV:
        store = self.ground.store(self.case.kind, self.ground.proxy.url, limit)
        store.client._boto.breaker.heard()
        return store

    def _prepared(self) -> str:
        if self.key_number and self._only_reads:
            return self.key
        self.key_number += 1
        key = f"{self.case.name.replace(' ', '-').replace(',', '')}-{self.key_number}"
        self.case.prepare(self.clean, key)
        self.key = key
        return key

    def _state(self, key: str) -> Any:
        return self.case.state(self.clean, key)

    def _run(
        self, fault: Fault, operation: str, limit: float, *, only: int | None = None
    ) -> tuple[Outcome, Any, int]:
        key, seen, proxy = self._prepared(), 0, self.ground.proxy
        through = self._through(limit)

        def choose(asked: Asked, _dice: Random) -> Fault | None:
            nonlocal seen
            if asked.operation != operation:
                return None
            seen += 1
            return fault if only is None or seen == only + 1 else None

        before = proxy.injected[operation, fault]
        proxy.choose = choose
        try:
            outcome = attempt(lambda: self.case.act(through, key))
        finally:
            proxy.pass_all()
        return outcome, self._state(key), proxy.injected[operation, fault] - before

    def _note(self, how: str, operation: str, fault: Fault, outcome: Outcome, state: Any) -> None:
        self.found.append(
            f"{self.case.kind}, {self.case.name}: {operation}, {fault.value}, {how}, "
            f"{outcome.seconds:.1f} s: {outcome.error!r:.300} value {outcome.value!r:.100}, "
            f"state {state!r:.100}, expected {self.value!r:.100}, {self.before!r:.100} or {self.after!r:.100}"
        )


def _is_read(operation: str) -> bool:
    return operation.startswith(("Get", "Head", "List"))


def tried(case: Case, url: str, folder: Path) -> list[str]:
    """Return what is wrong with an operation, tried with each fault through a proxy of its own."""
    with FireProxy(url, pause=0.02) as proxy:
        tries = Tried(Field(url, proxy, folder), case)
        for operation in case.faulted:
            assert tries.counts[operation], f"{case.name} makes no {operation}"
            for fault in Fault:
                if may_apply(fault, operation):
                    tries.always(operation, fault)
                    for place in range(min(tries.counts[operation], MOST_PLACES)):
                        tries.once(operation, fault, place)
        return tries.found


def test_each_operation_with_each_fault_is_right_or_refused(url: str, tmp_path: Path) -> None:
    """What waits for a time limit leaves the processor to the next one."""
    with ThreadPoolExecutor(AT_ONCE) as pool:
        found = pool.map(lambda case: tried(case, url, tmp_path), CASES)
        wrong = [line for lines in found for line in lines]
    assert not wrong, "\n".join(wrong)
