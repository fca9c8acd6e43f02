"""Whatever becomes of a frame or of metadata, it is read, or refused with a reason."""

from __future__ import annotations

from s3kv_flows.store.errors import CORRUPT_REASONS
from tests.store.fuzz_frames import outcomes


def test_whatever_is_changed_in_a_frame_or_in_metadata_only_documented_errors_escape() -> None:
    found = outcomes(50_000)
    for reason in (
        "not_a_frame",
        "truncated",
        "format",
        "checksum",
        "codec",
        "layout",
        "too_large",
        "decompress",
    ):
        assert found["frames"][reason] > 20, "or the fuzz does not get there"
    assert found["frames"]["read"] > 1000
    assert set(found["frames"]) <= {"read", *CORRUPT_REASONS}
    assert min(found["metadata"][outcome] for outcome in ("read", "metadata")) > 1000
    assert len(found["metadata"]) == 2
