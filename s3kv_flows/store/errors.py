"""The exceptions of this package, as one tree.

::

    S3KVError
    ├── KeyNotFoundError(KeyError)          the key does not exist
    │   └── PathNotFoundError(ValueError)   the same, of a path that is read as of a file system
    ├── InvalidKeyError(ValueError)         empty, over 1,024 bytes of UTF-8, control characters, ...
    ├── InvalidTagError(ValueError)         over 10 tags, over 128/256 characters, reserved prefix, ...
    ├── EncodingError(ValueError)           the codec cannot encode the value
    ├── CorruptValueError                   checksum, truncation, wrong codec: its reason says which
    │   └── TamperedValueError              its seal is missing, or does not hold
    ├── KeyLockedError(PermissionError)     retention until ... / legal hold
    ├── HiddenOutputError                   another writer's version hides a locked output
    ├── ConflictError                       a condition failed: the key exists, or was changed
    │   ├── AlreadyFinalizedError(KeyLockedError)  the key has a locked output with different content
    │   ├── StaleWriterError                a newer holder or checkpoint writer exists
    │   └── LeaseNotHeldError               the lease has ended, and nobody holds it
    ├── LeaseTimeoutError(TimeoutError)     another holder had the lease all the time
    ├── AccessDeniedError(PermissionError)  S3 rejected the credentials, or they lack a permission
    ├── StoreUnavailableError(ConnectionError)  no server, no bucket, or a server that fails
    └── UnsupportedByServerError            the server lacks a feature; the message says what to do

A mistake of the caller is also a ``ValueError``, so that code that does not know this package can handle it.
The base class is for ``except`` clauses only: it is never raised itself.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal, TypeAlias, get_args

from typing_extensions import Self

__all__ = [
    "CORRUPT_REASONS",
    "TAMPERED_REASONS",
    "AccessDeniedError",
    "AlreadyFinalizedError",
    "ConflictError",
    "CorruptReason",
    "CorruptValueError",
    "EncodingError",
    "HiddenOutputError",
    "InvalidKeyError",
    "InvalidTagError",
    "KeyLockedError",
    "KeyNotFoundError",
    "LeaseNotHeldError",
    "LeaseTimeoutError",
    "PathNotFoundError",
    "S3KVError",
    "StaleWriterError",
    "StoreUnavailableError",
    "TamperedReason",
    "TamperedValueError",
    "UnsupportedByServerError",
]


class S3KVError(Exception):
    """Base of every error of this package; never raised itself.

    Attributes:
        code: The error code of S3, if a response of the server caused the error; else empty.
    """

    code = ""


class KeyNotFoundError(S3KVError, KeyError):
    """The key does not exist.

    Attributes:
        is_deleted: Whether the server reported that a delete marker hides older versions; not all do.
    """

    is_deleted = False

    def __str__(self) -> str:
        # KeyError shows the repr of its argument, which would put a sentence into quotes.
        return str(self.args[0]) if self.args else ""


class PathNotFoundError(KeyNotFoundError, ValueError):
    """The path does not exist: a ``ValueError``, too, as Prefect's own file systems raise."""


class InvalidKeyError(S3KVError, ValueError):
    """The key cannot be an object name: empty, too long, or with characters that S3 does not accept."""


class InvalidTagError(S3KVError, ValueError):
    """The tags exceed one of S3's limits on number, length or characters."""


class EncodingError(S3KVError, ValueError):
    """The codec cannot encode the value so that it reads back equal."""


CorruptReason: TypeAlias = Literal[
    "not_a_frame",
    "truncated",
    "format",
    "checksum",
    "codec",
    "layout",
    "too_large",
    "decompress",
    "unpickle",
    "pickle_refused",
    "metadata",
]
"""Why a value cannot be used: what was checked first, and failed."""

TamperedReason: TypeAlias = Literal["unsealed", "seal", "untrusted_key", "key_ended", "signature", "root"]
"""Why the seal of a value does not hold."""

CORRUPT_REASONS: tuple[CorruptReason, ...] = get_args(CorruptReason)
"""All reasons of :class:`CorruptValueError`."""

TAMPERED_REASONS: tuple[TamperedReason, ...] = get_args(TamperedReason)
"""The further reasons of :class:`TamperedValueError`."""


class CorruptValueError(S3KVError):
    """The object exists, but it is damaged, or was not written by this codec.

    Attributes:
        reason: What is wrong, one of :data:`CORRUPT_REASONS`; counters and logs name it. An error of a codec
            of the user that gives none has ``"codec"``.
    """

    reason: CorruptReason | TamperedReason

    def __init__(self, message: str = "", *, reason: CorruptReason = "codec") -> None:
        super().__init__(message)
        self.reason = reason

    def located(self, where: str) -> Self:
        """Return the same error, whose message begins with a place."""
        located = type(self)(f"{where}: {self}")
        located.reason = self.reason
        return located


class TamperedValueError(CorruptValueError):
    """The value has no seal, or one that does not hold: somebody else wrote or changed it.

    Attributes:
        reason: What is wrong, one of :data:`TAMPERED_REASONS`.
        info: The headers of the object, which nobody vouches for; None where they are not known.
    """

    info: Any = None

    def __init__(self, message: str = "", *, reason: TamperedReason = "seal") -> None:
        super().__init__(message)
        self.reason = reason


class KeyLockedError(S3KVError, PermissionError):
    """The key is under a retention or a legal hold, and the operation would alter or delete it.

    Attributes:
        key: The key, as the caller named it.
        mode: ``"GOVERNANCE"`` or ``"COMPLIANCE"``; None under a legal hold alone.
        retain_until: When the retention ends; None under a legal hold, which has no date.
        legal_hold: Whether a legal hold is (also) in force.
        version_id: The protected version.
        left_behind: The version that was written and could not be deleted again, because it is locked itself.
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
    """A finalized output exists and is locked, but its key does not read as this output.

    A writer that does not use this package has put a delete marker or a newer version on top of it.

    Attributes:
        key: The key, as the caller named it.
        version_id: The locked version.
        mode: ``"GOVERNANCE"`` or ``"COMPLIANCE"``; None under a legal hold alone.
        retain_until: When its retention ends; None under a legal hold alone.
        hidden_by: The version id of the delete marker or version on top.
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
    """A condition of the write failed: the key exists already, or another writer has changed it.

    Attributes:
        was_lost: Whether an earlier attempt of the same request was sent and its outcome is not known, so
            that this request itself may have changed the key.
    """

    was_lost = False


class AlreadyFinalizedError(ConflictError, KeyLockedError):
    """The key has a locked output with different content."""


class StaleWriterError(ConflictError):
    """A newer holder of the lease, or a newer writer of the checkpoint, exists."""


class LeaseNotHeldError(ConflictError):
    """The lease has ended, or was released, and nobody holds it."""


class LeaseTimeoutError(S3KVError, TimeoutError):
    """Another holder had the lease for the whole time that the caller was willing to wait."""


class AccessDeniedError(S3KVError, PermissionError):
    """S3 rejected the credentials, or they lack a permission."""


class StoreUnavailableError(S3KVError, ConnectionError):
    """No server responds, the bucket does not exist, or the server failed after all retries."""


class UnsupportedByServerError(S3KVError):
    """The server or the bucket lacks a feature that this operation needs."""
