"""The store: a key-value store in an S3 bucket. Knows S3, knows nothing of Prefect."""

from s3kv_flows.store.codecs import Codec
from s3kv_flows.store.encryption import Encryption
from s3kv_flows.store.errors import (
    AccessDeniedError,
    ConflictError,
    CorruptValueError,
    EncodingError,
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
from s3kv_flows.store.kv import S3KV
from s3kv_flows.store.kv_types import DeletedKeys, KeyInfo
from s3kv_flows.store.locks import Retention

__all__ = [
    "S3KV",
    "AccessDeniedError",
    "Codec",
    "ConflictError",
    "CorruptValueError",
    "DeletedKeys",
    "EncodingError",
    "Encryption",
    "InvalidKeyError",
    "InvalidTagError",
    "KeyInfo",
    "KeyLockedError",
    "KeyNotFoundError",
    "Retention",
    "S3KVError",
    "StaleWriterError",
    "StoreUnavailableError",
    "TamperedValueError",
    "UnsupportedByServerError",
]
