"""Print the diagnosis of ``s3kv doctor``."""

from __future__ import annotations

from rich.console import Console
from rich.table import Column, Table
from rich.text import Text

from s3kv_flows.cli._diagnosis import Diagnosis
from s3kv_flows.cli._terminal import cell
from s3kv_flows.store._s3.examination import BucketFacts, Examination

__all__ = ["show"]

_STYLES = {"works": "green", "with limits": "yellow", "cannot work": "red"}


def show(diagnosis: Diagnosis, console: Console) -> None:
    """Print a diagnosis: the facts about the server, and the verdict on each feature."""
    found = diagnosis.examination
    kind = f" ({found.kind})" if found.kind else ""
    console.print(
        cell(f"{found.server}{kind}: examined in {found.seconds:.1f} s; "),
        _skew(found),
        sep="",
        soft_wrap=True,
    )
    console.print(_facts(found))
    console.print(_features(diagnosis))
    for feature in diagnosis.failed:
        said = f"{feature.name} is needed and cannot work: {feature.advice}."
        console.print(cell(said, "red"), soft_wrap=True)  # in one line, to be copied


def _skew(found: Examination) -> Text:
    skew = found.clock_skew_seconds
    if abs(skew) < 2:  # seconds: HTTP dates have no fractions
        return Text("the clocks agree.")
    return Text(f"this machine's clock is {abs(skew):.0f} s {'ahead' if skew > 0 else 'behind'}.", "yellow")


def _facts(found: Examination) -> Table:
    buckets = [found.bucket]
    if found.lease_bucket is not found.bucket and found.lease_bucket != found.bucket:
        buckets.append(found.lease_bucket)
    table = Table("", *(Column(cell(facts.bucket)) for facts in buckets), box=None, padding=(0, 3, 0, 0))
    for name, *cells in zip(*([name for name, _ in _rows(buckets[0])],), *map(_cells, buckets), strict=True):
        table.add_row(name, *map(cell, cells))
    return table


def _cells(facts: BucketFacts) -> list[str]:
    return [cell for _, cell in _rows(facts)]


def _rows(facts: BucketFacts) -> list[tuple[str, str]]:
    puts, deletes, uploads = facts.puts, facts.deletes, facts.uploads
    carries = {
        "atomic": f"holds, also in a race of {facts.writers}",
        "sequential": "holds in sequence, not in a race",
        "no": "does not hold",
    }
    spelling = "" if puts is None or puts.quoted or puts.replace == "no" else ", ETag without quotes"
    return [
        ("versions", _yes(facts.versioned)),
        ("Object Lock", _yes(facts.object_lock)),
        ("default retention", _yes(facts.default_retention)),
        ("PUT and GET", _plain(facts)),
        ("PUT If-None-Match", "not tried" if puts is None else carries[puts.create]),
        ("PUT If-Match", "not tried" if puts is None else carries[puts.replace] + spelling),
        ("DELETE If-Match", "not tried" if deletes is None else _honoured(honours=deletes.single)),
        (
            "ETags in a batch of deletions",
            "not tried" if deletes is None else _honoured(honours=deletes.batch),
        ),
        ("tags", "not tried" if facts.tags is None else _kept(keeps=facts.tags)),
        ("tags on multipart uploads", "not tried" if uploads is None else _kept(keeps=uploads.tags)),
        (
            "locks on multipart uploads",
            "not tried" if uploads is None or not facts.object_lock else _kept(keeps=uploads.locks),
        ),
        ("lifecycle rules", "accepted" if facts.lifecycle == "taken" else facts.lifecycle or "not known"),
    ]


def _plain(facts: BucketFacts) -> str:
    if facts.plain is None:
        return "not tried"
    if facts.plain.refused is None:
        return "work"
    return f"{facts.plain.refused} fails" + (f": {facts.plain.code}" if facts.plain.code else "")


def _yes(fact: bool | None) -> str:  # noqa: FBT001  # its only parameter
    return "not known" if fact is None else "yes" if fact else "no"


def _honoured(*, honours: bool) -> str:
    return "honoured" if honours else "ignored"


def _kept(*, keeps: bool) -> str:
    return "kept" if keeps else "dropped"


def _features(diagnosis: Diagnosis) -> Table:
    # A setting to copy is folded where it is too long for its column, and not cut off.
    texts = [Column(name, overflow="fold") for name in ("because", "what to do")]
    table = Table("feature", "", *texts, box=None, padding=(1, 3, 0, 0))
    for feature in diagnosis.features:
        table.add_row(
            feature.name,
            Text(feature.verdict, _STYLES[feature.verdict]),
            cell(feature.why),
            cell(feature.advice),
        )
    return table
