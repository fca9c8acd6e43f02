"""A store that accepts what nobody has sealed: a seal that is there and wrong is refused all the same."""

from __future__ import annotations

import pytest
from prefect import task

from s3kv_flows import Checkpoint, caching
from s3kv_flows.blocks import change_keys
from s3kv_flows.store import S3KV
from s3kv_flows.store._objects import transfer
from s3kv_flows.store.errors import TamperedValueError
from tests.canary.attacks import ATTACKS, BARE, SOME, Attack
from tests.canary.paths import MISSES, RAISES, TRIED_WITH_ALL, Path, World, value
from tests.canary.watch import Watch

WRONG = {what: attack for what, attack in ATTACKS.items() if what not in BARE}
PATHS = {what: path for what, path in (RAISES | MISSES).items() if what in TRIED_WITH_ALL}
SEALED = [
    pytest.param(path, attack, id=f"{name} - {what}")
    for name, path in PATHS.items()
    for what, attack in WRONG.items()
    if name == "get" or what in SOME
]


@pytest.fixture(scope="module")
def world(s3_url: str, prefect_api: str) -> World:
    world = World(s3_url, accept_unsealed=True)
    world.block.save(world.name)
    return world


@pytest.fixture(scope="module")
def keyless(s3_url: str, prefect_api: str) -> World:
    """Return a store whose keys were lost, with what was written when it had them."""
    world = World(s3_url)
    world.block.save(world.name)
    for path in PATHS.values():
        world.original(path, is_large=False)
    change_keys(world.block, world.name, None, [])
    return world


@pytest.mark.parametrize(("path", "attack"), SEALED)
def test_a_seal_that_is_wrong_is_refused(world: World, path: Path, attack: Attack, watch: Watch) -> None:
    original = world.original(path, is_large=attack.is_large)
    attack.make(original).put()
    world.ran.clear()
    watch.calls.clear()
    if path in MISSES.values():
        assert path.read(world, original, attack.is_large) == value(attack.is_large)
        assert len(world.ran) == 1
    else:
        with pytest.raises(TamperedValueError) as refused:
            path.read(world, original, attack.is_large)
        assert refused.value.reason in attack.reasons
        original.put()
    watch.require_silence()


@pytest.mark.parametrize("what", ["get", "a cached task, plain", "state.result", "a checkpoint, latest"])
def test_no_seal_is_accepted_counted_and_said_once(
    world: World, what: str, caplog: pytest.LogCaptureFixture
) -> None:
    path = PATHS[what]
    transfer._warn_of_unsealed.cache_clear()
    original = world.original(path, is_large=False)
    ATTACKS["the seal removed"].make(original).put()
    world.ran.clear()
    with world.block.results.client.counters.measure() as measured:
        for _ in range(2):
            assert path.read(world, original, False) in (value(False), [value(False)])
    assert world.ran == []
    assert measured[0]["reads.unsealed"] == 2
    assert caplog.text.count("that nobody has signed") == 1
    original.put()


@pytest.mark.parametrize("attack", BARE.values(), ids=BARE)
@pytest.mark.parametrize("path", [path for what, path in PATHS.items() if what != "get"])
def test_without_keys_nothing_is_read_at_all(
    keyless: World, path: Path, attack: Attack, watch: Watch
) -> None:
    original = keyless.original(path, is_large=False)
    attack(original).put()  # type: ignore[operator]
    keyless.ran.clear()
    watch.calls.clear()
    with pytest.raises(ValueError, match="has no keys"):
        path.read(keyless, original, False)
    watch.require_silence()
    assert keyless.ran == []


def test_without_keys_what_would_unpickle_is_refused_before_it_computes(keyless: World) -> None:
    ran = []

    @task(**caching(keyless.name))
    def produce() -> int:
        ran.append(1)
        return 1

    with pytest.raises(ValueError, match="has no keys"):
        produce()
    with pytest.raises(ValueError, match="has no keys"), Checkpoint(keyless.name, "name"):
        ran.append(1)
    with pytest.raises(ValueError, match="has no keys"):
        S3KV(
            config=keyless.block.results.config,
            bucket_name="some-bucket",
            codec="cloudpickle",
            trusted_keys=[],
        )
    assert ran == []
