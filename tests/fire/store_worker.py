"""A process that uses a sealed store, and knows what it must read.

It reads how many operations to do from each line, and answers with a line of what they came to.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections import Counter
from collections.abc import Callable
from random import Random
from typing import Any

from s3kv_flows.store import S3KV
from s3kv_flows.store.errors import CorruptValueError, S3KVError

__all__ = ["COUNTER", "LIMIT", "Worker", "main"]

LIMIT = 1.5
"""The limit of an operation, in seconds; the longest wait for a byte is a fifth of it."""

COUNTER = "counter"
"""The key that all processes count with."""

KEYS = 6
ABSENT = "absent"
_LARGE = 40_000


class Worker:
    """Does one random operation after the other.

    Attributes:
        known: The values that each own key may have: several after a write whose outcome is not known.
        found: How many operations came to what: ``ok``, or the name of an error, with its reason.
        wrong: What was wrong, in words.
        counted: How many changes of the counter were confirmed, and how many may have been made.
        slowest: The seconds of the slowest operation.
    """

    def __init__(self, store: S3KV, number: int) -> None:
        self.store, self.number = store, number
        self.dice = Random(number)
        self.known: dict[str, list[Any]] = {self._key(one): [ABSENT] for one in range(KEYS)}
        self.tags: dict[str, list[dict[str, str]]] = {}
        self.found: Counter[str] = Counter()
        self.wrong: list[str] = []
        self.counted = [0, 0]
        self.slowest = 0.0
        self._serial = 0

    def go_on(self, count: int) -> None:
        """Do so many operations."""
        reads = (self.read, self.read, self.look, self.search)
        writes = (self.write, self.write, self.create, self.copy, self.tag, self.delete, self.count_up)
        for _ in range(count):
            self._try(self.dice.choice(reads + writes))

    def read(self) -> None:
        key = self.dice.choice(list(self.known))
        self._expect(key, self.store.get(key, ABSENT), self.known[key])

    def look(self) -> None:
        key = self.dice.choice(list(self.known))
        there = [one != ABSENT for one in self.known[key]]
        self._expect(f"exists {key}", self.store.exists(key), there)

    def write(self) -> None:
        key, value = self.dice.choice(list(self.known)), self._value()
        self._change(key, value, lambda: self.store.add(key, value))

    def create(self) -> None:
        key, value = self.dice.choice(list(self.known)), self._value()
        if self.known[key] != [ABSENT]:
            return self.read()
        return self._change(key, value, lambda: self.store.add(key, value, mode="create"))

    def copy(self) -> None:
        source, target = self.dice.sample(list(self.known), 2)
        if len(self.known[source]) > 1 or self.known[source] == [ABSENT]:
            return self.write()
        return self._change(target, self.known[source][0], lambda: self.store.copy_key(source, target))

    def delete(self) -> None:
        key = self.dice.choice(list(self.known))
        self._change(key, ABSENT, lambda: self.store.delete(key))

    def tag(self) -> None:
        key, tags = self.dice.choice(list(self.known)), {"n": str(self.dice.randrange(100))}
        if ABSENT in self.known[key]:
            return self.write()
        self.store.tag_key(key, tags)
        return self._expect(f"tags of {key}", self.store.get_tags(key), [tags])

    def search(self) -> None:
        prefix = self._key("")
        listed = set(self.store.list_keys_with_prefix(prefix))
        sure = {key for key, values in self.known.items() if ABSENT not in values}
        never = {key for key, values in self.known.items() if values == [ABSENT]}
        if not sure <= listed or listed & never:
            self.wrong.append(f"listed {sorted(listed)}, surely {sorted(sure)}, never {sorted(never)}")

    def count_up(self) -> None:
        self.counted[1] += 1
        self.store.update(COUNTER, lambda value: value + 1, default=0)
        self.counted[0] += 1

    # --- how -----------------------------------------------------------------------------------

    def report(self) -> dict[str, Any]:
        """Return what all operations so far came to."""
        return {
            "found": dict(self.found),
            "wrong": self.wrong,
            "counted": self.counted,
            "slowest": self.slowest,
        }

    def _key(self, one: object) -> str:
        return f"worker-{self.number}/{one}"

    def _value(self) -> Any:
        self._serial += 1
        size = self.dice.choice((0, 10, 1_000, _LARGE))
        return {"by": self.number, "serial": self._serial, "filled": self.dice.randbytes(size // 2).hex()}

    def _change(self, key: str, value: Any, change: Callable[[], object]) -> None:
        self.known[key] = [*self.known[key], value]
        change()
        self.known[key] = [value]

    def _expect(self, what: str, value: Any, allowed: list[Any]) -> None:
        if value not in allowed:
            self.wrong.append(f"{what}: {value!r:.200}, and not one of {allowed!r:.400}")

    def _try(self, operation: Callable[[], None]) -> None:
        # Else a server that was late once is not asked for seconds.
        self.store.client._boto.breaker.heard()
        began = time.monotonic()
        try:
            operation()
        except S3KVError as exc:
            reason = f": {exc.reason}" if isinstance(exc, CorruptValueError) else ""
            self.found[f"{type(exc).__name__}{reason}"] += 1
        except Exception as exc:  # noqa: BLE001  # what may escape is what this is about
            self.wrong.append(f"{operation.__name__}: {exc!r}")
        else:
            self.found["ok"] += 1
        self.slowest = max(self.slowest, time.monotonic() - began)


def main() -> None:
    """Do as many operations as each line of the standard input says."""
    url, bucket, number = sys.argv[1], sys.argv[2], int(sys.argv[3])
    store = S3KV(
        url,
        bucket,
        enable_local_cache=False,
        signing_key=os.environ["S3KV_SIGNING_KEY"],
        operation_timeout_seconds=LIMIT,
        boto_config={"read_timeout": LIMIT / 5},
    )
    worker = Worker(store, number)
    for line in sys.stdin:
        worker.go_on(int(line))
        print(json.dumps(worker.report()), flush=True)  # noqa: T201  # to the parent


if __name__ == "__main__":
    main()
