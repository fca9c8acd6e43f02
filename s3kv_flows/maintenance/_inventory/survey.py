"""What there is: the keys of a store, with tags and locks where a plan depends on them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from itertools import chain

from s3kv_flows.maintenance._entries import Entry
from s3kv_flows.maintenance._inventory.listing import list_part, part_of, parts
from s3kv_flows.maintenance._inventory.lookups import Lookups
from s3kv_flows.maintenance._planning.conditions import PlanContext
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
    """Return the values, results and checkpoints of a store, as a plan wants them.

    Requests: one about versioning, one LIST per 1,000 objects or versions, and one per 1,000 leases. For
    each key that the listing would let a rule remove, one for its tags, where a rule or the protect tag asks
    for them. For what those leave as a candidate: with Object Lock, one per version for its lock, or two for
    who may not read values; with ``expired``, one where the age is between two classes (see
    :mod:`s3kv_flows.store._layout.ttl`); one where there is a lease of it.

    Args:
        store: The values of the store; its results and checkpoints lie beside them.
        rules: What is to be decided.
        now: The moment of the plan, by the server's clock.
        grace: What is younger is not looked at further.
        protect_tag: The tag that :func:`~s3kv_flows.maintenance._planning.plan.plan` will look for.
        leases: The leases of the store; by default, those in its own bucket.
        concurrency: Requests at once.
        only: An object name: nothing else is listed, unless a rule counts what else there is.

    Raises:
        ValueError: The grace period has no unit, or a rule a field that is not understood here.
    """
    context = PlanContext(now, length_before(grace, now), protect_tag)
    leases = leases or leases_of(store)
    looker = Lookups(store, leases)

    def ask(asked: list[Question]) -> Iterable[Entry | None]:
        return map_concurrently(looker.answer, asked, workers=concurrency)

    versioned = store.client.is_versioned(store.bucket_name)
    of_all = only is None or any(rule.counts for rule in rules)
    wanted = parts(store.namespace) if only is None or of_all else part_of(store.namespace, only)
    listed = chain.from_iterable(list_part(store, part, leases, versioned=versioned) for part in wanted)
    return answer_questions(listed, rules, context, ask)


def leases_of(store: S3KV, bucket: str | None = None) -> LeaseObserver:
    """Return the leases of a store: in its own bucket, or in another one. One LIST per 1,000."""
    prefix = store.namespace.leases.prefix
    return LeaseObserver(store.client, bucket or store.bucket_name, prefix)


def answer_questions(
    listed: Iterable[Entry],
    rules: Sequence[CleanupRule],
    context: PlanContext,
    ask: Callable[[list[Question]], Iterable[Entry | None]],
) -> list[Entry]:
    """Return the entries with all that a plan has to know of them.

    Args:
        listed: The entries, as a listing shows them.
        rules: What is to be decided.
        context: The moment, the grace period and the protect tag.
        ask: Answers questions, in order: with the entry as it is known then, or None where it is gone.
    """
    known = {entry.name: entry for entry in listed}
    while asked := questions(list(known.values()), rules, context):
        learned = False
        for question, answer in zip(asked, ask(asked), strict=True):
            learned = learned or answer != question.entry
            if answer is None:
                del known[question.entry.name]
            else:
                known[answer.name] = answer
        if not learned:  # what cannot be told stays
            break
    return list(known.values())
