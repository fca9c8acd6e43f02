"""The identity of a server, whatever the source of its endpoint."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from s3kv_flows.store import S3KV
from s3kv_flows.store._s3 import clients
from s3kv_flows.store._s3.clients import forget_clients, shared_client
from s3kv_flows.store._s3.config import S3Config, is_aws, server_of
from s3kv_flows.store.errors import KeyNotFoundError

BUCKET = "some-bucket"


@pytest.fixture
def caching(tmp_path: Path) -> Callable[..., S3KV]:
    """Make a store that trusts its local copies for a day."""

    def make(**options: Any) -> S3KV:
        return S3KV(
            bucket_name=BUCKET, cache_directory=tmp_path / "cache", cache_max_age=timedelta(days=1), **options
        )

    return make


@pytest.fixture
def endpoints(answering: Callable[..., str]) -> tuple[str, str]:
    """Return two servers that answer with ``"one"`` and ``"two"``."""
    return answering(200, '"one"'), answering(200, '"two"')


@pytest.fixture
def profiles(endpoints: tuple[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the profile ``one`` name the first server, and ``two`` the second, in its services."""
    file = tmp_path / "config"
    file.write_text(
        f"[profile one]\nendpoint_url = {endpoints[0]}\n"
        "[profile two]\nservices = elsewhere\n"
        f"[services elsewhere]\ns3 =\n  endpoint_url = {endpoints[1]}\n"
    )
    credentials = tmp_path / "credentials"
    keys = "aws_access_key_id = id\naws_secret_access_key = secret\n"
    credentials.write_text(f"[one]\n{keys}[two]\n{keys}")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(file))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(credentials))


def fetched(store: S3KV) -> bytes:
    return bytes(store.fetch("key").body or b"")


def test_stores_of_two_profiles_do_not_share_local_copies(
    caching: Callable[..., S3KV], profiles: None, endpoints: tuple[str, str]
) -> None:
    one, two = caching(profile_name="one"), caching(profile_name="two")
    for _ in range(2):  # from the server, and from the disk
        assert (fetched(one), fetched(two)) == (b'"one"', b'"two"')
    assert (one.client.server, two.client.server) == endpoints
    assert one.client is not two.client


@pytest.mark.parametrize("variable", ["AWS_PROFILE", "AWS_DEFAULT_PROFILE", "AWS_ENDPOINT_URL"])
def test_a_store_that_the_environment_sends_elsewhere_has_no_copies_there(
    variable: str,
    caching: Callable[..., S3KV],
    profiles: None,
    endpoints: tuple[str, str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    names = endpoints if variable == "AWS_ENDPOINT_URL" else ("one", "two")
    store = caching()
    for name, value in zip(names * 2, (b'"one"', b'"two"') * 2, strict=True):
        monkeypatch.setenv(variable, name)
        assert fetched(store) == value


def test_another_configuration_file_gets_a_client_of_its_own(
    endpoints: tuple[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = []
    for number, url in enumerate(endpoints):
        file = tmp_path / f"config-{number}"
        file.write_text(f"[default]\nendpoint_url = {url}\n")
        monkeypatch.setenv("AWS_CONFIG_FILE", str(file))
        found.append(shared_client(S3Config()).server)
    assert tuple(found) == endpoints


def test_what_is_said_of_a_store_names_the_server_that_its_profile_names(
    caching: Callable[..., S3KV],
    profiles: None,
    answering: Callable[..., str],
    tmp_path: Path,
    endpoints: tuple[str, str],
) -> None:
    assert endpoints[1] in repr(caching(profile_name="two"))
    url = answering(404, "<Error><Code>NoSuchKey</Code></Error>")
    file = tmp_path / "config"
    file.write_text(f"[profile one]\nendpoint_url = {url}\n")
    forget_clients()
    with pytest.raises(KeyNotFoundError, match=url):
        caching(profile_name="one").fetch("key")


def test_a_server_that_a_profile_names_is_addressed_by_path_as_any_other(profiles: None) -> None:
    client = shared_client(S3Config(profile_name="two"))._boto.client
    assert client.meta.config.s3["addressing_style"] == "path"


def test_the_regions_of_a_partition_share_local_copies_and_partitions_do_not(
    caching: Callable[..., S3KV],
) -> None:
    regions = ["us-east-1", "eu-west-1", "us-gov-west-1", "cn-north-1", "cn-northwest-1"]
    us, eu, gov, beijing, ningxia = (caching(region_name=name).local_cache.directory for name in regions)
    assert us == eu
    assert beijing == ningxia
    assert len({us, gov, beijing}) == 3


def test_making_a_store_makes_no_client_and_its_repr_never_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    forget_clients()
    store = S3KV(bucket_name=BUCKET, profile_name="no-such-profile")
    assert clients._clients == {}
    assert BUCKET in repr(store)
    with pytest.raises(ValueError, match="no-such-profile"):
        _ = store.local_cache


def test_a_store_keeps_its_local_cache(s3_url: str) -> None:
    store = S3KV(s3_url, BUCKET)
    assert store.local_cache is store.local_cache


@pytest.mark.parametrize(
    ("url", "server"),
    [
        ("https://s3.amazonaws.com", "AWS S3"),
        ("https://s3.eu-west-1.amazonaws.com", "AWS S3"),
        ("https://s3-eu-west-1.amazonaws.com", "AWS S3"),
        ("https://s3.dualstack.us-east-1.amazonaws.com", "AWS S3"),
        ("https://s3-fips.aws-global.amazonaws.com", "AWS S3"),
        ("https://s3-accelerate.dualstack.amazonaws.com", "AWS S3"),
        ("https://bucket.vpce-0f1.s3.eu-west-1.vpce.amazonaws.com", "AWS S3"),
        ("https://s3express-use1-az4.us-east-1.amazonaws.com", "AWS S3"),
        ("https://s3.us-gov-west-1.amazonaws.com", "AWS S3 (aws-us-gov)"),
        ("https://s3-fips.us-gov-east-1.amazonaws.com", "AWS S3 (aws-us-gov)"),
        ("https://s3.cn-north-1.amazonaws.com.cn", "AWS S3 (aws-cn)"),
        ("https://s3.eusc-de-east-1.amazonaws.eu", "AWS S3 (aws-eusc)"),
        ("https://s3.us-iso-east-1.c2s.ic.gov", "AWS S3 (aws-iso)"),
    ],
)
def test_aws_is_known_by_its_partition(url: str, server: str) -> None:
    assert is_aws(url)
    assert server_of(url) == server


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:9000",
        "https://s3.example.com",
        "https://s3.amazonaws.com.example.com",
        "http://ec2-1-2-3-4.eu-west-1.compute.amazonaws.com:9000",
        "http://ec2-1-2-3-4.compute-1.amazonaws.com:9000",
        "https://s3-gateway-1234.eu-west-1.elb.amazonaws.com",
        "https://abc.execute-api.us-east-1.amazonaws.com",
    ],
)
def test_any_other_server_is_known_by_its_url_also_one_that_runs_in_aws(url: str) -> None:
    assert not is_aws(url)
    assert server_of(url) == url


@pytest.mark.parametrize(
    ("options", "constraint"),
    [
        ({"region_name": "eu-west-1"}, "eu-west-1"),
        ({"region_name": "us-east-1"}, None),
        ({}, None),
        ({"endpoint_url": "https://s3.eu-west-1.amazonaws.com", "region_name": "eu-west-1"}, "eu-west-1"),
        ({"profile_name": "one", "region_name": "eu-west-1"}, None),
    ],
)
def test_a_bucket_is_made_in_a_region_where_the_server_is_aws(
    options: dict[str, str], constraint: str | None, profiles: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AWS_DEFAULT_REGION")
    client = shared_client(S3Config(**options))  # type: ignore[arg-type]
    asked: list[dict[str, Any]] = []
    monkeypatch.setattr(client._boto, "call", lambda _, params: asked.append(params))
    client.create_bucket(BUCKET, object_lock=False)
    assert asked[0].get("CreateBucketConfiguration", {}).get("LocationConstraint") == constraint
