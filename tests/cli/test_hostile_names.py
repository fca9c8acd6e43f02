"""No control character that stands in a bucket gets to a terminal, a log, or a page of Prefect."""

from __future__ import annotations

import csv
import io
import json
import logging
import unicodedata
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterFlowRunId

from s3kv_flows import CleanupRule, Retention
from s3kv_flows.checkpoints import Checkpoint
from s3kv_flows.cli import _main as cli_main
from s3kv_flows.cli import app
from s3kv_flows.flows import audit_locks, maintain_store
from s3kv_flows.store._layout.markdown import code
from s3kv_flows.store._layout.printable import loggable, printable
from s3kv_flows.store._layout.sheets import cell
from tests.support.lake import WEEK, Lake

FOREIGN = "\x9d52;c;aGk=\x9c\x9b2J\t\x7f\u202e\u2066[red]|`x`<b>![a](http://b)"
"""A name that others can give. S3 takes any character, moto lists those that XML has: \x9b for \x1b[."""
OURS = "=cmd|'/c calc'!A1\x9b31m\x85\u202e\u2028[red]`|<img src=x>[a](http://b)"
"""A key that this package takes, too."""
TAG = "a=b"


def raw(text: str, allowed: str = "\n") -> list[str]:
    """Return the characters of a text that no terminal should get."""
    return [
        char
        for char in text
        if char not in allowed and (unicodedata.category(char)[0] == "C" or char in "\u2028\u2029")
    ]


@pytest.fixture
def hostile(locked_lake: Lake) -> Lake:
    """Return a saved store whose bucket holds hostile names, under all kinds of states."""
    values = locked_lake.block.values
    put = values.client.boto3_client.put_object
    bucket = values.bucket_name
    for kind in ("s3kv", "s3kv-results", "s3kv-checkpoints", "s3kv-leases"):
        put(Bucket=bucket, Key=f"{kind}/{FOREIGN}/000000000001", Body=b"{}", Tagging="stage=raw")
    put(Bucket=bucket, Key=f"s3kv/{FOREIGN}.json", Body=b"{}", ObjectLockLegalHoldStatus="ON")
    values.add(OURS, 1, retention=Retention(days=1), tags={"stage": "final"})
    values.client.boto3_client.put_object(Bucket=bucket, Key=f"s3kv/{OURS}/old.json", Body=b"{}")
    values.client.boto3_client.delete_object(Bucket=bucket, Key=f"s3kv/{OURS}.json")
    return locked_lake


@pytest.fixture
def printed(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    monkeypatch.setenv("COLUMNS", "300")

    def run(*arguments: str) -> str:
        """Run a command as it is run, with its errors; return what it prints."""
        monkeypatch.setattr(cli_main, "app", lambda **how: app(list(arguments), **how))
        monkeypatch.setattr("signal.signal", lambda *_: None)
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            cli_main.main()
        text = ended.value.code if isinstance(ended.value.code, str) else ""
        captured = capsys.readouterr()
        told = f"{captured.out}{captured.err}{text}"
        assert told.strip(), "something was printed"
        assert raw(told) == [], arguments
        return told

    return run


@pytest.fixture
def rules(tmp_path: Path) -> str:
    path = tmp_path / "rules.yaml"
    path.write_text("- {name: all, older_than: 0s}\n- {name: old, noncurrent_after: 0s}\n")
    return str(path)


def test_no_command_prints_them(
    hostile: Lake, printed: Callable[..., str], rules: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "s3kv_flows")
    name, why = hostile.name, ("--reason", f"because {OURS}")
    cleanup = ("--rules", rules, "--grace", "0s")
    report, receipt = tmp_path / "report.json", tmp_path / "receipt.json"
    report.write_text("1")
    shown = printed("audit", name)
    assert r"\x9d52;c;aGk=\x9c\x9b2J\t\x7f\u202e\u2066[red]|" in shown
    assert r"\x9b31m\x85\u202e\u2028[red]`|" in printed("plan", name, *cleanup)
    printed("explain", name, OURS, *cleanup)
    printed("explain", name, f"s3kv/{FOREIGN}", *cleanup)
    printed("finalize", name, f"{OURS}2", str(report), "--days", "1", "--receipt", str(receipt))
    printed("finalize", name, f"{OURS}2", str(report), "--days", "1")
    printed("finalize", name, FOREIGN, str(report), "--days", "1")
    printed("verify", str(receipt), "--store", name)
    printed("verify", str(receipt), "--store", name, "--json")
    printed("verify", FOREIGN)
    printed("repair", name, OURS, "--dry-run")
    printed("repair", name, OURS, *why)
    for command in ("hold", "unhold"):
        printed(command, name, OURS, *why)
    printed("extend", name, OURS, "--days", "2", *why)
    printed("release", name, OURS, *why)
    printed("release", name, f"{OURS} not there", *why)
    with Checkpoint(hostile.block, OURS, keep_on_success=True) as checkpoint:
        checkpoint.save(1, tags={"stage": "raw"})
    assert r"\u202e" in printed("checkpoints", "ls", name)
    printed("checkpoints", "show", name, OURS)
    printed("checkpoints", "show", name, FOREIGN)
    printed("checkpoints", "clear", name, OURS)
    printed("checkpoints", "clear", name, OURS, "--yes")
    hostile.block.values.client.boto3_client.put_bucket_lifecycle_configuration(
        Bucket=hostile.block.bucket_name,
        LifecycleConfiguration={
            "Rules": [
                {
                    "ID": "\u202efor\u2028eign",
                    "Status": "Enabled",
                    "Filter": {"Prefix": f"{OURS}/"},
                    "Expiration": {"Days": 9},
                }
            ]
        },
    )
    for form in ((), ("--json",)):
        printed("lifecycle", "show", name, *form)
        printed("lifecycle", "diff", name, "--rules", rules, *form)
        printed("plan", name, *cleanup, *form)
    printed("policy", name, "--role", "janitor")
    printed("audit", name, "--format", "csv")
    printed("audit", "no\x1b[2J\u202e-such-store")
    printed("sweep", name, *cleanup)
    printed("sweep", name, *cleanup, "--yes")
    assert [one.getMessage() for one in caplog.records if raw(one.getMessage(), "")] == []


def test_json_is_exact(hostile: Lake, printed: Callable[..., str], rules: str) -> None:
    audit = json.loads(printed("audit", hostile.name, "--format", "json"))
    assert {f"s3kv/{FOREIGN}.json", f"s3kv/{OURS}.json"} <= {row["object"] for row in audit["rows"]}
    plan = json.loads(printed("plan", hostile.name, "--rules", rules, "--grace", "0s", "--json"))
    assert f"s3kv/{OURS}/old.json" in {row["object"] for row in plan["remove"]}


def artifacts(flow_run_id: Any) -> list[Any]:
    of_run = ArtifactFilter(flow_run_id=ArtifactFilterFlowRunId(any_=[flow_run_id]))
    with get_client(sync_client=True) as client:
        return list(client.read_artifacts(artifact_filter=of_run))


@pytest.fixture
def said_by_runs() -> Iterator[list[str]]:
    """Collect the lines of runs, as Prefect gets them."""
    lines: list[str] = []

    class Collector(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            lines.append(record.getMessage())

    collector = Collector(logging.DEBUG)
    loggers = [logging.getLogger(name) for name in ("prefect.task_runs", "prefect.flow_runs")]
    for logger in loggers:
        logger.addHandler(collector)
    yield lines
    for logger in loggers:
        logger.removeHandler(collector)


def test_no_artifact_and_no_line_of_a_run_has_them(hostile: Lake, said_by_runs: list[str]) -> None:
    everything = [CleanupRule("all", older_than=timedelta(0))]
    runs: list[Any] = [
        maintain_store(hostile.name, everything, dry_run=True, grace=timedelta(0), return_state=True),
        audit_locks(hostile.name, final_tags={"stage": "raw"}, return_state=True),
    ]
    found = [one for run in runs for one in artifacts(run.state_details.flow_run_id)]
    assert {one.type for one in found} >= {"markdown", "table"}
    assert any(r"\x9b" in line for line in said_by_runs), "something was said of them"
    for text in [*said_by_runs, *(one.description or "" for one in found)]:
        assert raw(text, "") == []
    for one in found:
        text = one.data if isinstance(one.data, str) else json.dumps(one.data)
        cells = (
            [str(item) for row in json.loads(text) for item in row.values()]
            if one.type == "table"
            else [text]
        )
        assert raw("".join(cells)) == []
        if one.type == "markdown":
            outside = "".join(text.split("`")[::2])
            assert not {"<", "[", "](", "http"} & {*outside, outside}, "names are in spans of code"
            lines = [line for line in text.splitlines() if line.startswith("|")]
            assert {line.count("|") for line in lines} <= {4, 5}


# --- one function per medium --------------------------------------------------------------------------


def test_what_is_shown_as_itself() -> None:
    for text in ("s3kv/Ä b/日本語　x.json", "a|b`c", "", "\\x1b", "👩‍🔬"[0]):
        assert printable(text) == text
    assert printable("\x1b\n\t\x7f\x9b\u202e\u200b\u2028\ud800\ue000\U000e0001") == (
        r"\x1b\n\t\x7f\x9b\u202e\u200b\u2028\ud800\ue000\U000e0001"
    )


def test_a_line_of_a_log_is_one_line(caplog: pytest.LogCaptureFixture) -> None:
    logger = loggable("s3kv_flows.tests")
    logger.warning("%s %r %d %5.1f", ValueError("a\nb\x1b"), "c\n", 3, 2.5)
    assert loggable("s3kv_flows.tests") is logger
    logger.warning("100%")
    assert [one.getMessage() for one in caplog.records] == [r"a\nb\x1b 'c\n' 3   2.5", "100%"]


@pytest.mark.parametrize("text", ["a`b", "``", "|", "a\\", "a\\|b", "", " ", "<b>", "a\nb"])
def test_a_span_of_code_has_one_end(text: str) -> None:
    made = code(text)
    assert made.count("`") == 2
    assert made[0] == made[-1] == "`"
    assert len(made) > 2
    assert "|" not in made
    assert "\n" not in made


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@a", "\t=1", "\r=1", " =1", "\n=1", "\uff1d1"])
def test_no_cell_of_csv_is_a_formula(text: str) -> None:
    assert str(cell(text)).startswith("'")
    assert raw(str(cell(text))) == []
    assert cell("s3kv/a-b=c") == "s3kv/a-b=c"
    assert (cell(-1.5), cell(None), cell(True)) == (-1.5, None, True)


def test_a_sheet_has_a_row_per_version(hostile: Lake) -> None:
    audit = hostile.block.audit(within=timedelta(days=1))
    rows = list(csv.DictReader(io.StringIO(audit.as_csv())))
    assert len(rows) == len(audit.rows)
    assert all(raw("".join(row.values()), "") == [] for row in rows)


def test_the_receipt_of_a_hostile_name_is_exact(hostile: Lake) -> None:
    made = hostile.block.values.outputs.finalize(f"{OURS}3", 1, WEEK)
    assert json.loads(made.to_json())["key"] == f"{OURS}3"
