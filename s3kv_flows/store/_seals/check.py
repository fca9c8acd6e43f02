"""Checks of bodies against a seal whose signature was verified."""

from __future__ import annotations

from s3kv_flows.store._s3.bodies import Body
from s3kv_flows.store._seals.seal import Seal
from s3kv_flows.store._seals.tree import Leaves, RangeHasher, root_of_body, root_of_leaves
from s3kv_flows.store.errors import TamperedValueError

__all__ = ["BodyCheck"]


class BodyCheck:
    """Compares a body, as it arrives, with a seal whose signature was verified.

    A download makes one per attempt, and takes a :meth:`range_from` for each range; :meth:`finish` compares,
    before anything is decoded. A body that is in memory is given to :meth:`verify`.

    Args:
        seal: The seal.
        length: The length of the body, which the seal binds.
        where: The object in messages.

    Raises:
        ModuleNotFoundError: The seal needs BLAKE3, which is not installed.
    """

    def __init__(self, seal: Seal, length: int, where: str) -> None:
        self._seal, self._where = seal, where
        self._leaves = Leaves(seal.algorithm, length)

    @property
    def key_id(self) -> str:
        """The id of the key that sealed the object."""
        return self._seal.key_id

    @property
    def length(self) -> int:
        """The length of the body, in bytes."""
        return self._leaves.length

    def range_from(self, start: int) -> RangeHasher:
        """Return a hasher for the bytes from ``start`` on, a multiple of 1 MiB. For one thread each."""
        return self._leaves.range_from(start)

    def finish(self) -> None:
        """Compare what has arrived with the seal.

        Raises:
            TamperedValueError: It is another body, or a part of it is missing (``root``).
        """
        leaves = self._leaves
        self._require(
            leaves.is_complete
            and root_of_leaves(leaves.algorithm, leaves.length, leaves.digests()) == self._seal.root
        )

    def verify(self, body: Body) -> None:
        """Compare a whole body with the seal.

        Raises:
            TamperedValueError: It is another body (``root``).
        """
        self._require(
            len(body) == self.length and root_of_body(self._seal.algorithm, body) == self._seal.root
        )

    def _require(self, matches: bool) -> None:  # noqa: FBT001  # private
        if not matches:
            raise TamperedValueError(f"{self._where} has another body than was sealed", reason="root")
