"""Direct reads: GETs that botocore signs and sends, and no more.

A tag search makes one request per key, and a small result is one GET. For each, the full client needs two to
three times the processor time (endpoint rules, events, models), and it copies a large body twice.
Connections, trusted authorities, proxies, credentials and hooks are those of the full client. It makes all
requests that are answered unusually: it knows redirects to other regions, retries and errors.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, TypeVar

from s3kv_flows.store._layout.printable import loggable
from s3kv_flows.store._s3.transport.connections import Connections, Turn
from s3kv_flows.store._s3.transport.counters import Counters
from s3kv_flows.store._s3.transport.direct.answers import Answer, RawStream
from s3kv_flows.store._s3.transport.direct.documents import error_code
from s3kv_flows.store._s3.transport.direct.kept import KeptConnections
from s3kv_flows.store._s3.transport.direct.private import is_instrumented, session_of
from s3kv_flows.store._s3.transport.direct.templates import Templates
from s3kv_flows.store._s3.transport.failures import FAILURES, NO_CONNECTION, broke_connection
from s3kv_flows.store._s3.transport.time.breaker import Breaker, DownError
from s3kv_flows.store._s3.transport.time.limits import Limits, current_limit
from s3kv_flows.store._s3.transport.translation import OTHER_REGION
from s3kv_flows.store.errors import S3KVError

__all__ = ["DirectReads"]

logger = loggable(__name__)

_MALFORMED = 400
_ELSEWHERE = (301, 302, 307, 308, _MALFORMED)
_ATTEMPTS = 2

T = TypeVar("T")


class DirectReads:
    """Makes the direct reads of a client.

    Args:
        client: The client of boto3.
        credentials: Returns the current credentials, frozen; None if there are none.
        connections: The connections, which the full client shares.
        limits: The time limits.
        breaker: Knows whether the server is down.
        counters: Counts bytes. A hook of the full client counts requests.
    """

    def __init__(
        self,
        client: Any,
        credentials: Callable[[], Any],
        connections: Connections,
        limits: Limits,
        breaker: Breaker,
        counters: Counters,
    ) -> None:
        self._client, self._credentials = client, credentials
        self._limits, self._breaker = limits, breaker
        self._connections, self._counters = connections, counters
        self._session = session_of(client)
        self._templates = Templates(client)
        self._kept = KeptConnections()

    def get(
        self,
        operation: str,
        bucket: str,
        name: str,
        query: Mapping[str, str],
        headers: Mapping[str, str],
        *,
        parse: Callable[[Answer], T],
    ) -> T | None:
        """Make a GET; once more on a new connection if it fails.

        Args:
            operation: The operation, as S3 names it.
            bucket: The bucket.
            name: The object name; empty for a request to the bucket.
            query: The parameters.
            headers: Further headers.
            parse: Called with each answer that sends the request nowhere else. It must read or close the
                body, or keep the stream. A ValueError means that the answer is none of S3.

        Returns:
            What ``parse`` returns. None if the full client has to make the request.
        """
        with self._limits.operation() as limit:
            for _ in range(_ATTEMPTS):
                if self._session is None or is_instrumented(self._client) or limit.is_over:
                    return None
                began = time.monotonic()
                try:
                    return self._ask(operation, bucket, name, query, headers, parse)
                except NO_CONNECTION as exc:
                    logger.debug("the full client makes %s of %r: %s", operation, name, exc)
                    self._breaker.did_not_connect(exc)
                    return None
                except DownError:
                    raise
                except FAILURES as exc:
                    if isinstance(exc, S3KVError) and exc.code:  # it is an answer
                        raise
                    logger.debug("%s of %r failed: %r", operation, name, exc)
                    if broke_connection(exc):
                        self._connections.broke(began)
            return None

    def _ask(
        self,
        operation: str,
        bucket: str,
        name: str,
        query: Mapping[str, str],
        headers: Mapping[str, str],
        parse: Callable[[Answer], T],
    ) -> T | None:
        credentials = self._credentials()
        template = self._templates.of(operation, bucket) if credentials is not None else None
        if template is None:
            return None
        turn = self._connections.take_turn()
        try:
            self._breaker.require_closed(current_limit())
            request = template.request(credentials, name, query, headers)
            answer = self._send(operation, request, turn)
        except BaseException:
            turn.end()
            raise
        try:
            if answer.status not in _ELSEWHERE:
                return parse(answer)
            body = answer.read()
        except BaseException:
            answer.stream.close()
            raise
        logger.debug("the full client makes %s of %r: %s", operation, name, answer.status)
        if answer.status != _MALFORMED or error_code(body) in OTHER_REGION:
            self._templates.refuse(operation, bucket)
        return None

    def _send(self, operation: str, request: Any, turn: Turn) -> Answer:
        """Send a request, or let a hook answer it."""
        began = time.monotonic()
        answered = self._client.meta.events.emit(f"before-send.s3.{operation}", request=request)
        response = next((response for _, response in answered if response is not None), None)
        if response is None:
            patience = self._limits.of_attempt(reads=True, idle=True)
            response = self._kept.send(request, patience=patience, silence=self._limits.silence)
        if response is None:
            request.context["read_timeout"] = self._limits.of_attempt(reads=True)
            response = self._session.send(request)  # type: ignore[union-attr]  # see get()
            self._kept.learn(request.url, response.raw)
        self._breaker.heard()
        limit = current_limit()
        if limit is not None:
            limit.attempts = 0  # it has not waited for long; the full client may still ask
        stream = RawStream(
            response.raw,
            turn,
            self._limits.of_slices(),
            partial(self._connections.broke, began),
            partial(self._counters.add, "bytes.received"),
        )
        return Answer(response.status_code, response.headers, stream)
