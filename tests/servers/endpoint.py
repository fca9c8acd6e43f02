"""The server that the environment names: ``S3KV_TEST_ENDPOINT``, and the keys for it.

Everything happens in new buckets, which are emptied and deleted afterwards, except for what is locked
in compliance mode: that ends by itself, after a day.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

from tests.servers.server import Server


@contextmanager
def endpoint() -> Iterator[Server]:
    yield Server(
        "endpoint",
        os.environ["S3KV_TEST_ENDPOINT"],
        os.environ["S3KV_TEST_ACCESS_KEY_ID"],
        os.environ["S3KV_TEST_SECRET_ACCESS_KEY"],
        is_ours=False,
    )
