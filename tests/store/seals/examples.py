"""Keys, heads and bodies that the tests of seals share."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime, timezone

from s3kv_flows.store._layout.marks import SEAL
from s3kv_flows.store._s3.bodies import Body
from s3kv_flows.store._seals.algorithms import Algorithm
from s3kv_flows.store._seals.check import BodyCheck
from s3kv_flows.store._seals.keys.keys import SigningKey
from s3kv_flows.store._seals.keys.trust import TrustedKey
from s3kv_flows.store._seals.policy import SealPolicy
from s3kv_flows.store._seals.statement import Head
from s3kv_flows.store.errors import TamperedValueError

SEED = bytes.fromhex("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60")
"""Of RFC 8032, section 7.1, test 1."""
KEY = SigningKey("ci", SEED)
NAMESAKE = SigningKey("ci", bytes(range(32)))
"""Another key with the same name."""
STRANGER = SigningKey("stranger", bytes(range(1, 33)))

REASONS = {"unsealed", "seal", "untrusted_key", "key_ended", "signature", "root"}

MIB = 1 << 20
WRITTEN = datetime(2026, 11, 1, 12, tzinfo=timezone.utc)
BODY = b"a value"
HEAD = Head(
    purpose="result",
    name="s3kv-results/0a1b",
    content_type="application/octet-stream",
    length=len(BODY),
    metadata={
        "s3kv-expires": "2026-12-01T00:00:00+00:00",
        "s3kv-write-id": "00ff00ff00ff00ff",
        "owner": "ada",
    },
    written=WRITTEN,
)
OWN = SealPolicy(KEY)


def sealed(
    head: Head = HEAD, body: Body = BODY, *, by: SealPolicy = OWN, algorithm: Algorithm | None = None
) -> Head:
    """Return the head of an object, as it is read after it was sealed and written."""
    return with_seal(head, by.seal(head, body, algorithm=algorithm))


def with_seal(head: Head, seal: str) -> Head:
    return replace(head, metadata={**head.metadata, SEAL: seal})


def seal_of(head: Head) -> str:
    assert head.seal is not None
    return head.seal


def trusting(
    *keys: SigningKey, limits: str = "", scope: str = "", accept_unsealed: bool = False
) -> SealPolicy:
    """Return the policy of a reader."""
    trusted = [TrustedKey.parse(f"{key.public}{limits}") for key in keys]
    return SealPolicy(trusted_keys=trusted, scope=scope, accept_unsealed=accept_unsealed)


def outcome(policy: SealPolicy, head: Head, body: Body | None = BODY) -> str:
    """Return ``verified``, why the object is read unverified, or the reason for which it is refused."""
    try:
        found = policy.examine(head)
        if not isinstance(found, BodyCheck):
            return found.name
        if body is not None:
            found.verify(body)
    except TamperedValueError as exc:
        return exc.reason
    return "verified"


def chunks(view: memoryview, sizes: Iterable[int]) -> Iterable[memoryview]:
    """Yield parts of a buffer, as a connection would deliver them."""
    start = 0
    for size in sizes:
        if start >= len(view):
            return
        yield view[start : start + size]
        start += size
