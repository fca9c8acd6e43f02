"""A store with keys: what somebody else has put into its bucket is neither run nor returned, on any path."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import replace

import pytest

from s3kv_flows.store._layout.marks import name_mark
from s3kv_flows.store.errors import TamperedValueError
from tests.canary.attacks import ATTACKS, SOME, Attack
from tests.canary.paths import MISSES, RAISES, REFUSED_ANYWAY, TRIED_WITH_ALL, Path, World, value
from tests.canary.watch import Watch


@pytest.fixture(scope="module")
def world(s3_url: str, prefect_api: str) -> World:
    world = World(s3_url)
    world.block.save(world.name)
    return world


def cases(paths: Mapping[str, Path]) -> pytest.MarkDecorator:
    """Return the table of paths and attacks."""
    tried = [
        (path, attack) for path in paths for attack in ATTACKS if path in TRIED_WITH_ALL or attack in SOME
    ]
    return pytest.mark.parametrize(
        ("path", "attack"),
        [(paths[path], ATTACKS[attack]) for path, attack in tried],
        ids=[f"{path} - {attack}" for path, attack in tried],
    )


@cases(RAISES)
def test_it_is_refused(world: World, path: Path, attack: Attack, watch: Watch) -> None:
    original = world.original(path, is_large=attack.is_large)
    hostile = attack.make(original)
    if original.is_untyped and hostile.is_same_but_for_its_type(original):
        pytest.skip("a server may give a type to what has none")
    watch.calls.clear()  # which are of our own writes
    hostile.put()
    with pytest.raises(TamperedValueError) as refused:
        path.read(world, original, attack.is_large)
    watch.require_silence()
    assert refused.value.reason in attack.reasons
    original.put()


@cases(MISSES)
def test_it_is_computed_anew_and_said(
    world: World, path: Path, attack: Attack, watch: Watch, logged: pytest.LogCaptureFixture
) -> None:
    original = world.original(path, is_large=attack.is_large)
    attack.make(original).put()
    world.ran.clear()
    watch.calls.clear()
    with world.block.results.client.counters.measure() as measured:
        assert path.read(world, original, attack.is_large) == value(attack.is_large)
    watch.require_silence()
    assert len(world.ran) == 1
    counted = [reason for reason in attack.reasons if measured[0][f"results.misses.{reason}"]]
    assert len(counted) == 1
    assert f"computed anew ({counted[0]}): " in logged.text


READABLE = {what: path for what, path in (RAISES | MISSES).items() if what not in REFUSED_ANYWAY}


@pytest.mark.parametrize("is_large", [False, True])
@pytest.mark.parametrize("path", READABLE.values(), ids=READABLE)
def test_it_would_be_read(world: World, path: Path, is_large: bool) -> None:  # noqa: FBT001
    original = world.original(path, is_large=is_large)
    original.put()
    world.ran.clear()
    path.read(world, original, is_large)
    assert world.ran == []


READS = """
import sys
from prefect.client.schemas.objects import State
from tests.canary.watch import Watch, watching
import pytest
with pytest.MonkeyPatch.context() as patched, watching(patched) as watch:
    for line in sys.stdin:
        try:
            State.model_validate_json(line).result(retry_result_failure=False)
        except Exception as exc:
            print(type(exc).__name__, getattr(exc, "reason", ""))
        watch.require_silence()
"""


def test_it_is_refused_in_another_process(world: World, prefect_url: str) -> None:
    path = RAISES["state.result"]
    original = world.original(path, is_large=False)
    tried = [attack for what, attack in ATTACKS.items() if what in SOME and not attack.is_large]
    lines, results = [], world.block.results
    for number, attack in enumerate(tried):
        name = f"{original.name}-{number}"
        here = replace(original, name=name, metadata={**original.but(seal=None).metadata, **name_mark(name)})
        here = here.sealed()
        attack.make(here).put()
        lines.append(world.state(here).model_dump_json(serialize_as_any=True))
        assert results.namespace.key_of(name)
    reader = subprocess.run(
        [sys.executable, "-c", READS],
        input="\n".join(lines),
        env=os.environ | {"PREFECT_API_URL": prefect_url},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (reader.returncode, reader.stderr.count("Traceback")) == (0, 0), reader.stderr
    said = reader.stdout.splitlines()
    assert len(said) == len(tried)
    for attack, line in zip(tried, said, strict=True):
        error, _, reason = line.partition(" ")
        assert error == "TamperedValueError"
        assert reason in attack.reasons
