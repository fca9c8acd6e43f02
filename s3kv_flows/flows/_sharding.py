"""Plan and sweep in shards, by ``task.map`` over the keyspace."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from itertools import chain

from prefect import unmapped
from prefect.futures import PrefectFuture

from s3kv_flows.blocks import S3KVStore
from s3kv_flows.maintenance import CleanupPlan, CleanupRule, Decision, Entry, PlanContext, SweepReport
from s3kv_flows.maintenance._inventory.listing import parts
from s3kv_flows.maintenance._inventory.survey import answer_questions
from s3kv_flows.maintenance._planning.plan import plan
from s3kv_flows.maintenance._planning.questions import Question
from s3kv_flows.tasks.cleanup_shards import Shard, list_shard, look_up_shard, split, sweep_shard

__all__ = ["plan_in_shards", "sweep_in_shards"]

_QUESTIONS = 500
"""The fewest questions of one task."""
_DECISIONS = 1000
"""The fewest decisions of one task."""

_STEPS = 4
"""Shards of a sweep per concurrent one: about how often the progress is updated."""


def plan_in_shards(
    store: str | S3KVStore,
    rules: Sequence[CleanupRule],
    context: PlanContext,
    *,
    shards: int,
    concurrency: int,
    per_second: float | None,
) -> CleanupPlan:
    """Plan a cleanup, with listings and lookups in shards. Call it within a flow.

    Args:
        store: The name of a saved store, or a saved store.
        rules: The rules; one that removes an object is enough.
        context: The time, the grace period and the protect tag.
        shards: Number of shards, of the listing and of the lookups.
        concurrency: Requests at once per shard.
        per_second: Objects looked up per second, by all shards; None for no limit.
    """
    values = S3KVStore.of(store).values
    versioned = values.client.is_versioned(values.bucket_name)
    listing = list_shard.map(unmapped(store), parts(values.namespace, shards), versioned=unmapped(versioned))

    def ask(asked: list[Question]) -> Iterable[Entry | None]:
        batches = list(split(asked, shards, _QUESTIONS))
        answers = look_up_shard.map(
            unmapped(store),
            batches,
            concurrency=unmapped(concurrency),
            per_second=unmapped(per_second and per_second / len(batches)),
        )
        return chain.from_iterable(future.result().items for future in answers)

    listed = chain.from_iterable(future.result().items for future in listing)
    entries = answer_questions(listed, rules, context, ask)
    return plan(entries, rules, context.now, context.grace, protect_tag=context.protect_tag)


def sweep_in_shards(
    store: str | S3KVStore,
    made: CleanupPlan,
    *,
    shards: int,
    concurrency: int,
    per_second: float | None,
    progress: Callable[[float], object],
) -> SweepReport:
    """Delete what a plan names, in shards. Call it within a flow. A failed shard is in the report.

    Args:
        store: The name of a saved store, or a saved store.
        made: The plan.
        shards: Number of shards at once.
        concurrency: Requests for tags at once per shard.
        per_second: Objects rechecked or deleted per second, by all shards; None for no limit.
        progress: Called with the percentage that is done.
    """
    protect_tag = made.context.protect_tag if made.context else "keep"
    batches = list(split(made.removals, shards * _STEPS, _DECISIONS))
    each = per_second and per_second / min(shards, max(len(batches), 1))
    report, done = SweepReport(), 0
    under_way: deque[tuple[Shard[Decision], PrefectFuture[SweepReport]]] = deque()

    def wait_until(most: int) -> None:
        nonlocal done
        while len(under_way) > most:
            shard, future = under_way.popleft()
            report.add(_result(shard, future))
            done += 1
            progress(100 * done / len(batches))

    for shard in batches:
        wait_until(shards - 1)
        under_way.append((shard, sweep_shard.submit(store, shard, protect_tag, each, concurrency)))
    wait_until(0)
    report.removed.sort()
    return report


def _result(shard: Shard[Decision], future: PrefectFuture[SweepReport]) -> SweepReport:
    """Return the report of a shard; if its task failed, one that lists all its keys as failed."""
    future.wait()
    state = future.state
    if state.is_completed():
        return future.result()
    reason = f"its shard of the sweep ended as {state.name}: {state.message}"
    return SweepReport(failed={decision.entry.name: reason for decision in shard.items})
