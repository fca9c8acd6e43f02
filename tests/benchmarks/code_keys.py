"""What the digest of a task's code costs, beside what Python takes to parse and compile the same files.

    python -m tests.benchmarks.code_keys

prints seconds and milliseconds of CPU. The files are made for it: in "ordinary" ones a function has sixteen
lines, with a docstring and comments; in "dense" ones it has seven, and a line in between.
"""

from __future__ import annotations

import ast
import importlib
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from types import FunctionType
from typing import Any

from s3kv_flows._keys.identity import Identity

__all__ = ["main"]

_LINES = 60_000
_FILES = 60
_SMALL = """
import math
RATE, STEPS = 1, (1, 2)
class Model:
    factor = 1
    def predict(self): return self.factor + RATE
def scale(x): return x + RATE
def double(x): return scale(x) * 2
def total(x): return double(x) + sum(STEPS)
def model(x): return Model().predict() + total(x)
BY_NAME = {"scale": scale, "double": double}
def task(x): return model(x) + BY_NAME["scale"](x) + math.pi
"""
_DENSE = """def {name}(x):
    a = x + {number}
    b = a * 2
    if b > {number}:
        return b - 1
    return {before}(a)


"""
_ORDINARY = '''def {name}(rows, limit={number}):
    """Return the sum of what is below a limit.

    Args:
        rows: The numbers.
        limit: Which ones count.
    """
    total = 0
    for row in rows:
        # Negative ones were refused before.
        if row < limit and isinstance(row, (int, float)):
            total += round(row * RATE, 2)
    found = {before}([total, limit])
    return max(total, found) if found else total


'''


def main() -> None:
    """Print the figures."""
    with tempfile.TemporaryDirectory() as directory:
        sys.path.insert(0, directory)
        (Path(directory) / "small_task.py").write_text(_SMALL)
        task = importlib.import_module("small_task").task
        identity = Identity()
        identity.code(task)
        times = 2000
        again = _seconds(lambda: [identity.code(task) for _ in range(times)]) / times
        print(f"a task that reaches 11 objects, again: {again * 1000:.3f} ms")  # noqa: T201
        for name, text in {"ordinary": _ORDINARY, "dense": _DENSE}.items():
            _print_large(Path(directory), name, text)


def _print_large(directory: Path, name: str, text: str) -> None:
    each = _LINES // _FILES // text.count("\n")
    texts = []
    for number in range(_FILES):
        functions = (
            text.format(name=f"step_{at}", number=at, before=f"step_{at - 1}" if at else "len")
            for at in range(each)
        )
        texts.append("RATE = 0.5\n\n\n" + "".join(functions))
        (directory / f"{name}_{number}.py").write_text(texts[-1])
    imports = "".join(
        f"from {name}_{number} import step_{each - 1} as s{number}\n" for number in range(_FILES)
    )
    calls = " + ".join(f"s{number}(x)" for number in range(_FILES))
    (directory / f"{name}_task.py").write_text(f"{imports}\ndef task(x): return {calls}\n")
    task: FunctionType = importlib.import_module(f"{name}_task").task
    python = _seconds(lambda: [(ast.parse(one), compile(one, name, "exec")) for one in texts])
    identity = Identity()
    first = _seconds(lambda: identity.code(task))
    again = _seconds(lambda: identity.code(task))
    lines = sum(one.count("\n") for one in texts)
    print(  # noqa: T201
        f"{lines:,} {name} lines, {each * _FILES:,} functions: first {first:.2f} s, "
        f"{first / python:.1f} times what Python takes to parse and compile them ({python:.2f} s); "
        f"again {again * 1000:.1f} ms"
    )


def _seconds(function: Callable[[], Any]) -> float:
    started = time.process_time()
    function()
    return time.process_time() - started


if __name__ == "__main__":
    main()
