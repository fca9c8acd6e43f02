"""Retries: after accidents, and when a server asks for them."""

from __future__ import annotations

import random
from collections.abc import Mapping
from datetime import datetime, timezone
from typing import Any

from s3kv_flows.store._s3.transport.responses import date_of

__all__ = ["most_attempts", "pause_after_accident", "pause_before_retry"]

_MOST_ATTEMPTS = 8
_MOST_ACCIDENTS = 4
_LONGEST_PAUSE = 20.0
_STATUSES = (429, 503)
_OF_ACCIDENTS = (500, 502, 504)
_CODES = {
    "RequestLimitExceeded",
    "ServiceUnavailable",
    "SlowDown",
    "Throttling",
    "ThrottlingException",
    "TooManyRequests",
    "TooManyRequestsException",
}


def most_attempts(given: Mapping[str, Any]) -> int:
    """Return how many attempts a request has that the server has no time for.

    Args:
        given: The option ``retries`` of boto3 that the user gave; its numbers are taken.
    """
    if "total_max_attempts" in given:
        return int(given["total_max_attempts"])
    return int(given["max_attempts"]) + 1 if "max_attempts" in given else _MOST_ATTEMPTS


def pause_before_retry(
    response: tuple[Any, Mapping[str, Any]] | None, attempts: int, most: int = _MOST_ATTEMPTS
) -> float | None:
    """Return the seconds before the next attempt, None if the server did not ask for time.

    Args:
        response: The response of botocore, and what it was parsed to.
        attempts: The number of attempts so far.
        most: The limit of their number.
    """
    if response is None or attempts >= most:
        return None
    raw, parsed = response
    code = parsed.get("Error", {}).get("Code", "")
    if code not in _CODES and raw.status_code not in _STATUSES:
        return None
    headers = {name.lower(): value for name, value in raw.headers.items()}
    return max(_asked_for(headers), _backoff(attempts))


def pause_after_accident(
    response: tuple[Any, Mapping[str, Any]] | None, attempts: int, most: int, left: float
) -> float | None:
    """Return the seconds before the next attempt, None if there is none.

    They are those of botocore's standard mode, which knows no time limit, and would outlast it.

    Args:
        response: The response of botocore, and what it was parsed to; None if the connection failed.
        attempts: The number of attempts so far.
        most: The limit of the number of attempts of a throttled request.
        left: The seconds that are left for all attempts.
    """
    if attempts >= min(most, _MOST_ACCIDENTS) or (
        response is not None and response[0].status_code not in _OF_ACCIDENTS
    ):
        return None
    return min(_backoff(attempts), left / 2)


def _backoff(attempts: int) -> float:
    return random.random() * min(2.0 ** (attempts - 1), _LONGEST_PAUSE)  # noqa: S311  # no secret


def _asked_for(headers: Mapping[str, str]) -> float:
    """Return the seconds of ``Retry-After``, which is a number or a date; 0 without one."""
    text = headers.get("retry-after", "").strip()
    if text.isdecimal():
        return float(text)
    until = date_of(headers, "retry-after")
    if until is None:
        return 0.0
    now = date_of(headers, "date") or datetime.now(timezone.utc)
    return max(0.0, (until - now).total_seconds())
