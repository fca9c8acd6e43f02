"""The errors of S3, as errors of this package: one table."""

from __future__ import annotations

from collections.abc import Mapping

from s3kv_flows.store.errors import (
    AccessDeniedError,
    ConflictError,
    EncodingError,
    InvalidKeyError,
    InvalidTagError,
    KeyNotFoundError,
    S3KVError,
    StoreUnavailableError,
    UnsupportedByServerError,
)

__all__ = ["ERROR_TYPES", "NO_LOCK", "OUTCOME_UNKNOWN", "error_type", "no_bucket"]

OUTCOME_UNKNOWN = {"InternalError", "RequestTimeout", "500", "502", "504"}
"""The codes of answers that do not tell whether a write was done."""

NO_LOCK = {
    *("ObjectLockConfigurationNotFoundError", "NoSuchObjectLockConfiguration", "InvalidRequest"),
    *("NotImplemented", "XNotImplemented", "MethodNotAllowed", "405", "501"),
}
"""The codes by which servers say that a bucket or an object has no lock, or that there are none."""

ERROR_TYPES: Mapping[str, type[S3KVError]] = {
    "NoSuchKey": KeyNotFoundError,
    "NoSuchVersion": KeyNotFoundError,
    "NoSuchLifecycleConfiguration": KeyNotFoundError,
    "404": KeyNotFoundError,  # HEAD has no body, so no code; see S3Client._missing
    "MethodNotAllowed": KeyNotFoundError,  # GET of a delete marker by its version id
    "405": KeyNotFoundError,
    "NoSuchBucketPolicy": KeyNotFoundError,
    "NoSuchBucket": StoreUnavailableError,
    "InvalidBucketName": StoreUnavailableError,
    "PermanentRedirect": StoreUnavailableError,
    "301": StoreUnavailableError,
    "SlowDown": StoreUnavailableError,
    "ServiceUnavailable": StoreUnavailableError,
    "InternalError": StoreUnavailableError,
    "RequestTimeout": StoreUnavailableError,
    "Throttling": StoreUnavailableError,
    "ThrottlingException": StoreUnavailableError,
    "TooManyRequests": StoreUnavailableError,
    "RequestLimitExceeded": StoreUnavailableError,
    "BadDigest": StoreUnavailableError,  # the body was damaged on its way
    "IncompleteBody": StoreUnavailableError,
    "XAmzContentSHA256Mismatch": StoreUnavailableError,  # it was, or was changed while it was sent
    "XAmzContentChecksumMismatch": StoreUnavailableError,  # of MinIO
    "408": StoreUnavailableError,
    "425": StoreUnavailableError,
    "429": StoreUnavailableError,
    "500": StoreUnavailableError,
    "502": StoreUnavailableError,
    "503": StoreUnavailableError,
    "504": StoreUnavailableError,
    "AccessDenied": AccessDeniedError,
    "AllAccessDisabled": AccessDeniedError,
    "403": AccessDeniedError,
    "InvalidAccessKeyId": AccessDeniedError,
    "SignatureDoesNotMatch": AccessDeniedError,
    "ExpiredToken": AccessDeniedError,
    "InvalidToken": AccessDeniedError,
    "RequestTimeTooSkewed": AccessDeniedError,
    "PreconditionFailed": ConflictError,
    "412": ConflictError,
    "409": ConflictError,  # of writers that race, also without a code
    "ConditionalRequestConflict": ConflictError,
    "ConcurrentModification": ConflictError,
    "OperationAborted": ConflictError,
    "UnknownError": ConflictError,  # Ceph 16, with status 500, of writers that race
    "BucketAlreadyExists": ConflictError,
    "BucketAlreadyOwnedByYou": ConflictError,
    "KeyTooLongError": InvalidKeyError,
    "InvalidTag": InvalidTagError,
    "EntityTooLarge": EncodingError,
    "MetadataTooLarge": EncodingError,
    "NotImplemented": UnsupportedByServerError,
    "501": UnsupportedByServerError,
    "ObjectLockConfigurationNotFoundError": UnsupportedByServerError,
    "InvalidRequest": UnsupportedByServerError,  # e.g. lock headers for a bucket without Object Lock
}
"""The S3 error code (or, where a response has no body, the HTTP status) of each error raised."""


def error_type(code: str, status: int) -> type[S3KVError]:
    """Return the error for a code, or, where the table has none, for the HTTP status."""
    # A request that the server does not take is no failure of the server.
    other = UnsupportedByServerError if 400 <= status < 500 else StoreUnavailableError
    return ERROR_TYPES.get(code) or ERROR_TYPES.get(str(status), other)


def no_bucket(bucket: str, server: str) -> StoreUnavailableError:
    """Return the error for a bucket that does not exist."""
    return StoreUnavailableError(
        f"bucket {bucket!r} does not exist at {server}: create it with `s3kv init` or create_bucket()"
    )
