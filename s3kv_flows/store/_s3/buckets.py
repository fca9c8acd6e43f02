"""Buckets: that they exist, and how they are configured (versions, Object Lock, lifecycle, policy)."""

from __future__ import annotations

from typing import Any, Literal

from s3kv_flows.store._s3.capabilities import Capabilities, KnownObjectLock
from s3kv_flows.store._s3.config import S3Config, is_aws
from s3kv_flows.store._s3.transport.boto import Boto, drop_none
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
        """The server that is asked, wherever its endpoint comes from.

        Two buckets of the same name are the same bucket where this is the same; see
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
        """Tell whether the bucket exists and may be reached."""
        return self._boto.bucket_exists(bucket)

    def versioning(self, bucket: str) -> Literal["Enabled", "Suspended"] | None:
        """Return whether the bucket keeps versions; None where it never did."""
        answer: dict[str, Any] = self._boto.call("get_bucket_versioning", {"Bucket": bucket})
        return answer.get("Status") or None

    def is_versioned(self, bucket: str) -> bool:
        """Tell whether the bucket keeps versions, or did: old versions outlive a suspension."""
        return self.versioning(bucket) is not None

    def has_default_retention(self, bucket: str) -> bool:
        """Tell whether the bucket locks whatever is written to it."""
        response = self._boto.call("get_object_lock_configuration", {"Bucket": bucket}, none=NO_LOCK)
        return bool(response.get("ObjectLockConfiguration", {}).get("Rule"))

    def takes_lifecycle_rules(self, bucket: str) -> bool:
        """Tell whether the bucket can have lifecycle rules; not whether the server carries them out."""
        try:
            self._boto.call("get_bucket_lifecycle_configuration", {"Bucket": bucket}, none=NO_LIFECYCLE)
        except UnsupportedByServerError:
            return False
        return True

    def get_lifecycle(self, bucket: str) -> LifecycleConfiguration:
        """Return the lifecycle rules of the bucket. AWS may show the former ones for some minutes."""
        try:
            response = self._boto.call(
                "get_bucket_lifecycle_configuration", {"Bucket": bucket}, none=NO_LIFECYCLE
            )
        except UnsupportedByServerError as exc:
            if exc.code not in NOT_OFFERED:
                raise
            refusal = UnsupportedByServerError(f"{self.server} has no lifecycle rules")
            refusal.code = exc.code
            raise refusal from exc
        return LifecycleConfiguration(
            response.get("Rules", []), response.get("TransitionDefaultMinimumObjectSize")
        )

    def put_lifecycle(self, bucket: str, configuration: LifecycleConfiguration) -> None:
        """Replace all lifecycle rules of the bucket, whoever made them. S3 knows no condition for it."""
        if not configuration.rules:  # which S3 does not take
            self._boto.call("delete_bucket_lifecycle", {"Bucket": bucket}, none=NO_LIFECYCLE)
            return
        params = drop_none(
            Bucket=bucket,
            LifecycleConfiguration={"Rules": configuration.rules},
            TransitionDefaultMinimumObjectSize=configuration.transition_default_minimum_object_size,
        )
        self._boto.call("put_bucket_lifecycle_configuration", params)

    def get_bucket_policy(self, bucket: str) -> str | None:
        """Return the policy of the bucket as JSON, None where it has none."""
        policy: str | None = self._boto.call("get_bucket_policy", {"Bucket": bucket}, none=NO_POLICY).get(
            "Policy"
        )
        return policy

    def put_bucket_policy(self, bucket: str, policy: str) -> None:
        """Replace the policy of the bucket."""
        self._boto.call("put_bucket_policy", {"Bucket": bucket, "Policy": policy})

    def has_object_lock(self, bucket: str, *, surely: bool = False) -> bool:
        """Tell whether Object Lock is enabled for the bucket: one request, then remembered.

        A bucket that answers a PUT without a version id cannot have it, which saves the request. A
        caller who may not ask is told True: the careful ways of writing are right on any bucket. With
        ``surely``, a conclusion, or an answer that is older than five minutes, is not enough.
        """
        known = self.capabilities.object_lock(bucket)
        if known is None or (surely and known.is_outdated_by_versions()):
            known = self._ask_object_lock(bucket)
            self.capabilities.remember(bucket, known)
        return known.object_lock

    def _ask_object_lock(self, bucket: str) -> KnownObjectLock:
        try:
            response = self._boto.call("get_object_lock_configuration", {"Bucket": bucket}, none=NO_LOCK)
        except AccessDeniedError:
            return KnownObjectLock(object_lock=True, inferred=True)
        lock_configuration: dict[str, str] = response.get("ObjectLockConfiguration", {})
        return KnownObjectLock(lock_configuration.get("ObjectLockEnabled") == "Enabled")
