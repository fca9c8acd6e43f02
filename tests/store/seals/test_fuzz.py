"""Seals, heads and keys that anybody may have written: documented errors, and nothing accepted but the true.

The dice have a seed, so that a failure can be repeated.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timezone

import pytest

from s3kv_flows.store._layout.marks import SEAL
from s3kv_flows.store._seals.keys.keys import SigningKey
from s3kv_flows.store._seals.keys.sources import read_trusted_keys
from s3kv_flows.store._seals.keys.trust import TrustedKey
from s3kv_flows.store._seals.policy import SealPolicy
from s3kv_flows.store._seals.purposes import PURPOSES
from s3kv_flows.store._seals.statement import Head
from tests.store.seals.examples import (
    KEY,
    NAMESAKE,
    REASONS,
    STRANGER,
    WRITTEN,
    outcome,
    seal_of,
    sealed,
    with_seal,
)

MUTATIONS = 20_000
CHARACTERS: list[str] = [*"1:@-_.=AZaz09+/ ;,", "\n", "\0", "é", "\uff11", "\ud800", "\U0001f511", ""]
LENGTHS = [0, 6, 8, -1, 2**63, 2**64 - 1, 2**64, 10**30]
EXTREMES = [date.replace(tzinfo=timezone.utc) for date in (datetime.min, datetime.max)]  # noqa: DTZ901
DATES = [None, WRITTEN, WRITTEN.replace(year=2030), WRITTEN.replace(tzinfo=None), *EXTREMES]


def mutated_text(text: str, dice: random.Random) -> str:
    at, size = dice.randrange(len(text) + 1), dice.choice([0, 1, 1, 1, 3, 40])
    kind = dice.randrange(5)
    if kind == 0:
        return text[:at] + dice.choice(CHARACTERS) + text[at + size :]
    if kind == 1:
        times = dice.choice([0, 2, 50])
        return text[:at] + text[at : at + size] * times
    if kind == 2:
        parts = text.split(":")
        dice.shuffle(parts)
        return ":".join(parts)
    if kind == 3:
        return "".join(dice.choices(CHARACTERS, k=dice.randrange(200)))
    return text[:at] + text[at:].swapcase()


def mutated_metadata(head: Head, dice: random.Random) -> dict[str, str]:
    pairs = list(head.metadata.items())
    name, value = dice.choice(pairs)
    kind = dice.randrange(4)
    if kind == 0:
        pairs.remove((name, value))
    elif kind == 1:
        pairs.append((dice.choice(CHARACTERS) * dice.randrange(9), value))
    elif kind == 2:
        pairs = [(one, mutated_text(other, dice) if one == name else other) for one, other in pairs]
    else:
        pairs = [(one.title() if dice.random() < 0.5 else one, other) for one, other in pairs]
    dice.shuffle(pairs)
    return dict(pairs)


def mutated(head: Head, dice: random.Random) -> Head:
    kind = dice.randrange(8)
    if kind < 3:
        return with_seal(head, mutated_text(seal_of(head), dice))
    if kind == 3:
        return replace(head, metadata=mutated_metadata(head, dice))
    if kind == 4:
        return replace(head, name=mutated_text(head.name, dice))
    if kind == 5:
        return replace(head, content_type=mutated_text(head.content_type, dice))
    if kind == 6:
        return replace(head, length=dice.choice(LENGTHS), written=dice.choice(DATES))
    return replace(head, purpose=dice.choice(PURPOSES), written=dice.choice(DATES))


def signed(head: Head) -> tuple[object, ...]:
    """Return what the seal of a head binds."""
    metadata = {name.lower(): value for name, value in head.metadata.items()}
    return head.purpose, head.name, head.content_type, head.length, metadata


@pytest.mark.parametrize("accept_unsealed", [False, True])
def test_of_20000_forged_heads_only_the_true_ones_are_accepted(accept_unsealed: bool) -> None:  # noqa: FBT001
    dice = random.Random(2026)
    limited = [TrustedKey.parse(f"{STRANGER.public};until=2026-06-01"), TrustedKey(NAMESAKE.public)]
    policy = SealPolicy(KEY, limited, accept_unsealed=accept_unsealed)
    originals = [sealed(), *(sealed(by=SealPolicy(key)) for key in (NAMESAKE, STRANGER))]
    counts: Counter[str] = Counter()
    for _ in range(MUTATIONS // 2):
        original = dice.choice(originals)
        head = original
        for _ in range(dice.choice([1, 1, 1, 2, 4])):
            if head.seal is None or not head.name or not head.content_type:
                break
            head = mutated(head, dice)
        found = outcome(policy, head, body=None)
        counts[found] += 1
        if found == "verified":
            assert signed(head) == signed(original)
        elif found == "UNSEALED":
            assert accept_unsealed
            assert SEAL not in {name.lower() for name in head.metadata}
    assert set(counts) >= {"verified", "seal", "untrusted_key", "key_ended", "signature"}, counts
    assert set(counts) <= REASONS | {"verified", "UNSEALED"}
    assert ("UNSEALED" in counts) == accept_unsealed == ("unsealed" not in counts)


def test_of_20000_forged_keys_none_raises_anything_but_a_value_error() -> None:
    dice = random.Random(2027)
    seed = KEY.reveal()[-43:]
    texts = [f"{KEY.public};until=2026-12-01;purposes=result,value", str(STRANGER.public), KEY.reveal()]
    for _ in range(MUTATIONS):
        text = mutated_text(dice.choice(texts), dice)
        if "file:" in text:
            continue
        for parse in (SigningKey.parse, TrustedKey.parse, lambda one: read_trusted_keys([one])):
            message = refusal(parse, text)
            assert not [start for start in range(36) if seed[start : start + 8] in message]


def refusal(parse: Callable[[str], object], text: str) -> str:
    """Return the message of a ValueError; nothing where the text is a key."""
    try:
        parse(text)
    except ValueError as exc:
        return str(exc)
    return ""
