"""Shards of a cleanup as tasks, for ``task.map``: each lists, asks or deletes a part."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Generic, TypeVar

from prefect import get_run_logger, task
from prefect.cache_policies import NO_CACHE

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
    """List a part of the keys of a store: one LIST per 1,000 objects or versions; of results, also of leases.

    Args:
        store: The name of a saved store, or a saved store.
        part: The part.
        versioned: Whether its bucket keeps versions, or did.
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
    """Answer questions of a plan: with the key as it is known then, or None where it is gone.

    Args:
        store: The name of a saved store, or a saved store.
        asked: The questions.
        concurrency: Requests at once.
        per_second: Objects asked about in a second; None for no limit.
    """
    block = S3KVStore.of(store)
    about_leases = any(question.entry.leased is None for question in asked.items)
    leases = leases_of(block.values, block.lease_bucket_name) if about_leases else None
    looker, pace = Lookups(block.values, leases), Pace(per_second)

    def answer(question: Question) -> Entry | None:
        pace.take(1)
        return looker.answer(question)

    return Shard(list(map_concurrently(answer, asked.items, workers=concurrency)))


@task(cache_policy=NO_CACHE, persist_result=False)
def sweep_shard(
    store: str | S3KVStore,
    decisions: Shard[Decision],
    protect_tag: str | None = "keep",
    per_second: float | None = None,
    concurrency: int = WORKERS,
) -> SweepReport:
    """Remove what a shard of a plan names, if it is still what the plan saw.

    Args:
        store: The name of a saved store, or a saved store.
        decisions: The shard, by object name.
        protect_tag: The protect tag of the plan.
        per_second: Objects looked at or deleted in a second; None for no limit.
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
    logger = get_run_logger()
    for name, reason in report.failed.items():
        logger.error("%s was not removed: %s", name, reason)
    return report


T = TypeVar("T")


class Shard(Generic[T]):
    """Some of many items."""

    def __init__(self, items: Sequence[T]) -> None:
        self.items = items


def split(items: Sequence[T], count: int, least: int) -> Iterator[Shard[T]]:
    """Yield shards of about one size, in order; fewer, where they would be smaller than ``least``.

    Args:
        items: The items.
        count: How many shards at most.
        least: How many items are worth a task of their own.
    """
    size = max(-(-len(items) // count), least)
    for start in range(0, len(items), size):
        yield Shard(items[start : start + size])
