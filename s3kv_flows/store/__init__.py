"""A key-value store in an S3 bucket, independent of Prefect."""

from s3kv_flows.store._kv import S3KV, CompatibleS3KV
from s3kv_flows.store._locks.retention import Retention
from s3kv_flows.store._outputs.audit import LockAudit
from s3kv_flows.store._outputs.receipts import Receipt, Verification
from s3kv_flows.store._outputs.repairs import Repair
from s3kv_flows.store._s3.config import Encryption
from s3kv_flows.store._seals.keys.keys import SigningKey
from s3kv_flows.store._values.codecs import Codec
from s3kv_flows.store._values.key_info import DeletedKeys, KeyInfo
from s3kv_flows.store.errors import (
    AccessDeniedError,
    AlreadyFinalizedError,
    ConflictError,
    CorruptValueError,
    EncodingError,
    HiddenOutputError,
    InvalidKeyError,
    InvalidTagError,
    KeyLockedError,
    KeyNotFoundError,
    S3KVError,
    StaleWriterError,
    StoreUnavailableError,
    TamperedValueError,
    UnsupportedByServerError,
)

__all__ = [
    "S3KV",
    "AccessDeniedError",
    "AlreadyFinalizedError",
    "Codec",
    "CompatibleS3KV",
    "ConflictError",
    "CorruptValueError",
    "DeletedKeys",
    "EncodingError",
    "Encryption",
    "HiddenOutputError",
    "InvalidKeyError",
    "InvalidTagError",
    "KeyInfo",
    "KeyLockedError",
    "KeyNotFoundError",
    "LockAudit",
    "Receipt",
    "Repair",
    "Retention",
    "S3KVError",
    "SigningKey",
    "StaleWriterError",
    "StoreUnavailableError",
    "TamperedValueError",
    "UnsupportedByServerError",
    "Verification",
]
