"""The demo checks itself while it runs: here it runs on three months."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from s3kv_flows._demo.run import Demo, run_demo

pytestmark = pytest.mark.usefixtures("prefect_api")


@pytest.mark.slow
def test_the_demo_holds_what_it_says() -> None:
    console = Console(file=io.StringIO(), width=100)
    assert run_demo(console, months=[1, 2, 3]) == 0
    shown = console.file.getvalue()  # type: ignore[attr-defined]
    assert "✗" not in shown
    assert "costs one request per task" in shown
    assert "clean reaches it, and computes 3 months" in shown
    assert "GOVERNANCE retention until" in shown


def test_an_expectation_that_does_not_hold_is_seen() -> None:
    demo = Demo(Console(file=io.StringIO()))
    demo.expect(False, "the moon is a cheese")
    assert demo.failed == ["the moon is a cheese"]
    assert "✗ the moon" in demo.console.file.getvalue()  # type: ignore[attr-defined]


@pytest.mark.slow
def test_a_given_bucket_is_used_below_a_prefix_of_its_own(
    s3_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from s3kv_flows.store import S3KV

    given = S3KV(s3_url, "given-demo-bucket", enable_local_cache=False)
    given.create_bucket(object_lock=True)
    given.add("not of the demo", 1)
    monkeypatch.setenv("S3_ENDPOINT_URL", s3_url)
    monkeypatch.setenv("S3_BUCKET", "given-demo-bucket")
    console = Console(file=io.StringIO(), width=100)
    assert run_demo(console, months=[1]) == 0
    assert given.list_keys() == ["not of the demo"]
    names = [item.name for item in given.client.list_objects("given-demo-bucket", "s3kv-demo-")]
    assert len(names) == 2, "the result of a task, and what was published"
    assert all(given.objects.head(name).lock_mode == "GOVERNANCE" for name in names)
