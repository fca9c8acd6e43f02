"""Seals of receipts: who published a version, provable without the bucket.

A receipt is sealed as objects are, as one of the purpose ``receipt`` whose body is its canonical JSON.
"""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import datetime

from s3kv_flows.store._layout.marks import SEAL
from s3kv_flows.store._outputs.receipts import Receipt
from s3kv_flows.store._s3.bodies import Buffer
from s3kv_flows.store._seals.policy import SealPolicy, Unverified
from s3kv_flows.store._seals.statement import Head
from s3kv_flows.store.errors import TamperedValueError

__all__ = ["seal_problem", "sealed"]


def sealed(receipt: Receipt, policy: SealPolicy) -> Receipt:
    """Return a receipt with the seal of a store, over all that it says; without one where there is no key.

    A key that may not sign receipts seals none: the version is published already.
    """
    try:
        policy.require_can_seal("receipt")
    except ValueError:
        return replace(receipt, seal=None)
    body = _canonical(receipt)
    return replace(receipt, seal=policy.seal(_head(receipt, body), body))


def seal_problem(receipt: Receipt, policy: SealPolicy, written: datetime | None) -> str | None:
    """Return what is wrong with the seal of a receipt; None where it holds, or there are no keys to tell.

    Args:
        receipt: The receipt.
        policy: Whose seals are accepted.
        written: When the server says that the version was written; None where it does not say it.
    """
    body = _canonical(receipt)
    try:
        check = policy.examine(_head(receipt, body, written))
        if not isinstance(check, Unverified):
            check.verify(body)
    except TamperedValueError as exc:
        return f"nobody who is trusted has sealed this receipt ({exc.reason}): {exc}"
    return None


def _head(receipt: Receipt, body: Buffer, written: datetime | None = None) -> Head:
    metadata = {SEAL: receipt.seal} if receipt.seal is not None else {}
    return Head("receipt", receipt.object_name, "application/json", len(body), metadata, written)


def _canonical(receipt: Receipt) -> bytes:
    data = {key: item for key, item in receipt.as_dict().items() if key != "seal"}
    return json.dumps(data, sort_keys=True, separators=(",", ":")).encode()
