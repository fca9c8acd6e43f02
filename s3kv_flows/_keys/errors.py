"""Unkeyable: the error for a value or code without a digest."""

from __future__ import annotations

__all__ = ["Unkeyable"]


class Unkeyable(TypeError):  # noqa: N818 -- reads as what it says of the value
    """Raised for a value, or code, without a digest that a key could be made of.

    Args:
        reason: The value, and why it has no digest.
        remedy: What the user can do instead.
    """

    def __init__(self, reason: str, remedy: str) -> None:
        super().__init__(f"{reason}; {remedy}")
        self.reason = reason
        self.remedy = remedy

    def __reduce__(self) -> tuple[type[Unkeyable], tuple[str, str]]:
        return type(self), (self.reason, self.remedy)
