"""``s3kv keys``: the keys of a saved store, shown, rotated, trusted."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from cyclopts import App, Parameter

from s3kv_flows.cli._saved_stores import saved_store
from s3kv_flows.cli._terminal import print_json, say

if TYPE_CHECKING:
    from pydantic import SecretStr

    from s3kv_flows.blocks import S3KVStore
    from s3kv_flows.store._seals.keys.trust import TrustedKey

__all__ = ["app", "say_keys"]

Flag = Annotated[bool, Parameter(negative="")]
Store = Annotated[str, Parameter(help="The name of a saved store.")]

app = App(name="keys", help="The keys that a store signs with, and those that it trusts.")


@app.command
def show(store: Store, *, reveal: Flag = False, json: Flag = False) -> int:
    """Show which key a store signs with, and which keys it trusts.

    Parameters
    ----------
    reveal
        Print the signing key itself, as a line for the environment of workers that do not load the block.
    json
        Print JSON.
    """
    block = saved_store(store)
    if reveal:
        say(f"export S3KV_SIGNING_KEY={_own_text(block, store)}")
    elif json:
        print_json(_as_data(block))
    else:
        say_keys(block)
    return 0


@app.command
def rotate(store: Store, *, until: str | None = None, revoke: Flag = False) -> int:
    """Give a store a new key to sign with; what the old one has signed stays readable.

    Whoever trusts the store by its public key must trust the new one: tell them before, if they are not to
    compute results anew. Running processes take up the new key within a minute or two.

    Parameters
    ----------
    until
        When the old key ends, such as 2026-12-01 or 2026-12-01T18:30Z, in UTC: what the server dates later
        is refused.
    revoke
        Trust the old key no more: all that it has signed is computed anew, and can no longer be read.
    """
    from s3kv_flows.blocks._keys import rotated

    if until is not None and revoke:
        raise ValueError("--until keeps what the old key has signed, and --revoke does not: give one of them")
    block = saved_store(store)
    old = block.results.seals.policy().signing_key_id
    _change(block, store, *rotated(block, store, until=until, revoke=revoke))
    if old is None:
        say(f"The store {store!r} had no key.")
    elif revoke:
        say(f"The key {old} is not trusted any more.")
    else:
        say(f"The key {old} stays trusted{f' for what was written before {until}' if until else ''}.")
    say_keys(block)
    return 0


@app.command
def trust(
    store: Store,
    keys: Annotated[tuple[str, ...], Parameter(name="KEY")] = (),
    *,
    remove: Annotated[tuple[str, ...], Parameter(negative="")] = (),
) -> int:
    """Trust public keys of others, or change how far a key is trusted.

    Parameters
    ----------
    keys
        Public keys: s3kv-pk1:NAME:KEY, with ;until=DATE for what was written earlier, and
        ;purposes=result,value,checkpoint,receipt for some kinds of objects. A key that is trusted already is
        trusted as it is written here.
    remove
        The id of a key to trust no more, as `s3kv keys show` prints it.
    """
    from s3kv_flows.blocks._keys import trusting

    if not keys and not remove:
        raise ValueError("give a public key to trust, or --remove and the id of one")
    block = saved_store(store)
    _change(block, store, block.signing_key, trusting(block, keys, remove))
    say_keys(block)
    return 0


def say_keys(block: S3KVStore) -> None:
    """Print which key a store signs with, and which keys it trusts."""
    policy = block.results.seals.policy()
    if policy.signing_key_id is not None:
        say(f"Signs with {policy.signing_key_id}{_origin(block)}.")
    elif policy.has_keys:
        say("Signs with no key: it reads, and cannot write.")
    else:
        say("Has no keys: what would unpickle is refused.")
    for trusted in policy.trusted:
        say(f"Trusts {trusted}{_limits(trusted)}")
    if block.accept_unsealed:
        say("Reads what nobody has signed, too: who may write to the bucket can run code where it is read.")
    if not block.allow_pickle:
        say("Allows no pickles: results and checkpoints are JSON or bytes.")


def _as_data(block: S3KVStore) -> dict[str, object]:
    policy = block.results.seals.policy()
    return {
        "signing_key": policy.signing_key_id,
        "trusted_keys": [{"id": one.key.id, "key": str(one)} for one in policy.trusted],
        "accept_unsealed": block.accept_unsealed,
        "allow_pickle": block.allow_pickle,
    }


def _limits(trusted: TrustedKey) -> str:
    return f" (until {trusted.until:%Y-%m-%d %H:%M} UTC)" if trusted.until else ""


def _origin(block: S3KVStore) -> str:
    if block.signing_key is None:
        return ", of S3KV_SIGNING_KEY"
    text = block.signing_key.get_secret_value()
    return f", of {text}" if text.startswith("file:") else ""


def _own_text(block: S3KVStore, name: str) -> str:
    if block.signing_key is None:
        raise ValueError(
            f"the store {name!r} has no signing key of its own: s3kv init {name} --update makes one"
        )
    return block.signing_key.get_secret_value()


def _change(block: S3KVStore, name: str, signing_key: SecretStr | None, trusted_keys: list[str]) -> None:
    from s3kv_flows.blocks import change_keys

    change_keys(block, name, signing_key, trusted_keys)
