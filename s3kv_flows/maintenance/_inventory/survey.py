"""Survey a store: its keys, with the tags and locks plans need."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from itertools import chain

from s3kv_flows.maintenance._entries import Entry
from s3kv_flows.maintenance._inventory.listing import list_part, part_of, parts
from s3kv_flows.maintenance._inventory.lookups import Lookups
from s3kv_flows.maintenance._planning.matching import PlanContext
from s3kv_flows.maintenance._planning.questions import Question, questions
from s3kv_flows.maintenance._rules import CleanupRule
from s3kv_flows.store._durations import DurationLike, length_before
from s3kv_flows.store._kv import S3KV
from s3kv_flows.store._leases.observer import LeaseObserver
from s3kv_flows.store._s3.concurrency import SEARCHERS, map_concurrently

__all__ = ["answer_questions", "leases_of", "survey"]


def survey(
    store: S3KV,
    rules: Sequence[CleanupRule],
    now: datetime,
    grace: DurationLike,
    *,
    protect_tag: str | None = "keep",
    leases: LeaseObserver | None = None,
    concurrency: int = SEARCHERS,
    only: str | None = None,
) -> list[Entry]:
    """Return the values, results and checkpoints of a store, with the facts that a plan needs.

    Requests: one about versioning, one LIST per 1,000 objects or versions, and one per 1,000 leases. For
    each key that a rule might remove by the listing alone, one for its tags, if a rule or the protect tag
    needs them. For each key that is still a candidate then: with Object Lock, one per version for its lock,
    or two for callers who may not read values; with ``expired``, one if the age is between two classes (see
    :mod:`s3kv_flows.store._layout.ttl`); one if there is a lease for it.

    Args:
        store: The values of the store; its results and checkpoints lie beside them.
        rules: The rules of the plan.
        now: The time of the plan, by the server's clock.
        grace: Younger objects are not looked up.
        protect_tag: The protect tag of the plan.
        leases: The leases of the store; by default, those in its own bucket.
        concurrency: Requests at once.
        only: An object name: nothing else is listed, unless a rule counts other objects.

    Raises:
        ValueError: The grace period has no unit, or a rule has a field that is not supported.
    """
    context = PlanContext(now, length_before(grace, now), protect_tag)
    leases = leases or leases_of(store)
    lookups = Lookups(store, leases)

    def ask(asked: list[Question]) -> Iterable[Entry | None]:
        return map_concurrently(lookups.answer, asked, workers=concurrency)

    versioned = store.client.is_versioned(store.bucket_name)
    counts = any(rule.counts for rule in rules)
    wanted = parts(store.namespace) if only is None or counts else part_of(store.namespace, only)
    listed = chain.from_iterable(list_part(store, part, leases, versioned=versioned) for part in wanted)
    return answer_questions(listed, rules, context, ask)


def leases_of(store: S3KV, bucket: str | None = None) -> LeaseObserver:
    """Return an observer of the leases of a store, by default in its own bucket: one LIST per 1,000."""
    prefix = store.namespace.leases.prefix
    return LeaseObserver(store.client, bucket or store.bucket_name, prefix)


def answer_questions(
    listed: Iterable[Entry],
    rules: Sequence[CleanupRule],
    context: PlanContext,
    ask: Callable[[list[Question]], Iterable[Entry | None]],
) -> list[Entry]:
    """Return the entries with the facts that a plan needs.

    Args:
        listed: The entries, as a listing shows them.
        rules: The rules of the plan.
        context: The time, the grace period and the protect tag of the plan.
        ask: Answers questions, in order: with the updated entry, or None if the key does not exist any more.
    """
    known = {entry.name: entry for entry in listed}
    while asked := questions(list(known.values()), rules, context):
        is_progress = False
        for question, answer in zip(asked, ask(asked), strict=True):
            is_progress = is_progress or answer != question.entry
            if answer is None:
                del known[question.entry.name]
            else:
                known[answer.name] = answer
        if not is_progress:  # keys that cannot be decided stay
            break
    return list(known.values())
