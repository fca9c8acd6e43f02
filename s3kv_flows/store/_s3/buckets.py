"""Create and configure buckets: versioning, Object Lock, lifecycle, policy."""

from __future__ import annotations

from typing import Any, Literal

from s3kv_flows.store._s3.capabilities import Capabilities, KnownObjectLock
from s3kv_flows.store._s3.config import S3Config, is_aws
from s3kv_flows.store._s3.transport.boto import Boto, drop_none
from s3kv_flows.store._s3.transport.hooks import AS_SENT
from s3kv_flows.store._s3.transport.responses import locks_by_default
from s3kv_flows.store._s3.transport.translation import NO_LIFECYCLE, NO_LOCK, NO_POLICY, NOT_OFFERED
from s3kv_flows.store._s3.types import LifecycleConfiguration
from s3kv_flows.store.errors import AccessDeniedError, UnsupportedByServerError

__all__ = ["Buckets"]


class Buckets:
    """The operations of a client on buckets; see :class:`s3kv_flows.store._s3.client.S3Client`."""

    config: S3Config
    capabilities: Capabilities
    _boto: Boto

    @property
    def server(self) -> str:
        """The identity of the server, whatever the source of its endpoint.

        Two buckets of the same name are the same bucket if this is equal; see
        :func:`s3kv_flows.store._s3.config.server_of`.
        """
        return self._boto.server

    def create_bucket(self, bucket: str, *, object_lock: bool) -> None:
        """Create a bucket.

        Raises:
            ConflictError: It exists.
        """
        region = self._boto.region
        params: dict[str, Any] = {"Bucket": bucket, "ObjectLockEnabledForBucket": object_lock}
        if is_aws(self._boto.client.meta.endpoint_url) and region != "us-east-1":
            params["CreateBucketConfiguration"] = {"LocationConstraint": region}
        self._boto.call("create_bucket", params)
        self.capabilities.forget(bucket)

    def bucket_exists(self, bucket: str) -> bool:
        """Tell whether the bucket exists and can be accessed."""
        return self._boto.bucket_exists(bucket)

    def versioning(self, bucket: str) -> Literal["Enabled", "Suspended"] | None:
        """Return the versioning status of the bucket; None if versioning was never enabled."""
        response: dict[str, Any] = self._boto.call("get_bucket_versioning", {"Bucket": bucket})
        return response.get("Status") or None

    def is_versioned(self, bucket: str) -> bool:
        """Tell whether versioning is enabled or suspended: old versions remain after a suspension."""
        return self.versioning(bucket) is not None

    def has_default_retention(self, bucket: str) -> bool:
        """Tell whether the bucket has a default retention or event hold, which locks every new version."""
        response = self._boto.call("get_object_lock_configuration", {"Bucket": bucket}, none=NO_LOCK)
        return AS_SENT in response and locks_by_default(response[AS_SENT])

    def takes_lifecycle_rules(self, bucket: str) -> bool:
        """Tell whether the bucket can have lifecycle rules; not whether the server executes them."""
        try:
            self._boto.call("get_bucket_lifecycle_configuration", {"Bucket": bucket}, none=NO_LIFECYCLE)
        except UnsupportedByServerError:
            return False
        return True

    def get_lifecycle(self, bucket: str) -> LifecycleConfiguration:
        """Return the lifecycle rules of the bucket. AWS may return the previous ones for some minutes."""
        try:
            response = self._boto.call(
                "get_bucket_lifecycle_configuration", {"Bucket": bucket}, none=NO_LIFECYCLE
            )
        except UnsupportedByServerError as exc:
            if exc.code not in NOT_OFFERED:
                raise
            unsupported = UnsupportedByServerError(f"{self.server} does not support lifecycle rules")
            unsupported.code = exc.code
            raise unsupported from exc
        return LifecycleConfiguration(
            response.get("Rules", []), response.get("TransitionDefaultMinimumObjectSize")
        )

    def put_lifecycle(self, bucket: str, configuration: LifecycleConfiguration) -> None:
        """Replace all lifecycle rules of the bucket, also those of others; S3 supports no condition here."""
        if not configuration.rules:  # S3 does not accept an empty list
            self._boto.call("delete_bucket_lifecycle", {"Bucket": bucket}, none=NO_LIFECYCLE)
            return
        params = drop_none(
            Bucket=bucket,
            LifecycleConfiguration={"Rules": configuration.rules},
            TransitionDefaultMinimumObjectSize=configuration.transition_default_minimum_object_size,
        )
        self._boto.call("put_bucket_lifecycle_configuration", params)

    def get_bucket_policy(self, bucket: str) -> str | None:
        """Return the policy of the bucket as JSON, None if it has none."""
        policy: str | None = self._boto.call("get_bucket_policy", {"Bucket": bucket}, none=NO_POLICY).get(
            "Policy"
        )
        return policy

    def put_bucket_policy(self, bucket: str, policy: str) -> None:
        """Replace the policy of the bucket."""
        self._boto.call("put_bucket_policy", {"Bucket": bucket, "Policy": policy})

    def has_object_lock(self, bucket: str, *, surely: bool = False) -> bool:
        """Tell whether Object Lock is enabled for the bucket: one request, then cached.

        A bucket whose response to a PUT has no version id cannot have it, which saves the request. Without
        the permission it returns True: the ways to write with Object Lock are correct on any bucket. With
        ``surely``, an inferred result, or one that is older than five minutes, is requested again.
        """
        known = self.capabilities.object_lock(bucket)
        if known is None or (surely and known.is_outdated_by_versions()):
            known = self._fetch_object_lock(bucket)
            self.capabilities.remember(bucket, known)
        return known.object_lock

    def _fetch_object_lock(self, bucket: str) -> KnownObjectLock:
        try:
            response = self._boto.call("get_object_lock_configuration", {"Bucket": bucket}, none=NO_LOCK)
        except AccessDeniedError:
            return KnownObjectLock(object_lock=True, inferred=True)
        lock_configuration: dict[str, str] = response.get("ObjectLockConfiguration", {})
        return KnownObjectLock(lock_configuration.get("ObjectLockEnabled") == "Enabled")
