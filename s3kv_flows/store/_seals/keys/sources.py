"""Sources of keys: text, a file of the user, or the environment.

A key is written where it is configured, or as ``file:PATH``. The file of a signing key is readable for its
user alone, as OpenSSH wants it; a file of trusted keys, which are no secret, is writable for nobody else.
Neither is reached through a link that leads out of its directory.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterable, Mapping
from pathlib import Path

from s3kv_flows.store._seals.keys.keys import PUBLIC_PREFIX, SECRET_PREFIX, SigningKey
from s3kv_flows.store._seals.keys.trust import TrustedKey

__all__ = [
    "FILE",
    "SIGNING_KEY_VARIABLE",
    "TRUSTED_KEYS_VARIABLE",
    "listed_keys",
    "read_signing_key",
    "read_trusted_keys",
    "signing_key_of_environment",
    "split_keys",
    "trusted_keys_of_environment",
]

SIGNING_KEY_VARIABLE = "S3KV_SIGNING_KEY"
TRUSTED_KEYS_VARIABLE = "S3KV_TRUSTED_KEYS"

FILE = "file:"
"""What the name of a file with a key begins with."""

_BETWEEN = re.compile(rf"\s+|,\s*(?={PUBLIC_PREFIX}|{FILE})|,\s*$")
"""Between keys: white space, or a comma that a key follows; the commas between purposes are others."""

_COMMENT = re.compile(r"#[^\n]*")
_MOST_BYTES = 64 * 1024
_LIKE_A_SEED = re.compile(rf"[A-Za-z0-9_-]{{40,}}|{SECRET_PREFIX}")
_NO_LINKS = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
_NO_BLOCKING = getattr(os, "O_NONBLOCK", 0)
_OTHERS = stat.S_IRWXG | stat.S_IRWXO
_OTHERS_WRITE = stat.S_IWGRP | stat.S_IWOTH


def read_signing_key(text: str) -> SigningKey:
    """Return a signing key, of its text or ``file:PATH``.

    Raises:
        ValueError: It is none, or others may read the file. The message contains no part of the key.
    """
    text = text.strip()
    if text.startswith(FILE):
        text = _read(text.removeprefix(FILE), forbidden=_OTHERS).strip()
    return SigningKey.parse(text)


def read_trusted_keys(texts: Iterable[str]) -> list[TrustedKey]:
    """Return trusted keys, of their texts or ``file:PATH``.

    Each text may hold several, separated by white space or commas; so the path of a file has none. In a file,
    ``#`` begins a comment.

    Raises:
        ValueError: One is none, or others may write to the file.
    """
    found: list[TrustedKey] = []
    for text in texts:
        for one in split_keys(text):
            if one.startswith(FILE):
                lines = _COMMENT.sub("", _read(one.removeprefix(FILE), forbidden=_OTHERS_WRITE))
                found += map(
                    TrustedKey.parse, split_keys(lines)
                )  # no files in files: they could name themselves
            else:
                found.append(TrustedKey.parse(one))
    return found


def listed_keys(texts: Iterable[str]) -> list[TrustedKey]:
    """Return the trusted keys that stand in some texts themselves, and not in files that these name.

    Raises:
        ValueError: One is none.
    """
    return [TrustedKey.parse(one) for text in texts for one in split_keys(text) if not one.startswith(FILE)]


def signing_key_of_environment(environment: Mapping[str, str] = os.environ) -> SigningKey | None:
    """Return the key of ``S3KV_SIGNING_KEY``; None where it is not set, or empty.

    Raises:
        ValueError: It is malformed.
    """
    text = environment.get(SIGNING_KEY_VARIABLE, "")
    try:
        return read_signing_key(text) if text.strip() else None
    except ValueError as exc:
        raise ValueError(f"{SIGNING_KEY_VARIABLE}: {exc}") from None


def trusted_keys_of_environment(environment: Mapping[str, str] = os.environ) -> list[TrustedKey]:
    """Return the keys of ``S3KV_TRUSTED_KEYS``.

    Raises:
        ValueError: One is malformed.
    """
    try:
        return read_trusted_keys([environment.get(TRUSTED_KEYS_VARIABLE, "")])
    except ValueError as exc:
        raise ValueError(f"{TRUSTED_KEYS_VARIABLE}: {exc}") from None


def split_keys(text: str) -> list[str]:
    """Return the keys, and the names of files, that stand in one text."""
    return [one for one in _BETWEEN.split(text) if one]


def _read(name: str, *, forbidden: int) -> str:
    """Return the text of a key file.

    Args:
        name: Its path.
        forbidden: The permissions that it must not have.
    """
    shown = "a key file (whose name looks like a key)" if _LIKE_A_SEED.search(name) else repr(name)
    try:
        path = Path(name).expanduser()
        target = path.resolve(strict=True)
        if path.parent.resolve() not in target.parents:
            raise ValueError(f"{shown} is a link that leads out of its directory")
        descriptor = os.open(target, os.O_RDONLY | _NO_LINKS | _NO_BLOCKING)
        try:
            _require_safe(os.fstat(descriptor), forbidden, shown)
            content = os.read(descriptor, _MOST_BYTES + 1)
        finally:
            os.close(descriptor)
        if len(content) > _MOST_BYTES:
            raise ValueError(f"{shown} is too large for a key")
        return content.decode("ascii")
    except (OSError, RuntimeError) as exc:  # RuntimeError: links in a circle, no such user's home
        reason = getattr(exc, "strerror", None) or "nothing is found under this path"
        raise ValueError(f"{shown} cannot be read: {reason}") from None
    except UnicodeDecodeError:
        raise ValueError(f"{shown} holds no key: it is no ASCII") from None


def _require_safe(status: os.stat_result, forbidden: int, shown: str) -> None:
    """Raise ValueError where a file may be of, or for, somebody else."""
    if not stat.S_ISREG(status.st_mode):
        raise ValueError(f"{shown} is no regular file")
    if not hasattr(os, "getuid"):  # Windows has neither modes nor numbers of users
        return
    if status.st_uid not in (os.getuid(), *([] if forbidden == _OTHERS else [0])):
        raise ValueError(f"{shown} belongs to another user")
    if status.st_mode & forbidden:
        what = "read or write" if forbidden == _OTHERS else "write to"
        raise ValueError(f"others may {what} {shown}: chmod 600 it")
