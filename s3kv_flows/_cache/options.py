"""caching() and finalizing(): options of tasks and flows that store their results."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from datetime import timedelta
from typing import Any, Literal

from prefect.cache_policies import INPUTS, NO_CACHE, TASK_SOURCE, CachePolicy

from s3kv_flows._cache.content_policy import CodeMode, KeyOptions, is_code_mode
from s3kv_flows._cache.lock_manager import LeaseLockManager
from s3kv_flows._cache.naming import validate_key
from s3kv_flows._cache.policies import ResultPolicy
from s3kv_flows._cache.preflight import PreflightLockManager
from s3kv_flows._cache.record_storage import RecordStorage
from s3kv_flows._cache.store_reference import StoreReference
from s3kv_flows._results.payload import ResultOptions
from s3kv_flows._results.serializer import FrameSerializer
from s3kv_flows.blocks import S3KVStore
from s3kv_flows.store._durations import fixed_duration
from s3kv_flows.store._layout.tags import MAX_TAGS, validate_tags
from s3kv_flows.store._layout.ttl import TTL_TAG
from s3kv_flows.store._locks.retention import Retention

__all__ = ["caching", "finalizing"]

_DEFAULT_POLICY = INPUTS + TASK_SOURCE


def caching(
    store: str | S3KVStore,
    *,
    cache_policy: CachePolicy = _DEFAULT_POLICY,
    cache_expiration: timedelta | str | None = None,
    object_tags: Mapping[str, str] | None = None,
    retention: Retention | None = None,
    legal_hold: bool = False,
    key: str | None = None,
    single_flight: bool = False,
    lease_seconds: float = 30.0,
    lease_wait_seconds: float = 3600.0,
    namespace: str | None = None,
    code: CodeMode = "auto",
    depends_on: Iterable[object] = (),
    ignore: Collection[str | type] = (),
    on_unavailable: Literal["compute", "raise"] = "compute",
    on_unsaved: Literal["fail", "complete"] | None = None,
) -> dict[str, Any]:
    """Return the options of a task that caches its results: ``@task(**caching("lake"))``.

    A result is returned to runs with the same code and inputs, and to no other. What counts as code, and as
    the content of an input, is in the guide "What makes a key". An input that has no content (an iterator,
    an open file, a lock, a connection) is not touched: the run computes, is not cached, and logs the name of
    the input and what to do; with a lock, a name or single flight, it fails before it computes. So do tasks
    that yield, which are never cached.

    A result is one object, ``s3kv-results/<cache key>``. A hit costs one request, a miss two. With
    a retention or hold, a miss checks for locked versions, too: three requests more, two on AWS. A result
    that cannot be read is computed anew, with the reason in the log.

    Args:
        store: The name of a saved :class:`S3KVStore`, or a saved one.
        cache_policy: What the cache key is made of; by default, ``INPUTS + TASK_SOURCE``. ``INPUTS`` (and
            ``FLOW_PARAMETERS``) counts by type and content: a value from the cache has the same key as the
            computed one. ``TASK_SOURCE`` counts everything of the project that the task reaches, instead of
            its text alone. A policy without it counts the task's name. All others are as Prefect has them.
        cache_expiration: For how long a result is valid: a timedelta, or text such as ``7d`` (no months or
            years, which Prefect does not support); by default, for ever. The object is tagged
            ``ttl_days`` with its class (see :mod:`s3kv_flows.store._layout.ttl`), by which cleanup rules and
            S3's lifecycle rules remove it.
        object_tags: Tags of the object; ``flow`` and ``task`` are added as far as ten allow.
        retention: Finalize the result: from the PUT that writes it on, nothing alters or deletes it
            before this ends. A run that would refresh it fails with KeyLockedError before it computes; one
            whose result another writer has hidden fails with HiddenOutputError.
        legal_hold: Forbid to delete the result until the hold is released. A refresh may change it, and
            keeps the hold.
        key: A name for the result, instead of the key of the cache policy: a format string of
            ``parameters``, ``flow_run``, ``task_run`` and ``deployment``, such as
            ``"reports/{parameters[year]}/delays"``. The key of the policy is kept in the record: a run with
            other inputs, or other code, fails with ConflictError before it computes, which names what
            differs, unless it refreshes or the existing result has expired.
        single_flight: Compute each key once at a time, across machines: other runs wait, and take the
            result. A miss then costs five requests, and a hit still one. Runs of one transaction, or within
            one task, take what one of them has computed, before it is written: no request. A run that has
            waited too long, that would wait for itself, or whose server cannot exclude a second holder,
            fails before it computes; see :class:`LeaseLockManager`.
        lease_seconds: After how long a run that died is replaced by one that waits for it.
        lease_wait_seconds: For how long a run waits for another one.
        namespace: Text that sets these results apart from those of others who use the bucket; by default,
            the namespace of the store.
        code: How the code of the task counts: ``auto`` by everything that it reaches; ``source`` as in
            Prefect, by its own text; ``none`` by its name alone, so that ``depends_on=["v3"]`` is a version
            that you change by hand.
        depends_on: What else the result depends on: modules, functions and classes of the project, by their
            code; installed modules, by their version; paths, by the content of the file or directory; any
            other value, by content.
        ignore: What does not count: names of globals and attributes (``"NAME"``, ``"module.NAME"``,
            ``"Class.method"``), and classes, whose instances then count without their code.
        on_unavailable: What a run does that cannot find out whether its result exists, as the store does not
            answer, or denies access: ``compute``, with an error in its log, or ``raise``, before it computes.
            With a lock, a name or single flight, it always raises. A store that was down a moment ago is not
            waited for again: neither the lookup nor the write, which then fails, too.
        on_unsaved: What a run does whose result could not be saved, as it cannot be encoded or S3 refused it:
            ``fail``, the default with a lock, or ``complete``, with an error in its log. A run that fails
            writes its result when the task ends, before Prefect's commit, so that retries try again; within
            a transaction, only what shows before the commit fails it. It fails, too, if Prefect was told to
            drop the cache policy (``NO_CACHE``, ``persist_result=False``, disabled caching).

    Raises:
        ValueError: An expiration has no unit, or is combined with a retention or hold, or with ten tags; a
            tag is ``ttl_days``, or S3 would refuse it (InvalidTagError); the key is no such format string;
            the store is not saved; the cache policy makes no keys, or has a key storage, lock manager
            or isolation level already; or ``code``, ``on_unavailable`` or ``on_unsaved`` is none of its
            values.
    """
    if (retention is not None or legal_hold) and cache_expiration is not None:
        raise ValueError(
            "a result under retention or legal hold cannot expire: give a lock or cache_expiration"
        )
    if cache_policy is None or cache_policy == NO_CACHE:
        raise ValueError("caching() needs a cache policy that makes keys, such as INPUTS + TASK_SOURCE")
    if cache_policy.key_storage is not None or cache_policy.lock_manager is not None:
        raise ValueError("caching() sets the key storage and the lock manager: give a policy without them")
    if cache_policy.isolation_level is not None:
        raise ValueError(
            "caching() sets the isolation level: give a policy without it, and single_flight=True where "
            "runs are to exclude each other (SERIALIZABLE)"
        )
    if not is_code_mode(code):
        raise ValueError(f"code={code!r} is none of 'auto', 'source', 'none'")
    if on_unavailable not in ("compute", "raise"):
        raise ValueError(f"on_unavailable={on_unavailable!r} is neither 'compute' nor 'raise'")
    if on_unsaved not in (None, "fail", "complete"):
        raise ValueError(f"on_unsaved={on_unsaved!r} is neither 'fail' nor 'complete'")
    if isinstance(depends_on, str) or isinstance(ignore, str):
        raise ValueError("depends_on and ignore take lists, such as depends_on=['v3']")  # noqa: TRY004
    tags = _validated(object_tags)
    if cache_expiration is not None and len(tags) == MAX_TAGS:
        raise ValueError(f"an expiration needs one of {MAX_TAGS} tags: give {MAX_TAGS - 1} at most")
    storage = _storage_of(store)
    name = None if key is None else validate_key(key)
    locks = retention is not None or legal_hold
    needs_store = on_unavailable == "raise" or locks or name is not None or single_flight
    policy = ResultPolicy(
        policy=cache_policy,
        options=KeyOptions(namespace, code, tuple(depends_on), tuple(ignore)),
        name=name,
        is_required=locks or name is not None or single_flight or on_unsaved == "fail",
    ).configure(key_storage=RecordStorage(store=storage))
    if single_flight:
        manager = LeaseLockManager(storage, lease_seconds, wait_seconds=lease_wait_seconds)
        policy = policy.configure(lock_manager=manager, isolation_level="SERIALIZABLE")
    elif policy.is_required or needs_store:
        policy = policy.configure(lock_manager=PreflightLockManager(), isolation_level="SERIALIZABLE")
    options = ResultOptions(
        "task",
        tags,
        retention,
        legal_hold,
        is_named=name is not None,
        must_save=on_unsaved == "fail" or (locks and on_unsaved is None),
        excludes=single_flight,
        needs_store=needs_store,
    )
    return {
        "result_storage": StoreReference(store=storage),
        "result_serializer": FrameSerializer.with_options(options),
        "cache_policy": policy,
        "cache_expiration": None if cache_expiration is None else fixed_duration(cache_expiration),
        "persist_result": True,
        # Prefect's in-memory cache of a thousand results would serve values that were replaced since.
        "cache_result_in_memory": False,
    }


def finalizing(
    store: str | S3KVStore,
    retention: Retention,
    *,
    object_tags: Mapping[str, str] | None = None,
    legal_hold: bool = False,
) -> dict[str, Any]:
    """Return the options of a flow whose result is locked in the PUT that writes it.

    The tasks and flows within it inherit the storage from Prefect, but neither lock nor tags.
    The result of a failed run is not locked. Where the result could not be saved, the run completes with an
    error in its log and the event ``s3kv.result.refused``, since Prefect cannot fail it any more: an output
    that must be there is published with :func:`s3kv_flows.tasks.finalize_value`, which raises.

    Args:
        store: The name of a saved :class:`S3KVStore`, or a saved one, with Object Lock.
        retention: Until when nothing alters or deletes the result.
        object_tags: Tags of the object; ``flow`` is added.
        legal_hold: Forbid to delete the result until the hold is released, too.

    Raises:
        ValueError: A tag is ``ttl_days``, or S3 would refuse it (InvalidTagError); or the store is not
            saved.
    """
    options = ResultOptions("flow", _validated(object_tags), retention, legal_hold)
    return {
        "result_storage": _storage_of(store),
        "result_serializer": FrameSerializer.with_options(options),
        "persist_result": True,
        "cache_result_in_memory": False,
    }


def _validated(object_tags: Mapping[str, str] | None) -> dict[str, str]:
    """Return the user's tags, if S3 would accept them and none is ``ttl_days``."""
    tags = validate_tags(object_tags or {})
    if TTL_TAG in tags:
        raise ValueError(f"the tag {TTL_TAG!r} is set from cache_expiration: cleanups select by it")
    return tags


def _storage_of(store: str | S3KVStore) -> str:
    """Return the reference by which Prefect loads the store for each run."""
    if isinstance(store, str):
        return S3KVStore.reference_to(store)
    if store.reference is None:
        raise ValueError("the store is not saved: call store.save('name') first, or give the name of one")
    return store.reference
