"""``s3kv init``: make a bucket, and save a store."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from s3kv_flows.cli._saved_stores import endpoint_of, is_saved, saved_store
from s3kv_flows.cli._stores.keys import say_keys
from s3kv_flows.cli._terminal import say

if TYPE_CHECKING:
    from s3kv_flows.blocks import S3KVStore

__all__ = ["init"]


def init(
    name: str,
    *,
    bucket: str | None = None,
    endpoint_url: str | None = None,
    region: str | None = None,
    prefix: str | None = None,
    namespace: str | None = None,
    verify: Path | None = None,
    no_verify: Annotated[bool, Parameter(negative="")] = False,
    signing_key: str | None = None,
    trust: Annotated[tuple[str, ...], Parameter(negative="")] = (),
    object_lock: Annotated[bool, Parameter(negative="")] = False,
    save_credentials: Annotated[bool, Parameter(negative="")] = False,
    overwrite: Annotated[bool, Parameter(negative="")] = False,
    update: Annotated[bool, Parameter(negative="")] = False,
) -> int:
    """Create the bucket if it does not exist, and save the store as a Prefect block.

    The store gets a key that it signs with, unless it has keys, or the environment names some.

    Parameters
    ----------
    name
        The name of the store in pipelines: caching("NAME").
    bucket
        The bucket.
    endpoint_url
        URL of an S3-compatible server, without the bucket; by default S3_ENDPOINT_URL of the environment,
        or what boto3 finds there or in a profile (AWS_ENDPOINT_URL), or else AWS. It is saved.
    region
        Region of the bucket.
    prefix
        The prefix of the names of values, by default s3kv/; results lie beside it.
    namespace
        Sets the cached results of this store's users apart from those of others in the bucket.
    verify
        Path of the only CA bundle to trust, on each machine that runs tasks. By default, every process
        trusts what boto3 would: AWS_CA_BUNDLE, the profile, or the bundle that it ships.
    no_verify
        Verify no certificates at all.
    signing_key
        The key to sign with, as file:PATH of a file on each machine that runs tasks.
    trust
        A public key to trust: s3kv-pk1:NAME:KEY. With trusted keys and no signing key, the store only reads.
    object_lock
        Create the bucket with Object Lock, so that outputs can be finalized. It versions the bucket.
    save_credentials
        Save AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN of the environment in the
        block. Without it, every process finds credentials by itself.
    overwrite
        Replace the store that is saved under this name; it keeps its keys.
    update
        Change the store that is saved under this name where options are given, and give it a key if it has
        none.
    """
    from s3kv_flows.blocks import S3KVStore
    from s3kv_flows.cli._stores.strangers import refuse_strangers
    from s3kv_flows.store._kv import endpoint_from_environment

    if verify is not None and no_verify:
        raise ValueError("--verify names a CA bundle, and --no-verify trusts everybody: give one of them")
    if verify is not None and not verify.is_file():
        raise ValueError(f"--verify: there is no CA bundle {str(verify)!r}")
    if bucket is None and not update:
        raise ValueError("--bucket is required, unless a saved store is changed with --update")
    given: dict[str, Any] = {
        "bucket_name": bucket,
        "endpoint_url": endpoint_url,
        "region_name": region,
        "prefix": prefix,
        "namespace": namespace,
        # Whoever loads the store has another working directory.
        "verify": False if no_verify else str(verify.absolute()) if verify is not None else None,
        "signing_key": signing_key,
        "trusted_keys": list(trust) or None,
        **(_credentials() if save_credentials else {}),
    }
    given = {field: value for field, value in given.items() if value is not None}
    # First the checks that leave nothing behind when they fail: the name, and Prefect's API.
    if update:
        store = S3KVStore(**{**_fields(saved_store(name)), **given})
    else:
        store = S3KVStore(**{"endpoint_url": endpoint_from_environment(), **given})
        if is_saved(name) and not overwrite:
            raise ValueError(
                f"a store is already saved as {name!r}: choose another name, change it with --update, or "
                "give --overwrite"
            )
    store.endpoint_url = endpoint_of(store)
    created = store.values.create_bucket(object_lock=object_lock)
    bucket_name, server = store.bucket_name, store.values.client.server
    say(f"{'Created' if created else 'Found'} bucket {bucket_name!r} at {server}.")
    store.settle_keys(name)
    if not created:
        refuse_strangers(store)
    store.save(name, overwrite=overwrite or update)
    say(f"Saved the store as {name!r}: use it with @task(**caching({name!r})).")
    say_keys(store)
    return 0


def _fields(store: S3KVStore) -> dict[str, Any]:
    return {field: getattr(store, field) for field in type(store).model_fields}


def _credentials() -> dict[str, Any]:
    names = ("aws_access_key_id", "aws_secret_access_key", "aws_session_token")
    found = {name: os.environ.get(name.upper()) for name in names}
    if not found["aws_access_key_id"] or not found["aws_secret_access_key"]:
        raise ValueError("AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY are not set in the environment")
    return {name: value for name, value in found.items() if value}
