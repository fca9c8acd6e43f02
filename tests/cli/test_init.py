"""What `s3kv init` saves, and what it refuses: how a server and its bucket are named."""

from __future__ import annotations

import os
import uuid
from collections.abc import Callable
from pathlib import Path

import pytest

from s3kv_flows import S3KVStore
from s3kv_flows.cli import app
from s3kv_flows.cli._saved_stores import in_one_line
from s3kv_flows.store import S3KV
from s3kv_flows.store.errors import S3KVError, StoreUnavailableError, UnsupportedByServerError

BUCKET = "my-bucket"


def init(*arguments: str) -> str:
    """Save a store; return its name."""
    name = f"lake-{uuid.uuid4().hex[:8]}"
    assert app(["init", name, *arguments], result_action="return_value") == 0
    return name


@pytest.fixture
def new_bucket() -> str:
    return f"bucket-{uuid.uuid4().hex[:16]}"


@pytest.mark.usefixtures("prefect_api")
@pytest.mark.parametrize("variable", ["AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3"])
def test_the_endpoint_that_boto3_finds_is_saved(
    s3_url: str, new_bucket: str, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    monkeypatch.setenv(variable, s3_url)
    name = init("--bucket", new_bucket)
    monkeypatch.delenv(variable)
    saved = S3KVStore.of(name)
    assert saved.endpoint_url == s3_url
    assert saved.values.client.bucket_exists(new_bucket)


@pytest.mark.usefixtures("prefect_api")
def test_the_endpoint_of_a_profile_is_saved(
    s3_url: str, new_bucket: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "config").write_text(f"[profile lake]\nendpoint_url = {s3_url}\n")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_PROFILE", "lake")
    assert S3KVStore.of(init("--bucket", new_bucket)).endpoint_url == s3_url


@pytest.mark.usefixtures("prefect_api")
def test_the_authorities_to_trust_are_saved(
    s3_url: str, new_bucket: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "authority.pem").write_text(Path(os.environ["PREFECT_API_SSL_CERT_FILE"]).read_text())
    monkeypatch.chdir(tmp_path)
    server = ("--bucket", new_bucket, "--endpoint-url", s3_url)
    assert S3KVStore.of(init(*server)).verify is True
    assert S3KVStore.of(init(*server, "--no-verify")).verify is False
    saved = S3KVStore.of(init(*server, "--verify", "authority.pem")).verify
    assert saved == str(tmp_path / "authority.pem"), "whatever the directory of whom loads it"
    with pytest.raises(ValueError, match=r"there is no CA bundle 'elsewhere\.pem'"):
        init(*server, "--verify", "elsewhere.pem")
    with pytest.raises(ValueError, match="give one of them"):
        init(*server, "--verify", "authority.pem", "--no-verify")


@pytest.mark.parametrize(
    ("url", "instead"),
    [
        ("https://s3.example.com/my-bucket", "https://s3.example.com"),
        ("https://s3.example.com/my-bucket/", "https://s3.example.com"),
        ("https://example.com/gateway/my-bucket", "https://example.com/gateway"),
        ("https://my-bucket.s3.eu-central-1.amazonaws.com", "https://s3.eu-central-1.amazonaws.com"),
    ],
)
def test_a_bucket_within_the_endpoint_is_refused(url: str, instead: str) -> None:
    for make in (
        lambda: S3KV(url, BUCKET),
        lambda: S3KVStore(bucket_name=BUCKET, endpoint_url=url),
        lambda: init("--bucket", BUCKET, "--endpoint-url", url),
    ):
        with pytest.raises(ValueError, match="contains the bucket 'my-bucket'") as caught:
            make()
        assert f"write '{instead}'" in in_one_line(caught.value)


@pytest.mark.parametrize("url", ["https://example.com/gateway", "https://my-bucket.example.com"])
def test_a_gateway_may_have_a_path_and_any_host(url: str) -> None:
    assert S3KVStore(bucket_name=BUCKET, endpoint_url=url).values.config.endpoint_url == url


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("s3://my-bucket", "this is a URL: write 'my-bucket'"),
        ("s3://my-bucket/some/where", "write 'my-bucket', and the prefix 'some/where/'"),
        ("https://s3.example.com/my-bucket", "the server is endpoint_url"),
        ("arn:aws:s3:::my-bucket", "this is an ARN: write 'my-bucket'"),
        ("arn:aws:s3:eu-central-1:123456789012:accesspoint/mine", "of an access point.*write the name of"),
        ("my_bucket", "lower-case letters, digits, dots and hyphens.*such as 'my-bucket'"),
        ("tenant:bucket", "write 'bucket', with credentials of the tenant 'tenant'"),
    ],
)
def test_other_ways_to_name_a_bucket_are_refused_with_what_to_write(name: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        S3KV("https://s3.example.com", name)
    with pytest.raises(ValueError, match=said):
        S3KVStore(bucket_name=name)
    with pytest.raises(ValueError, match=said) as caught:
        init("--bucket", name)
    assert in_one_line(caught.value).startswith(f"bucket_name: bucket name {name!r}")
    assert "\n" not in in_one_line(caught.value)


@pytest.mark.usefixtures("prefect_api")
def test_a_server_of_another_region_is_said_to_be_one(
    answering: Callable[..., str], new_bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    body = "<Error><Code>AuthorizationHeaderMalformed</Code><Message>unexpected scope</Message></Error>"
    url = answering(400, body)
    with pytest.raises(S3KVError) as caught:
        init("--bucket", new_bucket, "--endpoint-url", url)
    assert "This may be about the region" in in_one_line(caught.value), "it is the answer to a HEAD"
    monkeypatch.setenv("S3_BUCKET", new_bucket)
    monkeypatch.setenv("S3_ENDPOINT_URL", url)
    with pytest.raises(S3KVError, match="AuthorizationHeaderMalformed: unexpected scope") as caught:
        app(["doctor"], result_action="return_value")
    assert "This is about the region: give that of the bucket" in in_one_line(caught.value)


@pytest.mark.parametrize("code", ["AuthorizationHeaderMalformed", "PermanentRedirect"])
def test_a_signature_for_another_region_is_said_to_be_about_the_region(code: str) -> None:
    error = UnsupportedByServerError(f"list_objects_v2 of bucket: {code}: the header is malformed")
    error.code = code
    assert "about the region" in in_one_line(error)
    assert "s3kv init --region" in in_one_line(error)
    assert in_one_line(StoreUnavailableError("no")) == "no"
