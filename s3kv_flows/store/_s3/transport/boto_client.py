"""Create the client of boto3."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime
from functools import cache
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, CredentialRetrievalError
from botocore.loaders import Loader, create_loader
from botocore.session import Session as BotocoreSession
from botocore.utils import parse_timestamp

from s3kv_flows.store._layout.secrets import hide_in_logs, split_url
from s3kv_flows.store._s3.config import S3Config, is_aws
from s3kv_flows.store._s3.transport.responses import moment
from s3kv_flows.store.errors import StoreUnavailableError

__all__ = ["make_client"]

_MAX_CONNECTIONS = 32
"""The number of connections that a client keeps open; further threads wait for one."""

_CONNECT_SECONDS = 5.0

_DEFAULTS: Mapping[str, Any] = {
    "max_pool_connections": _MAX_CONNECTIONS,
    "retries": {"mode": "standard", "total_max_attempts": 4},
    "tcp_keepalive": True,
}
"""Options of ``botocore.config.Config``; those of :class:`S3Config` override them."""


def make_client(config: S3Config) -> tuple[Any, Any]:
    """Return a session of boto3 and its client, which log no secrets.

    Raises:
        ValueError: An unknown profile or option, or a malformed region or endpoint.
        StoreUnavailableError: The configured source of the credentials fails.
    """
    options = {**_DEFAULTS, **_timeouts(config.operation_timeout_seconds), **config.boto_config}

    def make(session: Any, style: str) -> Any:
        return session.client(
            "s3",
            endpoint_url=config.endpoint_url,
            verify=_verify(config),
            config=Config(**options | {"s3": {"addressing_style": style, **options.get("s3", {})}}),
        )

    try:
        base = BotocoreSession()
        parsers = base.get_component("response_parser_factory")
        parsers.set_parser_defaults(timestamp_parser=_moment)
        session = boto3.session.Session(
            config.aws_access_key_id,
            config.aws_secret_access_key,
            config.aws_session_token,
            config.region_name,
            botocore_session=base,
            profile_name=config.profile_name,
        )
        base.register_component("data_loader", _data_loader(base.get_config_variable("data_path")))
        style = config.addressing_style
        # Most S3-compatible servers have no DNS name per bucket.
        by_path = style == "auto" and config.endpoint_url is not None and not is_aws(config.endpoint_url)
        client = make(session, "path" if by_path else style)
        if style == "auto" and not by_path and not is_aws(client.meta.endpoint_url):
            client = make(session, "path")  # the endpoint is from the environment, or from a profile
        hide_in_logs()  # now that the modules are loaded whose loggers these are
        split_url(client.meta.endpoint_url)  # also that of the environment, or of a profile
    except CredentialRetrievalError as exc:
        raise StoreUnavailableError(str(exc)) from exc
    except (BotoCoreError, TypeError) as exc:
        raise ValueError(str(exc)) from exc
    return session, client


def _timeouts(limit: float) -> dict[str, float]:
    """Return the time limits of a connect and of a read from the connection, which may be lowered later."""
    return {"connect_timeout": min(_CONNECT_SECONDS, limit / 4), "read_timeout": limit}


def _verify(config: S3Config) -> bool | str | None:
    """Return the argument for boto3: with True, it would ignore the environment and the profile."""
    return None if config.verify is True else config.verify


@cache
def _data_loader(data_path: str | None) -> Loader:
    """Return a loader that caches botocore's descriptions of S3.

    By default each session has its own loader, so that each client would load them again, which takes most of
    the time to create one. They are read-only: the clients of one session share them as well.
    """
    return create_loader(data_path)


def _moment(value: Any) -> datetime:
    """Parse a time in a response: a listing has a thousand of them, and botocore takes 0.1 ms for each."""
    if isinstance(value, str) and value.endswith("Z"):
        with suppress(ValueError):
            return moment(value)
    parsed: datetime = parse_timestamp(value)
    return parsed
