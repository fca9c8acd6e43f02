"""Files of rules that are no rules, whatever they are instead."""

from __future__ import annotations

import json
import time
from itertools import pairwise
from pathlib import Path

import pytest

from s3kv_flows.maintenance import CleanupRule
from s3kv_flows.maintenance._rules import parse_rules, read_rules
from tests.support.mutations import COUNT, mutations

FIELDS = ", ".join(f"f{number}: 1" for number in range(90))
NINE = [f"{name}: &{name} [{', '.join([f'*{before}'] * 9)}]" for before, name in pairwise("abcdefghi")]
LAUGHS = "\n".join(["a: &a [x, x, x, x, x, x, x, x, x]", *NINE])
MANY_TIMES = f"- &a {{{FIELDS}}}\n" + "- *a\n" * 30_000
WIDE = "- {name: a, " + ", ".join(f"f{number}: 1" for number in range(5000)) + "}"
WIDE_JSON = json.dumps([{f"f{number}": 1 for number in range(5000)}])
MERGES = f"- &a {{{FIELDS}}}\n" + ("- {<<: [" + ", ".join(["*a"] * 200) + "]}\n") * 200


@pytest.mark.parametrize(
    ("text", "said"),
    [
        pytest.param(LAUGHS, ".", id="a billion laughs"),
        pytest.param(MANY_TIMES, "the most|more than", id="one rule many times"),
        pytest.param(WIDE, "5,001 fields", id="a rule of many fields"),
        pytest.param(
            WIDE.replace("{name: a", '{"name": "a"').replace("f", '"f').replace(":", '":'), ".", id="json"
        ),
        pytest.param(MERGES, "more than", id="merges of merges"),
        pytest.param("[" * 200_000, "nested too deeply", id="deep JSON"),
        pytest.param("- " * 100_000, "nested too deeply|neither YAML", id="deep YAML"),
        pytest.param("x" * 300_000, "more than 262,144", id="large"),
        pytest.param("- {name: a, keep_last: " + "9" * 200_000 + "}", "no number", id="digits"),
        pytest.param("- {name: a, keep_last: 0x" + "9" * 200_000 + "}", "no number", id="hexadecimal"),
        pytest.param("- {name: !!int '', older_than: 1d}", "line 1", id="no int"),
        pytest.param("- {name: !!bool x, older_than: 1d}", "line 1", id="no bool"),
        pytest.param("- {name: !!timestamp x, older_than: 1d}", "line 1", id="no date"),
        pytest.param("- {name: !!float _, older_than: 1d}", "line 1", id="no float"),
        pytest.param("- {name: !!binary '\u00e9', older_than: 1d}", "line 1", id="no base64"),
        pytest.param("- !!python/object/apply:os.system [id]", "python", id="a call"),
        pytest.param("- !own {name: a, older_than: 1d}", "'!own' is not known", id="a type of its own"),
        pytest.param("!!set {a, b}", "is not known", id="a set"),
        pytest.param("- &a {name: a, tags: *a}", ".", id="within itself"),
        pytest.param("- &a [*a]", ".", id="a list within itself"),
        pytest.param('- {name: "\\U0011ffff", older_than: 1d}', ".", id="no character"),
        pytest.param('[{"name": "a", "name": "b", "older_than": "1d"}]', "stands there twice", id="twice"),
    ],
)
def test_a_file_that_would_take_everything_is_refused_at_once(text: str, said: str) -> None:
    began = time.process_time()
    with pytest.raises(ValueError, match=said):
        parse_rules(text)
    assert time.process_time() - began < 20, "seconds of a core"


def test_no_more_of_a_file_is_read_than_rules_have(tmp_path: Path) -> None:
    path = tmp_path / "rules.yaml"
    path.touch()
    with path.open("r+b") as file:
        file.truncate(1 << 40)
    with pytest.raises(ValueError, match="more than 262,144 bytes"):
        read_rules(path)


def test_as_many_rules_as_s3_takes_are_read() -> None:
    text = "".join(f"- {{name: r{number}, older_than: {number + 1}d}}\n" for number in range(1000))
    assert len(parse_rules(text)) == 1000
    with pytest.raises(ValueError, match="1,001 rules"):
        parse_rules(f"{text}- {{name: more, older_than: 1d}}\n")


SEEDS = [
    b"- {name: a, older_than: 30d}",
    b"- name: b\n  prefix: s3kv/x\n  keep_last: 3\n  tags: {k: v}\n",
    b'[{"name": "c", "max_bytes": "10 GB", "tags": {"k": "v"}}]',
    b"- &a {name: d, expired: true}\n- {<<: *a, name: e}\n",
]


def rules_of(body: bytes) -> list[CleanupRule] | None:
    try:
        return parse_rules(body.decode(errors="replace"))
    except ValueError:
        return None


def test_no_damage_to_rules_raises_anything_else() -> None:
    found = [rules for rules in map(rules_of, mutations(SEEDS, COUNT)) if rules is not None]
    assert COUNT // 100 < len(found) < COUNT * 99 // 100, "both are tried"
