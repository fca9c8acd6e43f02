"""A data project of five modules, with four cached tasks, and its edits."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

TASKS = frozenset({"load", "build", "train", "score"})

MODULES = {
    "__init__.py": "",
    "config.py": '''
"""Constants of the project."""

from pathlib import Path

CITY = "Bergen"
MIN_RAIN = 0.5
WEIGHTS = {"rain": 2.0, "wind": 0.5}
RATE = 0.05
STEPS = 20
OUTPUT = Path("report.html")  # nothing cached uses it
''',
    "io.py": '''
"""Reads the measurements."""

import csv
from dataclasses import dataclass

RAW = """city,day,rain,wind
Bergen,1,0.0,3
Bergen,2,4.5,7
Oslo,2,1.0,2
Bergen,3,9.0,11
Bergen,4,2.5,4
"""


@dataclass
class Row:
    """One day."""

    day: int
    rain: float
    wind: float


def parse(line):
    """Return the fields of a line."""
    return next(csv.reader([line]))


def read(city):
    for line in RAW.splitlines()[1:]:
        name, day, rain, wind = parse(line)
        if name == city:
            yield Row(int(day), float(rain), float(wind))


def report(path, text):
    path.write_text(text)  # of the flow alone
''',
    "features.py": '''
"""Makes features of rows."""

from functools import wraps

from .config import MIN_RAIN, WEIGHTS


def rounded(digits):
    def decorate(function):
        @wraps(function)
        def call(*args):
            return round(function(*args), digits)

        return call

    return decorate


@rounded(3)
def strength(row):
    return WEIGHTS["rain"] * row.rain + WEIGHTS["wind"] * row.wind


def is_wet(row):
    return row.rain >= MIN_RAIN


def table(rows):
    return [(strength(row), is_wet(row)) for row in rows]
''',
    "model.py": '''
"""A line through the features."""

from . import config


class Model:
    def __init__(self):
        self.slope = 0.0

    def fit(self, features):
        for _ in range(config.STEPS):
            for strength, is_wet in features:
                self.slope += config.RATE * (is_wet - self.predict(strength)) / (1 + strength)
        return self

    def predict(self, strength):
        return self.slope * strength


def loss(model, features):
    return sum((is_wet - model.predict(strength)) ** 2 for strength, is_wet in features)
''',
    "pipeline.py": '''
"""The tasks and the flow."""

import os

from prefect import flow, task

from s3kv_flows import caching

from . import config
from .features import table
from .io import read, report
from .model import Model, loss

options = caching(os.environ["S3KV_TEST_STORE"])


@task(**options)
def load(city):
    return list(read(city))


@task(**options)
def build(rows):
    return table(rows)


@task(**options)
def train(features):
    return Model().fit(features)


@task(**options)
def score(model, features):
    return round(loss(model, features), 6)


@flow
def pipeline(city=config.CITY):
    features = build(load(city))
    return score(train(features), features)


if __name__ == "__main__":
    report(config.OUTPUT, str(pipeline()))
''',
}


@dataclass(frozen=True)
class Change:
    """An edit of one module, and the tasks that compute after it."""

    module: str
    old: str
    new: str
    computed: frozenset[str]


def _change(module: str, edit: str, computed: str = "") -> Change:
    old, _, new = edit.partition(" => ")
    assert old in MODULES[module], edit
    return Change(module, old, new, frozenset(computed.split()))


CHANGES = [
    # What a task reaches, and what follows from other values.
    _change("io.py", "Bergen,2,4.5 => Bergen,2,5.5", "load build train score"),
    _change("io.py", "[line])) => [line], strict=True))", "load"),  # the same rows
    _change("io.py", "name == city => name.lower() == city.lower()", "load"),
    _change("config.py", "0.5} => 0.75}", "build train score"),
    _change("config.py", "MIN_RAIN = 0.5 => MIN_RAIN = 3.0", "build train score"),
    _change("config.py", "MIN_RAIN = 0.5 => MIN_RAIN = 0.75", "build"),  # the same features
    _change("features.py", "@rounded(3) => @rounded(0)", "build train score"),
    _change(
        "features.py",
        "round(function(*args), digits) => round(1 + function(*args), digits)",
        "build train score",
    ),
    _change("config.py", "RATE = 0.05 => RATE = 0.01", "train score"),
    _change("config.py", "STEPS = 20 => STEPS = 10", "train score"),
    _change("model.py", "/ (1 + strength) => / (2 + strength)", "train score"),
    _change("model.py", "self.slope * strength => self.slope * strength + 1", "train score"),
    _change("model.py", ") ** 2 for => ) ** 4 for", "score"),
    _change("pipeline.py", "features), 6) => features), 2)", "score"),
    _change("pipeline.py", "Model().fit(features) => Model().fit(sorted(features))", "train score"),
    _change("pipeline.py", "city=config.CITY => city='Oslo'", "load build train score"),
    # What none of them reaches.
    _change("config.py", "report.html => other.html"),
    _change("io.py", "path.write_text(text) => path.write_text(text.strip())"),
    _change("pipeline.py", "report(config => print('done'); report(config"),
    _change("features.py", "def is_wet => def unused(row): return 1\n\n\ndef is_wet"),
    _change("io.py", "One day. => A day."),
    _change("model.py", "A line => One line"),
]


def write(directory: Path, change: Change | None = None) -> Path:
    """Write the project as the package ``project``."""
    for name, text in MODULES.items():
        file = directory / "project" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        if change is not None and change.module == name:
            text = text.replace(change.old, change.new)
        file.write_text(text)
    return directory


def restyle(directory: Path) -> Path:
    """Write all modules in another style, which changes nothing that they do."""
    for file in directory.rglob("*.py"):
        tree = _Restyled().visit(ast.parse(file.read_text()))
        text = ast.unparse(ast.fix_missing_locations(tree))
        file.write_text(f"# Licensed to nobody.\n\n{text.replace(': pass', ':  # nothing')}\n\n# The end.\n")
    return directory


class _Restyled(ast.NodeTransformer):
    """Docstrings, annotations, other order of functions; names of types for readers alone."""

    def visit_Module(self, node: ast.Module) -> ast.Module:
        self.generic_visit(node)
        node.body = list(_reordered(node.body))
        typing = ast.parse(
            "from typing import Any, TYPE_CHECKING\nif TYPE_CHECKING:\n    from io import StringIO"
        )
        if node.body:  # after the docstring
            node.body[1:1] = typing.body
        return node

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.FunctionDef:
        self.generic_visit(node)
        for argument in node.args.args:
            argument.annotation = ast.parse("Any", mode="eval").body
        node.returns = ast.parse("'Any | StringIO'", mode="eval").body
        if ast.get_docstring(node):
            node.body = node.body[1:]
        else:
            node.body[:0] = ast.parse("'''Do what the name says.'''").body
        return node

    def visit_ClassDef(self, node: ast.ClassDef) -> ast.ClassDef:
        self.generic_visit(node)
        methods = [one for one in node.body if isinstance(one, ast.FunctionDef)]
        others = [one for one in node.body if not isinstance(one, ast.FunctionDef)]
        node.body = [*others, *reversed(methods)]
        return node


def _reordered(body: list[ast.stmt]) -> Iterator[ast.stmt]:
    """Yield each run of functions without decorators backwards."""
    functions: list[ast.stmt] = []
    for statement in body:
        if isinstance(statement, ast.FunctionDef) and not statement.decorator_list:
            functions.append(statement)
        else:
            yield from reversed(functions)
            functions = []
            yield statement
    yield from reversed(functions)
