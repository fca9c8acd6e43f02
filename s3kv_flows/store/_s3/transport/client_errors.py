"""Errors of this package that are errors of botocore, too."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import lru_cache, wraps
from typing import Any, TypeVar

from s3kv_flows.store.errors import (
    AccessDeniedError,
    ConflictError,
    KeyLockedError,
    KeyNotFoundError,
    S3KVError,
    StoreUnavailableError,
    UnsupportedByServerError,
)

__all__ = ["as_client_error", "raising_client_errors"]

_CODES: tuple[tuple[type[S3KVError], str], ...] = (
    (KeyNotFoundError, "NoSuchKey"),
    (KeyLockedError, "AccessDenied"),
    (AccessDeniedError, "AccessDenied"),
    (ConflictError, "PreconditionFailed"),
    (UnsupportedByServerError, "InvalidRequest"),
    (StoreUnavailableError, "ServiceUnavailable"),
)
"""The codes with which S3 itself would refuse, where no response of it is known."""


def as_client_error(exc: S3KVError, exceptions: Any) -> S3KVError:
    """Return an error that clauses for this package's and for botocore's errors both catch.

    Where botocore raised an error of its own, it is of that class; else of the class for its code. What S3
    has no code for, such as a value that is no JSON, is returned unchanged.

    Args:
        exc: The error.
        exceptions: ``exceptions`` of the boto3 client, which makes the classes that its programs catch.
    """
    cause, code = _of_botocore(exc), _code(exc)
    if isinstance(exc, exceptions.ClientError) or (code is None and cause is None):
        return exc
    kind = type(cause)
    if cause is None or isinstance(exc, KeyNotFoundError):  # a HEAD knows no NoSuchKey
        kind = exceptions.from_code(code)
    both = _both(type(exc), kind)  # type: ignore[arg-type]  # a class is hashable
    error = both.__new__(both, *exc.args)  # both constructors are run already, by what raised the errors
    error.args = exc.args
    response = {"Error": {"Code": code, "Message": str(exc)}, "ResponseMetadata": {}}
    known = vars(cause) if cause is not None and kind is type(cause) else {}
    vars(error).update({"response": response, "operation_name": "", **known, **vars(exc)})
    return error


_Store = TypeVar("_Store", bound=type)


def raising_client_errors(store: _Store) -> _Store:
    """Let the methods of a class of stores raise errors that clauses for botocore's errors catch, too.

    The class has the client of boto3 as ``s3_client``.
    """
    for name, method in inspect.getmembers(store, inspect.isfunction):
        if not name.startswith("_"):
            setattr(store, name, _raising(method))
    return store


def _raising(method: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(method)
    def raising(self: Any, *args: Any, **kwargs: Any) -> Any:
        try:
            return method(self, *args, **kwargs)
        except S3KVError as exc:
            error = as_client_error(exc, self.s3_client.exceptions)
            if error is exc:
                raise
            raise error from exc

    return raising


def _of_botocore(exc: BaseException) -> BaseException | None:
    cause = exc.__cause__
    while cause is not None and not type(cause).__module__.startswith("botocore."):
        cause = cause.__cause__
    return cause


def _code(exc: S3KVError) -> str | None:
    """Return the code of S3, one that it would give, or None: a HEAD has a status alone."""
    likely = next((code for kind, code in _CODES if isinstance(exc, kind)), None)
    return exc.code if exc.code and not exc.code.isdigit() else likely


@lru_cache
def _both(ours: type[S3KVError], theirs: type[BaseException]) -> type[S3KVError]:
    return type(ours.__name__, (ours, theirs), {"__doc__": ours.__doc__})
