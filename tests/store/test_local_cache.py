from __future__ import annotations

import json
import os
import socket
import stat
import subprocess
import sys
import tracemalloc
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

from s3kv_flows.store import S3KV
from s3kv_flows.store._objects.bucket import GuardedBucket
from s3kv_flows.store._s3.types import Fetched, NotModified, ObjectInfo
from s3kv_flows.store._values import local_cache
from s3kv_flows.store._values.local_cache import CachedObject, LocalCache, default_directory
from tests.support.proxy import CountingProxy
from tests.support.waiting import PATIENCE

DAY = 86400
SOMEBODY = 12345
"""A user id that is not of whoever runs the tests."""

as_root = pytest.mark.skipif(
    not hasattr(os, "getuid") or os.getuid() != 0, reason="only root can give files away"
)
links = pytest.mark.skipif(sys.platform == "win32", reason="links and pipes are of POSIX")


def cached(body: bytes = b"body") -> CachedObject:
    moment = datetime(2026, 1, 1, tzinfo=timezone.utc)
    info = ObjectInfo("key", '"etag"', len(body), moment, moment, metadata={"s3kv-codec": "json"})
    return CachedObject(info, bytearray(body))


def age(cache: LocalCache, name: str, seconds: float) -> None:
    """Let an entry have been used and confirmed so long ago."""
    path = cache._path(name)
    status = path.stat()
    os.utime(path, (status.st_atime - seconds, status.st_mtime - seconds))


@pytest.fixture
def cache(tmp_path: Path) -> LocalCache:
    return LocalCache("server bucket", directory=tmp_path / "cache", max_bytes=10_000)


def test_what_was_put_is_there(cache: LocalCache) -> None:
    assert cache.get("name") is None
    cache.put("name", cached(b"line\nline"))
    found = cache.get("name")
    assert found is not None
    assert (bytes(found.body), found.info.etag, found.info.metadata) == (
        b"line\nline",
        '"etag"',
        {"s3kv-codec": "json"},
    )
    cache.discard("name")
    assert cache.get("name") is None


@pytest.mark.parametrize("name", ["../../escape", "/etc/passwd", "a/../..", "x" * 1000])
def test_no_name_leaves_the_directory(cache: LocalCache, tmp_path: Path, name: str) -> None:
    cache.put(name, cached())
    assert (found := cache.get(name)) is not None
    assert (found.info.name, bytes(found.body)) == (name, b"body")
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
        cache.put(f"name{number}", cached(b"x" * 1900))
        age(cache, f"name{number}", 100 - number)
    cache.get("name0")
    cache.put("name4", cached(b"x" * 1900))
    kept = [number for number in range(5) if cache.get(f"name{number}")]
    assert kept == [0, 2, 3, 4]
    assert cache.size() <= cache.max_bytes


def test_a_directory_that_is_not_full_is_not_walked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache = LocalCache("scope", directory=tmp_path, max_bytes=1_000_000)
    walks = []
    original = LocalCache._files

    def counting(self: LocalCache) -> object:
        walks.append(1)
        return original(self)

    monkeypatch.setattr(LocalCache, "_files", counting)
    for number in range(1000):
        cache.put(f"name{number}", cached(b"x" * 3000))
    assert len(walks) < 250
    monkeypatch.undo()
    assert cache.size() <= cache.max_bytes
    assert cache.get("name999")


SHARING = """
import sys
from datetime import datetime, timezone
from pathlib import Path
from s3kv_flows.store._values.local_cache import CachedObject, LocalCache
from s3kv_flows.store._s3.types import ObjectInfo
moment = datetime(2026, 1, 1, tzinfo=timezone.utc)
cache = LocalCache("scope", directory=Path(sys.argv[1]), max_bytes=200_000)
for round in range(30):
    for number in range(20):
        name, body = f"name{number}", bytes([65 + number]) * (1000 + 37 * number)
        info = ObjectInfo(name, "etag", len(body), moment, moment)
        cache.put(name, CachedObject(info, bytearray(body)))
        found = cache.get(name)
        assert found is None or found.body == body, "torn"
    if round % 10 == 9:
        cache.clear()
print(cache.size())
"""


def test_many_processes_may_share_it(tmp_path: Path) -> None:
    command = [sys.executable, "-c", SHARING, str(tmp_path)]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    processes = [subprocess.Popen(command, text=True, **pipes) for _ in range(3)]  # type: ignore[call-overload]
    for process in processes:
        output, errors = process.communicate(timeout=PATIENCE)
        assert process.returncode == 0, errors
        assert int(output) <= 200_000
    left = [path.suffix for path in tmp_path.rglob("*") if path.is_file()]
    assert set(left) <= {".cached"}, "no temporary file is left behind"


@pytest.mark.parametrize("mode", [0o770, 0o707, 0o777])
def test_a_directory_that_others_may_write_to_is_not_used(cache: LocalCache, mode: int) -> None:
    cache.directory.mkdir(parents=True)
    cache.directory.chmod(mode)
    cache.put("name", cached())
    assert list(cache.directory.iterdir()) == []
    assert cache.get("name") is None


def test_a_file_that_others_may_write_to_or_a_link_is_not_used(cache: LocalCache, tmp_path: Path) -> None:
    cache.put("name", cached())
    cache._path("name").chmod(0o666)
    assert cache.get("name") is None
    elsewhere = tmp_path / "elsewhere"
    LocalCache.put(cache, "other", cached())
    cache._path("other").rename(elsewhere)
    elsewhere.chmod(0o666)
    cache._path("other").symlink_to(elsewhere)
    assert cache.get("other") is None


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


def test_an_age_has_a_unit(make_store: Callable[..., S3KV]) -> None:
    assert make_store(cache_max_age="90s").cache_max_age == timedelta(seconds=90)
    with pytest.raises(ValueError, match="30 has no unit: write 30d for days, 30s for seconds"):
        make_store(cache_max_age=30)


def test_within_the_age_that_is_allowed_nothing_is_asked(
    make_store: Callable[..., S3KV], proxy: CountingProxy
) -> None:
    store = make_store(endpoint_url=proxy.url, enable_local_cache=True, cache_max_age=timedelta(minutes=5))
    other = make_store(bucket_name=store.bucket_name)
    store.add("key", 1)
    assert store.get("key") == 1
    other.add("key", 2)
    with proxy.counting() as wire:
        assert store.get("key") == 1, "it may be that old"
    assert wire.requests.total() == 0
    age(store.local_cache, "s3kv/key.json", 299)
    assert store.get("key") == 1
    age(store.local_cache, "s3kv/key.json", 2)
    with proxy.counting() as wire:
        assert store.get("key") == 2, "older than that, it is asked for"
    assert dict(wire.requests) == {"GET": 1}
    age(store.local_cache, "s3kv/key.json", 301)
    with proxy.counting() as wire:
        assert store.get("key") == 2
        assert store.get("key") == 2, "confirmed anew"
    assert (dict(wire.requests), wire.body_received) == ({"GET": 1}, 0)


def test_ones_own_changes_are_seen_at_once_whatever_the_age(make_store: Callable[..., S3KV]) -> None:
    store = make_store(enable_local_cache=True, cache_max_age=timedelta(days=1))
    changes: list[tuple[Callable[[], object], object]] = [
        (lambda: store.add("key", {"n": 1}), {"n": 1}),
        (lambda: store.add_many({"key": {"n": 2}, "other": {"o": 1}}), {"n": 2}),
        (lambda: store.update("key", lambda value: {"n": value["n"] + 1}), {"n": 3}),
        (lambda: store.merge_keys(["other"], "key"), {"n": 3, "o": 1}),
        (lambda: store.copy_key("other", "key"), {"o": 1}),
        (lambda: store.add("key", 4, tags={"a": "b"}), 4),
        (lambda: store.delete_by_tag("a", "b"), None),
        (lambda: store.add("key", 5), 5),
        (lambda: store.purge("key"), None),
        (lambda: store.add("key", 6), 6),
        (lambda: store.delete("key"), None),
    ]
    for change, expected in changes:
        change()
        assert store.get("key") == store.get("key") == expected


def test_a_corrupt_copy_is_a_miss_and_not_an_error(make_store: Callable[..., S3KV]) -> None:
    store = make_store(enable_local_cache=True, cache_max_age=timedelta(days=1))
    store.add("key", "right")
    assert store.get("key") == "right"
    path = store.local_cache._path("s3kv/key.json")
    path.write_bytes(path.read_bytes().replace(b"right", b"wrong"))
    assert store.get("key") == "right"


def test_a_copy_that_was_confirmed_in_the_future_is_asked_for(
    make_store: Callable[..., S3KV], proxy: CountingProxy
) -> None:
    store = make_store(endpoint_url=proxy.url, enable_local_cache=True, cache_max_age=timedelta(minutes=5))
    store.add("key", 1)
    store.get("key")
    age(store.local_cache, "s3kv/key.json", -3600)  # the clock was set back, or another host is ahead
    with proxy.counting() as wire:
        assert store.get("key") == 1
    assert wire.requests.total() == 1


def test_what_was_asked_for_before_a_change_is_not_kept_after_it(
    make_store: Callable[..., S3KV], monkeypatch: pytest.MonkeyPatch
) -> None:
    store = make_store(enable_local_cache=True, cache_max_age=timedelta(days=1))
    store.add("key", "old")
    original = GuardedBucket.get

    def slow(self: GuardedBucket, *args: Any, **kwargs: Any) -> Fetched:
        monkeypatch.setattr(GuardedBucket, "get", original)
        fetched = original(self, *args, **kwargs)
        store.add("key", "new")  # by another thread, while the answer is on its way
        return fetched

    monkeypatch.setattr(GuardedBucket, "get", slow)
    assert store.get("key") == "old"
    assert store.get("key") == "new"


def test_the_same_bytes_of_another_codec_are_read_anew(make_store: Callable[..., S3KV]) -> None:
    texts = make_store(enable_local_cache=True)
    raw = make_store(bucket_name=texts.bucket_name, codec="bytes", enable_local_cache=True)
    raw.add("key", b"5")
    assert raw.get("key") == b"5"
    texts.add("key", 5)  # the same ETag
    assert texts.get("key") == 5
    assert texts.get("key") == 5


def test_files_that_were_swapped_are_no_copies_of_each_other(cache: LocalCache) -> None:
    cache.put("one", cached(b"1"))
    cache.put("two", cached(b"2"))
    cache._path("one").replace(cache._path("two"))
    assert cache.get("two") is None


def test_a_merge_takes_its_sources_as_they_are_now(make_store: Callable[..., S3KV]) -> None:
    store = make_store(enable_local_cache=True, cache_max_age=timedelta(days=1))
    other = make_store(bucket_name=store.bucket_name)
    store.add("a", {"n": 1})
    assert store.get("a") == {"n": 1}
    other.add("a", {"n": 2})
    store.merge_keys(["a"], "all")
    assert store.get("all") == {"n": 2}


@pytest.mark.parametrize(("moved", "requests"), [(timedelta(0), 0), (timedelta(seconds=5), 1)])
def test_the_same_bytes_with_other_metadata_are_fetched_anew(
    make_store: Callable[..., S3KV],
    proxy: CountingProxy,
    monkeypatch: pytest.MonkeyPatch,
    moved: timedelta,
    requests: int,
) -> None:
    """As after a copy of an object onto itself: the ETag stays, and the moment does not.

    S3 tells it with its 304, which moto does not.
    """
    store = make_store(endpoint_url=proxy.url, enable_local_cache=True)
    store.add("key", 1)
    written = store.fetch("key").info.last_modified
    monkeypatch.setattr(GuardedBucket, "get_unless", lambda *_, **__: NotModified(written + moved))
    with proxy.counting() as wire:
        assert store.fetch("key").info.last_modified == written
    assert wire.requests.total() == requests


# --- what others plant ------------------------------------------------------------------------------


def fill(cache: LocalCache) -> None:
    for number in range(6):
        cache.put(f"new{number}", cached(b"x" * 4000))


REMOVALS: dict[str, Callable[[LocalCache], object]] = {
    "clear": lambda cache: cache.clear(),
    "age": lambda cache: cache.clear_older_than(DAY),
    "discard": lambda cache: cache.discard("name"),
    "too large": lambda cache: cache.put("name", cached(b"x" * 20_000)),
    "full": fill,
}
every_removal = pytest.mark.parametrize("remove", REMOVALS.values(), ids=REMOVALS)


def old(path: Path) -> Path:
    """Let a file be as old as what goes first."""
    os.utime(path, (0, 0))
    return path


@pytest.fixture(params=["by descriptor", "by path"])
def platform(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run a test as on a platform that names files relative to a directory, and as on one that does not."""
    if request.param == "by path":
        monkeypatch.setattr(local_cache, "_BY_DESCRIPTOR", False)


@links
@every_removal
@pytest.mark.usefixtures("platform")
def test_nothing_is_removed_behind_a_link_in_the_place_of_the_directory(
    cache: LocalCache, tmp_path: Path, remove: Callable[[LocalCache], object]
) -> None:
    others = LocalCache("another scope", directory=tmp_path / "others")
    others.put("name", cached())
    theirs = [old(others._path("name"))]
    (others.directory / "thesis.tex").touch()
    theirs.append(old(others.directory / "thesis.tex"))
    cache.directory.parent.mkdir()
    cache.directory.symlink_to(others.directory)
    remove(cache)
    assert sorted(others.directory.iterdir()) == sorted(theirs)
    assert cache.directory.is_symlink()
    assert (cache.get("name"), cache.size()) == (None, 0)


@links
@every_removal
@pytest.mark.usefixtures("platform")
def test_what_is_no_file_of_the_cache_stays(
    cache: LocalCache, tmp_path: Path, remove: Callable[[LocalCache], object]
) -> None:
    cache.put("name", cached())
    victim = tmp_path / "victim"
    victim.write_bytes(b"x" * 50_000)
    planted = [cache.directory / f"{digit * 64}.cached" for digit in "abc"]
    planted[0].symlink_to(old(victim))
    os.mkfifo(planted[1])
    planted[2].mkdir()
    strange = [
        cache.directory / name for name in ("notes.txt", ".cached", "tmpabc", f"{'d' * 64}.cached.bak")
    ]
    for path in strange:
        path.touch()
    for path in (*planted[1:], *strange):
        old(path)
    remove(cache)
    assert {*planted, *strange} <= set(cache.directory.iterdir())
    assert victim.stat().st_size == 50_000
    assert cache.size() < 50_000, "it is not the size of what a link leads to"


@links
@pytest.mark.usefixtures("platform")
def test_what_lies_in_the_place_of_a_copy_is_left_and_nobody_waits_for_it(
    cache: LocalCache, tmp_path: Path
) -> None:
    elsewhere = tmp_path / "elsewhere"
    LocalCache("server bucket", directory=tmp_path / "cache").put("name", cached())
    cache._path("name").rename(elsewhere)
    before = old(elsewhere).stat()
    plants: list[Callable[[Path], object]] = [
        os.mkfifo,
        lambda path: path.mkdir(),
        lambda path: path.symlink_to(elsewhere),
    ]
    for name, plant in zip(("name", "b", "c"), reversed(plants), strict=True):
        plant(path := cache._path(name))
        kind = stat.S_IFMT(path.lstat().st_mode)
        assert cache.get(name) is None
        cache.confirm(name, 1.0)
        cache.put(name, cached())
        cache.discard(name)
        assert stat.S_IFMT(path.lstat().st_mode) == kind
    assert elsewhere.stat() == before
    assert len(list(cache.directory.iterdir())) == 3, "nothing unfinished is left"


@as_root
@every_removal
@pytest.mark.usefixtures("platform")
def test_files_of_somebody_else_stay(cache: LocalCache, remove: Callable[[LocalCache], object]) -> None:
    for name in ("name", "other"):
        cache.put(name, cached())
        os.chown(old(cache._path(name)), SOMEBODY, SOMEBODY)
    remove(cache)
    assert cache._path("name").exists()
    assert cache._path("other").exists()
    assert cache.get("name") is None


@as_root
@every_removal
@pytest.mark.usefixtures("platform")
def test_nothing_is_removed_in_a_directory_of_somebody_else(
    cache: LocalCache, remove: Callable[[LocalCache], object]
) -> None:
    cache.put("name", cached())
    old(cache._path("name"))
    os.chown(cache.directory, SOMEBODY, SOMEBODY)
    remove(cache)
    assert list(cache.directory.iterdir()) == [cache._path("name")]
    assert cache.get("name") is None


@links
def test_a_link_that_comes_after_the_check_changes_nothing(cache: LocalCache, tmp_path: Path) -> None:
    others = LocalCache("another scope", directory=tmp_path / "others")
    for one in (cache, others):
        one.put("name", cached())
    with cache._opened() as directory:
        cache.directory.rename(tmp_path / "aside")
        cache.directory.symlink_to(others.directory)
        assert directory.remove(cache._path("name").name)
    assert others.get("name")


def test_what_a_killed_writer_left_is_aged(cache: LocalCache) -> None:
    cache.put("name", cached())
    left = cache._path("name").with_suffix(f".{'0' * 16}.unfinished")
    left.touch()
    assert cache.clear_older_than(DAY) == 0
    old(left)
    assert cache.clear_older_than(DAY) == 0, "it is no copy"
    assert list(cache.directory.iterdir()) == [cache._path("name")]


@links
def test_ageing_by_the_store_leaves_what_others_planted(
    make_store: Callable[..., S3KV], tmp_path: Path
) -> None:
    store = make_store(enable_local_cache=True)
    store.add("key", 1)
    store.get("key")
    directory = store.local_cache.directory
    aside = directory.rename(tmp_path / "aside")
    directory.symlink_to(aside)
    theirs = old(next(aside.iterdir()))
    assert store.clear_old_cache(1) == 0
    store.clear_cache_for_key("key")
    store.clear_cache()
    assert theirs.exists()


# --- what files may be instead ------------------------------------------------------------------------


def planted(cache: LocalCache, head: dict[str, object] | bytes, body: bytes = b"body") -> None:
    """Plant a file with a right digest, as this user could."""
    text = head if isinstance(head, bytes) else json.dumps(head).encode() + b"\n"
    cache.put("name", cached())
    cache._path("name").write_bytes(local_cache._digest(text, body) + text + body)


HEAD: dict[str, object] = {
    "format": 5,
    "name": "name",
    "size": 4,
    "etag": '"e"',
    "last_modified": "2026-01-01T00:00:00+00:00",
    "version_id": None,
    "content_type": "",
    "metadata": {},
}


@pytest.mark.parametrize(
    "wrong",
    [
        b"[]\n",
        b"3\n",
        b"no JSON\n",
        b"[" * 60_000 + b"\n",
        b"\xff\n",
        *({key: value for key, value in HEAD.items() if key != name} for name in HEAD),
        HEAD | {"size": 5},
        HEAD | {"size": 1 << 40},
        HEAD | {"size": True},
        HEAD | {"etag": 3},
        HEAD | {"etag": None},
        HEAD | {"last_modified": "2026-01-01T00:00:00"},
        HEAD | {"last_modified": "2026-02-31T00:00:00+00:00"},
        HEAD | {"version_id": 3},
        HEAD | {"metadata": []},
        HEAD | {"metadata": {"a": 1}},
    ],
    ids=lambda wrong: str(wrong)[:40],
)
def test_a_malformed_head_is_a_miss(cache: LocalCache, wrong: dict[str, object] | bytes) -> None:
    planted(cache, HEAD)
    assert cache.get("name") is not None, "as a head is"
    planted(cache, wrong)
    assert cache.get("name") is None


@pytest.mark.parametrize("size", [1 << 20, 1 << 40, (1 << 62) - 1])
def test_a_sparse_file_takes_no_memory(cache: LocalCache, size: int) -> None:
    planted(cache, HEAD | {"size": size})
    try:
        os.truncate(cache._path("name"), size)
    except OSError:
        pytest.skip("this file system has no such files")
    tracemalloc.start()
    assert cache.get("name") is None
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < 1 << 19


@pytest.mark.parametrize("change", [b"", b"xxxx", None], ids=["shrinks", "changes", "grows"])
def test_a_file_that_changes_while_it_is_read_is_a_miss_or_right(
    cache: LocalCache, monkeypatch: pytest.MonkeyPatch, change: bytes | None
) -> None:
    body = bytes(range(256)) * 30
    cache.put("name", cached(body))
    original = local_cache._decode_head

    def changing(head: bytes, name: str) -> ObjectInfo | None:
        path = cache._path("name")
        with path.open("r+b") as file:
            if change == b"":
                file.truncate(len(head) + 16)
            else:
                file.seek(0 if change else -1, os.SEEK_SET if change else os.SEEK_END)
                file.write(change or b"\xff" * 100_000)
        return original(head, name)

    cache.max_bytes = 1 << 20
    # Python has read its first block by then: the body is longer than that.
    monkeypatch.setattr(local_cache, "_decode_head", changing)
    found = cache.get("name")
    assert found is None or bytes(found.body) == body


@links
@pytest.mark.parametrize("kind", ["pipe", "socket", "directory", "link", "device", "closed", "sparse"])
def test_whatever_is_at_its_path_the_value_is_asked_for(
    make_store: Callable[..., S3KV], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    store = make_store(enable_local_cache=True, cache_max_age=timedelta(days=1))
    store.add("key", "right")
    assert store.get("key") == "right"
    path = store.local_cache._path("s3kv/key.json")
    whole = path.read_bytes()
    path.unlink()
    match kind:
        case "pipe":
            os.mkfifo(path, 0o600)
        case "socket":
            monkeypatch.chdir(path.parent)  # the path of a socket is short
            with socket.socket(socket.AF_UNIX) as listening:
                listening.bind(path.name)
        case "directory":
            path.mkdir()
        case "link":
            elsewhere = tmp_path / "elsewhere"
            elsewhere.write_bytes(whole.replace(b"right", b"wrong"))
            path.symlink_to(elsewhere)
        case "device":
            path.symlink_to("/dev/zero")
        case "closed":
            path.write_bytes(whole.replace(b"right", b"wrong"))
            path.chmod(0)
        case "sparse":
            path.touch(0o600)
            os.truncate(path, 1 << 40)
    assert store.get("key") == "right"
