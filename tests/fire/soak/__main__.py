"""Soak a server: ``python -m tests.fire.soak --server ceph --seconds 300``."""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import uuid
from collections import Counter
from pathlib import Path
from random import Random

import tests.conftest  # noqa: F401  # nothing of this machine's own configuration is read
from s3kv_flows._demo.servers import embedded_prefect
from s3kv_flows.store import SigningKey
from tests.fire.proxy import FireProxy
from tests.fire.random_faults import choosing
from tests.fire.soak.checks import computed_twice, growth, unequal_outputs
from tests.fire.soak.crew import Crew, Place
from tests.servers import SERVERS

_SHARE = 1 / 50
_LIMIT = 10.0


def saved(url: str, name: str, *, object_lock: bool) -> str:
    """Save a store over a new bucket; return its name."""
    from s3kv_flows import S3KVStore

    block = S3KVStore(
        bucket_name=f"bucket-{uuid.uuid4().hex[:16]}", endpoint_url=url, operation_timeout_seconds=_LIMIT
    )
    block.values.create_bucket(object_lock=object_lock)
    block.save(name)
    return name


def soak(server: str, seconds: float, workers: int, seed: int, folder: Path) -> list[str]:
    """Soak a server; print the figures, and return what is wrong."""
    from prefect.settings import PREFECT_API_URL, temporary_settings

    from s3kv_flows import S3KVStore

    with SERVERS[server]() as running, embedded_prefect(folder) as api, FireProxy(running.url) as proxy:
        os.environ["AWS_ACCESS_KEY_ID"], os.environ["AWS_SECRET_ACCESS_KEY"] = (
            running.access_key,
            running.secret_key,
        )
        with temporary_settings({PREFECT_API_URL: api}):
            lake, vault = (saved(proxy.url, name, object_lock=name == "vault") for name in ("lake", "vault"))
            proxy.choose = choosing(proxy, _SHARE)
            journal = folder / "journal"
            journal.touch()
            crew = Crew(Place(lake, vault, journal, api), workers, Random(seed))
            crew.work(seconds)
            proxy.pass_all()
            block = S3KVStore.load("vault")
            assert isinstance(block, S3KVStore)
            receipts = {text for report in crew.reports for text in report["receipts"]}
            text, grown = growth(crew.samples, min(60.0, seconds / 3))
            wrong = [line for report in crew.reports for line in report["wrong"]]
            wrong += computed_twice(journal, crew.stops) + unequal_outputs(block.values, receipts) + grown
    runs = sum(report["count"] for report in crew.reports)
    failures = Counter(one.split(":")[0] for report in crew.reports for one in report["documented"])
    print(f"{server}: {seconds:.0f} s, {runs} task runs, {proxy.asked.total()} requests,")
    print(f"{proxy.by_fault.total()} faults, {crew.kills} killed, {len(crew.stops)} stopped,")
    print(f"{len(receipts)} receipts; failed: {dict(failures)}; {text}")
    return wrong


def main() -> None:
    """Soak the servers that are named, one after the other."""
    parser = argparse.ArgumentParser(prog="python -m tests.fire.soak", description=__doc__)
    parser.add_argument("--server", action="append", choices=sorted(SERVERS), help="may be repeated")
    parser.add_argument("--seconds", type=float, default=300.0, help="of each server")
    parser.add_argument("--workers", type=int, default=5)
    parser.add_argument("--seed", type=int, default=20261128)
    given = parser.parse_args()
    os.environ["S3KV_SIGNING_KEY"] = SigningKey.generate("soak").reveal()
    failed = False
    for server in given.server or ["ceph", "seaweedfs"]:
        with tempfile.TemporaryDirectory(prefix="s3kv-soak-") as folder:
            wrong = soak(server, given.seconds, given.workers, given.seed, Path(folder))
        for line in wrong:
            print(f"WRONG: {line}")
        failed |= bool(wrong)
    sys.exit(failed)


if __name__ == "__main__":
    main()
