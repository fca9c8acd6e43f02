"""StoreReference: a saved store by name, loaded when a run needs it."""

from __future__ import annotations

import asyncio
import uuid
from abc import ABC
from typing import TYPE_CHECKING, Any, ClassVar

from prefect.context import TaskRunContext
from prefect.filesystems import WritableFileSystem
from prefect.utilities.dispatch import register_type
from pydantic import Field

from s3kv_flows._prefect import saved_as
from s3kv_flows._results.run_store import require_policy
from s3kv_flows.blocks import SAVED_STORES, SLUG, S3KVStore

__all__ = ["StoreReference", "bind_store", "resolve"]


def resolve(reference: str) -> S3KVStore:
    """Return the saved store that a reference such as ``s3kv-store/lake`` names: once per process a request.

    Raises:
        ValueError: No store is saved under this name.
    """
    return SAVED_STORES.get(reference.removeprefix(f"{SLUG}/"))


def bind_store(run: TaskRunContext) -> None:
    """Give a run the store that its task refers to: once per process a request.

    Raises:
        ValueError: No store is saved under this name.
    """
    storage = run.result_store.result_storage
    if isinstance(storage, StoreReference):
        run.result_store.result_storage = storage.resolve()


class DocumentId(uuid.UUID):
    """The id of a saved store, which is asked for when somebody looks at it.

    Prefect asks of a storage whether it has an id, at import, in ``with_options`` and in each run, and looks
    at that in none of these: so there is no request.
    """

    # A UUID keeps its number in a slot, and computes all else from it.
    __slots__ = ("_reference",)
    _reference: str

    def __init__(self, reference: str) -> None:
        object.__setattr__(self, "_reference", reference)
        object.__setattr__(self, "is_safe", uuid.SafeUUID.unknown)

    if not TYPE_CHECKING:

        @property
        def int(self) -> Any:
            return resolve(self._reference)._block_document_id.int  # noqa: SLF001

    def __repr__(self) -> str:
        return f"DocumentId({self._reference!r})"

    def __reduce__(self) -> Any:
        return DocumentId, (self._reference,)

    def __getstate__(self) -> Any:
        return None

    def __copy__(self) -> DocumentId:
        return self

    def __deepcopy__(self, memo: dict[Any, Any]) -> DocumentId:
        return self


class StoreReference(WritableFileSystem, ABC):
    """A saved :class:`S3KVStore` by its name.

    ``caching()`` gives it to tasks, and nobody configures one. In each run, the policy of the task replaces
    it by the store; where Prefect has dropped that policy, the reference does what the store would do.
    """

    _block_type_name: ClassVar[str | None] = "S3KV Store Reference"
    _block_type_slug: ClassVar[str | None] = "s3kv-store-reference"
    _description: ClassVar[str | None] = (
        "Made by caching() of s3kv_flows for its tasks: there is nothing to configure. Create an S3KV Store."
    )
    _documentation_url: ClassVar[Any] = "https://docs.prefect.io/v3/advanced/results"

    store: str = Field(description="The reference by which Prefect loads the store: s3kv-store/NAME.")

    if not TYPE_CHECKING:  # a type checker knows the private attribute of blocks

        @property
        def _block_document_id(self) -> uuid.UUID | None:
            run = TaskRunContext.get()
            if run is None or run.result_store.result_storage is not self:
                return DocumentId(self.store)
            # Prefect asks for it when a task ends, also where it dropped the cache policy of the task.
            require_policy(self)
            try:
                return saved_as(self.resolve())[1]
            except ValueError:  # a state that no reader could follow is better than none
                return None

    def resolve(self) -> S3KVStore:
        """Return the store.

        Raises:
            ValueError: No store is saved under this name.
        """
        return resolve(self.store)

    def read_path(self, path: str, *, _sync: bool | None = None) -> Any:
        """Do as the store does."""
        return self.resolve().read_path(path, _sync=_sync)

    async def aread_path(self, path: str) -> Any:
        """Do as the store does."""
        return await (await asyncio.to_thread(self.resolve)).aread_path(path)

    def write_path(self, path: str, content: Any, *, _sync: bool | None = None) -> Any:
        """Do as the store does."""
        return self.resolve().write_path(path, content, _sync=_sync)

    async def awrite_path(self, path: str, content: Any) -> None:
        """Do as the store does."""
        await (await asyncio.to_thread(self.resolve)).awrite_path(path, content)

    def _resolve_path(self, path: str) -> None:  # noqa: ARG002  # asked by Prefect for unsaved blocks
        """Leave storage keys unresolved: they are no paths of a file system."""
        return


# Tasks that run elsewhere get the context of their caller, in which a storage is its slug and its fields.
register_type(StoreReference)
