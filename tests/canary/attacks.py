"""What somebody who may write anything into a bucket puts under a name, and what it is refused for."""

from __future__ import annotations

import base64
import contextlib
import json
import pickle
import pickletools
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from s3kv_flows.store import S3KV, SigningKey
from s3kv_flows.store._layout.marks import SEAL, name_mark
from s3kv_flows.store._seals import base64url
from s3kv_flows.store._seals.objects import ObjectSeals
from s3kv_flows.store._seals.policy import SealPolicy
from s3kv_flows.store._seals.purposes import PURPOSES, Purpose
from s3kv_flows.store._seals.tree import LEAF_BYTES, root_of_body
from s3kv_flows.store._values.codecs import codec_named
from s3kv_flows.store._values.frames.frames import pack
from tests.canary.watch import Bird, sing
from tests.support.frames import format3, repaired

__all__ = [
    "ALIAS",
    "ATTACKS",
    "BARE",
    "OURS",
    "SOME",
    "Attack",
    "Stored",
    "bare_pickle",
    "hostile_frame",
    "polyglot",
    "prefects_record",
    "stored",
]

OURS, STRANGER = SigningKey.generate("ours"), SigningKey.generate("stranger")
ALIAS = str(OURS.public).replace(":ours:", ":alias:")
"""The same key under another name, which is trusted, too."""

_OTHER_TYPE = "text/plain"
_PARTS = ("format", "key", "hash", "root", "signature")


@dataclass(frozen=True)
class Stored:
    """An object as it lies in a bucket."""

    store: S3KV
    name: str
    body: bytes
    metadata: Mapping[str, str] = field(default_factory=dict)
    content_type: str = "application/octet-stream"

    def put(self, name: str | None = None) -> None:
        """Write it as it is, past the store."""
        self.store.client.put_object(
            self.store.bucket_name,
            name or self.name,
            self.body,
            content_type=self.content_type,
            metadata=dict(self.metadata),
        )

    @property
    def is_untyped(self) -> bool:
        """Whether its type says nothing: some servers replace that, so that a seal holds with any."""
        return self.content_type == "application/octet-stream"

    def is_same_but_for_its_type(self, other: Stored) -> bool:
        return replace(self, content_type="") == replace(other, content_type="")

    def but(self, body: bytes | None = None, **metadata: str | None) -> Stored:
        """Return it with another body, or with metadata that differs; None removes it."""
        names = {f"s3kv-{name}": text for name, text in metadata.items()}
        changed = {**self.metadata, **names}
        return replace(
            self,
            body=self.body if body is None else body,
            metadata={name: text for name, text in changed.items() if text is not None},
        )

    def sealed(
        self, key: SigningKey = OURS, *, purpose: Purpose | None = None, name: str = "", scope: str = ""
    ) -> Stored:
        """Return it with a seal that is correct for some key, purpose, name and scope."""
        seals = ObjectSeals(SealPolicy(key, scope=scope), purpose or self.store.purpose)
        head = {"content_type": self.content_type, "metadata": self.metadata}
        return replace(self, metadata=seals.sealed(name or self.name, self.body, head)["metadata"])


def stored(store: S3KV, name: str) -> Stored:
    """Return an object as it lies in the bucket."""
    found = S3KV(config=store.config, bucket_name=store.bucket_name, trusted_keys=[]).objects.get(name)
    info = found.info
    return Stored(store, name, bytes(found.body or b""), dict(info.metadata), info.content_type)


def bare_pickle() -> bytes:
    return pickle.dumps(Bird(), protocol=5)


def hostile_frame(size: int | None = None) -> bytes:
    """Return an intact frame, which sings where it is decoded; of some size."""
    if size is None:
        return bytes(codec_named("cloudpickle").encode(Bird()))
    return bytes(pack("cloudpickle", [bare_pickle()])).ljust(size, b"\0")[:size]


def prefects_record() -> bytes:
    """Return a record as Prefect's own stores keep it, which says that its result is a pickle."""
    result = base64.encodebytes(bare_pickle()).decode()
    metadata = {"storage_key": "key", "serializer": {"type": "pickle"}, "prefect_version": "3.0.0"}
    return json.dumps({"metadata": metadata, "result": result}).encode()


def polyglot() -> bytes:
    """Return an intact frame of plain bytes, in which Prefect's PickleSerializer finds a pickle.

    It decodes base64, and skips what is none: a frame has few such bytes that its writer has not chosen.
    """
    # K r, and the beginning of FRAME, are the magic; then what swallows the names of codec and kind.
    opening = base64.b64encode(bytes(8) + b"0NC\x09")
    rest = pickle.dumps(Bird(), protocol=2)
    chosen = b"AA" + base64.b64encode(rest + b"." * (-len(rest) % 3))
    skipped = [byte for byte in range(256) if (byte not in b"+/=" and not chr(byte).isalnum()) or byte > 127]
    for seed in range(1000):
        filler = random.Random(seed).choices(skipped, k=384 - len(chosen))
        frame = bytearray(bytes(pack("plain", [b"bytes", chosen + bytes(filler)])))
        frame[16:32] = opening
        frame = repaired(frame)
        with contextlib.suppress(ValueError):  # of a checksum, as a rule, that is base64 itself
            found = [name for _, name, _ in pickletools.genops(base64.decodebytes(frame))]
            if f"{sing.__module__} {sing.__name__}" in found:
                return bytes(frame)
    raise AssertionError("no frame is as it was meant")


def _seal(original: Stored, **changes: str) -> Stored:
    """Return an object whose seal has other parts."""
    parts = dict(
        zip(("format", "key", "hash", "root", "signature"), original.metadata[SEAL].split(":"), strict=True)
    )
    return original.but(seal=":".join((parts | changes).values()))


def _flipped(text: str, at: int) -> str:
    return text[:at] + ("A" if text[at] != "A" else "B") + text[at + 1 :]


def _bit(body: bytes, at: int) -> bytes:
    broken = bytearray(body)
    broken[at] ^= 1
    return bytes(broken)


def _part(original: Stored, name: str) -> str:
    return original.metadata[SEAL].split(":")[_PARTS.index(name)]


def _other(original: Stored) -> Stored:
    """Return the object as it would be under another name of the same store."""
    name = f"{original.name}-other"
    others = {key: text for key, text in original.metadata.items() if key != SEAL} | name_mark(name)
    return replace(original, metadata=others).sealed(name=name)


def _other_purpose(number: int) -> Callable[[Stored], Stored]:
    def attack(original: Stored) -> Stored:
        others = [purpose for purpose in PURPOSES if purpose != original.store.purpose]
        return original.sealed(purpose=others[number])

    return attack


@dataclass(frozen=True)
class Attack:
    """What is put there instead, and the reasons for which it may be refused.

    Attributes:
        make: Returns it.
        reasons: Of a store with keys.
        is_large: Whether it is about bodies of several leaves.
    """

    make: Callable[[Stored], Stored]
    reasons: tuple[str, ...] = ("signature",)
    is_large: bool = False


def _in_body(change: Callable[[bytes], bytes]) -> Attack:
    return Attack(lambda one: one.but(change(one.body)), ("root",), is_large=True)


_UNSEALED, _SEAL = ("unsealed",), ("seal",)

BARE: dict[str, Callable[[Stored], Stored]] = {
    "a bare pickle": lambda one: Stored(one.store, one.name, bare_pickle()),
    "a bare pickle in base64": lambda one: Stored(one.store, one.name, base64.encodebytes(bare_pickle())),
    "a record of Prefect": lambda one: Stored(one.store, one.name, prefects_record()),
    "a record of Prefect, as JSON": lambda one: Stored(
        one.store, one.name, prefects_record(), content_type="application/json"
    ),
    "a bare frame": lambda one: Stored(one.store, one.name, hostile_frame()),
    "a frame with all but the seal": lambda one: one.but(hostile_frame(), seal=None),
    "format 3": lambda one: one.but(bytes(format3([bare_pickle()])), seal=None),
    "the seal removed": lambda one: one.but(seal=None),
}
"""What has no seal."""

ATTACKS: dict[str, Attack] = {
    **{what: Attack(make, _UNSEALED) for what, make in BARE.items()},
    # Of others, or of ourselves in another place.
    "a stranger's": Attack(lambda one: one.but(hostile_frame()).sealed(STRANGER), ("untrusted_key",)),
    "a stranger's, said to be ours": Attack(
        lambda one: _seal(one.but(hostile_frame()).sealed(STRANGER), key=OURS.id)
    ),
    "another key id": Attack(lambda one: _seal(one, key=ALIAS.split(":")[1] + OURS.id.removeprefix("ours"))),
    "another object's": Attack(_other),
    "another object's, with the mark of this name": Attack(
        lambda one: replace(_other(one), metadata={**_other(one).metadata, **name_mark(one.name)})
    ),
    **{f"sealed for another purpose, {n}": Attack(_other_purpose(n)) for n in range(len(PURPOSES) - 1)},
    "sealed in another scope": Attack(lambda one: one.sealed(scope="staging")),
    # Another head.
    "a forged expiry": Attack(
        lambda one: one.but(
            expires="2099-01-01T00:00:00+00:00", ttl="999999999.000000", ends="2099-01-01T00:00:00+00:00"
        )
    ),
    "another codec": Attack(lambda one: one.but(codec="bytes")),
    "another content type": Attack(lambda one: replace(one, content_type=_OTHER_TYPE)),
    "no content type": Attack(
        lambda one: replace(one, content_type="application/octet-stream" if one.metadata else _OTHER_TYPE)
    ),
    "metadata added": Attack(lambda one: one.but(extra="1")),
    "metadata removed": Attack(lambda one: replace(one, metadata={SEAL: one.metadata[SEAL]})),
    # Another body.
    "a frame under the seal": Attack(lambda one: one.but(hostile_frame())),
    "a record of Prefect under the seal": Attack(lambda one: one.but(prefects_record())),
    "format 3 under the seal": Attack(lambda one: one.but(bytes(format3([bare_pickle()])))),
    "another body of the same size": Attack(lambda one: one.but(hostile_frame(len(one.body))), ("root",)),
    "the root of another body": Attack(
        lambda one: _seal(
            one.but(hostile_frame(len(one.body))),
            root=base64url.encode(root_of_body("b3", hostile_frame(len(one.body)))),
        )
    ),
    "truncated": Attack(lambda one: one.but(one.body[:-1])),
    "empty": Attack(lambda one: one.but(b"")),
    "longer": Attack(lambda one: one.but(one.body + b"\0")),
    "a bit in the head": _in_body(lambda body: _bit(body, 3)),
    "a bit in a middle leaf": _in_body(lambda body: _bit(body, LEAF_BYTES + 12345)),
    "a bit in the last, short leaf": _in_body(lambda body: _bit(body, len(body) - 20)),
    "two leaves exchanged": _in_body(
        lambda body: body[LEAF_BYTES : 2 * LEAF_BYTES] + body[:LEAF_BYTES] + body[2 * LEAF_BYTES :]
    ),
    # Another seal.
    "an empty seal": Attack(lambda one: one.but(seal=""), _SEAL),
    "a garbled seal": Attack(lambda one: one.but(seal="1:x:b3:*:?"), _SEAL),
    "two seals": Attack(lambda one: one.but(seal=",".join([one.metadata[SEAL]] * 2)), _SEAL),
    "a very long seal": Attack(lambda one: one.but(seal="1:" + "A" * 900), _SEAL),
    "another format of seals": Attack(lambda one: _seal(one, format="9"), _SEAL),
    "a hash that there is not": Attack(lambda one: _seal(one, hash="md5"), _SEAL),
    "no hash": Attack(lambda one: _seal(one, hash=""), _SEAL),
    "another hash": Attack(lambda one: _seal(one, hash="s2")),
    "a bit in the root of the seal": Attack(lambda one: _seal(one, root=_flipped(_part(one, "root"), 5))),
    "a bit in the signature": Attack(lambda one: _seal(one, signature=_flipped(_part(one, "signature"), 5))),
    "unused bits of the signature": Attack(
        lambda one: _seal(one, signature=_part(one, "signature")[:-1] + "_"), ("seal", "signature")
    ),
    "a signature of zeros": Attack(lambda one: _seal(one, signature="A" * 86)),
}

SOME = {
    *("a bare pickle", "a record of Prefect", "a frame with all but the seal", "the seal removed"),
    *("a stranger's", "another object's", "sealed for another purpose, 0", "a forged expiry"),
    *("another body of the same size", "a bit in the last, short leaf", "an empty seal"),
}
"""One or two attacks of each kind."""
