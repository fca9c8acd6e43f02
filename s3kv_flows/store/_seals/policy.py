"""The policy of seals: what is sealed, accepted and refused.

What is checked, in this order, before a byte of the body is asked for::

    is there a seal?     no: TamperedValueError(unsealed), unless unsealed objects are accepted
    the text             TamperedValueError(seal)
    the key              is it trusted for this purpose? TamperedValueError(untrusted_key)
    the date             was the key good when the object was written? TamperedValueError(key_ended)
    the signature        of everything in the head: TamperedValueError(signature)

and then the body, by the :class:`BodyCheck` that this returns: TamperedValueError(root).

A seal does not say that it is the newest: an older object of the same name, written back, is accepted.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime, timezone
from enum import Enum
from typing import TypeAlias

from s3kv_flows.store._s3.bodies import Body
from s3kv_flows.store._seals.algorithms import Algorithm, preferred_algorithm
from s3kv_flows.store._seals.check import BodyCheck
from s3kv_flows.store._seals.keys.keys import SigningKey
from s3kv_flows.store._seals.keys.trust import TrustedKey, TrustedKeys
from s3kv_flows.store._seals.purposes import Purpose
from s3kv_flows.store._seals.seal import Seal, parse_seal
from s3kv_flows.store._seals.statement import MAX_LENGTH, Head, statement
from s3kv_flows.store._seals.tree import root_of_body
from s3kv_flows.store.errors import TamperedValueError

__all__ = ["Examined", "SealPolicy", "Unverified"]


class Unverified(Enum):
    """Why an object may be read although nothing says who wrote it."""

    UNSEALED = "it has no seal, and unsealed objects are accepted"
    NO_KEYS = "no keys are configured, so that no seal can be verified"


Examined: TypeAlias = "BodyCheck | Unverified"


def _utc_now() -> datetime:
    return datetime.now(timezone.utc)


class SealPolicy:
    """Which seals a store makes, and which it accepts.

    Args:
        signing_key: The key that seals what is written; None for readers.
        trusted_keys: The keys whose seals are accepted. The signing key is one of them; where it is listed
            with limits, they hold: a key that has ended is not trusted on the machine that still has it.
        scope: Tells apart environments that sign with the same key: a seal is good in its own scope.
        accept_unsealed: Whether to accept objects without a seal, for a migration. A seal that is there and
            wrong is never accepted.
        clock: Returns the time, in UTC.

    Raises:
        ValueError: The trusted keys contradict each other.
    """

    def __init__(
        self,
        signing_key: SigningKey | None = None,
        trusted_keys: Iterable[TrustedKey] = (),
        *,
        scope: str = "",
        accept_unsealed: bool = False,
        clock: Callable[[], datetime] = _utc_now,
    ) -> None:
        self._signing_key = signing_key
        self._trusted = TrustedKeys(trusted_keys, signing_key.public if signing_key else None)
        self.scope, self.accept_unsealed = scope, accept_unsealed
        self._clock = clock

    @property
    def has_keys(self) -> bool:
        """Whether seals can be verified; else nothing is sealed, either."""
        return len(self._trusted) > 0

    @property
    def signing_key_id(self) -> str | None:
        """The id of the key that seals; None where there is none."""
        return self._signing_key.id if self._signing_key else None

    @property
    def trusted(self) -> tuple[TrustedKey, ...]:
        """The keys whose seals are accepted, the own one included."""
        return tuple(self._trusted)

    def require_can_seal(self, purpose: Purpose) -> None:
        """Raise ValueError where objects of this purpose cannot be sealed: for a configuration to fail early.

        Raises:
            ValueError: There is no signing key, or it is trusted no more, or not for this purpose.
        """
        self._signer(purpose)

    def examine(self, head: Head) -> Examined:
        """Verify the seal in the head of an object, before its body is read.

        Returns:
            The check of its body; or, where there is none, why it may be read without.

        Raises:
            TamperedValueError: It may not be read; ``reason`` is ``unsealed``, ``seal``, ``untrusted_key``,
                ``key_ended`` or ``signature``.
            ModuleNotFoundError: The seal is good, and needs BLAKE3, which is not installed.
        """
        seal = self.verify_head(head)
        return seal if isinstance(seal, Unverified) else BodyCheck(seal, head.length, repr(head.name))

    def verify_head(self, head: Head) -> Seal | Unverified:
        """Return the verified seal of an object, from its head alone: for audits, and for copies.

        Raises:
            TamperedValueError: As of :meth:`examine`.
        """
        if not self.has_keys:
            return Unverified.NO_KEYS
        text, where = head.seal, repr(head.name)
        if text is not None:
            seal = parse_seal(text, where)
            self._require_signed(head, seal, where)
            return seal
        if self.accept_unsealed:
            return Unverified.UNSEALED
        raise TamperedValueError(
            f"{where} has no seal, so that nobody knows who wrote it: write it again, or read such objects "
            "with accept_unsealed=True",
            reason="unsealed",
        )

    def seal(self, head: Head, body: Body, *, algorithm: Algorithm | None = None) -> str:
        """Return the seal of a new object, the value of its metadata ``s3kv-seal``.

        Args:
            head: The head, with all metadata that the object will have.
            body: The body. What its memory holds *now* is sealed: if it changes before it is sent, the object
                is refused when it is read.
            algorithm: The hash; by default BLAKE3, or SHA-256 where it is not installed.

        Raises:
            ValueError: There is no signing key, or readers would not accept it for this object; or the body
                has another length than the head says.
        """
        if len(body) != head.length:
            raise ValueError(
                f"{head.name!r}: the body has {len(body)} bytes, and the head says {head.length}"
            )
        signer = self._signer(head.purpose)
        algorithm = algorithm or preferred_algorithm()
        return str(self._signed(signer, head, algorithm, root_of_body(algorithm, body)))

    def reseal(self, old: Head, new: Head) -> str | None:
        """Return the seal of an object that gets the body of another one, by a copy on the server.

        Args:
            old: The head of the object with that body, whose seal is verified first.
            new: The head of the new object: another name, or other metadata.

        Returns:
            The seal, with the same root; None where the old object had none that could be verified, and was
            accepted: then the new one has none, either.

        Raises:
            TamperedValueError: The old object is not accepted.
            ValueError: As of :meth:`seal`.
        """
        verified = self.verify_head(old)
        if isinstance(verified, Unverified):
            return None
        if new.length != old.length:
            raise ValueError(f"{new.name!r}: a copy of {old.length} bytes does not have {new.length}")
        return str(self._signed(self._signer(new.purpose), new, verified.algorithm, verified.root))

    def _require_signed(self, head: Head, seal: Seal, where: str) -> None:
        key = self._trusted.require(seal.key_id, head.purpose, head.written, where)
        # A length that no statement can name was never signed.
        if not 0 <= head.length <= MAX_LENGTH or not key.verifies(
            seal.signature, statement(seal.key_id, seal.algorithm, self.scope, head, seal.root)
        ):
            raise TamperedValueError(
                f"{where} was changed after it was sealed, moved, or sealed in another scope or for another "
                "purpose: its signature does not match",
                reason="signature",
            )

    def _signed(self, signer: SigningKey, head: Head, algorithm: Algorithm, root: bytes) -> Seal:
        message = statement(signer.id, algorithm, self.scope, head, root)
        return Seal(signer.id, algorithm, root, signer.sign(message))

    def _signer(self, purpose: Purpose) -> SigningKey:
        """Return the signing key, if its seals will be accepted here."""
        if self._signing_key is None:
            raise ValueError("there is no signing key: set signing_key, or S3KV_SIGNING_KEY")
        trusted = self._trusted[self._signing_key.id]
        if not trusted.accepts(purpose) or trusted.has_ended(self._clock()):
            raise ValueError(
                f"the trusted keys limit the signing key {self._signing_key.id}: its seal on a {purpose} "
                "would not be accepted"
            )
        return self._signing_key
