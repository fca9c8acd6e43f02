"""Translate S3's error codes into exceptions, in one table."""

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
    "OTHER_REGION",
    "OUTCOME_UNKNOWN",
    "error_type",
    "is_known",
    "no_bucket",
]

OUTCOME_UNKNOWN = {"InternalError", "RequestTimeout", "500", "502", "504"}
"""The codes of responses after which it is not known whether a write was made."""

NO_CODE = {"", "404"}
"""The codes of a 404 without a code: the response to a HEAD has no body, so boto3 uses the status."""

NOT_ALLOWED = {"MethodNotAllowed", "405"}
"""The codes of requests that are not allowed: for a delete marker, or on this server at all."""

NOT_OFFERED = {*NOT_ALLOWED, "NotImplemented", "XNotImplemented", "501"}
"""The codes of features that a server does not support at all."""

OTHER_REGION = {"AuthorizationHeaderMalformed", "IllegalLocationConstraintException"}
"""The codes of requests that are signed for another region than that of the bucket."""

NO_LOCK = {
    "ObjectLockConfigurationNotFoundError",
    "NoSuchObjectLockConfiguration",
    "NoSuchObjectLegalHold",  # of SeaweedFS
    "NoSuchObjectRetention",
    "InvalidRequest",
    *NOT_OFFERED,
}
"""The codes for a bucket or an object without lock, or for a server without Object Lock."""

NO_LIFECYCLE = {"NoSuchLifecycleConfiguration"}
"""The codes for a bucket without lifecycle rules."""

NO_POLICY = {"NoSuchBucketPolicy"}
"""The codes for a bucket without a policy."""

NO_TAGS = {"NoSuchTagSet", "NoSuchTagSetError"}
"""The codes for an object without tags; S3 returns an empty set."""

ERROR_TYPES: Mapping[str, type[S3KVError]] = {
    "NoSuchKey": KeyNotFoundError,
    "NoSuchVersion": KeyNotFoundError,
    "404": KeyNotFoundError,  # of a HEAD, which has no body, so no code
    "NoSuchUpload": KeyNotFoundError,
    "MethodNotAllowed": KeyNotFoundError,  # GET of a delete marker by its version id
    "405": KeyNotFoundError,
    "NoSuchBucket": StoreUnavailableError,
    "InvalidBucketName": StoreUnavailableError,
    "PermanentRedirect": StoreUnavailableError,
    "AuthorizationHeaderMalformed": StoreUnavailableError,  # another region
    "301": StoreUnavailableError,
    "SlowDown": StoreUnavailableError,
    "ServiceUnavailable": StoreUnavailableError,
    "InternalError": StoreUnavailableError,
    "RequestTimeout": StoreUnavailableError,
    "Throttling": StoreUnavailableError,
    "ThrottlingException": StoreUnavailableError,
    "TooManyRequests": StoreUnavailableError,
    "RequestLimitExceeded": StoreUnavailableError,
    "BadDigest": StoreUnavailableError,  # the body was damaged in transit
    "IncompleteBody": StoreUnavailableError,
    "XAmzContentSHA256Mismatch": StoreUnavailableError,  # damaged in transit, or changed while it was sent
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
    "409": ConflictError,  # of concurrent writers, also without a code
    "ConditionalRequestConflict": ConflictError,
    "ConcurrentModification": ConflictError,
    "OperationAborted": ConflictError,
    "UnknownError": ConflictError,  # of concurrent writers on Ceph 16, with status 500
    "BucketAlreadyExists": ConflictError,
    "BucketAlreadyOwnedByYou": ConflictError,
    "KeyTooLongError": InvalidKeyError,
    "InvalidTag": InvalidTagError,
    "EntityTooLarge": EncodingError,
    "MetadataTooLarge": EncodingError,
    "NotImplemented": UnsupportedByServerError,
    "501": UnsupportedByServerError,
    # In a request for the configuration, these mean that there is none; in others, that something other than
    # a key is missing.
    "ObjectLockConfigurationNotFoundError": UnsupportedByServerError,
    "NoSuchObjectLockConfiguration": UnsupportedByServerError,
    "NoSuchObjectLegalHold": UnsupportedByServerError,
    "NoSuchObjectRetention": UnsupportedByServerError,
    "NoSuchLifecycleConfiguration": UnsupportedByServerError,
    "NoSuchBucketPolicy": UnsupportedByServerError,
    "NoSuchTagSet": UnsupportedByServerError,
    "NoSuchTagSetError": UnsupportedByServerError,
    "InvalidRange": UnsupportedByServerError,  # the object ends before it
    "416": UnsupportedByServerError,
    "InvalidRequest": UnsupportedByServerError,  # e.g. lock headers for a bucket without Object Lock
}
"""The exception for each S3 error code (or HTTP status, if a response has no body)."""


_REFUSALS = {
    "IllegalLocationConstraintException",
    "InvalidArgument",
    "InvalidBucketState",
    "InvalidPart",
    "InvalidPartOrder",
    "MalformedPolicy",
    "MalformedXML",
    "XNotImplemented",
}
"""Codes of requests that are refused for what they ask; their status decides on the exception."""


def error_type(code: str, status: int) -> type[S3KVError]:
    """Return the exception for a code, or, if the table does not have it, for the HTTP status.

    A 404 does not imply that the key is missing: an unknown code is never a KeyNotFoundError, whatever the
    status.
    """
    known = ERROR_TYPES.get(code) or ERROR_TYPES.get(str(status))
    if known is not None and (known is not KeyNotFoundError or code in ERROR_TYPES or not code):
        return known
    # A request that the server rejects is not a failure of the server; a 404 may be about anything.
    return UnsupportedByServerError if 400 <= status < 500 and status != 404 else StoreUnavailableError


def is_known(code: str, status: int) -> bool:
    """Tell whether the code of an error says what went wrong; without one, whether its status does."""
    if code in ERROR_TYPES or code in NOT_OFFERED or code in _REFUSALS:
        return True
    return code in ("", str(status)) and str(status) in ERROR_TYPES


def no_bucket(bucket: str, server: str) -> StoreUnavailableError:
    """Return the exception for a bucket that does not exist."""
    error = StoreUnavailableError(
        f"bucket {bucket!r} does not exist at {server}: create it with `s3kv init` or create_bucket()"
    )
    error.code = "NoSuchBucket"
    return error
