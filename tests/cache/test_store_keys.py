"""The keys of stores: made when they are saved, kept, rotated, revoked, and who can read what."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from prefect import task
from prefect.results import ResultStore
from pydantic import SecretStr

from s3kv_flows import Checkpoint, Retention, S3KVStore, caching
from s3kv_flows._prefect import saved_fields
from s3kv_flows._results.serializer import FrameSerializer
from s3kv_flows.blocks import SLUG, change_keys
from s3kv_flows.blocks._keys import rotated, trusting
from s3kv_flows.store import S3KV, SigningKey
from s3kv_flows.store._layout.marks import SEAL
from s3kv_flows.store.errors import TamperedValueError
from tests.support.lake import Lake, adding_task, in_flow

pytestmark = pytest.mark.usefixtures("prefect_api", "logged")

A_SECRET = SigningKey.generate("a").reveal()
NEEDS_KEYS = r"s3kv init NAME --update"


def own_key(store: S3KVStore) -> SigningKey:
    assert store.signing_key is not None
    return SigningKey.parse(store.signing_key.get_secret_value())


def signer(lake: Lake) -> str:
    """Return the id of the key that signed the one result."""
    return lake.the_object().metadata[SEAL].split(":")[1]


def without_keys(lake: Lake) -> None:
    """Have a store be as one that was made in the UI's form, or by Terraform."""
    change_keys(lake.block, lake.name, None, [])


# --- saved, and saved over ------------------------------------------------------------------------------


def test_a_store_gets_a_key_when_it_is_saved_and_keeps_it_when_it_is_saved_over(
    make_lake: Callable[[], Lake], caplog: pytest.LogCaptureFixture
) -> None:
    lake = make_lake()
    made = own_key(lake.block)
    assert made.public.name == lake.name
    assert f"S3KV_TRUSTED_KEYS={made.public}" in caplog.text
    assert made.reveal() not in caplog.text
    add_one = adding_task(lake)
    assert add_one(1) == 2
    # As each run of a program does that saves its store.
    again = S3KVStore(bucket_name=lake.block.bucket_name, endpoint_url=lake.block.endpoint_url)
    again.save(lake.name, overwrite=True)
    assert own_key(again) == own_key(S3KVStore.of(lake.name)) == made
    assert (add_one(1), lake.ran) == (2, [1]), "what was cached is found"


def test_a_store_that_is_saved_in_an_event_loop_has_keys_too(block: S3KVStore) -> None:
    block.signing_key = None

    async def save() -> None:
        await block.asave("lake-in-a-loop", overwrite=True)
        await S3KVStore(bucket_name=block.bucket_name).save("lake-in-a-loop", overwrite=True)

    asyncio.run(save())
    assert own_key(S3KVStore.of("lake-in-a-loop")) == own_key(block)


def test_a_store_that_could_not_be_saved_has_no_key_that_is_saved_nowhere(lake: Lake) -> None:
    other = S3KVStore(bucket_name=lake.block.bucket_name)
    with pytest.raises(ValueError, match="already in use"):
        other.save(lake.name)
    assert other.signing_key is None
    other.save(lake.name, overwrite=True)
    assert own_key(other) == own_key(lake.block)


@pytest.mark.parametrize("variable", ["S3KV_SIGNING_KEY", "S3KV_TRUSTED_KEYS"])
def test_no_key_is_made_where_the_environment_has_one(
    block: S3KVStore, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    ours = SigningKey.generate("ours")
    monkeypatch.setenv(variable, ours.reveal() if variable == "S3KV_SIGNING_KEY" else str(ours.public))
    block.signing_key = None
    block.save("lake-of-environment", overwrite=True)
    assert S3KVStore.of("lake-of-environment").signing_key is None
    assert [one.key for one in block.results.seals.policy().trusted] == [ours.public]


def test_a_store_that_is_given_another_key_trusts_the_former_one(lake: Lake) -> None:
    add_one, former, ours = adding_task(lake), own_key(lake.block), SigningKey.generate("ours")
    add_one(1)
    mine = S3KVStore(**{**dict(lake.block), "signing_key": SecretStr(ours.reveal())})
    mine.save(lake.name, overwrite=True)
    assert mine.trusted_keys == [str(former.public)]
    assert (add_one(1), add_one(2), lake.ran) == (2, 3, [1, 2])


def test_a_store_that_was_loaded_before_a_rotation_does_not_undo_it(
    lake: Lake, caplog: pytest.LogCaptureFixture
) -> None:
    stale, changed = S3KVStore.of(lake.name), S3KVStore.of(lake.name)
    change_keys(changed, lake.name, *rotated(changed, lake.name))
    stale.namespace = "elsewhere"
    stale.save(lake.name, overwrite=True)
    saved = S3KVStore.of(lake.name)
    assert (own_key(saved), saved.trusted_keys) == (own_key(changed), changed.trusted_keys)
    assert saved.namespace == "elsewhere"
    assert "the changed keys stay" in caplog.text


@pytest.mark.parametrize(
    ("signing_key", "trusted_keys"),
    [
        ("s3kv-sk1:ours:short", []),
        (None, ["s3kv-pk1:ours:short"]),
        (None, [A_SECRET]),
    ],
)
def test_a_malformed_key_is_refused_without_showing_it(
    signing_key: str | None, trusted_keys: list[str]
) -> None:
    with pytest.raises(ValueError, match="key") as raised:
        S3KVStore(bucket_name="my-bucket", signing_key=signing_key, trusted_keys=trusted_keys)
    text = "".join(map(str, (raised.value, raised.value.__context__, raised.value.__cause__)))
    assert "short" not in text
    assert not trusted_keys or trusted_keys[0] not in text


def test_a_signing_key_is_a_secret_of_its_block(lake: Lake) -> None:
    secret = own_key(lake.block).reveal()
    assert secret not in repr(lake.block)
    assert secret not in str(lake.block.model_dump(mode="json"))
    assert secret not in repr(lake.block.results.seals)
    found = saved_fields(SLUG, lake.name)
    assert found is not None
    assert found["signing_key"] == secret


# --- without keys ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("options", [{}, {"retention": Retention(days=1)}, {"single_flight": True}])
@pytest.mark.parametrize("aio", [False, True], ids=["sync", "async"])
def test_a_store_without_keys_is_refused_before_anything_is_computed(
    locked_lake: Lake,
    options: dict[str, Any],
    aio: bool,  # noqa: FBT001
) -> None:

    without_keys(locked_lake)
    ran: list[int] = []

    async def aproduce() -> None:
        ran.append(1)

    def produce() -> None:
        ran.append(1)

    made: Any = task(**caching(locked_lake.name, **options))(aproduce if aio else produce)
    with pytest.raises(ValueError, match=NEEDS_KEYS):
        asyncio.run(made()) if aio else made()
    assert ran == []
    assert locked_lake.objects() == []


def test_a_checkpoint_of_a_store_without_keys_is_refused(lake: Lake) -> None:
    without_keys(lake)

    def run() -> None:
        with Checkpoint(lake.name, "training"):
            lake.ran.append(1)

    with pytest.raises(ValueError, match=NEEDS_KEYS):
        in_flow(run)
    assert lake.ran == []


def test_stores_of_pickles_need_keys_and_those_of_json_and_bytes_do_not(
    block: S3KVStore, make_store: Callable[..., S3KV]
) -> None:
    with pytest.raises(ValueError, match=NEEDS_KEYS):
        S3KV(block.endpoint_url, block.bucket_name, codec="cloudpickle")

    class Custom:
        name, content_type = "custom", "text/plain"
        encode = decode = staticmethod(bytes)

    with pytest.raises(ValueError, match=NEEDS_KEYS):
        S3KV(block.endpoint_url, block.bucket_name, codec=Custom())
    Custom.executes_code = False  # type: ignore[attr-defined]
    assert S3KV(block.endpoint_url, block.bucket_name, codec=Custom())
    for codec, value in (("json", [1]), ("bytes", b"1")):
        store = make_store(codec=codec)
        store.add("key", value)
        assert store.get("key") == value


def test_what_prefect_itself_writes_and_reads_needs_keys(lake: Lake) -> None:
    without_keys(lake)
    store = ResultStore(result_storage=S3KVStore.of(lake.name), serializer=FrameSerializer())
    with pytest.raises(ValueError, match=NEEDS_KEYS):
        store.write({"a": 1}, key="k")
    assert lake.objects() == []


def test_whoever_looks_after_objects_needs_no_keys(locked_lake: Lake) -> None:
    lake = locked_lake
    add_one = adding_task(lake)
    add_one(1)
    without_keys(lake)
    store = S3KVStore.of(lake.name)
    (key,) = store.results.iter_keys()
    assert store.results.info(key).size > 0
    assert store.audit().problems == []
    store.results.delete(key)
    assert lake.objects() == []


def test_unsealed_results_are_accepted_where_the_store_says_so(
    lake: Lake, caplog: pytest.LogCaptureFixture
) -> None:
    add_one = adding_task(lake)
    without_keys(lake)
    lake.block.accept_unsealed = True
    change_keys(lake.block, lake.name, None, [])
    assert (add_one(1), SEAL in lake.the_object().metadata) == (2, False)
    lake.block.save(lake.name, overwrite=True)
    assert lake.block.signing_key is not None, "what is written from now on is sealed"
    assert (add_one(1), add_one(2), lake.ran) == (2, 3, [1, 2])
    assert sorted(SEAL in info.metadata for info in lake.objects()) == [False, True]
    assert caplog.text.count("nobody has signed") == 1, "once per process and bucket"
    assert lake.block.results.client.counters.read()["reads.unsealed"] == 1


# --- rotated, revoked, trusted -----------------------------------------------------------------------------


def test_a_rotated_key_reads_on_and_signs_no_more(lake: Lake) -> None:
    add_one, old = adding_task(lake), own_key(lake.block)
    add_one(1)
    change_keys(lake.block, lake.name, *rotated(lake.block, lake.name))
    assert own_key(lake.block) != old
    assert (add_one(1), lake.ran) == (2, [1])
    adding_task(lake).with_options(refresh_cache=True)(1)
    assert signer(lake) == own_key(lake.block).id


def test_a_revoked_key_is_trusted_no_more(lake: Lake, caplog: pytest.LogCaptureFixture) -> None:
    add_one, old = adding_task(lake), own_key(lake.block)
    add_one(1)
    change_keys(lake.block, lake.name, *rotated(lake.block, lake.name, revoke=True))
    assert lake.block.trusted_keys == []
    assert (add_one(1), lake.ran) == (2, [1, 1])
    assert f"sealed with key {old.id}, which is not trusted here" in caplog.text
    assert "untrusted_key" in caplog.text
    assert signer(lake) == own_key(lake.block).id


@pytest.mark.parametrize(("until", "ran"), [("2020-01-01", [1, 1]), ("2999-01-01", [1])])
def test_a_key_that_ends_counts_for_what_was_written_earlier(
    lake: Lake, caplog: pytest.LogCaptureFixture, until: str, ran: list[int]
) -> None:
    add_one = adding_task(lake)
    add_one(1)
    change_keys(lake.block, lake.name, *rotated(lake.block, lake.name, until=until))
    assert (add_one(1), lake.ran) == (2, ran)
    assert ("key_ended" in caplog.text) == (len(ran) == 2)


def test_production_reads_what_ci_has_written_and_ci_trusts_itself_alone(
    make_lake: Callable[[], Lake],
) -> None:
    ci, production = make_lake(), make_lake()
    bucket = ci.block.bucket_name
    for one in (ci, production):
        one.block.bucket_name, one.block.namespace = bucket, "tiers"
    ci.block.save(ci.name, overwrite=True)
    change_keys(
        production.block,
        production.name,
        production.block.signing_key,
        trusting(production.block, [str(own_key(ci.block).public)]),
    )
    calls: list[str] = []

    def shared(name: str) -> Any:

        @task(name="shared", **caching(name, code="none"))
        def produce(number: int) -> int:
            calls.append(name)
            return number

        return produce

    shared(ci.name)(1)
    shared(production.name)(1)
    assert calls == [ci.name], "a hit in production"
    shared(production.name)(2)
    shared(ci.name)(2)
    assert calls == [ci.name, production.name, ci.name], "CI trusts itself alone"


def test_a_reader_reads_and_is_told_that_it_cannot_write(
    lake: Lake, caplog: pytest.LogCaptureFixture
) -> None:
    add_one, public = adding_task(lake), str(own_key(lake.block).public)
    add_one(1)
    change_keys(lake.block, lake.name, None, [public])
    assert (add_one(1), lake.ran) == (2, [1])
    assert (add_one(2), lake.ran) == (3, [1, 2])
    assert "there is no signing key" in caplog.text
    with pytest.raises(ValueError, match="there is no signing key"):
        adding_task(lake, single_flight=True)(3)
    assert lake.ran == [1, 2], "what must be saved is not computed"
    with pytest.raises(ValueError, match="there is no signing key"):
        S3KVStore.of(lake.name).values.add("key", 1)


def test_a_key_of_checkpoints_alone_is_not_one_of_results(lake: Lake) -> None:
    add_one = adding_task(lake)
    add_one(1)
    limited = f"{own_key(lake.block).public};purposes=checkpoint"
    change_keys(lake.block, lake.name, SecretStr(SigningKey.generate("ours").reveal()), [limited])
    assert (add_one(1), lake.ran) == (2, [1, 1])


def test_a_key_in_a_file_is_read_where_tasks_run(lake: Lake, tmp_path: Path) -> None:
    ours, path = SigningKey.generate("ours"), tmp_path / "key"
    path.write_text(ours.reveal())
    path.chmod(0o600)
    change_keys(lake.block, lake.name, SecretStr(f"file:{path}"), [])
    adding_task(lake)(1)
    assert signer(lake) == ours.id
    with pytest.raises(ValueError, match="write a new one there"):
        rotated(lake.block, lake.name)


def test_a_store_that_is_loaded_elsewhere_brings_its_keys(lake: Lake) -> None:
    import cloudpickle

    store = cloudpickle.loads(cloudpickle.dumps(S3KVStore.of(lake.name)))
    store.values.add("key", 1)
    assert S3KVStore.of(lake.name).values.get("key") == 1
    stranger = S3KVStore(bucket_name=store.bucket_name, endpoint_url=store.endpoint_url)
    assert stranger.values.get("key") == 1, "JSON needs no keys"
    stranger.signing_key = SecretStr(SigningKey.generate("theirs").reveal())
    with pytest.raises(TamperedValueError, match="not trusted here"):
        stranger.values.get("key")


def test_a_saved_store_is_pickled_by_its_name_without_secrets(lake: Lake) -> None:
    @task(**caching(lake.name))
    def produce() -> S3KVStore:
        lake.ran.append(1)
        return S3KVStore.of(lake.name)

    assert [produce().bucket_name, produce().bucket_name] == [lake.block.bucket_name] * 2
    assert lake.ran == [1]
    body = bytes(lake.results.objects.get(lake.the_object().name).body or b"")
    assert own_key(lake.block).reveal().encode() not in body
    change_keys(lake.block, lake.name, *rotated(lake.block, lake.name))
    found = produce()
    assert own_key(found) == own_key(lake.block), "it is loaded where it is read"


def test_a_store_that_differs_from_the_saved_one_is_not_pickled_as_that(
    lake: Lake, caplog: pytest.LogCaptureFixture
) -> None:
    @task(**caching(lake.name))
    def produce() -> S3KVStore:
        lake.ran.append(1)
        return S3KVStore.of(lake.name).model_copy(update={"namespace": "elsewhere"})

    assert [produce().namespace, produce().namespace] == ["elsewhere"] * 2
    assert (lake.ran, lake.objects()) == ([1, 1], [])
    assert "holds credentials" in caplog.text
