"""Keys: Ed25519 (RFC 8032), as text, with a name.

::

    s3kv-sk1:<name>:<seed>   signs; a secret
    s3kv-pk1:<name>:<key>    verifies
    <name>@<fingerprint>     the key id in seals; 48 bits of the SHA-256 of the public key

Seed, key and fingerprint are base64url without padding. The id only finds the key: the signature is verified
with the whole key, so that a key with the same id gains nothing.
"""

from __future__ import annotations

import hashlib
import re
import secrets
from dataclasses import dataclass
from functools import cached_property
from typing import NoReturn

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from s3kv_flows.store._seals import base64url

__all__ = ["KEY_ID", "PUBLIC_PREFIX", "SECRET_PREFIX", "PublicKey", "SigningKey"]

SECRET_PREFIX = "s3kv-sk1:"  # noqa: S105  # what secrets begin with
PUBLIC_PREFIX = "s3kv-pk1:"

_NAME = r"[A-Za-z0-9][A-Za-z0-9._-]{0,31}"
KEY_ID = rf"{_NAME}@[A-Za-z0-9_-]{{8}}"
"""The regular expression of key ids."""

_KEY_BYTES = 32
_SMALL_ORDER = {
    bytes.fromhex(one)
    for one in (
        "00" * 32,
        "01" + "00" * 31,
        "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
        "ec" + "ff" * 30 + "7f",
        "ed" + "ff" * 30 + "7f",
        "ee" + "ff" * 30 + "7f",
    )
}
"""Points of small order, without their sign, as libsodium lists them: anybody can sign for such a key. A
placeholder of zeros is one."""

_FINGERPRINT_BYTES = 6


@dataclass(frozen=True, slots=True)
class PublicKey:
    """A public key and its name.

    Attributes:
        name: What people call it.
        raw: The 32 bytes of the key.
    """

    name: str
    raw: bytes

    @classmethod
    def parse(cls, text: str) -> PublicKey:
        """Return the key of a text ``s3kv-pk1:<name>:<key>``.

        Raises:
            ValueError: It is none. The message does not quote it: it may be a secret in the wrong place.
        """
        if text.startswith(SECRET_PREFIX):
            raise ValueError("this is a signing key, which is a secret: keys to trust begin with s3kv-pk1:")
        name, raw = _parse(text, PUBLIC_PREFIX, "a public key is written s3kv-pk1:<name>:<key>")
        key = cls(name, raw)
        if bytes([*raw[:-1], raw[-1] & 0x7F]) in _SMALL_ORDER:
            raise ValueError(f"the public key {name!r} is none of Ed25519: anybody could sign for it")
        key.verifies(bytes(64), b"")  # raises where this build of OpenSSL has no Ed25519
        return key

    @property
    def id(self) -> str:
        """The key id: name and fingerprint."""
        return f"{self.name}@{base64url.encode(hashlib.sha256(self.raw).digest()[:_FINGERPRINT_BYTES])}"

    def verifies(self, signature: bytes, message: bytes) -> bool:
        """Return whether this key made the signature of the message."""
        try:
            Ed25519PublicKey.from_public_bytes(self.raw).verify(signature, message)
        except InvalidSignature:
            return False
        except UnsupportedAlgorithm as exc:
            raise _without_ed25519() from exc
        return True

    def __str__(self) -> str:
        return f"{PUBLIC_PREFIX}{self.name}:{base64url.encode(self.raw)}"


class SigningKey:
    """A signing key, which shows itself nowhere and cannot be pickled.

    Make one with :meth:`generate` or :meth:`parse`.

    Args:
        name: What people call it.
        seed: 32 secret random bytes.
    """

    def __init__(self, name: str, seed: bytes) -> None:
        if not re.fullmatch(_NAME, name) or len(seed) != _KEY_BYTES:
            raise ValueError(f"a signing key has a name ({_RULE}) and {_KEY_BYTES} random bytes")
        try:
            self._private = Ed25519PrivateKey.from_private_bytes(seed)
        except UnsupportedAlgorithm as exc:
            raise _without_ed25519() from exc
        self.public = PublicKey(name, self._private.public_key().public_bytes_raw())

    @classmethod
    def generate(cls, name: str) -> SigningKey:
        """Return a new random key.

        Raises:
            ValueError: The name is not 1 to 32 letters, digits, dots, hyphens and underscores.
        """
        return cls(name, secrets.token_bytes(_KEY_BYTES))

    @classmethod
    def parse(cls, text: str) -> SigningKey:
        """Return the key of a text ``s3kv-sk1:<name>:<seed>``.

        Raises:
            ValueError: It is none. The message does not quote it.
        """
        if text.startswith(PUBLIC_PREFIX):
            raise ValueError("this is a public key, which cannot sign: signing keys begin with s3kv-sk1:")
        return cls(*_parse(text, SECRET_PREFIX, "a signing key is written s3kv-sk1:<name>:<seed>"))

    @cached_property
    def id(self) -> str:
        """The key id: name and fingerprint."""
        return self.public.id

    def sign(self, message: bytes) -> bytes:
        """Return the signature of a message: 64 bytes."""
        return self._private.sign(message)

    def reveal(self) -> str:
        """Return the text of the key, which is a secret."""
        return f"{SECRET_PREFIX}{self.public.name}:{base64url.encode(self._private.private_bytes_raw())}"

    def __repr__(self) -> str:
        return f"<SigningKey {self.id}>"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, SigningKey) and self.public == other.public

    def __hash__(self) -> int:
        return hash(self.public)

    def __copy__(self) -> SigningKey:
        return self

    def __deepcopy__(self, memo: object) -> SigningKey:
        return self

    def __reduce__(self) -> NoReturn:
        raise TypeError("a signing key is not pickled: it would lie in plain sight wherever the pickle goes")


_RULE = "1 to 32 letters, digits, dots, hyphens and underscores, the first a letter or digit"


def _parse(text: str, prefix: str, wanted: str) -> tuple[str, bytes]:
    """Return name and bytes of a key."""
    name, separator, encoded = text.removeprefix(prefix).partition(":")
    try:
        raw = base64url.decode(encoded)
    except ValueError:
        raw = b""
    if not (text.startswith(prefix) and separator and re.fullmatch(_NAME, name) and len(raw) == _KEY_BYTES):
        raise ValueError(f"{wanted}: a name ({_RULE}), and 43 characters of base64url")
    return name, raw


def _without_ed25519() -> ValueError:
    return ValueError("seals need Ed25519, which the OpenSSL of this Python's cryptography does not offer")
