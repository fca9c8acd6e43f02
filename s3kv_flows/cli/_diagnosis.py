"""Judge which features work on a server, with advice."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

if TYPE_CHECKING:
    from s3kv_flows.store._s3.examination import BucketFacts, Examination

__all__ = ["FEATURES", "Diagnosis", "Feature", "FeatureName", "diagnose"]

FeatureName = Literal[
    "cache", "updates", "single-flight", "checkpoints", "finalizing", "cleanup", "lifecycle"
]
Verdict = Literal["works", "with limits", "cannot work"]

_SKEW_SECONDS = 300


@dataclass(frozen=True)
class Feature:
    """One feature on one server.

    Attributes:
        name: The name of the feature.
        verdict: Whether it works.
        why: The facts behind the verdict.
        advice: What to do if it does not work, or only with limits.
        needed: Whether the store is configured for it, or the caller requires it.
    """

    name: FeatureName
    verdict: Verdict
    why: str
    advice: str = ""
    needed: bool = False


@dataclass(frozen=True)
class Diagnosis:
    """An examination of a server, with the verdict on each feature."""

    examination: Examination
    features: list[Feature]

    @property
    def failed(self) -> list[Feature]:
        """The features that are needed and cannot work."""
        return [one for one in self.features if one.needed and one.verdict == "cannot work"]

    def as_json(self) -> dict[str, Any]:
        """Return the diagnosis as data for JSON."""
        return {
            **asdict(self.examination),
            "features": [asdict(feature) for feature in self.features],
            "ok": not self.failed,
        }


def diagnose(examination: Examination, needed: Iterable[FeatureName] = ()) -> Diagnosis:
    """Return the verdict of an examination on each feature.

    Args:
        examination: The facts about the server and its buckets.
        needed: The features that must work, besides the cache.
    """
    wanted = {"cache", *needed}
    return Diagnosis(
        examination,
        [Feature(name, *judge(examination), needed=name in wanted) for name, judge in FEATURES.items()],
    )


_Judgement: TypeAlias = "tuple[Verdict, str, str]"


def _cache(found: Examination) -> _Judgement:
    bucket = found.bucket
    if refusal := _refusal(bucket):
        return refusal
    skew = found.clock_skew_seconds
    if abs(skew) > _SKEW_SECONDS:
        return (
            "with limits",
            f"this machine's clock is {skew:+.0f} s from the server's",
            "set the clock: at 15 minutes, S3 refuses every request",
        )
    if bucket.default_retention:
        return (
            "with limits",
            f"bucket {bucket.bucket!r} has a default retention, which locks each result; nothing was tried",
            "use a bucket without it for what is to be replaced or cleaned up",
        )
    if bucket.plain is None:
        return (
            "with limits",
            "whether the bucket locks whatever is written may not be read; nothing was tried",
            "grant s3:GetBucketObjectLockConfiguration",
        )
    if bucket.plain.stays:
        return (
            "with limits",
            "objects can be written and read, and not deleted: one of 64 bytes stays",
            "grant s3:DeleteObject, also for all other features to be tried",
        )
    return "works", "objects can be written and read, and the clocks agree", ""


_QUOTA = ("quota", "full", "storage", "507")
"""What codes of a server without space contain: ``QuotaExceeded``, ``XMinioStorageFull``."""


def _refusal(facts: BucketFacts) -> _Judgement | None:
    """Return what is wrong where objects cannot be written and read at all."""
    plain = facts.plain
    if plain is None or plain.refused is None:
        return None
    request, code = plain.refused, f" ({plain.code})" if plain.code else ""
    where = f"bucket {facts.bucket!r}"
    if plain.checksums:
        return (
            "cannot work",
            f"{where} fails every {request} with the checksums that boto3 adds{code}; without, it works",
            'set boto_config={"request_checksum_calculation": "when_required"} in the store',
        )
    if any(word in plain.code.lower() for word in _QUOTA):
        return "cannot work", f"{where} takes no more{code}", "free space, or raise the quota"
    if plain.code in _DENIED:
        verb, action = ("write to", "PutObject") if request == "PUT" else ("read", "GetObject")
        return (
            "cannot work",
            f"these credentials may list {where}, and not {verb} it{code}",
            f"grant s3:{action}, and where a key in KMS encrypts, its use",
        )
    return "cannot work", f"every {request} fails: {plain.message}", "make a plain PUT and GET work first"


def _blocked(found: Examination) -> _Judgement | None:
    """Return why nothing else works where the bucket of the store fails plain requests."""
    if _refusal(found.bucket) is None:
        return None
    return "cannot work", "objects cannot be written and read", "see cache"


_DENIED = {"AccessDenied", "AllAccessDisabled", "403"}


def _updates(found: Examination) -> _Judgement:
    if blocked := _blocked(found):
        return blocked
    puts = found.bucket.puts
    if puts is not None and puts.carry_updates:
        return "works", "conditional PUTs hold, also in races", ""
    return (
        "cannot work",
        _why_no_conditions(found.bucket),
        _ADVICE_PLAIN.format(what="values that are updated"),
    )


def _single_flight(found: Examination) -> _Judgement:
    leases = found.lease_bucket
    if blocked := _blocked(found) or _refusal(leases):
        return blocked
    if leases.default_retention:
        return (
            "cannot work",
            f"bucket {leases.bucket!r} has a default retention, which locks leases; nothing was tried",
            "set lease_bucket_name to a bucket without retention",
        )
    if leases.puts is None or not leases.puts.carry_updates:
        return (
            "cannot work",
            _why_no_conditions(leases),
            _ADVICE_PLAIN.format(what="leases (lease_bucket_name)"),
        )
    puts = found.bucket.puts
    if puts is None or not puts.carry_updates:
        return (
            "with limits",
            f"leases exclude; bucket {found.bucket.bucket!r} does not honour conditions for the results",
            "a run that pauses for a lease's time just before it writes may replace a newer result",
        )
    if leases.deletes is None or not leases.deletes.single:
        return "with limits", "leases exclude; deletions ignore conditions", _ADVICE_SWEEP
    return "works", f"one of {leases.writers} racing writers wins", ""


def _checkpoints(found: Examination) -> _Judgement:
    bucket = found.bucket
    if blocked := _blocked(found):
        return blocked
    if not _excludes(found):
        return "cannot work", _why_no_conditions(bucket), _ADVICE_PLAIN.format(what="checkpoints")
    if bucket.default_retention:
        return (
            "with limits",
            f"bucket {bucket.bucket!r} has a default retention, which locks each state",
            "states stay until it ends: use a bucket without it",
        )
    return "works", "each state is created once, also by racing writers", ""


def _excludes(found: Examination) -> bool:
    """Tell whether one of several writers that create a key wins: by experiment, or else as is declared."""
    puts = found.bucket.puts or found.declared_puts
    return puts is not None and puts.create == "atomic"


def _finalizing(found: Examination) -> _Judgement:
    bucket = found.bucket
    if blocked := _blocked(found):
        return blocked
    if not bucket.object_lock:
        return (
            "cannot work",
            f"bucket {bucket.bucket!r} has no Object Lock",
            "create one that has it: s3kv init NAME --bucket ... --object-lock",
        )
    if not _excludes(found):
        return (
            "cannot work",
            f"{_why_no_conditions(bucket)}; so two writers could publish the same key",
            "finalize with accept_races=True (--accept-races); caching(retention=...) works as it is",
        )
    if bucket.uploads is None:
        return "works", "the bucket has Object Lock; multipart uploads could not be tried", ""
    if not bucket.uploads.locks:
        return (
            "with limits",
            "the server drops lock headers from multipart uploads",
            "locked outputs are written in one PUT, of 5 GiB at most",
        )
    return "works", "the bucket has Object Lock, and multipart uploads are locked", ""


def _cleanup(found: Examination) -> _Judgement:
    bucket = found.bucket
    if blocked := _blocked(found):
        return blocked
    if bucket.tags is None:
        return (
            "with limits",
            "tags could not be tried",
            "grant s3:PutObjectTagging and s3:GetObjectTagging",
        )
    if not bucket.tags:
        return "cannot work", "the server does not keep tags", "use rules by prefix and age only"
    if bucket.uploads is not None and not bucket.uploads.tags:
        return (
            "with limits",
            "the server drops tags from multipart uploads",
            "they are put separately: one more request",
        )
    return "works", "tags are kept, and can be replaced", ""


def _lifecycle(found: Examination) -> _Judgement:
    match found.bucket.lifecycle:
        case "carried out":
            return "works", "the server accepts lifecycle rules, and is known to carry them out", ""
        case "taken":
            return "with limits", "the server accepts lifecycle rules", "check that it carries them out"
        case None:
            return "with limits", "lifecycle rules may not be read", "grant s3:GetLifecycleConfiguration"
        case finding:
            what = "accepts lifecycle rules, but does not carry them out"
            why = f"the server {what if finding == 'not carried out' else 'refuses lifecycle rules'}"
            return "cannot work", why, "schedule maintain_store"


FEATURES: dict[FeatureName, Callable[[Examination], tuple[Verdict, str, str]]] = {
    "cache": _cache,
    "updates": _updates,
    "single-flight": _single_flight,
    "checkpoints": _checkpoints,
    "finalizing": _finalizing,
    "cleanup": _cleanup,
    "lifecycle": _lifecycle,
}
"""The features, with the function that judges each."""

_ADVICE_PLAIN = "use a bucket without versions for {what}"
_ADVICE_SWEEP = "released leases stay as small objects until maintain_store removes them"


def _why_no_conditions(facts: BucketFacts) -> str:
    if facts.puts is None:
        return f"nothing could be tried in bucket {facts.bucket!r}"
    match facts.puts.create:
        case "no":
            return f"bucket {facts.bucket!r} ignores If-None-Match: every writer wins"
        case "sequential":
            return f"in bucket {facts.bucket!r} If-None-Match holds in sequence, but not in a race"
        case _:
            return f"bucket {facts.bucket!r} does not honour If-Match"
