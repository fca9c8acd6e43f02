"""What the README shows runs, in its order, and does what it says."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from s3kv_flows import S3KVStore
from s3kv_flows.cli import app

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
BLOCKS = re.findall(r"```python\n(.*?)```", README, re.DOTALL)


@pytest.fixture
def lake(s3_url: str, prefect_api: str, monkeypatch: pytest.MonkeyPatch) -> S3KVStore:
    monkeypatch.setenv("S3_ENDPOINT_URL", s3_url)
    monkeypatch.setenv("S3_BUCKET", "readme-bucket")
    store = S3KVStore.from_env()
    store.values.create_bucket(object_lock=True)
    store.save("lake", overwrite=True)
    return store


def run(code: str, tmp_path: Path, name: str) -> dict[str, Any]:
    # As a file: Prefect hashes the source of tasks.
    file = tmp_path / f"{name}.py"
    file.write_text(code)
    namespace: dict[str, Any] = {"__name__": "__main__", "__file__": str(file)}
    exec(compile(code, str(file), "exec"), namespace)  # noqa: S102  # our own README
    return namespace


def test_its_python_runs(lake: S3KVStore, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert len(BLOCKS) == 7
    pipeline, outputs, single_flight, checkpoint, store, unavailable, cleanup = BLOCKS
    run(pipeline, tmp_path, "pipeline")
    counters = lake.results.client.counters
    with counters.measure() as second:
        run(pipeline, tmp_path, "pipeline")
    assert capsys.readouterr().out.count("{'total': 31668}") == 2
    assert second[0].by_operation == {"GetObject": 13}, "the second run computes nothing"
    locked = [
        key for key in lake.results.iter_keys() if lake.results.objects.head(f"s3kv-results/{key}").lock_mode
    ]
    assert len(locked) == 1
    for expected in ("written", "unchanged"):
        run(outputs, tmp_path, "outputs")
        assert f"{expected} s3kv/filed/2013.json" in capsys.readouterr().out
    assert lake.results.objects.head("s3kv-results/reports/2013/delays").lock_mode == "GOVERNANCE"
    with counters.measure() as flights:
        run(single_flight, tmp_path, "flights")
    assert capsys.readouterr().out == "4\n"
    # Two keys and four runs: who waited may have found the lease free before it found the result.
    assert 2 <= flights[0]["requests.DeleteObject"] <= 4
    assert run(unavailable, tmp_path, "unavailable")["charge"](3) == 3
    train = run(checkpoint, tmp_path, "training_in_steps")["train"]
    assert train(list(range(250))) == {"steps": 250}
    run(store, tmp_path, "store")
    run(cleanup, tmp_path, "cleanup")
    assert "{} {}" in capsys.readouterr().out


def test_its_pipeline_is_short() -> None:
    lines = [line for line in BLOCKS[0].splitlines() if line and not line.startswith(("from", "import"))]
    assert len(lines) <= 15


def test_every_command_is_named() -> None:
    commands = [name for name in app if not name.startswith("-")]
    assert commands
    assert all(f"s3kv {name}" in README for name in commands)


def test_every_file_it_links_to_is_there() -> None:
    links = re.findall(r"\]\((?!http)([^)]+)\)", README)
    assert links
    assert all((ROOT / link).exists() for link in links)


def test_it_speaks_of_make_targets_that_are_there() -> None:
    makefile = (ROOT / "Makefile").read_text()
    targets = re.findall(r"^make ([a-z]+)|`make ([a-z]+)`", README, re.MULTILINE)
    assert len(targets) >= 4
    for target in targets:
        assert f"\n{''.join(target)}:" in makefile
