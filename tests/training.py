"""A training loop that is killed: scikit-learn's SGD over the flights out of New York, month by month.

``python -m tests.training <url> <bucket> <data> <journal> <every> <die>`` trains, and dies where it is told
to: ``-`` nowhere, ``uploaded:2`` when the bytes of its second save are in the bucket and not published yet,
``published:2`` when they are, and nothing else is done.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from s3kv_flows import S3KVStore
from s3kv_flows.checkpoints import Checkpoint
from s3kv_flows.store import uploads
from s3kv_flows.store.s3 import S3Client

BATCH = 2000


@dataclass(frozen=True)
class Batch:
    """Flights of one month, and whether each was late by more than a quarter of an hour."""

    features: np.ndarray[Any, Any]
    late: np.ndarray[Any, Any]


def prepare(path: Path) -> None:
    """Write the batches of the year to a file, so that each attempt has them at once."""
    from s3kv_flows.demo import clean, extract, join_weather

    features, late, ends = [], [], [0]
    for month in range(1, 13):
        flights = join_weather.fn(clean.fn(extract.fn(month))).fillna(0.0)
        hour = flights["time_hour"].str[11:13].astype(float)
        columns = [flights["distance"] / 1000, hour / 24, flights["precip"], flights["wind_speed"] / 10]
        columns += [flights["origin"] == airport for airport in ("EWR", "JFK", "LGA")]
        features.append(np.column_stack([column.to_numpy(dtype=float) for column in columns]))
        late.append((flights["arr_delay"] > 15).to_numpy())
        starts = range(ends[-1], ends[-1] + len(flights), BATCH)
        ends += [*list(starts)[1:], ends[-1] + len(flights)]
    np.savez(path, features=np.concatenate(features), late=np.concatenate(late), ends=np.array(ends))


def batches(path: Path) -> list[Batch]:
    with np.load(path) as data:
        features, late, ends = data["features"], data["late"], data["ends"]
    return [Batch(features[a:b], late[a:b]) for a, b in pairwise(ends)]


def new_model() -> Any:
    from sklearn.linear_model import SGDClassifier

    # Its state of chance goes on from batch to batch: to repeat one, or leave one out, shows in the end.
    return SGDClassifier(random_state=np.random.RandomState(7))


def learn(model: Any, batch: Batch) -> None:
    model.partial_fit(batch.features, batch.late, classes=[False, True])


def parameters(model: Any) -> dict[str, Any]:
    return {"coef": model.coef_, "intercept": model.intercept_, "steps": model.t_}


def journaled(items: Iterator[tuple[int, Batch]], journal: Path) -> Iterator[Batch]:
    for number, batch in items:
        with journal.open("a") as file:
            file.write(f"{number}\n")
        yield batch


def die_at_a_save(die: str) -> None:
    """End this process by SIGKILL in its n-th save: when all is uploaded, or when it is published."""
    uploads.MULTIPART_FROM = 1
    moment, _, number = die.partition(":")
    left = [int(number)]
    complete = S3Client.complete_multipart_upload

    def completed(self: S3Client, *args: Any, **kwargs: Any) -> Any:
        left[0] -= 1
        if left[0] == 0 and moment == "uploaded":
            os.kill(os.getpid(), signal.SIGKILL)
        written = complete(self, *args, **kwargs)
        if left[0] == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return written

    S3Client.complete_multipart_upload = completed  # type: ignore[method-assign]


def main(url: str, bucket: str, data: str, journal: str, every: str, die: str) -> None:
    if die != "-":
        die_at_a_save(die)
    block = S3KVStore(bucket_name=bucket, endpoint_url=url)
    with Checkpoint(block, "train/flights", keep=2) as checkpoint:
        model = checkpoint.load(default=new_model())
        with Path(journal).open("a") as file:
            file.write("begin\n")
        items = checkpoint.iterate(list(enumerate(batches(Path(data)))), lambda: model, every=int(every))
        for batch in journaled(items, Path(journal)):
            learn(model, batch)
        block.values.add("model", {key: np.asarray(part).tolist() for key, part in parameters(model).items()})


if __name__ == "__main__":
    main(*sys.argv[1:])
