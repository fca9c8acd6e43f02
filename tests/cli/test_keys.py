"""`s3kv keys` and what `s3kv init` does about keys, as a user sees it."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable
from typing import Any

import pytest
from pydantic import SecretStr

from s3kv_flows import S3KVStore
from s3kv_flows.blocks import change_keys
from s3kv_flows.cli import app
from s3kv_flows.store import SigningKey
from tests.support.lake import Lake, adding_task

pytestmark = pytest.mark.usefixtures("prefect_api")

THEIRS = SigningKey.generate("theirs").public


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """Run a command; return what it prints."""

    def run(*arguments: str) -> str:
        capsys.readouterr()
        assert app(list(arguments), result_action="return_value") == 0
        return capsys.readouterr().out

    return run


def key_of(name: str) -> SigningKey:
    secret = S3KVStore.of(name).signing_key
    assert secret is not None
    return SigningKey.parse(secret.get_secret_value())


def test_init_makes_a_key_and_says_what_others_trust(s3_url: str, run: Any) -> None:
    name, bucket = f"lake-{uuid.uuid4().hex[:8]}", f"bucket-{uuid.uuid4().hex[:16]}"
    printed = run("init", name, "--bucket", bucket, "--endpoint-url", s3_url)
    key = key_of(name)
    assert f"Signs with {key.id}." in printed
    assert f"Trusts {key.public}\n" in printed
    assert key.reveal() not in printed


def test_init_update_gives_a_key_to_a_store_that_was_made_by_hand(lake: Lake, run: Any) -> None:
    change_keys(lake.block, lake.name, None, [])
    lake.block.namespace = "mine"
    change_keys(lake.block, lake.name, None, [])
    with pytest.raises(ValueError, match="s3kv init NAME --update"):
        adding_task(lake)(1)
    run("init", lake.name, "--update")
    saved = S3KVStore.of(lake.name)
    assert (saved.bucket_name, saved.namespace) == (lake.block.bucket_name, "mine"), "all else stays"
    assert adding_task(lake)(1) == 2
    key = key_of(lake.name)
    run("init", lake.name, "--update", "--namespace", "ours")
    assert (key_of(lake.name), S3KVStore.of(lake.name).namespace) == (key, "ours")


def test_init_overwrite_keeps_the_keys(lake: Lake, run: Any) -> None:
    key = key_of(lake.name)
    where = ("--bucket", lake.block.bucket_name, "--endpoint-url", str(lake.block.endpoint_url))
    run("init", lake.name, *where, "--overwrite")
    assert key_of(lake.name) == key


def test_init_needs_a_bucket_and_update_a_store(run: Any) -> None:
    with pytest.raises(ValueError, match="--bucket is required"):
        run("init", "nothing")
    with pytest.raises(ValueError, match="no store is saved"):
        run("init", f"lake-{uuid.uuid4().hex[:8]}", "--update")


@pytest.mark.parametrize("kind", ["results", "values"])
def test_init_refuses_a_prefix_in_which_strangers_sign(lake: Lake, run: Any, kind: str) -> None:
    if kind == "results":
        adding_task(lake)(1)
    else:
        lake.block.values.add("key", 1)
    where = ("--bucket", lake.block.bucket_name, "--endpoint-url", str(lake.block.endpoint_url))
    name, key = f"lake-{uuid.uuid4().hex[:8]}", key_of(lake.name)
    with pytest.raises(ValueError, match=rf"{key.id}, which is not trusted here\. Trust that key"):
        run("init", name, *where)
    with pytest.raises(ValueError, match="no store is saved"):
        run("keys", "show", name)
    printed = run("init", name, *where, "--trust", str(key.public))
    assert "Signs with no key: it reads, and cannot write." in printed
    run("init", f"{name}-b", *where, "--prefix", "other/")


def test_show_prints_the_secret_only_where_it_is_asked_for(lake: Lake, run: Any) -> None:
    key = key_of(lake.name)
    shown = run("keys", "show", lake.name)
    assert shown == f"Signs with {key.id}.\nTrusts {key.public}\n"
    assert json.loads(run("keys", "show", lake.name, "--json")) == {
        "signing_key": key.id,
        "trusted_keys": [{"id": key.id, "key": str(key.public)}],
        "accept_unsealed": False,
        "allow_pickle": True,
    }
    assert run("keys", "show", lake.name, "--reveal") == f"export S3KV_SIGNING_KEY={key.reveal()}\n"


def test_show_says_what_is_dangerous(lake: Lake, run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    lake.block.accept_unsealed, lake.block.allow_pickle = True, False
    change_keys(lake.block, lake.name, None, [])
    shown = run("keys", "show", lake.name)
    assert "Has no keys" in shown
    assert "who may write to the bucket can run code where it is read" in shown
    assert "Allows no pickles" in shown
    with pytest.raises(ValueError, match=f"s3kv init {lake.name} --update makes one"):
        run("keys", "show", lake.name, "--reveal")
    ours = SigningKey.generate("ours")
    monkeypatch.setenv("S3KV_SIGNING_KEY", ours.reveal())
    assert f"Signs with {ours.id}, of S3KV_SIGNING_KEY." in run("keys", "show", lake.name)
    with pytest.raises(ValueError, match="that of S3KV_SIGNING_KEY: change it there"):
        run("keys", "rotate", lake.name)


def test_rotate_leaves_what_was_signed_readable(lake: Lake, run: Any) -> None:
    add_one, old = adding_task(lake), key_of(lake.name)
    add_one(1)
    printed = run("keys", "rotate", lake.name)
    new = key_of(lake.name)
    assert f"The key {old.id} stays trusted.\nSigns with {new.id}." in printed
    assert (add_one(1), lake.ran, new != old) == (2, [1], True)
    printed = run("keys", "rotate", lake.name, "--until", "2020-01-01")
    assert f"The key {new.id} stays trusted for what was written before 2020-01-01." in printed
    assert S3KVStore.of(lake.name).trusted_keys == [
        str(old.public),
        f"{new.public};until=2020-01-01T00:00:00Z",
    ]
    printed = run("keys", "rotate", lake.name, "--revoke")
    assert "is not trusted any more." in printed
    with pytest.raises(ValueError, match="give one of them"):
        run("keys", "rotate", lake.name, "--revoke", "--until", "2020-01-01")
    with pytest.raises(ValueError, match="until is a date such as"):
        run("keys", "rotate", lake.name, "--until", "soon")


def test_trust_adds_changes_and_removes_keys(lake: Lake, run: Any) -> None:
    key = key_of(lake.name)
    assert f"Trusts {THEIRS}\n" in run("keys", "trust", lake.name, str(THEIRS))
    run("keys", "trust", lake.name, f"{THEIRS};purposes=result")
    assert S3KVStore.of(lake.name).trusted_keys == [f"{THEIRS};purposes=result"]
    assert key_of(lake.name) == key
    run("keys", "trust", lake.name, "--remove", THEIRS.id)
    assert S3KVStore.of(lake.name).trusted_keys == []
    with pytest.raises(ValueError, match="no trusted key has the id"):
        run("keys", "trust", lake.name, "--remove", THEIRS.id)
    with pytest.raises(ValueError, match="give a public key to trust"):
        run("keys", "trust", lake.name)


def test_a_secret_is_no_key_to_trust_and_is_not_shown(lake: Lake, run: Any) -> None:
    secret = SigningKey.generate("leaked").reveal()
    with pytest.raises(ValueError, match="this is a signing key, which is a secret") as raised:
        run("keys", "trust", lake.name, secret)
    assert secret not in str(raised.value)
    lake.block.signing_key = SecretStr(secret)
    assert secret not in repr(lake.block)
