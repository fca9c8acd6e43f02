# ruff: noqa: E501 -- a project and its edit are one line of a table
"""Edits of small data projects, written from the documentation alone."""

from __future__ import annotations

from tests.keys.code.cases import Table

SECOND = Table()
_counts, _not = SECOND.counts, SECOND.does_not

# ---------------------------------------------------------------- must miss
_counts(
    "an editable src package re-exports SQL that a class composes",
    """
from lake import Query

def t(x):
    return Query(x).text()
--- site-packages/lake.pth
{here}/src
--- src/lake/__init__.py
from ._query import *
--- src/lake/_query.py
from .sql import templates as _templates

__all__ = ["Query"]

class _Base:
    template = ""

    def text(self):
        return self.template.format(limit=self.limit)

class Query(_Base):
    template = _templates.HEAD + _templates.BODY

    def __init__(self, limit):
        self.limit = limit
--- src/lake/sql/__init__.py
--- src/lake/sql/templates.py
HEAD = "SELECT day, sum(amount) AS total "
_SOURCE = "orders"
BODY = f"FROM {_SOURCE} WHERE amount > 10 LIMIT {{limit}}"
""",
    '_SOURCE = "orders" => _SOURCE = "returns"',
)
_counts(
    "a pandas accessor registered by a module that is imported for that",
    """
import pandas as pd

import accessors

def t(x):
    return pd.Series([x, 2]).fx.usd().tolist()
--- accessors.py
import pandas as pd

from quotes import rate

@pd.api.extensions.register_series_accessor("fx")
class Fx:
    def __init__(self, series):
        self._series = series

    def usd(self):
        return self._series * rate("usd")
--- quotes.py
def rate(name):
    return {"usd": 2, "gbp": 3}[name]
""",
    '"usd": 2 => "usd": 4',
)
_counts(
    "plugins found by __subclasses__ of a base",
    """
from checks import run
import more_checks

def t(x):
    return run(x)
--- checks.py
class Check:
    def apply(self, x):
        raise NotImplementedError

def run(x):
    return [kind().apply(x) for kind in Check.__subclasses__()]
--- more_checks.py
from checks import Check

class Positive(Check):
    def apply(self, x):
        return x > 0

class Small(Check):
    limit = 5

    def apply(self, x):
        return x < self.limit
""",
    "limit = 5 => limit = 2",
)
_counts(
    "keywords of a class statement go to __init_subclass__",
    """
import readers
from formats import pick

def t(x):
    return pick("data.csv").read(x)
--- formats.py
class Reader:
    known = []

    def __init_subclass__(cls, /, suffix, priority=0, **rest):
        super().__init_subclass__(**rest)
        Reader.known.append((priority, suffix, cls))

def pick(name):
    found = [row for row in Reader.known if name.endswith(row[1])]
    return max(found, key=lambda row: row[0])[2]()
--- readers.py
from formats import Reader

class Plain(Reader, suffix=".csv", priority=1):
    def read(self, x):
        return ["plain", x]

class Quoted(Reader, suffix=".csv", priority=2):
    def read(self, x):
        return ["quoted", x]
""",
    "priority=1 => priority=3",
)
_counts(
    "members of an enum by auto in another order",
    """
from levels import Level

def t(x):
    return [Level.HIGH.value * x, Level(1).name]
--- levels.py
from enum import IntEnum, auto

class Level(IntEnum):
    LOW = auto()
    HIGH = auto()
""",
    "LOW = auto()\n    HIGH = auto() => HIGH = auto()\n    LOW = auto()",
)
_counts(
    "bases in another order",
    """
from jobs import Job

def t(x):
    return Job().run(x)
--- jobs.py
from mixins import Doubling, Shifting

class Job(Doubling, Shifting):
    def run(self, x):
        return super().run(x)
--- mixins.py
class Step:
    def run(self, x):
        return x

class Doubling(Step):
    def run(self, x):
        return super().run(x) * 2

class Shifting(Step):
    def run(self, x):
        return super().run(x) + 1
""",
    "(Doubling, Shifting) => (Shifting, Doubling)",
)
_counts(
    "a converter within a pipe of attrs",
    """
from invoices import Invoice

def t(x):
    return Invoice(f" {x} ").cents
--- invoices.py
import attrs

from money import strip, to_cents

@attrs.frozen(kw_only=False)
class Invoice:
    cents: int = attrs.field(converter=attrs.converters.pipe(strip, to_cents))
--- money.py
_FACTORS = {"eur": 100}

def strip(text):
    return text.strip()

def to_cents(text):
    return int(text) * _FACTORS["eur"]
""",
    '"eur": 100 => "eur": 1000',
)
_counts(
    "the configuration of a base model of pydantic",
    """
from shipments import Shipment

def t(x):
    return Shipment(code=f"a{x}", extra_one=1).model_dump()
--- shipments.py
from models import Model

class Shipment(Model):
    code: str
--- models.py
from pydantic import BaseModel, ConfigDict

class Model(BaseModel):
    model_config = ConfigDict(extra="ignore", str_to_upper=True)
""",
    'extra="ignore" => extra="allow"',
)
_counts(
    "a type adapter of a discriminated union, and a default in one of its models",
    """
from events import parse

def t(x):
    return [event.model_dump() for event in parse([{"kind": "buy", "n": x}, {"kind": "sell"}])]
--- events.py
from typing import Annotated, Literal, Union

from pydantic import BaseModel, Field, TypeAdapter

class Buy(BaseModel):
    kind: Literal["buy"]
    n: int

class Sell(BaseModel):
    kind: Literal["sell"]
    n: int = -1

_EVENTS = TypeAdapter(list[Annotated[Union[Buy, Sell], Field(discriminator="kind")]])

def parse(rows):
    return _EVENTS.validate_python(rows)
""",
    "n: int = -1 => n: int = -2",
)
_counts(
    "a context manager sets the precision of decimals",
    """
from decimal import Decimal

from precise import exact

def t(x):
    with exact():
        return str(Decimal(x) / Decimal(7))
--- precise.py
import decimal
from contextlib import contextmanager

import limits

@contextmanager
def exact():
    with decimal.localcontext() as context:
        context.prec = limits.PRECISION
        yield context
--- limits.py
PRECISION = 4
""",
    "PRECISION = 4 => PRECISION = 6",
)
_counts(
    "a default that was computed of a table when a generator was defined",
    """
from batches import totals

def t(x):
    return list(totals(range(x * 4)))
--- batches.py
from regions import REGIONS

def _chunks(rows, size=len(REGIONS) + 1):
    rows = list(rows)
    for start in range(0, len(rows), size):
        yield rows[start : start + size]

def totals(rows):
    yield from (sum(chunk) for chunk in _chunks(rows))
--- regions.py
REGIONS = tuple("north south".split())
""",
    '"north south" => "north south west"',
)
_counts(
    "an asynchronous context manager of a client that tasks gather over",
    """
import asyncio

from clients import fetch_all

def t(x):
    return asyncio.run(fetch_all(range(x)))
--- clients.py
import asyncio

from sessions import Session

async def _fetch(session, n):
    await asyncio.sleep(0)
    return session.base + n

async def fetch_all(numbers):
    async with Session() as session:
        return await asyncio.gather(*(_fetch(session, n) for n in numbers))
--- sessions.py
class Session:
    async def __aenter__(self):
        self.base = 10
        return self

    async def __aexit__(self, *_):
        return None
""",
    "self.base = 10 => self.base = 20",
)
_counts(
    "a task that functools.wraps made, and the body of its wrapper",
    """
from resilience import with_fallback

@with_fallback(times=2)
def t(x):
    return x // (x - 3)
--- resilience.py
import functools

def with_fallback(times):
    def decorate(function):
        @functools.wraps(function)
        def wrapper(*args, **kwargs):
            for _ in range(times):
                try:
                    return function(*args, **kwargs)
                except ZeroDivisionError:
                    continue
            return _fallback(*args)
        return wrapper
    return decorate

def _fallback(*args):
    return -1
""",
    "return -1 => return -2",
)
_counts(
    "a method that another module puts onto a class",
    """
from models import Order
import patches

def t(x):
    return Order(x).total()
--- models.py
class Order:
    def __init__(self, amount):
        self.amount = amount

    def total(self):
        return self.amount
--- patches.py
import models

def _with_tax(amount):
    return amount * 19

def _total(self):
    return _with_tax(self.amount)

models.Order.total = _total
""",
    "amount * 19 => amount * 20",
)
_counts(
    "overrides of a configuration, if they can be imported",
    """
from conf import settings

def t(x):
    return settings.rates["eur"] * x + settings.offset
--- conf/__init__.py
from .base import settings

try:
    from . import local
except ImportError:
    local = None
else:
    local.apply(settings)
--- conf/base.py
class Settings:
    def __init__(self):
        self.rates = {"eur": 1}
        self.offset = 0

settings = Settings()
--- conf/local.py
def apply(settings):
    settings.rates.update(eur=2)
    settings.offset = 5
""",
    "eur=2 => eur=3",
)
_counts(
    "a filter of a jinja environment",
    """
from rendering import render

def t(x):
    return render("report", amount=x)
--- rendering.py
import jinja2

from filters import money

_ENV = jinja2.Environment(loader=jinja2.DictLoader({"report": "{{ amount | money }} total"}))
_ENV.filters["money"] = money

def render(name, **values):
    return _ENV.get_template(name).render(**values)
--- filters.py
SYMBOL = "EUR"

def money(value):
    return f"{value:.2f} {SYMBOL}"
""",
    'SYMBOL = "EUR" => SYMBOL = "USD"',
)
_counts(
    "a template of a jinja environment",
    """
from rendering import render

def t(x):
    return render("report", amount=x)
--- rendering.py
import jinja2

import texts

_ENV = jinja2.Environment(loader=jinja2.DictLoader(texts.TEMPLATES), trim_blocks=True)

def render(name, **values):
    return _ENV.get_template(name).render(**values)
--- texts.py
_FOOT = "thank you"
TEMPLATES = {"report": "{{ amount }} - " + _FOOT}
""",
    '"thank you" => "goodbye"',
)
_counts(
    "options that a helper and a group add to a parser of arguments",
    """
from options import defaults

def t(x):
    return [x * defaults().rate, defaults().name]
--- options.py
import argparse

_PARSER = argparse.ArgumentParser()

def _common(parser):
    parser.add_argument("--name", default="a")

_common(_PARSER)
_group = _PARSER.add_argument_group("money")
_group.add_argument("--rate", type=int, default=2)

def defaults():
    return _PARSER.parse_args([])
""",
    "default=2 => default=3",
)
_counts(
    "a class method of a lazily imported package with a base elsewhere",
    """
def t(x):
    from lake.orders import Orders
    return Orders.of(x)
--- lake/__init__.py
--- lake/base.py
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .orders import Orders

class Table:
    @classmethod
    def of(cls, x):
        from . import orders
        return [cls.name, orders.scale(x), cls.key * x]
--- lake/orders.py
from .base import Table
from .keys import ORDER_KEY

def scale(x):
    return x * 2

class Orders(Table):
    name = "orders"
    key = ORDER_KEY
--- lake/keys.py
_STEP = 4
ORDER_KEY = _STEP + 1
""",
    "_STEP = 4 => _STEP = 6",
)
_counts(
    "__getitem__ of a metaclass over a table of its own",
    """
from currencies import Currency

def t(x):
    return Currency["eur"] * x
--- currencies.py
from meta import Lookup

class Currency(metaclass=Lookup):
    eur = 2
    usd = 3
--- meta.py
class Lookup(type):
    def __getitem__(cls, name):
        return getattr(cls, name) + cls.bonus()

    def bonus(cls):
        return 1
""",
    "return 1 => return 5",
)
_counts(
    "steps composed by an operator at import",
    """
from flow_of import PIPE

def t(x):
    return PIPE(x)
--- flow_of.py
from steps import Step

PIPE = Step(lambda x: x + 1) | Step(lambda x: x * 3) | Step(str)
--- steps.py
class Step:
    def __init__(self, *functions):
        self.functions = functions

    def __or__(self, other):
        return Step(*self.functions, *other.functions)

    def __call__(self, x):
        for function in self.functions:
            x = function(x)
        return x
""",
    "x + 1 => x - 1",
)
_counts(
    "properties that a loop sets after the class",
    """
from rows import Row

def t(x):
    return [Row((x, 7)).day, Row((x, 7)).amount]
--- rows.py
from layout import FIELDS

class Row:
    def __init__(self, values):
        self.values = values

def _at(place):
    return property(lambda self: self.values[place])

for _place, _name in enumerate(FIELDS):
    setattr(Row, _name, _at(_place))
--- layout.py
FIELDS = ("day", "amount")
""",
    '("day", "amount") => ("amount", "day")',
)
_counts(
    "names that globals().update made",
    """
from loaders import load_csv

def t(x):
    return load_csv(x)
--- loaders.py
from functools import partial

_KINDS = {"csv": ";", "tsv": "|"}

def _load(x, *, sep):
    return sep.join(map(str, range(x)))

globals().update({f"load_{kind}": partial(_load, sep=sep) for kind, sep in _KINDS.items()})
""",
    '"csv": ";" => "csv": ","',
)
_counts(
    "the default of a context variable",
    """
from context import scaled

def t(x):
    return scaled(x)
--- context.py
from contextvars import ContextVar

from limits import START

_RATE = ContextVar("rate", default=START)

def scaled(x):
    return x * _RATE.get()
--- limits.py
START = 2
""",
    "START = 2 => START = 3",
)
_counts(
    "a constructor that a loader of yaml was given",
    """
from reading import read

def t(x):
    return read(f"rate: !cents {x}")
--- reading.py
import yaml

from money import cents

class Loader(yaml.SafeLoader):
    pass

def _cents(loader, node):
    return cents(loader.construct_scalar(node))

Loader.add_constructor("!cents", _cents)

def read(text):
    return yaml.load(text, Loader)
--- money.py
def cents(text):
    return int(text) * 100
""",
    "int(text) * 100 => int(text) * 1000",
)
_counts(
    "rows and functions of a database in memory",
    """
from prices import price

def t(x):
    return price(x)
--- prices.py
import sqlite3

from money import taxed

_ROWS = [(1, 10), (3, 30)]
_DB = sqlite3.connect(":memory:", check_same_thread=False)
_DB.execute("CREATE TABLE price (id, amount)")
with _DB:
    _DB.executemany("INSERT INTO price VALUES (?, ?)", _ROWS)

def _prepare(connection):
    connection.create_function("taxed", 1, taxed)

_prepare(_DB)

def price(x):
    return _DB.execute("SELECT taxed(amount) FROM price WHERE id = ?", [x]).fetchone()[0]
--- money.py
TAX = 19

def taxed(amount):
    return amount * TAX
""",
    "TAX = 19 => TAX = 20",
)
_counts(
    "a ufunc of a Python function",
    """
from columns import to_cents

def t(x):
    return to_cents([x, 2]).tolist()
--- columns.py
import numpy as np

from money import factor

def _to_cents(value):
    return value * factor()

to_cents = np.frompyfunc(_to_cents, 1, 1)
--- money.py
def factor():
    return 100
""",
    "return 100 => return 1000",
)
_counts(
    "an instance whose pickle leaves its rate out",
    """
from clients import CLIENT

def t(x):
    return CLIENT.convert(x)
--- clients.py
class Client:
    def __init__(self, rate):
        self._rate = rate

    def __getstate__(self):
        return {}

    def convert(self, x):
        return x * self._rate

CLIENT = Client(rate=2)
""",
    "rate=2 => rate=3",
)
_counts(
    "columns of a mapped class of SQLAlchemy",
    """
from sqlalchemy import select

from tables import Order

def t(x):
    return str(select(Order).where(Order.amount > x))
--- tables.py
from sqlalchemy import Integer, String
from sqlalchemy.orm import DeclarativeBase, mapped_column

class Base(DeclarativeBase):
    pass

class Order(Base):
    __tablename__ = "orders"
    id = mapped_column(Integer, primary_key=True)
    amount = mapped_column(Integer)
    note = mapped_column("note", String(20))
""",
    'mapped_column("note", => mapped_column("remark",',
)
_counts(
    "attributes of a frame in a constant",
    """
from reference import WEIGHTS

def t(x):
    return int(WEIGHTS["w"].sum()) * WEIGHTS.attrs["unit"] * x
--- reference.py
import pandas as pd

WEIGHTS = pd.DataFrame({"w": [1, 2]})
WEIGHTS.attrs["unit"] = 10
""",
    '["unit"] = 10 => ["unit"] = 100',
)

# ---------------------------------------------------------------- must hit
_not(
    "an unreached helper renamed and rewritten, and its caller",
    """
import cleaning

def t(x):
    return cleaning.clean(x)
--- cleaning.py
_LIMIT = 10

def clean(x):
    return min(x, _LIMIT)

def _old_helper(x):
    return x - 1

def legacy(x):
    return _old_helper(x) + 1
""",
    "_old_helper => _former_way_to_clean",
)
_not(
    "imports sorted, split and joined, and an unused one added",
    """
from work import run

def t(x):
    return run(x)
--- work.py
import sys, json
from math import floor
from helpers import scale

def run(x):
    return json.dumps([floor(x / 2), scale(x), sys.maxsize > 0])
--- helpers.py
def scale(x):
    return x * 2
""",
    "import sys, json\nfrom math import floor\nfrom helpers import scale => import csv\nimport json\nimport sys\nfrom helpers import (\n    scale,\n)\nfrom math import ceil, floor\n",
)
_not(
    "annotations of functions with a future import",
    """
from work import run

def t(x):
    return run(x)
--- work.py
import functools

@functools.lru_cache
def run(x, *, scale=2):
    def inner(y):
        return y * scale
    return [inner(n) for n in range(x)]
""",
    """import functools

@functools.lru_cache
def run(x, *, scale=2):
    def inner(y):
        return y * scale
 => from __future__ import annotations

import functools
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

@functools.lru_cache
def run(x: int, *, scale: int = 2) -> Sequence[int]:
    def inner(y: int) -> int:
        return y * scale
""",
)
_not(
    "a package re-exports one module more",
    """
import lake

def t(x):
    return lake.load(x)
--- lake/__init__.py
from .loading import load
__all__ = ["load"]
--- lake/loading.py
def load(x):
    return list(range(x))
--- lake/reports.py
COLUMNS = ["a", "b"]

class Report:
    def __init__(self, rows):
        self.rows = rows

def report(rows):
    return Report(rows)
""",
    'from .loading import load\n__all__ = ["load"] => from .loading import load\nfrom .reports import Report, report\n\n__all__ = ["Report", "load", "report"]\n__version__ = "2.0"\n',
)
_not(
    "a module and a package of other names",
    """
from helpers import scale
from helpers.frames import totals

def t(x):
    return [scale(x), totals(x)]
--- helpers/__init__.py
from .numbers_of import scale
--- helpers/numbers_of.py
def scale(x):
    return x * 2
--- helpers/frames.py
import pandas as pd

from helpers import scale

class Totals:
    def __init__(self, n):
        self.frame = pd.DataFrame({"a": range(n)})

    def sum(self):
        return int(self.frame["a"].sum())

def totals(x):
    return Totals(scale(x)).sum()
""",
    "helpers => toolkit",
)
_not(
    "a helper moved into a module of its own",
    """
from work import run

def t(x):
    return run(x)
--- work.py
RATE = 3

def scale(x):
    return x * RATE

def run(x):
    return [scale(n) for n in range(x)]
--- scaling.py
# nothing yet
""",
    """RATE = 3

def scale(x):
    return x * RATE

def run(x):
    return [scale(n) for n in range(x)]
--- scaling.py
# nothing yet
 => from scaling import scale

def run(x):
    return [scale(n) for n in range(x)]
--- scaling.py
RATE = 3

def scale(x):
    return x * RATE
""",
)
_not(
    "an unrelated class moved to another module",
    """
import logging.config

import work

logging.config.dictConfig({"version": 1, "disable_existing_loggers": False, "loggers": {"work": {"level": "INFO"}}})

def t(x):
    return work.run(x)
--- work.py
def run(x):
    return x + 1

class Unrelated:
    def describe(self):
        return "a"
--- other.py
""",
    'class Unrelated:\n    def describe(self):\n        return "a"\n--- other.py => --- other.py\nclass Unrelated:\n    def describe(self):\n        return "b"\n',
)
_not(
    "another name of a logger that a helper uses",
    """
from work import run

def t(x):
    return run(x)
--- work.py
import logging

log = logging.getLogger("etl")

def run(x):
    log.debug("rows: %s", x)
    return x + 1
""",
    'getLogger("etl") => getLogger("etl.loading")',
)
_not(
    "the command line of the script",
    """
import argparse

from work import run

def t(x):
    return run(x)

if __name__ == "__main__" and False:
    print("one")

def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--n", type=int, default=2)
    print(t(parser.parse_args().n))

if __name__ == "__main__":
    VERBOSE = 1
--- work.py
def run(x):
    return x + 1

if __name__ == "__main__":
    print(run(1))
""",
    "    VERBOSE = 1\n--- work.py =>     VERBOSE = 2\n    LEVELS = [VERBOSE] * 3\n--- work.py",
)
_not(
    "a print at the top, and a path for imports",
    """
import sys

sys.path.insert(0, "lib")
print("loading", file=sys.stderr)

from work import run

def t(x):
    return run(x)
--- work.py
def run(x):
    return x + 1
""",
    'sys.path.insert(0, "lib")\nprint("loading", file=sys.stderr) => sys.path.append("libraries")\nprint("loading, version 2", file=sys.stderr)',
)
_not(
    "a protocol and an alias that only annotations name",
    """
from work import run

def t(x):
    return run(x)
--- work.py
from shapes import Rows, Source

def run(x: int, source: "Source | None" = None) -> Rows:
    found: Rows = [x]
    return found
--- shapes.py
from typing import Protocol

Rows = list[int]

class Source(Protocol):
    def read(self, n: int) -> Rows: ...
""",
    "Rows = list[int]\n\nclass Source(Protocol):\n    def read(self, n: int) -> Rows: ... => Rows = list[int] | tuple[int, ...]\n\nclass Source(Protocol):\n    name: str\n\n    def read_all(self, n: int, m: int = 2) -> Rows: ...",
)
_not(
    "text literals in other spellings, tabs, and a continued line",
    r"""
from work import run

def t(x):
    return run(x)
--- work.py
import re

SQL = "SELECT a, b FROM t WHERE c = 'x'"
DIGITS = re.compile(r"\d+\s*")

def run(x):
    name = f"n{x!r:>4}"
    total = x + 1 + 0x10
    return SQL, DIGITS.sub("#", name), total, b"\x41", 1e3
""",
    r"""SQL = "SELECT a, b FROM t WHERE c = 'x'"
DIGITS = re.compile(r"\d+\s*")

def run(x):
    name = f"n{x!r:>4}"
    total = x + 1 + 0x10
    return SQL, DIGITS.sub("#", name), total, b"\x41", 1e3 => SQL = (
    'SELECT a, b '
    'FROM t '
    'WHERE c = \'x\''
)
DIGITS = re.compile('\\d+\\s*')

def run(x):
	name = f'n{x!r:>4}'
	total = x + \
		1 + 16
	return (SQL, DIGITS.sub('#', name), total, b'A', 1_000.0)""",
)
_not(
    "other tasks and flows of the same script",
    """
from prefect import flow, task

from work import run, summarize

def t(x):
    return run(x)

@task(retries=2)
def other(rows):
    return summarize(rows)

@flow(name="nightly")
def pipeline(n=3):
    return other(t(n))
--- work.py
def run(x):
    return [x]

def summarize(rows):
    return len(rows)
""",
    """@task(retries=2)
def other(rows):
    return summarize(rows)

@flow(name="nightly")
def pipeline(n=3):
    return other(t(n))
 => @task(retries=5, log_prints=True)
def other(rows, top=3):
    return summarize(rows[:top])

@task
def third(rows):
    return rows

@flow(name="hourly")
def pipeline(n=4):
    return third(other(t(n)))
""",
)
_not(
    "docstrings of a model, of a named tuple and of an error, in place of pass",
    """
from shapes import Failure, Order, Row

def t(x):
    try:
        if x > 5:
            raise Failure
    except Failure:
        return None
    return Order(n=x).n, Row(x, 2)
--- shapes.py
from typing import NamedTuple

from pydantic import BaseModel

class Failure(Exception):
    pass

class Order(BaseModel):
    n: int

class Row(NamedTuple):
    a: int
    b: int
""",
    """class Failure(Exception):
    pass

class Order(BaseModel):
    n: int

class Row(NamedTuple):
 => class Failure(Exception):
    '''What went wrong.'''

class Order(BaseModel):
    '''An order.

    More about it.
    '''

    n: int

class Row(NamedTuple):
    '''A row.'''

""",
)
_not(
    "constants of the same content, written otherwise",
    """
from limits import DAY, RATES, TAX

def t(x):
    return [x * DAY, RATES, TAX]
--- limits.py
from decimal import Decimal

DAY = 86400
RATES = {"eur": 1, "usd": 2}
TAX: Decimal = Decimal("0.19")
""",
    """DAY = 86400
RATES = {"eur": 1, "usd": 2}
TAX: Decimal = Decimal("0.19")
 => from typing import Final

HOUR = 60 * 60
DAY: Final[int] = 24 * HOUR
RATES = {name: place for place, name in enumerate(["eur", "usd"], 1)}
TAX = Decimal(19).scaleb(-2)
""",
)
_not(
    "relative imports of a package made absolute, in another order",
    """
from lake import run

def t(x):
    return run(x)
--- site-packages/lake.pth
{here}/src
--- src/lake/__init__.py
from .clean import strip
from .load import load

def run(x):
    return load(strip(x))
--- src/lake/clean.py
def strip(x):
    return x - 1
--- src/lake/load.py
def load(x):
    return list(range(x))
""",
    "from .clean import strip\nfrom .load import load => from lake.load import load\nfrom lake.clean import strip",
)
_not(
    "one more subclass of a base that is reached",
    """
import readers

def t(x):
    return readers.Csv().read(x)
--- readers.py
class Reader:
    def read(self, x):
        return [x, self.mark]

class Csv(Reader):
    mark = ","
""",
    "class Csv(Reader):\n => class Tsv(Reader):\n    mark = '|'\n\n    def read(self, x):\n        return super().read(x) * 2\n\nclass Csv(Reader):\n",
)
_not(
    "bare annotations of local variables",
    """
from work import run

def t(x):
    return run(x)
--- work.py
def run(x):
    total = 0
    for n in range(x):
        total += n
    return total
""",
    "    total = 0\n    for n =>     n: int\n    total: int = 0\n    for n",
)
_not(
    "comments, annotations and layout of a module that the body imports",
    """
def t(x):
    from lake import totals
    return totals.total(x)
--- lake/__init__.py
--- lake/totals.py
from .rates import RATE

def total(x, factor=2):
    return sum([x, factor]) * RATE
--- lake/rates.py
RATE = 3
""",
    """def total(x, factor=2):
    return sum([x, factor]) * RATE
 => # how much it is
def total(x: int, factor: int = 2) -> int:
    '''Add.'''
    return (
        sum([
            x,
            factor,  # times
        ])
        * RATE
    )
""",
)
_not(
    "an enum, a model and constants beside those that are reached",
    """
from shapes import Kind, Order

def t(x):
    return [Order(x, Kind.A).n, Kind.A.value]
--- shapes.py
import enum
from dataclasses import dataclass

class Kind(enum.Enum):
    A = "a"

class Colour(enum.Enum):
    RED = 1

PALETTE = [Colour.RED]

@dataclass
class Order:
    n: int
    kind: Kind

@dataclass
class Line:
    order: Order
    colour: Colour = Colour.RED
""",
    "RED => GREEN",
)
