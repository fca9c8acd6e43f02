"""A sweep in a process of its own, to be killed: plans, says so, and sweeps slowly.

python -m tests.contracts.sweep_worker URL BUCKET PER_SECOND
"""

from __future__ import annotations

import sys

from s3kv_flows.maintenance import sweep
from s3kv_flows.store import S3KV
from tests.contracts.sweeping import planned


def main(url: str, bucket: str, per_second: float) -> None:
    store = S3KV(url, bucket, enable_local_cache=False)
    made = planned(store)
    print(len(made.removals), flush=True)  # noqa: T201  # to the test
    sys.stdin.readline()
    report = sweep(store, made, per_second=per_second, concurrency=4)
    print(len(report.removed), report.freed_bytes, flush=True)  # noqa: T201  # to the test


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], float(sys.argv[3]))
