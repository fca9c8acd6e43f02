"""What can go wrong in a store, as one tree of exceptions.

::

    S3KVError
    ├── KeyNotFoundError(KeyError)          no such key, where one was required
    ├── InvalidKeyError(ValueError)         empty, over 1,024 bytes of UTF-8, control characters, ...
    ├── InvalidTagError(ValueError)         over 10 tags, over 128/256 characters, reserved prefix, ...
    ├── EncodingError(ValueError)           this codec cannot hold this value
    ├── CorruptValueError                   checksum, truncation, wrong codec
    ├── KeyLockedError(PermissionError)     retention until ... / legal hold
    ├── HiddenOutputError                   a locked output lies under what came from outside
    ├── ConflictError                       a condition failed: the key exists, or changed under us
    │   ├── AlreadyFinalizedError(KeyLockedError)  another content is published and locked under the key
    │   ├── StaleWriterError                a newer holder or checkpoint writer exists
    │   └── LeaseNotHeldError               the lease has ended, and nobody holds it
    ├── LeaseTimeoutError(TimeoutError)     somebody else held the lease all the time
    ├── AccessDeniedError(PermissionError)  S3 refused the credentials, or what they may do
    ├── StoreUnavailableError(ConnectionError)  no server, no bucket, or a server that fails
    └── UnsupportedByServerError            the server lacks what this needs; says what, and what to do

A mistake of the caller is also a ``ValueError``, so that code which knows nothing of this package
handles it. The base class is for ``except`` clauses alone: it is never raised itself.
"""

from __future__ import annotations

from datetime import datetime

__all__ = [
    "AccessDeniedError",
    "AlreadyFinalizedError",
    "ConflictError",
    "CorruptValueError",
    "EncodingError",
    "HiddenOutputError",
    "InvalidKeyError",
    "InvalidTagError",
    "KeyLockedError",
    "KeyNotFoundError",
    "LeaseNotHeldError",
    "LeaseTimeoutError",
    "S3KVError",
    "StaleWriterError",
    "StoreUnavailableError",
    "UnsupportedByServerError",
]


class S3KVError(Exception):
    """Base of every error of this package; never raised itself.

    Attributes:
        code: The error code of S3, where a server's answer is behind it.
    """

    code = ""


class KeyNotFoundError(S3KVError, KeyError):
    """No such key, where one was required.

    Attributes:
        is_deleted: Whether the server said that a delete marker hides older versions; not all do.
    """

    is_deleted = False

    def __str__(self) -> str:
        # KeyError shows the repr of its argument, which would put a sentence into quotes.
        return str(self.args[0]) if self.args else ""


class InvalidKeyError(S3KVError, ValueError):
    """The key cannot be an object name: empty, too long, or with characters S3 does not take."""


class InvalidTagError(S3KVError, ValueError):
    """The tags break one of S3's limits on number, length or characters."""


class EncodingError(S3KVError, ValueError):
    """The codec cannot hold the value so that it comes back as it was put."""


class CorruptValueError(S3KVError):
    """The object is there, but it is not a value this codec wrote, or it is damaged."""


class KeyLockedError(S3KVError, PermissionError):
    """The key is under retention or a legal hold, and what was asked for would alter or delete it.

    Attributes:
        key: The key, as the caller named it.
        mode: ``"GOVERNANCE"`` or ``"COMPLIANCE"``; None under a legal hold alone.
        retain_until: When the retention ends; None under a legal hold, which has no date.
        legal_hold: Whether a legal hold is (also) in force.
        version_id: The version that is protected.
        left_behind: The version that was written, and, being locked itself, could not be taken back.
    """

    left_behind: str | None = None

    def __init__(
        self,
        message: str = "",
        *,
        key: str | None = None,
        mode: str | None = None,
        retain_until: datetime | None = None,
        legal_hold: bool = False,
        version_id: str | None = None,
    ) -> None:
        super().__init__(message)
        self.key = key
        self.mode = mode
        self.retain_until = retain_until
        self.legal_hold = legal_hold
        self.version_id = version_id


class HiddenOutputError(S3KVError):
    """A finalized output is there and locked, and its key does not read as it.

    Somebody who does not use this package has put a delete marker or a newer version on top.

    Attributes:
        key: The key, as the caller named it.
        version_id: The version that is locked.
        mode: ``"GOVERNANCE"`` or ``"COMPLIANCE"``; None under a legal hold alone.
        retain_until: When its retention ends; None under a legal hold alone.
        hidden_by: The version id of what lies on top.
    """

    def __init__(
        self,
        message: str = "",
        *,
        key: str | None = None,
        version_id: str | None = None,
        mode: str | None = None,
        retain_until: datetime | None = None,
        hidden_by: str | None = None,
    ) -> None:
        super().__init__(message)
        self.key = key
        self.version_id = version_id
        self.mode = mode
        self.retain_until = retain_until
        self.hidden_by = hidden_by


class ConflictError(S3KVError):
    """A condition of the write failed: the key exists already, or it changed under the writer.

    Attributes:
        was_lost: Whether an earlier attempt of the same request went out whose outcome is not known, so
            that the key may have been changed by itself.
    """

    was_lost = False


class AlreadyFinalizedError(ConflictError, KeyLockedError):
    """Another content is published under the key, and locked: both a conflict, and a refusal."""


class StaleWriterError(ConflictError):
    """A newer holder of the lease, or a newer writer of the checkpoint, exists."""


class LeaseNotHeldError(ConflictError):
    """The lease has ended, or was given back, and nobody holds it."""


class LeaseTimeoutError(S3KVError, TimeoutError):
    """Somebody else held the lease for as long as the caller would wait."""


class AccessDeniedError(S3KVError, PermissionError):
    """S3 refused the credentials, or these credentials may not do this."""


class StoreUnavailableError(S3KVError, ConnectionError):
    """No server answers, the bucket does not exist, or the server failed after all retries."""


class UnsupportedByServerError(S3KVError):
    """The server or the bucket lacks what this operation needs."""
