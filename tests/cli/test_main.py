from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import uuid
from pathlib import Path

import pytest
from prefect.settings import PREFECT_API_URL, temporary_settings

from s3kv_flows import S3KVStore
from s3kv_flows.cli import app
from tests.support.waiting import PATIENCE, until

SCRIPT = "from s3kv_flows.cli import main; main()"


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a command in a process of its own."""
    return subprocess.run(
        [sys.executable, "-c", SCRIPT, *arguments],
        env=os.environ | environment,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )


def command(*arguments: str) -> object:
    """Run a command here: what it refuses is raised."""
    return app(list(arguments), result_action="return_value")


@pytest.fixture
def api(prefect_api: str) -> dict[str, str]:
    return {"PREFECT_API_URL": prefect_api}


def new_name() -> str:
    return f"lake-{uuid.uuid4().hex[:8]}"


def test_init_creates_the_bucket_and_saves_the_store(
    s3_url: str, api: dict[str, str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    name, bucket = new_name(), f"bucket-{uuid.uuid4().hex[:16]}"
    arguments = ["init", name, "--bucket", bucket, "--endpoint-url", s3_url, "--object-lock"]
    done = run(*arguments, **api)
    assert done.returncode == 0, done.stderr
    assert f"Created bucket '{bucket}'" in done.stdout
    store = S3KVStore.of(name)
    assert (store.bucket_name, store.endpoint_url) == (bucket, s3_url)
    assert store.aws_access_key_id is None, "credentials stay with boto3's chain"
    store.values.objects.require_object_lock()
    with pytest.raises(ValueError, match="choose another name, change it with --update, or give --overwrite"):
        command(*arguments)
    monkeypatch.setenv("S3_ENDPOINT_URL", "http://elsewhere:1")
    command(*arguments, "--overwrite", "--save-credentials")
    assert f"Found bucket '{bucket}'" in capsys.readouterr().out
    assert S3KVStore.of(name).aws_access_key_id == "test"


@pytest.mark.usefixtures("prefect_api")
def test_init_takes_the_server_of_the_environment(s3_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    name, bucket = new_name(), f"bucket-{uuid.uuid4().hex[:16]}"
    monkeypatch.setenv("S3_ENDPOINT_URL", s3_url)
    command("init", name, "--bucket", bucket)
    assert S3KVStore.of(name).endpoint_url == s3_url


@pytest.mark.usefixtures("prefect_api")
def test_init_leaves_nothing_behind_where_it_is_refused(s3_url: str) -> None:
    bucket = f"bucket-{uuid.uuid4().hex[:16]}"
    arguments = ["--bucket", bucket, "--endpoint-url", s3_url]
    with pytest.raises(ValueError, match="is not a valid block name"):
        command("init", "My Lake", *arguments)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        nobody = f"http://127.0.0.1:{probe.getsockname()[1]}/api"
    # A text to exit with: Python prints it, and no traceback, and the status is 1.
    with (
        temporary_settings({PREFECT_API_URL: nobody}),
        pytest.raises(SystemExit, match=r"^s3kv: cannot load the store from Prefect's API"),
    ):
        command("init", new_name(), *arguments)
    store = S3KVStore(bucket_name=bucket, endpoint_url=s3_url).values
    assert not store.client.bucket_exists(bucket)


@pytest.mark.usefixtures("prefect_api")
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--bucket", "Not_A_Bucket"], "bucket name"),
        (["--bucket", "some-bucket", "--endpoint-url", "localhost"], "is not a URL"),
    ],
)
def test_mistakes_are_said(arguments: list[str], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        command("init", new_name(), *arguments)


def test_help_names_the_commands_and_starts_lean() -> None:
    script = (
        "import sys; from s3kv_flows.cli import app; app(['--help'], result_action='return_value'); "
        "print('heavy:', [name for name in ('prefect', 'boto3', 'pandas') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert "init" in done.stdout
    assert "demo" in done.stdout
    assert "heavy: []" in done.stdout


def children_of(pid: int) -> set[int]:
    found = set()
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = status.read_text().rsplit(")", 1)[1].split()
        except (FileNotFoundError, ProcessLookupError):
            continue
        if int(fields[1]) == pid:
            found.add(int(status.parent.name))
    return found


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="finds processes in /proc")
@pytest.mark.parametrize(
    "signum",
    [
        signal.SIGINT,
        signal.SIGTERM,
        pytest.param(signal.SIGHUP, marks=pytest.mark.slow),  # what hears SIGTERM hears it, too
    ],
)
def test_an_interrupted_demo_leaves_nothing_running(signum: signal.Signals, tmp_path: Path) -> None:
    environment = os.environ | {"TMPDIR": str(tmp_path)}
    environment.pop("PREFECT_API_URL", None)
    demo = subprocess.Popen(
        [sys.executable, "-c", SCRIPT, "demo"],
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        (server,) = until(lambda: children_of(demo.pid))
        demo.send_signal(signum)
        assert demo.wait(timeout=PATIENCE) != 0
    finally:
        demo.kill()
    assert not Path(f"/proc/{server}").exists()
    assert list(tmp_path.iterdir()) == []


def test_what_a_command_refuses_is_one_line(s3_url: str, api: dict[str, str]) -> None:
    name = new_name()
    store = S3KVStore(bucket_name=f"bucket-{uuid.uuid4().hex[:16]}", endpoint_url=s3_url)
    store.values.create_bucket(object_lock=True)
    store.save(name)
    with pytest.raises(ValueError, match="give a reason"):
        command("hold", name, "key", "--reason", "")
    done = run("hold", name, "missing", "--reason", "asked for", **api)
    assert done.returncode == 1
    assert done.stderr.startswith("s3kv: ")
    assert "does not exist" in done.stderr
    assert done.stderr.count("\n") == 1
    assert done.stdout == ""


def test_output_that_nobody_reads_to_the_end_is_no_error() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", SCRIPT, "policy", "--role", "admin", "--bucket", "lake"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as running:
        assert running.stdout is not None
        assert running.stderr is not None
        running.stdout.close()
        assert running.stderr.read() == ""


@pytest.mark.slow  # Prefect's own temporary server starts, which alone takes half a minute
def test_without_a_prefect_api_one_line_tells_of_the_temporary_server(s3_url: str, tmp_path: Path) -> None:
    names = [name for name in os.environ if name.startswith("PREFECT_")] + ["DO_NOT_TRACK"]
    environment = {name: value for name, value in os.environ.items() if name not in names}
    environment |= {"HOME": str(tmp_path), "PREFECT_HOME": str(tmp_path / "prefect")}
    bucket = f"bucket-{uuid.uuid4().hex[:16]}"
    with subprocess.Popen(
        [sys.executable, "-c", SCRIPT, "init", "lake", "--bucket", bucket, "--endpoint-url", s3_url],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as running:
        output, errors = running.communicate(timeout=200)
    assert running.returncode == 0, errors
    assert errors.startswith("s3kv: no Prefect API is set")
    assert "prefect config set PREFECT_API_URL=" in errors
    assert errors.count("\n") == 1
    assert output.count("\n") == 4, output
    with pytest.raises(ProcessLookupError):  # nothing of its session is left
        os.killpg(running.pid, 0)


def test_warnings_of_other_packages_are_not_printed() -> None:
    script = (
        "import logging; from s3kv_flows.cli import _main as cli; "
        "cli.app = lambda **_: logging.getLogger('EventsWorker').warning('1 item remaining'); cli.main()"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("", "")


def test_what_needs_no_prefect_starts_none(
    s3_url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("Prefect is asked")

    monkeypatch.setattr("prefect.client.orchestration.get_client", refuse)
    store = S3KVStore(bucket_name=f"bucket-{uuid.uuid4().hex[:16]}", endpoint_url=s3_url)
    store.values.create_bucket()
    monkeypatch.setenv("S3_BUCKET", store.bucket_name)
    monkeypatch.setenv("S3_ENDPOINT_URL", s3_url)
    command("doctor", "--json")
    command("policy", "--role", "auditor", "--bucket", "some-bucket")
    assert capsys.readouterr().err == ""


@pytest.mark.usefixtures("prefect_api")
def test_doctor_examines_a_saved_store(
    s3_url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    name = new_name()
    store = S3KVStore(
        bucket_name=f"bucket-{uuid.uuid4().hex[:16]}",
        endpoint_url=s3_url,
        lease_bucket_name=f"leases-{uuid.uuid4().hex[:16]}",
    )
    store.values.create_bucket()
    store.values.client.create_bucket(store.lease_bucket_name or "", object_lock=False)
    store.save(name)
    assert command("doctor", name) == 0
    shown = capsys.readouterr().out
    for expected in (store.lease_bucket_name, "single-flight", "holds, also in a race of 32", "clocks agree"):
        assert str(expected) in shown
    assert command("doctor", name, "--require", "finalizing", "--json") == 1
    found = json.loads(capsys.readouterr().out)
    assert found["ok"] is False
    assert found["bucket"]["puts"] == {"create": "atomic", "replace": "atomic", "quoted": True}
    assert [one["name"] for one in found["features"] if one["needed"]] == [
        "cache",
        "single-flight",
        "finalizing",
    ]


@pytest.mark.slow
def test_doctor_says_what_stops_it(s3_url: str, api: dict[str, str]) -> None:
    unknown = run("doctor", "no-such-store", **api)
    assert unknown.returncode == 1
    assert "no store is saved as 'no-such-store'" in unknown.stderr
    missing = run("doctor", S3_BUCKET="not-there", S3_ENDPOINT_URL=s3_url)
    assert missing.returncode == 1
    assert "bucket 'not-there' does not exist" in missing.stderr
    unreachable = run("doctor", S3_BUCKET="not-there", S3_ENDPOINT_URL="http://127.0.0.1:1")
    assert unreachable.returncode == 1
    assert unreachable.stderr.startswith("s3kv: ")
    assert "Traceback" not in unreachable.stderr
