from __future__ import annotations

import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from s3kv_flows.store import S3KV
from s3kv_flows.store.local_cache import CachedObject, LocalCache, default_directory
from tests.proxy import CountingProxy

DAY = 86400


def cached(body: bytes = b"body") -> CachedObject:
    return CachedObject('"etag"', "application/json", bytearray(body))


def age(cache: LocalCache, name: str, seconds: float) -> None:
    path = cache._path(name)
    then = path.stat().st_mtime - seconds
    os.utime(path, (then, then))


@pytest.fixture
def cache(tmp_path: Path) -> LocalCache:
    return LocalCache("server bucket", directory=tmp_path / "cache", max_bytes=10_000)


def test_what_was_put_is_there(cache: LocalCache) -> None:
    assert cache.get("name") is None
    cache.put("name", cached(b"line\nline"))
    assert cache.get("name") == cached(b"line\nline")
    cache.discard("name")
    assert cache.get("name") is None


@pytest.mark.parametrize("name", ["../../escape", "/etc/passwd", "a/../..", "x" * 1000])
def test_no_name_leaves_the_directory(cache: LocalCache, tmp_path: Path, name: str) -> None:
    cache.put(name, cached())
    assert cache.get(name) == cached()
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert [path.parent for path in files] == [cache.directory]


def test_nobody_else_can_read_it(cache: LocalCache) -> None:
    cache.put("name", cached())
    modes = {stat.S_IMODE(path.stat().st_mode) for path in (cache.directory, cache.directory.parent)}
    assert modes == {0o700}
    assert {stat.S_IMODE(path.stat().st_mode) for path in cache.directory.iterdir()} == {0o600}


@pytest.mark.parametrize("damage", [b"", b"x", b"x" * 31, b"\0" * 200])
def test_a_damaged_file_is_a_miss(cache: LocalCache, damage: bytes) -> None:
    cache.put("name", cached())
    cache._path("name").write_bytes(damage)
    assert cache.get("name") is None


def test_the_least_recently_used_go_when_it_is_full(cache: LocalCache) -> None:
    for number in range(4):
        cache.put(f"name{number}", cached(b"x" * 2000))
        age(cache, f"name{number}", 100 - number)
    cache.get("name0")
    cache.put("name4", cached(b"x" * 2000))
    kept = [number for number in range(5) if cache.get(f"name{number}")]
    assert kept == [0, 2, 3, 4]
    assert cache.size() <= cache.max_bytes


def test_what_is_larger_than_the_cache_is_not_kept(cache: LocalCache) -> None:
    cache.put("name", cached(b"x" * 20_000))
    assert cache.get("name") is None


def test_only_what_was_not_used_for_long_is_aged(cache: LocalCache) -> None:
    for name in ("old", "new"):
        cache.put(name, cached())
    age(cache, "old", 8 * DAY)
    assert cache.clear_older_than(7 * DAY) == 1
    assert cache.get("new")
    assert cache.clear() == 1


def test_a_disk_that_cannot_be_written_is_no_error(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    cache = LocalCache("scope", directory=file)
    cache.put("name", cached())
    assert cache.get("name") is None
    assert cache.clear_older_than(0) == 0


def test_caches_of_two_buckets_are_apart(tmp_path: Path) -> None:
    one, two = (LocalCache(scope, directory=tmp_path) for scope in ("server one", "server two"))
    one.put("name", cached())
    assert two.get("name") is None


def test_it_lies_below_the_users_cache_directory() -> None:
    assert default_directory() == Path(os.environ["XDG_CACHE_HOME"]) / "s3kv_flows"


def test_a_cached_value_costs_one_request_without_a_body(
    make_store: Callable[..., S3KV], proxy: CountingProxy
) -> None:
    store = make_store(endpoint_url=proxy.url, enable_local_cache=True)
    store.add("key", "x" * 100_000)
    assert store.get("key") == "x" * 100_000
    with proxy.counting() as wire:
        assert store.get("key") == "x" * 100_000
    assert dict(wire.requests) == {"GET": 1}
    assert wire.body_received == 0


def test_a_value_that_somebody_else_changed_is_seen(make_store: Callable[..., S3KV]) -> None:
    caching = make_store(enable_local_cache=True)
    other = make_store(bucket_name=caching.bucket_name)
    caching.add("key", 1)
    assert caching.get("key") == 1
    other.add("key", 2)
    assert caching.get("key") == 2
    other.delete("key")
    assert caching.get("key", "gone") == "gone"


def test_the_store_ages_and_clears_its_copies(make_store: Callable[..., S3KV]) -> None:
    store = make_store(enable_local_cache=True)
    for key in ("a", "b", "c"):
        store.add(key, key)
        store.get(key)
    age(store.local_cache, "s3kv/a.json", 3 * DAY)
    assert store.clear_old_cache(2) == 1
    store.clear_cache_for_key("b")
    assert [key for key in "abc" if store.local_cache.get(f"s3kv/{key}.json")] == ["c"]
    store.clear_cache()
    assert store.local_cache.size() == 0
