"""What a sweep did."""

from __future__ import annotations

from dataclasses import dataclass, field

__all__ = ["SweepReport"]


@dataclass
class SweepReport:
    """What a sweep did. Names are object names.

    Attributes:
        removed: What is gone.
        pruned: What has lost old versions, or a delete marker that hid nothing.
        freed_bytes: Bytes of all versions that are gone.
        deleted_versions: How many versions, or objects without versions, are gone, with delete markers.
        changed: What stays because it is not what the plan saw.
        protected: What stays because it is locked, or tagged to be kept, since; with the reason.
        failed: What the server did not delete for another reason, with that.
    """

    removed: list[str] = field(default_factory=list)
    pruned: list[str] = field(default_factory=list)
    freed_bytes: int = 0
    deleted_versions: int = 0
    changed: list[str] = field(default_factory=list)
    protected: dict[str, str] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)

    def add(self, other: SweepReport) -> None:
        """Add what another sweep of the same store did."""
        self.removed += other.removed
        self.pruned += other.pruned
        self.freed_bytes += other.freed_bytes
        self.deleted_versions += other.deleted_versions
        self.changed += other.changed
        self.protected |= other.protected
        self.failed |= other.failed
