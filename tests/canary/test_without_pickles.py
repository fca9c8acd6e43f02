"""A store with allow_pickle=False, which has no keys: whoever writes to its bucket gives it JSON at most."""

from __future__ import annotations

import asyncio
import base64
import pickle
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from prefect import task

from s3kv_flows import Checkpoint, caching
from s3kv_flows._results.codec import PLAIN_CODEC, RESULT_CODEC
from s3kv_flows.checkpoints._snapshots import Snapshots
from s3kv_flows.store import S3KV
from s3kv_flows.store._values.frames.frames import pack
from s3kv_flows.store.errors import CorruptValueError
from tests.canary.attacks import OURS, Stored, bare_pickle, hostile_frame, polyglot, prefects_record, stored
from tests.canary.paths import SERIALIZERS, World
from tests.canary.watch import Watch, forbidding, watching
from tests.support.frames import format3

VALUE = {"a": [1, 2.5, None, "text"]}
TYPES = {"plain": PLAIN_CODEC.content_type, "pickle": RESULT_CODEC.content_type, "json": "application/json"}

BODIES: dict[str, Callable[[], bytes]] = {
    "a bare pickle": bare_pickle,
    "a bare pickle in base64": lambda: base64.encodebytes(bare_pickle()),
    "a record of Prefect": prefects_record,
    "a frame of a pickle": hostile_frame,
    "a frame of a pickle in base64": lambda: base64.b64encode(hostile_frame()),
    "format 3": lambda: bytes(format3([bare_pickle()])),
}

Made = Callable[..., World]


@pytest.fixture(scope="module", params=[False, True], ids=["without keys", "with keys"])
def world(request: pytest.FixtureRequest, s3_url: str, prefect_api: str) -> World:
    keys: dict[str, Any] = {} if request.param else {"signing_key": None, "trusted_keys": []}
    world = World(s3_url, allow_pickle=False, **keys)
    if request.param:
        world.block.save(world.name)
    else:
        from s3kv_flows.blocks import change_keys

        change_keys(world.block, world.name, None, [])
    return world


def produced(world: World, *, single_flight: bool = False, aio: bool = False) -> Any:
    options: Any = caching(world.name, single_flight=single_flight)

    @task(**options)
    def produce(number: int, flight: bool = single_flight) -> Any:  # noqa: FBT001
        world.ran.append("sync")
        return VALUE

    @task(**options)
    async def aproduce(number: int, flight: bool = single_flight) -> Any:  # noqa: FBT001
        world.ran.append("async")
        return VALUE

    return (lambda *args, **more: asyncio.run(aproduce(*args, **more))) if aio else produce


def a_result(world: World, run: Any) -> Stored:
    return world.result_of(run(1, return_state=True))


def hostile(world: World, original: Stored, body: bytes, content_type: str) -> Stored:
    """Return an object that only its codec is wrong with: sealed, where the store has keys."""
    made = replace(original.but(body, seal=None), content_type=content_type)
    return made.sealed(OURS) if world.block.signing_key else made


READERS: dict[str, Callable[[World, str], Any]] = {
    "read_path": lambda world, key: world.block.read_path(key, _sync=True),
    "aread_path": lambda world, key: asyncio.run(world.block.aread_path(key)),
    **{
        f"ResultStore, {name}": lambda world, key, name=name: world.prefects(name).read(key)  # type: ignore[misc]
        for name in SERIALIZERS
    },
}


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
@pytest.mark.parametrize("content_type", TYPES.values(), ids=TYPES)
def test_what_may_run_code_is_refused_on_every_path(
    world: World, watch: Watch, body: Callable[[], bytes], content_type: str, logged: pytest.LogCaptureFixture
) -> None:
    runs = [produced(world)]
    if content_type == TYPES["plain"]:  # with other types, these two fail as the first does
        runs += [produced(world, aio=True), produced(world, single_flight=True)]
    for run in runs:
        original = a_result(world, run)
        put = hostile(world, original, body(), content_type)
        key = put.store.namespace.key_of(put.name)
        assert key is not None
        for what, read in READERS.items():
            put.put()
            with pytest.raises(CorruptValueError) as refused:
                pytest.fail(f"{what}: {read(world, key)}")
            assert refused.value.reason == "pickle_refused", what
            watch.require_silence()
        with pytest.raises(CorruptValueError, match="allow_pickle=False"):
            world.state(original).result(retry_result_failure=False)
        world.ran.clear()
        assert run(1) == VALUE
        watch.require_silence()
        assert len(world.ran) == 1
    wanted = "codec" if content_type == TYPES["json"] else "pickle_refused"
    assert f"computed anew ({wanted}): " in logged.text


@pytest.mark.parametrize("body", [hostile_frame, bare_pickle])
def test_no_checkpoint_is_unpickled(world: World, watch: Watch, body: Callable[[], bytes]) -> None:
    name = f"state-{body.__name__}"
    with Checkpoint(world.name, name, keep_on_success=True) as checkpoint:
        checkpoint.save(VALUE)
    states = Snapshots(world.block.checkpoints, name)
    (snapshot,) = states.listed()
    original = stored(world.block.checkpoints, world.block.checkpoints.namespace.name_of(snapshot.key))
    hostile(world, original, body(), original.content_type).put()
    with (
        pytest.raises(CorruptValueError) as refused,
        Checkpoint(world.name, name, load_policy="latest", keep_on_success=True) as checkpoint,
    ):
        checkpoint.load()
    assert refused.value.reason == "pickle_refused"
    with pytest.raises(CorruptValueError):
        states.read(snapshot)
    watch.require_silence()


def test_a_frame_of_bytes_that_is_also_a_pickle_is_given_to_no_other_serializer(
    world: World, watch: Watch
) -> None:
    frame = polyglot()
    assert PLAIN_CODEC.decode(bytearray(frame))
    original = a_result(world, produced(world))
    put = hostile(world, original, frame, original.content_type)
    put.put()
    key = str(put.store.namespace.key_of(put.name))
    for serializer in ("pickle", "json"):
        with pytest.raises((TypeError, AttributeError)):
            world.prefects(serializer).read(key)
    watch.require_silence()
    assert isinstance(world.prefects().read(key).result, bytes)


def test_the_frame_that_is_also_a_pickle_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    frame = polyglot()
    with watching(monkeypatch) as watch:
        pickle.loads(base64.decodebytes(frame))
        with pytest.raises(AssertionError):
            watch.require_silence()


def test_all_that_is_json_or_bytes_is_read_where_nothing_can_be_unpickled(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = [produced(world, aio=aio) for aio in (False, True)] + [produced(world, single_flight=True)]
    states = [run(7, return_state=True) for run in runs]
    name, block = "read-without", world.block
    values = world.values
    values.add("key", VALUE)
    raw = S3KV(config=values.config, bucket_name=block.bucket_name, codec="bytes", suffix="", trusted_keys=[])
    with forbidding(monkeypatch):
        world.ran.clear()
        assert [run(7) for run in runs] == [VALUE] * 3
        assert world.ran == []
        for state in states:
            key = state.data.metadata.storage_key
            assert world.prefects().read(key).result == VALUE
            assert asyncio.run(world.prefects().aread(key)).result == VALUE
            assert world.block.read_path(key, _sync=True).value == VALUE
            assert world.state(world.result_of(state)).result(retry_result_failure=False) == VALUE
        with Checkpoint(world.name, name, keep_on_success=True) as checkpoint:
            checkpoint.save(VALUE)
        with Checkpoint(world.name, name, load_policy="latest", keep_on_success=True) as checkpoint:
            assert checkpoint.load() == VALUE
        values.copy_key("key", "copy")
        values.merge_keys(["key"], "merged")
        assert values.get_many(["key", "copy", "merged"]) == dict.fromkeys(("key", "copy", "merged"), VALUE)
        assert values.update("key", lambda old: old) == VALUE
        raw.add("raw", b"1")
        assert raw.get("raw") == b"1"


def test_a_frame_of_bytes_with_another_kind_of_value_is_refused(world: World, watch: Watch) -> None:
    original = a_result(world, produced(world))
    frame = bytes(pack(PLAIN_CODEC.name, [b"pickle", bare_pickle()]))
    hostile(world, original, frame, original.content_type).put()
    with pytest.raises(CorruptValueError, match="unknown kind"):
        world.block.read_path(str(original.store.namespace.key_of(original.name)), _sync=True)
    watch.require_silence()
