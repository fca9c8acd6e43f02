"""A client trusts exactly the authorities that boto3 would, for all requests."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from s3kv_flows.store import S3KV
from s3kv_flows.store._s3.clients import forget_clients
from s3kv_flows.store._s3.transport.boto import Boto
from s3kv_flows.store.errors import StoreUnavailableError
from tests.support.authorities import Authority, SecureServer
from tests.support.operations import every_operation

BUCKET = "some-bucket"
SAYING = ["verify", "AWS_CA_BUNDLE", "profile", "REQUESTS_CA_BUNDLE"]
"""What may say whom to trust, in botocore's order."""

Say = Callable[..., S3KV]


@pytest.fixture(scope="module")
def authorities(tmp_path_factory: pytest.TempPathFactory) -> tuple[Authority, Authority]:
    directory = tmp_path_factory.mktemp("authorities")
    return Authority(directory, "own"), Authority(directory, "other")


@pytest.fixture(scope="module")
def right(authorities: tuple[Authority, Authority]) -> Path:
    """The bundle of the authority that signed the server's certificate."""
    return authorities[0].bundle


@pytest.fixture(scope="module")
def wrong(authorities: tuple[Authority, Authority]) -> Path:
    return authorities[1].bundle


@pytest.fixture(scope="module")
def secure_server(authorities: tuple[Authority, Authority]) -> Iterator[SecureServer]:
    running = SecureServer(authorities[0].certificate_of_loopback())
    yield running
    running.close()


@pytest.fixture
def server(secure_server: SecureServer) -> SecureServer:
    secure_server.asked.clear()
    return secure_server


@pytest.fixture
def trusting(server: SecureServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Say:
    """Make a store with authorities given by argument, or by variables of the environment."""

    def make(**said: Path) -> S3KV:
        for variable in ("AWS_CA_BUNDLE", "REQUESTS_CA_BUNDLE"):
            monkeypatch.delenv(variable, raising=False)
            if variable in said:
                monkeypatch.setenv(variable, str(said[variable]))
        if "profile" in said:
            file = tmp_path / f"config-{said['profile'].stem}"
            file.write_text(f"[profile lake]\nca_bundle = {said['profile']}\n")
            monkeypatch.setenv("AWS_CONFIG_FILE", str(file))
            monkeypatch.setenv("AWS_PROFILE", "lake")
        options: dict[str, Any] = {"verify": str(said["verify"])} if "verify" in said else {}
        # Fewer attempts, and the keys of the environment, whatever the profile says.
        options["boto_config"] = {"retries": {"total_max_attempts": 1}}
        return S3KV(server.url, BUCKET, "id", "secret", enable_local_cache=False, **options)

    return make


def ask_directly(store: S3KV) -> None:
    """Ask past boto3, and only there."""

    def refused(*_: object, **__: object) -> None:
        raise AssertionError("boto3 made the request")

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(Boto, "call", refused)
        assert store.client.search_tags(BUCKET, "s3kv/key.json") == {}


def ask_boto3(store: S3KV) -> None:
    assert store.client.get_tags(BUCKET, "s3kv/key.json") == {}


def require_refusal(store: S3KV, server: SecureServer) -> None:
    """Require that nothing is asked of the server, by either way."""
    calls: list[Callable[[], object]] = [
        lambda: store.client.search_tags(BUCKET, "s3kv/key.json"),
        lambda: store.client.open_object(BUCKET, "s3kv/key.json"),
        lambda: store.client.get_tags(BUCKET, "s3kv/key.json"),
    ]
    for call in calls:
        with pytest.raises(StoreUnavailableError, match="cannot reach"):
            call()
    assert server.asked == []


def require_refusal_of_all(store: S3KV, server: SecureServer) -> None:
    """Require that no operation asks the server anything."""
    for operation in every_operation(store):
        forget_clients()  # or the breaker would refuse it
        with pytest.raises(StoreUnavailableError, match=r"cannot reach.*(?i:certificate)"):
            operation()
    assert server.asked == []


@pytest.mark.parametrize("way", SAYING)
def test_an_authority_is_trusted_on_both_paths_however_it_is_named(
    way: str, trusting: Say, right: Path, server: SecureServer
) -> None:
    store = trusting(**{way: right})
    ask_directly(store)
    ask_directly(store)  # on the same connection
    ask_boto3(store)
    assert len(server.asked) == 3


@pytest.mark.parametrize("way", SAYING)
def test_who_has_a_certificate_of_another_authority_is_asked_nothing(
    way: str, trusting: Say, right: Path, wrong: Path, server: SecureServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where the machine trusts that authority: boto3 does not look there."""
    monkeypatch.setenv("SSL_CERT_FILE", str(right))
    require_refusal(trusting(**{way: wrong}), server)
    require_refusal_of_all(trusting(**{way: wrong}), server)


def test_without_a_word_the_authorities_of_boto3_are_trusted_and_not_those_of_the_machine(
    trusting: Say, right: Path, server: SecureServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(right))
    require_refusal(trusting(), server)
    require_refusal_of_all(trusting(), server)


@pytest.mark.parametrize("first", range(len(SAYING) - 1))
def test_of_several_authorities_the_one_that_boto3_takes_is_trusted_alone(
    first: int, trusting: Say, right: Path, wrong: Path, server: SecureServer
) -> None:
    way, others = SAYING[first], SAYING[first + 1 :]
    require_refusal(trusting(**{way: wrong}, **dict.fromkeys(others, right)), server)
    store = trusting(**{way: right}, **dict.fromkeys(others, wrong))
    ask_directly(store)
    ask_boto3(store)


def test_a_bundle_that_is_not_there_is_an_error_of_the_store(
    trusting: Say, tmp_path: Path, server: SecureServer
) -> None:
    store = trusting(verify=tmp_path / "missing.pem")
    for call in (store.client.search_tags, store.client.open_object, store.client.get_tags):
        with pytest.raises(StoreUnavailableError):
            call(BUCKET, "s3kv/key.json")
    assert server.asked == []


def test_another_bundle_in_the_environment_gets_a_client_of_its_own(
    trusting: Say, right: Path, wrong: Path, server: SecureServer
) -> None:
    ask_directly(trusting(AWS_CA_BUNDLE=right))
    server.asked.clear()
    require_refusal(trusting(AWS_CA_BUNDLE=wrong), server)


def test_without_verification_every_server_is_trusted(server: SecureServer) -> None:
    store = S3KV(server.url, BUCKET, "id", "secret", verify=False, enable_local_cache=False)
    with pytest.warns(match="Unverified HTTPS request"):
        ask_directly(store)
    with pytest.warns(match="Unverified HTTPS request"):
        ask_boto3(store)
