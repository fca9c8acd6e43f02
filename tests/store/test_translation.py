"""S3's errors as exceptions; above all, a 404 does not imply a missing key."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from s3kv_flows.store import S3KV
from s3kv_flows.store._s3.client import S3Client
from s3kv_flows.store._s3.transport.translation import ERROR_TYPES, error_type
from s3kv_flows.store._s3.types import LifecycleConfiguration, ObjectLock
from s3kv_flows.store.errors import (
    KeyNotFoundError,
    StoreUnavailableError,
    UnsupportedByServerError,
)

BUCKET, NAME = "some-bucket", "s3kv/key.json"

Call = Callable[[S3Client], object]
Answering = Callable[..., S3Client]

CALLS: dict[str, Call] = {
    "open": lambda client: client.open_object(BUCKET, NAME),
    "open a version": lambda client: client.open_object(BUCKET, NAME, version_id="v"),
    "put": lambda client: client.put_object(BUCKET, NAME, b"", content_type="text/plain"),
    "delete": lambda client: client.delete_object(BUCKET, NAME),
    "copy": lambda client: client.copy_object(BUCKET, NAME, "other"),
    "list": lambda client: list(client.list_objects(BUCKET, "")),
    "tags": lambda client: client.get_tags(BUCKET, NAME),
    "search tags": lambda client: client.search_tags(BUCKET, NAME),
    "put tags": lambda client: client.put_tags(BUCKET, NAME, {"a": "b"}),
    "retention": lambda client: client.get_retention(BUCKET, NAME).lock,
    "legal hold": lambda client: client.get_legal_hold(BUCKET, NAME),
    "put legal hold": lambda client: client.put_legal_hold(BUCKET, NAME),
    "versioning": lambda client: client.versioning(BUCKET),
    "object lock": lambda client: client.has_object_lock(BUCKET),
    "default retention": lambda client: client.has_default_retention(BUCKET),
    "lifecycle": lambda client: client.get_lifecycle(BUCKET),
    "takes lifecycle": lambda client: client.takes_lifecycle_rules(BUCKET),
    "remove lifecycle": lambda client: client.put_lifecycle(BUCKET, LifecycleConfiguration()),
    "policy": lambda client: client.get_bucket_policy(BUCKET),
}


@pytest.fixture
def refusing(answering: Callable[..., str]) -> Answering:
    """Make the client of a server that answers everything with an error."""

    def make(status: int, code: str) -> S3Client:
        url = answering(status, f"<Error><Code>{code}</Code><Message>no</Message></Error>")
        return S3KV(url, BUCKET, boto_config={"retries": {"total_max_attempts": 1}}).client

    return make


@pytest.mark.parametrize("call", CALLS.values(), ids=list(CALLS))
def test_a_404_of_an_unknown_code_is_an_error_with_that_code_and_no_missing_key(
    call: Call, refusing: Answering
) -> None:
    with pytest.raises(StoreUnavailableError, match="NoSuchThing") as raised:
        call(refusing(404, "NoSuchThing"))
    assert raised.value.code == "NoSuchThing"


@pytest.mark.parametrize(
    ("code", "answers"),
    [
        ("NoSuchObjectLockConfiguration", {"retention": None, "legal hold": False, "object lock": False}),
        ("ObjectLockConfigurationNotFoundError", {"retention": None, "default retention": False}),
        ("NoSuchObjectLegalHold", {"legal hold": False}),
        ("NoSuchObjectRetention", {"retention": None}),
        (
            "NoSuchLifecycleConfiguration",
            {"lifecycle": LifecycleConfiguration(), "takes lifecycle": True, "remove lifecycle": None},
        ),
        ("NoSuchBucketPolicy", {"policy": None}),
        ("NoSuchTagSet", {"tags": {}, "search tags": {}}),
    ],
)
def test_where_it_is_asked_for_no_configuration_is_an_answer_and_elsewhere_no_missing_key(
    code: str, answers: dict[str, Any], refusing: Answering
) -> None:
    client = refusing(404, code)
    for name, answer in answers.items():
        assert CALLS[name](client) == answer, name
    for call in (CALLS["open"], CALLS["put"], CALLS["list"]):
        with pytest.raises(UnsupportedByServerError, match=code):
            call(client)


@pytest.mark.parametrize("code", ["NoSuchKey", "NoSuchVersion"])
def test_a_missing_key_is_one_in_every_question_about_it(code: str, refusing: Answering) -> None:
    client = refusing(404, code)
    for name in ("open", "open a version", "tags", "retention", "legal hold", "copy"):
        with pytest.raises(KeyNotFoundError) as raised:
            CALLS[name](client)
        assert raised.value.code == code
    assert client.search_tags(BUCKET, NAME) is None


@pytest.mark.parametrize("name", ["open", "tags", "search tags", "retention", "lifecycle", "policy", "put"])
def test_a_missing_bucket_is_no_absence(name: str, refusing: Answering) -> None:
    with pytest.raises(StoreUnavailableError, match="does not exist"):
        CALLS[name](refusing(404, "NoSuchBucket"))


@pytest.mark.parametrize("name", CALLS)
def test_a_404_of_what_is_no_server_of_s3_is_no_absence(name: str, answering: Callable[..., str]) -> None:
    """Such as a proxy, whose page has no code."""
    client = S3KV(answering(404, "<html><body>default backend</body></html>"), BUCKET).client
    with pytest.raises(StoreUnavailableError):
        CALLS[name](client)


def test_without_a_code_a_key_is_missing_where_the_bucket_has_answered(answering: Callable[..., str]) -> None:
    client = S3KV(answering(404, ""), BUCKET).client
    client._boto.reached.add(BUCKET)
    for call in (CALLS["open"], CALLS["tags"], lambda client: client.head_object(BUCKET, NAME)):
        with pytest.raises(KeyNotFoundError):
            call(client)


def test_what_a_server_does_not_allow_is_a_missing_key_only_of_a_delete_marker(refusing: Answering) -> None:
    client = refusing(405, "MethodNotAllowed")
    with pytest.raises(KeyNotFoundError):
        CALLS["open a version"](client)
    lock = ObjectLock("GOVERNANCE", client.capabilities.now())
    calls: list[Call] = [CALLS[name] for name in ("put tags", "tags", "search tags", "put", "policy")]
    calls.append(lambda client: client.put_retention(BUCKET, NAME, lock))
    for call in calls:
        with pytest.raises(UnsupportedByServerError, match="MethodNotAllowed"):
            call(client)
    assert client.takes_lifecycle_rules(BUCKET) is False
    with pytest.raises(UnsupportedByServerError, match="does not support lifecycle rules"):
        client.get_lifecycle(BUCKET)


@pytest.mark.parametrize("status", [404, 405])
def test_no_unknown_code_becomes_a_missing_key(status: int) -> None:
    assert not issubclass(error_type("NoSuchThing", status), KeyNotFoundError)
    assert error_type("", 404) is error_type("404", 404) is KeyNotFoundError


def test_only_these_codes_say_that_a_key_is_missing() -> None:
    missing = {code for code, kind in ERROR_TYPES.items() if kind is KeyNotFoundError}
    assert missing == {"NoSuchKey", "NoSuchVersion", "NoSuchUpload", "404", "MethodNotAllowed", "405"}
