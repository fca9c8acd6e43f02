"""Report of a sweep: removed, pruned, changed, protected and failed."""

from __future__ import annotations

from dataclasses import dataclass, field

__all__ = ["SweepReport"]


@dataclass
class SweepReport:
    """What a sweep did, by object name.

    Attributes:
        removed: Keys that were deleted.
        pruned: Keys that lost old versions, or a delete marker that hid nothing.
        freed_bytes: Bytes of all deleted versions.
        deleted_versions: Number of deleted versions, or objects without versions, including delete markers.
        changed: Keys that stay because they changed since the plan.
        protected: Keys that stay because they were locked or protected since the plan, with the reason.
        failed: Keys that the server did not delete, with its error.
    """

    removed: list[str] = field(default_factory=list)
    pruned: list[str] = field(default_factory=list)
    freed_bytes: int = 0
    deleted_versions: int = 0
    changed: list[str] = field(default_factory=list)
    protected: dict[str, str] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)

    def add(self, other: SweepReport) -> None:
        """Add the report of another sweep of the same store."""
        self.removed += other.removed
        self.pruned += other.pruned
        self.freed_bytes += other.freed_bytes
        self.deleted_versions += other.deleted_versions
        self.changed += other.changed
        self.protected |= other.protected
        self.failed |= other.failed
