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

__all__ = [
    "ERROR_TYPES",
    "NOT_ALLOWED",
    "NOT_OFFERED",
    "NO_CODE",
    "NO_LIFECYCLE",
    "NO_LOCK",
    "NO_POLICY",
    "NO_TAGS",
    "OUTCOME_UNKNOWN",
    "error_type",
    "no_bucket",
]

OUTCOME_UNKNOWN = {"InternalError", "RequestTimeout", "500", "502", "504"}
"""The codes of answers that do not tell whether a write was done."""

NO_CODE = {"", "404"}
"""The codes of a 404 that has none: a HEAD has no body, and boto3 puts the status in its place."""

NOT_ALLOWED = {"MethodNotAllowed", "405"}
"""The codes of what cannot be asked: of a delete marker, or of this server at all."""

NOT_OFFERED = {*NOT_ALLOWED, "NotImplemented", "XNotImplemented", "501"}
"""The codes by which servers say that they do not have something at all."""

NO_LOCK = {
    "ObjectLockConfigurationNotFoundError",
    "NoSuchObjectLockConfiguration",
    "NoSuchObjectLegalHold",  # of SeaweedFS
    "NoSuchObjectRetention",
    "InvalidRequest",
    *NOT_OFFERED,
}
"""The codes by which servers say that a bucket or an object has no lock, or that there are none."""

NO_LIFECYCLE = {"NoSuchLifecycleConfiguration"}
"""The codes by which servers say that a bucket has no lifecycle rules."""

NO_POLICY = {"NoSuchBucketPolicy"}
"""The codes by which servers say that a bucket has no policy."""

NO_TAGS = {"NoSuchTagSet", "NoSuchTagSetError"}
"""The codes by which servers say that an object has no tags; S3 answers with an empty set."""

ERROR_TYPES: Mapping[str, type[S3KVError]] = {
    "NoSuchKey": KeyNotFoundError,
    "NoSuchVersion": KeyNotFoundError,
    "404": KeyNotFoundError,  # HEAD has no body, so no code
    "NoSuchUpload": KeyNotFoundError,
    "MethodNotAllowed": KeyNotFoundError,  # GET of a delete marker by its version id
    "405": KeyNotFoundError,
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
    # Where they are asked for, these mean that there is none; elsewhere, that something is missing which is
    # no key.
    "ObjectLockConfigurationNotFoundError": UnsupportedByServerError,
    "NoSuchObjectLockConfiguration": UnsupportedByServerError,
    "NoSuchObjectLegalHold": UnsupportedByServerError,
    "NoSuchObjectRetention": UnsupportedByServerError,
    "NoSuchLifecycleConfiguration": UnsupportedByServerError,
    "NoSuchBucketPolicy": UnsupportedByServerError,
    "NoSuchTagSet": UnsupportedByServerError,
    "NoSuchTagSetError": UnsupportedByServerError,
    "InvalidRequest": UnsupportedByServerError,  # e.g. lock headers for a bucket without Object Lock
}
"""The S3 error code (or, where a response has no body, the HTTP status) of each error raised."""


def error_type(code: str, status: int) -> type[S3KVError]:
    """Return the error for a code, or, where the table has none, for the HTTP status.

    That something is missing does not say that it is the key: an unknown code is no KeyNotFoundError,
    whatever the status.
    """
    known = ERROR_TYPES.get(code) or ERROR_TYPES.get(str(status))
    if known is not None and (known is not KeyNotFoundError or code in ERROR_TYPES or not code):
        return known
    # A request that the server does not take is no failure of the server; what a 404 misses is not known.
    return UnsupportedByServerError if 400 <= status < 500 and status != 404 else StoreUnavailableError


def no_bucket(bucket: str, server: str) -> StoreUnavailableError:
    """Return the error for a bucket that does not exist."""
    return StoreUnavailableError(
        f"bucket {bucket!r} does not exist at {server}: create it with `s3kv init` or create_bucket()"
    )
