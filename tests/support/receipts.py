"""A receipt, as a store would give it."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

from s3kv_flows.store._outputs.receipts import Receipt

__all__ = ["MOMENT", "RECEIPT"]

MOMENT = datetime(2026, 1, 2, 3, 4, 5, tzinfo=timezone.utc)

RECEIPT = Receipt(
    bucket="some-bucket",
    endpoint="https://s3.example.com",
    key="report",
    object_name="s3kv/report.json",
    version_id="v1",
    sha256="0" * 64,
    size=3,
    mode="GOVERNANCE",
    retain_until=MOMENT + timedelta(days=7),
    legal_hold=False,
    written_at=MOMENT,
)
