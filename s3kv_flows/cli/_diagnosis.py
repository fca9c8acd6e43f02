"""What a server's deeds mean for the features of this package, and what to do about it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

if TYPE_CHECKING:
    from s3kv_flows.store._s3.examination import BucketFacts, Examination

__all__ = ["FEATURES", "Diagnosis", "Feature", "FeatureName", "diagnose"]

FeatureName = Literal["cache", "updates", "single-flight", "finalizing", "cleanup", "lifecycle"]
Verdict = Literal["works", "with limits", "cannot work"]

_SKEW_SECONDS = 300


@dataclass(frozen=True)
class Feature:
    """One feature on one server.

    Attributes:
        name: What it is called.
        verdict: Whether it works.
        why: What that rests on.
        advice: What to do, where it does not, or not without limits.
        needed: Whether the store is configured for it, or the caller asks for it.
    """

    name: FeatureName
    verdict: Verdict
    why: str
    advice: str = ""
    needed: bool = False


@dataclass(frozen=True)
class Diagnosis:
    """An examination, and what it means."""

    examination: Examination
    features: list[Feature]

    @property
    def failed(self) -> list[Feature]:
        """The features that are needed and cannot work."""
        return [one for one in self.features if one.needed and one.verdict == "cannot work"]

    def as_json(self) -> dict[str, Any]:
        """Return all of it, for JSON."""
        return {
            **asdict(self.examination),
            "features": [asdict(feature) for feature in self.features],
            "ok": not self.failed,
        }


def diagnose(examination: Examination, needed: Iterable[FeatureName] = ()) -> Diagnosis:
    """Say what an examination means.

    Args:
        examination: What was found out.
        needed: The features that have to work.
    """
    wanted = {"cache", *needed}
    return Diagnosis(
        examination,
        [Feature(name, *judge(examination), needed=name in wanted) for name, judge in FEATURES.items()],
    )


_Judgement: TypeAlias = "tuple[Verdict, str, str]"


def _cache(found: Examination) -> _Judgement:
    skew = found.clock_skew_seconds
    if abs(skew) > _SKEW_SECONDS:
        return (
            "with limits",
            f"this machine's clock is {skew:+.0f} s from the server's",
            "set the clock: at 15 minutes, S3 refuses every request",
        )
    return "works", "the bucket can be listed, and the clocks agree", ""


def _updates(found: Examination) -> _Judgement:
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
    if leases.default_retention:
        return (
            "cannot work",
            f"bucket {leases.bucket!r} locks whatever is written to it, leases too; nothing was tried there",
            "name a bucket without retention as lease_bucket_name",
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
            f"leases exclude; bucket {found.bucket.bucket!r} carries no condition for the results",
            "a run that is stopped for a lease's time just before it writes may replace a newer result",
        )
    if leases.deletes is None or not leases.deletes.single:
        return "with limits", "leases exclude; deletions ignore conditions", _ADVICE_SWEEP
    return "works", f"one of {_WRITERS} racing writers wins", ""


def _finalizing(found: Examination) -> _Judgement:
    own = found.bucket
    if not own.object_lock:
        return (
            "cannot work",
            f"bucket {own.bucket!r} has no Object Lock",
            "create one that has: s3kv init NAME --bucket ... --object-lock",
        )
    if own.uploads is None:
        return "works", "the bucket has Object Lock; uploads in parts could not be tried out", ""
    if not own.uploads.locks:
        return (
            "with limits",
            "the server drops lock headers from uploads in parts",
            "locked outputs go in one PUT, of 5 GiB at most",
        )
    return "works", "the bucket has Object Lock, and uploads in parts are locked", ""


def _cleanup(found: Examination) -> _Judgement:
    own = found.bucket
    if own.tags is None:
        return (
            "with limits",
            "tags could not be tried out",
            "grant s3:PutObjectTagging and s3:GetObjectTagging",
        )
    if not own.tags:
        return "cannot work", "the server does not keep tags", "use rules by prefix and age alone"
    if own.uploads is not None and not own.uploads.tags:
        return (
            "with limits",
            "the server drops tags from uploads in parts",
            "they are put again: one request more",
        )
    return "works", "tags are kept, and can be replaced", ""


def _lifecycle(found: Examination) -> _Judgement:
    match found.bucket.lifecycle:
        case "carried out":
            return "works", "the server takes lifecycle rules, and is known to carry them out", ""
        case "taken":
            return "with limits", "the server takes lifecycle rules", "see that it carries them out"
        case None:
            return "with limits", "one may not ask for lifecycle rules", "grant s3:GetLifecycleConfiguration"
        case found_out:
            what = "takes lifecycle rules, and does not carry them out"
            why = f"the server {what if found_out == 'not carried out' else 'refuses lifecycle rules'}"
            return "cannot work", why, "schedule maintain_store"


FEATURES: dict[FeatureName, Callable[[Examination], tuple[Verdict, str, str]]] = {
    "cache": _cache,
    "updates": _updates,
    "single-flight": _single_flight,
    "finalizing": _finalizing,
    "cleanup": _cleanup,
    "lifecycle": _lifecycle,
}
"""The features, and who judges them."""

_WRITERS = 32
_ADVICE_PLAIN = "use a bucket without versions for {what}"
_ADVICE_SWEEP = "leases that were given back stay as small objects until maintain_store sweeps them"


def _why_no_conditions(facts: BucketFacts) -> str:
    if facts.puts is None:
        return f"nothing could be tried out in bucket {facts.bucket!r}"
    match facts.puts.create:
        case "no":
            return f"bucket {facts.bucket!r} ignores If-None-Match: every writer wins"
        case "sequential":
            return f"in bucket {facts.bucket!r} If-None-Match holds in sequence, and not in a race"
        case _:
            return f"bucket {facts.bucket!r} does not carry If-Match"
