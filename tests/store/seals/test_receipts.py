"""Seals of receipts: who published a version, and that its receipt says what it said."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from s3kv_flows.store._outputs.receipts import Receipt
from s3kv_flows.store._outputs.sealed_receipts import seal_problem, sealed
from s3kv_flows.store._seals.keys.keys import SigningKey
from s3kv_flows.store._seals.keys.trust import TrustedKey
from s3kv_flows.store._seals.policy import SealPolicy
from tests.support.receipts import MOMENT, RECEIPT

OURS, THEIRS = SigningKey.generate("ours"), SigningKey.generate("theirs")
CHANGES: dict[str, Any] = {
    "bucket": "sea",
    "endpoint": "https://other.example.com",
    "key": "other",
    "object_name": "s3kv/other.json",
    "version_id": "v2",
    "sha256": "1" * 64,
    "size": 4,
    "mode": "COMPLIANCE",
    "retain_until": None,
    "legal_hold": True,
    "written_at": MOMENT + timedelta(seconds=1),
    "outcome": "unchanged",
    "superseded_version_id": "v0",
    "flow_run_id": "a-run",
    "code_version": "2",
    "store": "lake",
    "seal": None,
}


def trusting(*keys: str) -> SealPolicy:
    return SealPolicy(None, [TrustedKey.parse(key) for key in keys])


def test_a_sealed_receipt_holds_wherever_it_was_kept() -> None:
    made = sealed(RECEIPT, SealPolicy(OURS))
    kept = Receipt.from_json(made.to_json())
    assert kept == made
    assert made.seal is not None
    assert seal_problem(kept, trusting(str(OURS.public)), MOMENT) is None


@pytest.mark.parametrize("field", sorted(CHANGES))
def test_whatever_is_changed_in_a_receipt_breaks_its_seal(field: str) -> None:
    assert set(CHANGES) == set(RECEIPT.as_dict()) - {"receipt"}, "each field is tried"
    forged = replace(sealed(RECEIPT, SealPolicy(OURS)), **{field: CHANGES[field]})
    problem = seal_problem(forged, SealPolicy(OURS), MOMENT)
    assert problem is not None
    assert problem.startswith("nobody who is trusted has sealed this receipt")


def test_a_receipt_that_somebody_else_sealed_is_not_believed() -> None:
    made = sealed(RECEIPT, SealPolicy(THEIRS))
    assert "(untrusted_key)" in str(seal_problem(made, trusting(str(OURS.public)), MOMENT))
    of_results = trusting(f"{THEIRS.public};purposes=result")
    assert "(untrusted_key)" in str(seal_problem(made, of_results, MOMENT))
    ended = trusting(f"{THEIRS.public};until=2026-01-01")
    assert "(key_ended)" in str(seal_problem(made, ended, MOMENT))


def test_a_seal_of_a_value_is_none_of_a_receipt() -> None:
    from s3kv_flows.store._outputs.sealed_receipts import _canonical, _head

    body = _canonical(RECEIPT)
    other = SealPolicy(OURS).seal(replace(_head(RECEIPT, body), purpose="value"), body)
    assert "(signature)" in str(seal_problem(replace(RECEIPT, seal=other), SealPolicy(OURS), MOMENT))


def test_without_keys_nothing_is_sealed_and_nothing_is_said() -> None:
    made = sealed(RECEIPT, SealPolicy(OURS))
    assert sealed(made, SealPolicy()).seal is None
    assert seal_problem(made, SealPolicy(), MOMENT) is None
    only_results = SealPolicy(OURS, [TrustedKey.parse(f"{OURS.public};purposes=result")])
    assert sealed(RECEIPT, only_results).seal is None, "a published version has a receipt nevertheless"


def test_an_unsealed_receipt_is_accepted_where_that_is_said() -> None:
    accepting = SealPolicy(OURS, accept_unsealed=True)
    assert "(unsealed)" in str(seal_problem(RECEIPT, SealPolicy(OURS), MOMENT))
    assert seal_problem(RECEIPT, accepting, MOMENT) is None
    assert "(seal)" in str(seal_problem(replace(RECEIPT, seal="?"), accepting, MOMENT))
