"""A cleanup in shards: ``task.map`` over the keyspace, wherever the task runner runs them."""

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
_DECISIONS = 1000
"""What is worth a task of its own."""

_STEPS = 4
"""Shards of a sweep for each that is swept at once: so often, about, its progress is told."""


def plan_in_shards(
    store: str | S3KVStore,
    rules: Sequence[CleanupRule],
    context: PlanContext,
    *,
    shards: int,
    concurrency: int,
    per_second: float | None,
) -> CleanupPlan:
    """Return the plan of a cleanup, listed and asked in shards; to be called within a flow.

    Args:
        store: The name of a saved store, or a saved store.
        rules: One that removes is enough.
        context: The moment, the grace period and the protect tag.
        shards: In how many parts to list, and to ask.
        concurrency: Requests at once of each.
        per_second: Objects asked about in a second, by all of them; None for no limit.
    """
    values = S3KVStore.of(store).values
    versioned = values.client.is_versioned(values.bucket_name)
    listing = list_shard.map(unmapped(store), parts(values.namespace, shards), versioned=unmapped(versioned))

    def ask(asked: list[Question]) -> Iterable[Entry | None]:
        given = list(split(asked, shards, _QUESTIONS))
        answers = look_up_shard.map(
            unmapped(store),
            given,
            concurrency=unmapped(concurrency),
            per_second=unmapped(per_second and per_second / len(given)),
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
    """Remove what a plan names, in shards; to be called within a flow. A shard that fails is in the report.

    Args:
        store: The name of a saved store, or a saved store.
        made: The plan.
        shards: How many shards may be swept at once.
        concurrency: Requests for tags at once of each.
        per_second: Objects looked at or deleted in a second, by all of them; None for no limit.
        progress: Called with the percentage that is done.
    """
    protect_tag = made.context.protect_tag if made.context else "keep"
    given = list(split(made.removals, shards * _STEPS, _DECISIONS))
    each = per_second and per_second / min(shards, max(len(given), 1))
    report, done = SweepReport(), 0
    under_way: deque[tuple[Shard[Decision], PrefectFuture[SweepReport]]] = deque()

    def answer_questions(most: int) -> None:
        nonlocal done
        while len(under_way) > most:
            shard, future = under_way.popleft()
            report.add(_result(shard, future))
            done += 1
            progress(100 * done / len(given))

    for shard in given:
        answer_questions(shards - 1)
        under_way.append((shard, sweep_shard.submit(store, shard, protect_tag, each, concurrency)))
    answer_questions(0)
    report.removed.sort()
    return report


def _result(shard: Shard[Decision], future: PrefectFuture[SweepReport]) -> SweepReport:
    """Return the report of a shard; where its task failed, one that says so of all that it was given."""
    future.wait()
    state = future.state
    if state.is_completed():
        return future.result()
    reason = f"its shard of the sweep ended as {state.name}: {state.message}"
    return SweepReport(failed={decision.entry.name: reason for decision in shard.items})
