"""Where keys are read from: text, files and the environment."""

from __future__ import annotations

import os
import traceback
from collections.abc import Callable
from pathlib import Path

import pytest

from s3kv_flows.store._seals.keys.sources import (
    read_signing_key,
    read_trusted_keys,
    signing_key_of_environment,
    trusted_keys_of_environment,
)
from tests.store.seals.examples import KEY, NAMESAKE, STRANGER

SECRET = KEY.reveal()
PUBLIC = str(KEY.public)


def write(path: Path, text: str = SECRET, mode: int = 0o600) -> str:
    path.write_text(text)
    path.chmod(mode)
    return f"file:{path}"


def refused(read: Callable[[], object], match: str) -> None:
    with pytest.raises(ValueError, match=match) as caught:
        read()
    assert SECRET[-43:] not in "".join(traceback.format_exception(caught.value))


def test_a_signing_key_is_read_from_a_file_of_its_user(tmp_path: Path) -> None:
    assert read_signing_key(SECRET) == KEY
    assert read_signing_key(write(tmp_path / "key", f"{SECRET}\n")) == KEY
    assert read_signing_key(write(tmp_path / "read-only", mode=0o400)) == KEY


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o602, 0o610, 0o601, 0o644, 0o666, 0o777])
def test_a_signing_key_that_others_may_touch_is_refused(tmp_path: Path, mode: int) -> None:
    refused(lambda: read_signing_key(write(tmp_path / "key", mode=mode)), "chmod 600")


@pytest.mark.parametrize("mode", [0o620, 0o602, 0o666])
def test_trusted_keys_that_others_may_add_to_are_refused(tmp_path: Path, mode: int) -> None:
    refused(lambda: read_trusted_keys([write(tmp_path / "keys", PUBLIC, mode)]), "others may write")
    assert read_trusted_keys([write(tmp_path / "keys", PUBLIC, 0o644)])[0].key == KEY.public


def test_a_file_of_another_user_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    key, keys = write(tmp_path / "key"), write(tmp_path / "keys", PUBLIC)
    mine = os.getuid()
    monkeypatch.setattr(os, "getuid", lambda: mine + 1)
    refused(lambda: read_signing_key(key), "belongs to another user")
    if mine != 0:
        refused(lambda: read_trusted_keys([keys]), "belongs to another user")


def test_a_link_that_leads_out_of_its_directory_is_refused(tmp_path: Path) -> None:
    (tmp_path / "here").mkdir()
    write(tmp_path / "elsewhere")
    (tmp_path / "here/link").symlink_to(tmp_path / "elsewhere")
    refused(lambda: read_signing_key(f"file:{tmp_path / 'here/link'}"), "leads out of its directory")


def test_a_link_within_its_directory_is_followed_as_mounted_secrets_are(tmp_path: Path) -> None:
    (tmp_path / "..2026").mkdir()
    write(tmp_path / "..2026/key")
    (tmp_path / "..data").symlink_to("..2026")
    (tmp_path / "key").symlink_to("..data/key")
    assert read_signing_key(f"file:{tmp_path / 'key'}") == KEY


def test_what_is_no_file_is_refused_without_waiting(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe", 0o600)
    (tmp_path / "circle").symlink_to("circle")
    for name, match in {
        "pipe": "no regular file",
        ".": "no regular file|leads out",
        "absent": "cannot be read: No such file",
        "circle": "cannot be read",
        "\0": "null",
    }.items():
        refused(lambda name=name: read_signing_key(f"file:{tmp_path}/{name}"), match)  # type: ignore[misc]
    refused(lambda: read_signing_key("file:~nobody-of-this-name/key"), "cannot be read")


def test_a_file_that_holds_no_key_is_refused(tmp_path: Path) -> None:
    refused(lambda: read_signing_key(write(tmp_path / "large", SECRET * 2000)), "too large")
    refused(lambda: read_signing_key(write(tmp_path / "text", f"é{SECRET}")), "no ASCII")
    refused(lambda: read_signing_key(write(tmp_path / "two", f"{SECRET}\n{SECRET}")), "is written")
    refused(lambda: read_trusted_keys([write(tmp_path / "secret")]), "a secret")
    refused(lambda: read_trusted_keys([write(tmp_path / "self", f"file:{tmp_path}/self")]), "is written")


@pytest.mark.parametrize("path", [SECRET, SECRET[-43:], f"/keys/{SECRET[-43:]}", f"./{SECRET}"])
def test_a_key_that_was_given_as_a_path_shows_in_no_message(path: str) -> None:
    refused(lambda: read_signing_key(f"file:{path}"), "looks like a key")


def test_several_keys_are_separated_by_white_space_or_commas(tmp_path: Path) -> None:
    limited = f"{STRANGER.public};purposes=result,value"
    file = write(tmp_path / "keys", f"# everybody's\n{NAMESAKE.public}  # old\n\n")
    expected = [KEY.id, STRANGER.id, NAMESAKE.id]
    for text in (
        f"{PUBLIC},{limited},{file}",
        f" {PUBLIC} , {limited}\n{file},\n",
        f"{PUBLIC}\t{limited} {file}",
        f"{PUBLIC}, {limited},{file}, ",
    ):
        found = read_trusted_keys([text])
        assert [trusted.key.id for trusted in found] == expected
        assert found[1].purposes == {"result", "value"}
    assert read_trusted_keys([]) == read_trusted_keys(["", " \n"]) == []
    refused(lambda: read_trusted_keys([f"{PUBLIC},,{limited}"]), "is written")


def test_the_environment_names_keys() -> None:
    environment = {"S3KV_SIGNING_KEY": f" {SECRET}\n", "S3KV_TRUSTED_KEYS": PUBLIC}
    assert signing_key_of_environment(environment) == KEY
    assert [trusted.key for trusted in trusted_keys_of_environment(environment)] == [KEY.public]
    assert signing_key_of_environment({"S3KV_SIGNING_KEY": " "}) is None
    assert signing_key_of_environment({}) is None
    assert trusted_keys_of_environment({}) == []


def test_an_error_says_which_variable_is_wrong() -> None:
    refused(lambda: signing_key_of_environment({"S3KV_SIGNING_KEY": f"{SECRET}!"}), "^S3KV_SIGNING_KEY: ")
    refused(lambda: trusted_keys_of_environment({"S3KV_TRUSTED_KEYS": SECRET}), "^S3KV_TRUSTED_KEYS: ")
