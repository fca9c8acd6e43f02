"""A training loop that is killed: scikit-learn's SGD over the flights out of New York, month by month.

``python -m tests.support.training <url> <bucket> <data> <journal> <every> <way> <die>`` trains, and dies
where it is told to: ``-`` nowhere, ``uploaded:2`` when the bytes of its second save have gone to the
server, and are not published yet, ``published:2`` when they are, and nothing else is done. With
``killed:40`` it waits after its 40th batch to be killed, if that has not happened before. The way is
``parts`` or ``put``.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from http.client import HTTPConnection
from itertools import pairwise
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

from s3kv_flows import S3KVStore
from s3kv_flows.checkpoints import Checkpoint
from s3kv_flows.store._objects import uploads
from s3kv_flows.store._s3.client import S3Client

BATCH = 2000
NAME = "train/flights"


@dataclass(frozen=True)
class Batch:
    """Flights of one month, and whether each was late by more than a quarter of an hour."""

    features: np.ndarray[Any, Any]
    late: np.ndarray[Any, Any]


def prepare(path: Path) -> None:
    """Write the batches of the year to a file, so that each attempt has them at once."""
    from s3kv_flows._demo.pipeline import clean, extract, join_weather

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


def journaled(items: Iterator[tuple[int, Batch]], journal: Path, last: int | None) -> Iterator[Batch]:
    for begun, (number, batch) in enumerate(items, start=1):
        with journal.open("a") as file:
            file.write(f"{number}\n")
        yield batch
        if begun == last:
            threading.Event().wait()


def die() -> NoReturn:
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError("killed")


def die_at_a_save(moment: str, number: int, way: str) -> None:
    """End this process by SIGKILL in its n-th save: when all is uploaded, or when it is published."""
    operation = "complete_multipart_upload" if way == "parts" else "put_object"
    publish, left = getattr(S3Client, operation), [number]

    def published(self: S3Client, bucket: str, name: str, *args: Any, **kwargs: Any) -> Any:
        if not name.startswith(f"s3kv-checkpoints/{NAME}/"):
            return publish(self, bucket, name, *args, **kwargs)
        left[0] -= 1
        if left[0] == 0 and moment == "uploaded":
            if way == "parts":
                die()
            die_before_the_last_byte()
        written = publish(self, bucket, name, *args, **kwargs)
        if left[0] == 0:
            die()
        return written

    setattr(S3Client, operation, published)


def die_before_the_last_byte() -> None:
    """End this process when all of the next request is on the wire, its last byte excepted."""
    send = HTTPConnection.send

    def sent(self: HTTPConnection, data: Any) -> None:
        if data.endswith(b"\r\n\r\n"):  # the head, where the body comes after it
            send(self, data)
            return
        send(self, data[:-1])
        die()

    HTTPConnection.send = sent  # type: ignore[method-assign]


def main(url: str, bucket: str, data: str, journal: str, every: str, way: str, when: str) -> None:
    if way == "parts":
        uploads.MULTIPART_FROM = 1
    moment, _, number = when.partition(":")
    if moment in ("uploaded", "published"):
        die_at_a_save(moment, int(number), way)
    last = int(number) if moment == "killed" else None
    block = S3KVStore(bucket_name=bucket, endpoint_url=url)
    with Checkpoint(block, NAME, keep=2) as checkpoint:
        model = checkpoint.load(default=new_model())
        with Path(journal).open("a") as file:
            file.write("begin\n")
        items = checkpoint.iterate(list(enumerate(batches(Path(data)))), lambda: model, every=int(every))
        for batch in journaled(items, Path(journal), last):
            learn(model, batch)
        block.values.add("model", {key: np.asarray(part).tolist() for key, part in parameters(model).items()})


if __name__ == "__main__":
    main(*sys.argv[1:])
