"""Tasks for the shards of a cleanup: list, look up, sweep."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Generic, TypeVar

from prefect import task
from prefect.cache_policies import NO_CACHE

from s3kv_flows._prefect import run_logger
from s3kv_flows.blocks import S3KVStore
from s3kv_flows.maintenance import Decision, Entry, SweepReport
from s3kv_flows.maintenance._inventory.listing import Part, list_part
from s3kv_flows.maintenance._inventory.lookups import Lookups
from s3kv_flows.maintenance._inventory.survey import leases_of
from s3kv_flows.maintenance._planning.questions import Question
from s3kv_flows.maintenance._sweeping.pace import Pace
from s3kv_flows.maintenance._sweeping.sweep import sweep_decisions
from s3kv_flows.store._s3.concurrency import WORKERS, map_concurrently

__all__ = ["Shard", "list_shard", "look_up_shard", "split", "sweep_shard"]


@task(cache_policy=NO_CACHE, persist_result=False)
def list_shard(store: str | S3KVStore, part: Part, *, versioned: bool) -> Shard[Entry]:
    """List one part of the keys of a store.

    One LIST per 1,000 objects or versions, and, for results, per 1,000 leases.

    Args:
        store: The name of a saved store, or a saved store.
        part: The part.
        versioned: Whether its bucket has versions, also if versioning is suspended.
    """
    block = S3KVStore.of(store)
    of_results = part.namespace.prefix == block.results.namespace.prefix
    leases = leases_of(block.values, block.lease_bucket_name) if of_results else None
    return Shard(list(list_part(block.values, part, leases, versioned=versioned)))


@task(cache_policy=NO_CACHE, persist_result=False)
def look_up_shard(
    store: str | S3KVStore,
    asked: Shard[Question],
    concurrency: int = WORKERS,
    per_second: float | None = None,
) -> Shard[Entry | None]:
    """Answer questions of a plan: the updated key, or None if it does not exist any more.

    Args:
        store: The name of a saved store, or a saved store.
        asked: The questions.
        concurrency: Requests at once.
        per_second: Objects looked up per second; None for no limit.
    """
    block = S3KVStore.of(store)
    needs_leases = any(question.entry.leased is None for question in asked.items)
    leases = leases_of(block.values, block.lease_bucket_name) if needs_leases else None
    lookups, pace = Lookups(block.values, leases), Pace(per_second)

    def answer(question: Question) -> Entry | None:
        pace.take(1)
        return lookups.answer(question)

    return Shard(list(map_concurrently(answer, asked.items, workers=concurrency)))


@task(cache_policy=NO_CACHE, persist_result=False)
def sweep_shard(
    store: str | S3KVStore,
    decisions: Shard[Decision],
    protect_tag: str | None = "keep",
    per_second: float | None = None,
    concurrency: int = WORKERS,
) -> SweepReport:
    """Delete what a shard of a plan names, if it is unchanged since.

    Args:
        store: The name of a saved store, or a saved store.
        decisions: The decisions, by object name.
        protect_tag: The protect tag of the plan.
        per_second: Objects rechecked or deleted per second; None for no limit.
        concurrency: Requests for tags at once.
    """
    block = S3KVStore.of(store)
    report = sweep_decisions(
        block.values,
        decisions.items,
        protect_tag,
        pace=Pace(per_second),
        concurrency=concurrency,
        lease_bucket=block.lease_bucket_name,
    )
    logger = run_logger()
    for name, reason in report.failed.items():
        logger.error("%s was not deleted: %s", name, reason)
    return report


T = TypeVar("T")


class Shard(Generic[T]):
    """The items of one task of a cleanup."""

    def __init__(self, items: Sequence[T]) -> None:
        self.items = items


def split(items: Sequence[T], count: int, least: int) -> Iterator[Shard[T]]:
    """Yield shards of about equal size, in order; fewer if they would be smaller than ``least``.

    Args:
        items: The items.
        count: The most shards.
        least: The fewest items of a shard.
    """
    size = max(-(-len(items) // count), least)
    for start in range(0, len(items), size):
        yield Shard(items[start : start + size])
