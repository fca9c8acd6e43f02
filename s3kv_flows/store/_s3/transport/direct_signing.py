"""Sign plain GETs with AWS Signature Version 4 (SigV4).

It takes a tenth of botocore's 0.2 ms, and supports only requests without a body whose signed headers are
always the same. The algorithm is that of the S3 API reference, "Signature Calculations for the Authorization
Header: Transferring Payload in a Single Chunk"; a test compares it with botocore's, byte by byte.
"""

from __future__ import annotations

import hashlib
import hmac
import time
from collections.abc import Callable, Mapping
from typing import Protocol

__all__ = ["Credentials", "Signer"]

_EMPTY = hashlib.sha256(b"").hexdigest()
_ALGORITHM = "AWS4-HMAC-SHA256"


class Credentials(Protocol):
    """Botocore's frozen credentials: a snapshot of credentials that may rotate."""

    access_key: str
    secret_key: str
    token: str | None


class Signer:
    """Signs GETs for one region with the current credentials.

    Args:
        region: The region that the server expects in the signature.
        credentials: Returns the credentials.
    """

    def __init__(self, region: str, credentials: Callable[[], Credentials]) -> None:
        self._region = region
        self._credentials = credentials
        self._key: tuple[str, str, bytes] = ("", "", b"")  # secret, day, and the key derived from them

    def headers(self, host: str, path: str, query: str) -> Mapping[str, str]:
        """Return the headers of a signed GET.

        Args:
            host: The value of the ``Host`` header.
            path: The path, percent-encoded as it is sent.
            query: Parameters, percent-encoded and in order, such as ``tagging=``.
        """
        credentials = self._credentials()
        now = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
        signed = {"host": host, "x-amz-content-sha256": _EMPTY, "x-amz-date": now}
        if credentials.token:
            signed["x-amz-security-token"] = credentials.token
        names = ";".join(signed)
        lines = "".join(f"{name}:{value}\n" for name, value in signed.items())
        request = f"GET\n{path}\n{query}\n{lines}\n{names}\n{_EMPTY}"
        scope = f"{now[:8]}/{self._region}/s3/aws4_request"
        digest = hashlib.sha256(request.encode()).hexdigest()
        signature = _mac(
            self._signing_key(credentials.secret_key, now[:8]), f"{_ALGORITHM}\n{now}\n{scope}\n{digest}"
        )
        return {
            **signed,
            "authorization": f"{_ALGORITHM} Credential={credentials.access_key}/{scope}, "
            f"SignedHeaders={names}, Signature={signature.hex()}",
        }

    def _signing_key(self, secret: str, day: str) -> bytes:
        known = self._key
        if known[:2] != (secret, day):
            key = f"AWS4{secret}".encode()
            for part in (day, self._region, "s3", "aws4_request"):
                key = _mac(key, part)
            known = self._key = (secret, day, key)  # one assignment, because threads share it
        return known[2]


def _mac(key: bytes, message: str) -> bytes:
    return hmac.digest(key, message.encode(), "sha256")
