"""The seals of one kind of objects: made, examined, copied."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, TypeVar

from s3kv_flows.store._layout.marks import SEAL
from s3kv_flows.store._s3.bodies import Body
from s3kv_flows.store._s3.types import ObjectInfo
from s3kv_flows.store._seals.check import BodyCheck
from s3kv_flows.store._seals.policy import SealPolicy, Unverified
from s3kv_flows.store._seals.purposes import Purpose
from s3kv_flows.store._seals.statement import Head
from s3kv_flows.store.errors import TamperedValueError

__all__ = ["NO_KEYS", "NO_SEALS", "ObjectSeals"]

T = TypeVar("T")

NO_KEYS = (
    "the store has no keys, and to unpickle what anybody may have written to the bucket would run code of "
    "theirs: give it a key (s3kv init NAME --update, or save it again from Python), set S3KV_SIGNING_KEY or "
    "S3KV_TRUSTED_KEYS, or accept that with accept_unsealed=True"
)
"""Said of a store without keys, before anything is unpickled or computed."""

_UNTYPED = "application/octet-stream"
"""Says nothing of the content: SeaweedFS replaces it by what the suffix of the name says."""


class ObjectSeals:
    """Seals objects of one purpose, and examines them.

    Args:
        policy: Which seals are made, and which are accepted.
        purpose: What the objects are.
        executes_code: Whether to decode an object may run code that its writer has chosen: then there must be
            keys, or unsealed objects be accepted.
    """

    def __init__(self, policy: SealPolicy, purpose: Purpose, *, executes_code: bool = False) -> None:
        self._policy, self._purpose, self._executes_code = policy, purpose, executes_code

    @property
    def has_keys(self) -> bool:
        """Whether seals are made and verified."""
        return self._policy.has_keys

    @property
    def accepts_unsealed(self) -> bool:
        """Whether objects are read that nobody has signed, although they ought to be signed."""
        return self._policy.accept_unsealed and (self.has_keys or self._executes_code)

    def require_keys(self) -> None:
        """Raise ValueError where objects would be decoded that anybody may have written, by running code."""
        if self._executes_code and not self.has_keys and not self._policy.accept_unsealed:
            raise ValueError(NO_KEYS)

    def require_can_seal(self) -> None:
        """Raise ValueError where objects cannot be written here so that they are read again."""
        self.require_keys()
        if self.has_keys:
            self._policy.require_can_seal(self._purpose)

    def examine(self, info: ObjectInfo) -> BodyCheck | None:
        """Verify the head of an object, before its body is read; return the check of the body.

        Returns:
            None where there is nothing to compare the body with.

        Raises:
            TamperedValueError: The object is not to be read.
            ValueError: Objects of these need keys, and there are none.
        """
        self.require_keys()
        examined = self._read(info, self._policy.examine)
        return None if isinstance(examined, Unverified) else examined

    def sealed(self, name: str, body: Body, options: Mapping[str, Any]) -> dict[str, Any]:
        """Return the parameters of a write, with the seal of the object: the last that is added to them.

        Args:
            name: The object name.
            body: The body.
            options: The parameters: ``metadata``, ``content_type``, and others.

        Raises:
            ValueError: There is no key to seal with.
        """
        self.require_keys()
        if not self.has_keys:
            return dict(options)
        head = Head(self._purpose, name, options["content_type"], len(body), options["metadata"])
        return _with_seal(options, self._policy.seal(head, body))

    def resealed(self, source: ObjectInfo, name: str, options: Mapping[str, Any]) -> dict[str, Any]:
        """Return the parameters of a copy on the server, with the seal of the copy.

        Args:
            source: The object that is copied, which is verified.
            name: The object name of the copy.
            options: The parameters: ``metadata``, ``content_type``, and others.

        Raises:
            TamperedValueError: The source is not to be read, and so not to be copied.
            ValueError: There is no key to seal with.
        """
        if not self.has_keys:
            return dict(options)
        new = Head(self._purpose, name, options["content_type"], source.size, options["metadata"])
        return _with_seal(options, self._read(source, lambda old: self._policy.reseal(old, new)))

    def _read(self, info: ObjectInfo, verify: Callable[[Head], T]) -> T:
        """Verify the head of an object that was read; also as it was, if the server has typed it since."""
        head = Head.of(self._purpose, info)
        try:
            return verify(head)
        except TamperedValueError as exc:
            if exc.reason != "signature" or head.content_type == _UNTYPED:
                raise
        return verify(replace(head, content_type=_UNTYPED))


NO_SEALS = ObjectSeals(SealPolicy(), "value")
"""Of a store without keys: nothing is sealed, and nothing is verified."""


def _with_seal(options: Mapping[str, Any], seal: str | None) -> dict[str, Any]:
    metadata = {key: value for key, value in options["metadata"].items() if key != SEAL}
    return {**options, "metadata": {**metadata, **({SEAL: seal} if seal else {})}}
