# ruff: noqa: E501 -- a project and its edit are one line of a table
"""Edits of nastier projects, written from the documentation alone."""

from __future__ import annotations

from tests.keys.code.cases import Table

THIRD = Table()
_counts, _not = THIRD.counts, THIRD.does_not

_counts(
    "setting in the __init__ of a package whose submodule is imported",
    """
from lake.work import run
def t(x):
    return run(x)
--- lake/__init__.py
import pandas as pd
pd.set_option("display.precision", 3)
--- lake/work.py
import pandas as pd
def run(x):
    return pd.Series([x / 7]).to_string()
""",
    '"display.precision", 3 => "display.precision", 4',
)
_counts(
    "settings in a loop over a table of another module",
    """
import numpy as np
import printing
def t(x):
    return str(np.array([x / 7]))
--- printing.py
import numpy as np
from options import OPTIONS
for _key, _value in OPTIONS.items():
    np.set_printoptions(**{_key: _value})
--- options.py
OPTIONS = {"precision": 3}
""",
    '"precision": 3 => "precision": 5',
)
_counts(
    "setting by a function that a decorator calls",
    """
import numpy as np
import setup_of
def t(x):
    return str(np.array([x / 7]))
--- setup_of.py
import numpy as np
def at_import(function):
    function()
    return function
@at_import
def _setup():
    np.set_printoptions(precision=2)
""",
    "precision=2 => precision=6",
)
_counts(
    "default of the JSON encoder is assigned",
    """
import json
import encoding
class Point:
    x = 2
def t(x):
    return json.dumps([Point(), x])
--- encoding.py
import json
from parts import plain
def _default(self, value):
    return plain(value)
json.JSONEncoder.default = _default
--- parts.py
def plain(value):
    return [type(value).x, "point"]
""",
    '"point"] => "dot"]',
)
_counts(
    "adapter of sqlite registered by an imported module",
    """
import sqlite3
from fractions import Fraction
import adapters
def t(x):
    return sqlite3.connect(":memory:").execute("SELECT ?", [Fraction(x, 7)]).fetchone()[0]
--- adapters.py
import sqlite3
from fractions import Fraction
from rounding import DIGITS
def _adapt(value):
    return str(round(float(value), DIGITS))
sqlite3.register_adapter(Fraction, _adapt)
--- rounding.py
DIGITS = 2
""",
    "DIGITS = 2 => DIGITS = 4",
)
_counts(
    "constructor of SafeLoader itself",
    """
import yaml
import tags
def t(x):
    return yaml.safe_load(f"!rate2 {x}")
--- tags.py
import yaml
from money import cents
yaml.SafeLoader.add_constructor("!rate2", lambda loader, node: cents(loader.construct_scalar(node)))
--- money.py
def cents(text):
    return int(text) * 100
""",
    "int(text) * 100 => int(text) * 10",
)
_counts(
    "polars namespace",
    """
import polars as pl
import namespaces
def t(x):
    return pl.Series([x]).fx2.usd().to_list()
--- namespaces.py
import polars as pl
RATE = 2
@pl.api.register_series_namespace("fx2")
class Fx:
    def __init__(self, s):
        self._s = s
    def usd(self):
        return self._s * RATE
""",
    "RATE = 2 => RATE = 3",
)
_counts(
    "listener of an engine of SQLAlchemy",
    """
from db import query
def t(x):
    return query(x)
--- db.py
import sqlalchemy as sa
from sqlalchemy import event
from money import taxed
_ENGINE = sa.create_engine("sqlite://")
@event.listens_for(_ENGINE, "connect")
def _connected(connection, record):
    connection.create_function("taxed", 1, taxed)
def query(x):
    with _ENGINE.connect() as connection:
        return connection.execute(sa.text("SELECT taxed(:x)"), {"x": x}).scalar()
--- money.py
TAX = 19
def taxed(amount):
    return amount * TAX
""",
    "TAX = 19 => TAX = 21",
)
_counts(
    "compiler of a SQL function",
    """
from sqlalchemy import select
from functions_of import Half
def t(x):
    return str(select(Half()))
--- functions_of.py
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement
class Half(FunctionElement):
    inherit_cache = True
    name = "half"
@compiles(Half)
def _half(element, compiler, **kw):
    return "x / 2"
""",
    "x / 2 => x / 2.0",
)
_counts(
    "default of a pydantic field changed after the class",
    """
from models import Order
def t(x):
    return Order(a=x).model_dump()
--- models.py
from pydantic import BaseModel
class Order(BaseModel):
    a: int
    n: int = 1
Order.model_fields["n"].default = 5
Order.model_rebuild(force=True)
""",
    "default = 5 => default = 6",
)
_counts(
    "create_model",
    """
from models import Order
def t(x):
    return Order(a=x).model_dump()
--- models.py
from pydantic import create_model
from defaults import fields
Order = create_model("Order", a=(int, ...), **fields())
--- defaults.py
def fields():
    return {"n": (int, 1)}
""",
    "(int, 1) => (float, 1.5)",
)
_counts(
    "field transformer of attrs",
    """
from models import Order
def t(x):
    return Order(x).n
--- models.py
import attrs
def _transform(cls, fields):
    return [f.evolve(converter=lambda v: v * 2) for f in fields]
@attrs.define(field_transformer=_transform)
class Order:
    n: int
""",
    "v * 2 => v * 3",
)
_counts(
    "vars of a module",
    """
import conf
def t(x):
    return x * vars(conf)["RATE"]
--- conf.py
RATE = 2
""",
    "RATE = 2 => RATE = 3",
)
_counts(
    "members of a module by inspect",
    """
import inspect
import checks
def t(x):
    return [f(x) for _, f in inspect.getmembers(checks, inspect.isfunction)]
--- checks.py
def positive(x):
    return x > 0
def small(x):
    return x < 5
""",
    "x < 5 => x < 2",
)
_counts(
    "import_module of a text in the body",
    """
import importlib
def t(x):
    return importlib.import_module("lake.clean").strip(x)
--- lake/__init__.py
--- lake/clean.py
def strip(x):
    return x - 1
""",
    "x - 1 => x - 2",
)
_counts(
    "import_module of a constant in the body",
    """
import importlib
BACKEND = "clean_fast"
def t(x):
    return importlib.import_module(BACKEND).strip(x)
--- clean_fast.py
def strip(x):
    return x - 1
""",
    "x - 1 => x - 2",
)
_counts(
    "a lazy package by a table of its __getattr__",
    """
import lake
def t(x):
    return lake.strip(x)
--- lake/__init__.py
import importlib
_LAZY = {"strip": "._clean"}
def __getattr__(name):
    if name in _LAZY:
        return getattr(importlib.import_module(_LAZY[name], __name__), name)
    raise AttributeError(name)
--- lake/_clean.py
def strip(x):
    return x - 1
""",
    "x - 1 => x - 2",
)
_counts(
    "weak set of handlers",
    """
import handlers
from signals import fire
def t(x):
    return fire(x)
--- signals.py
import weakref
_SEEN = weakref.WeakSet()
def on(function):
    _SEEN.add(function)
    return function
def fire(x):
    return sorted(f(x) for f in _SEEN)
--- handlers.py
from signals import on
@on
def double(x):
    return x * 2
@on
def shift(x):
    return x + 1
""",
    "x + 1 => x + 2",
)
_counts(
    "layout of a struct in the body of a class",
    """
from codecs_of import Codec
def t(x):
    return Codec().pack(x)
--- codecs_of.py
import struct
from formats import ORDER
class Codec:
    LAYOUT = {"row": struct.Struct(ORDER + "h")}
    def pack(self, x):
        return self.LAYOUT["row"].pack(x)
--- formats.py
ORDER = "<"
""",
    'ORDER = "<" => ORDER = ">"',
)
_counts(
    "lexicon of a scanner",
    """
from lexer import SCAN
def t(x):
    return SCAN.scan(f"{x} a")[0]
--- lexer.py
import re
def _number(scanner, text):
    return int(text) + 1
SCAN = re.Scanner([(r"[0-9]+", _number), (r" ", None), (r"[a-z]", lambda s, text: text)])
""",
    "int(text) + 1 => int(text) + 2",
)
_counts(
    "state of a subclass of threading.local",
    """
from state import STATE
def t(x):
    return x * STATE.rate
--- state.py
import threading
class State(threading.local):
    def __init__(self):
        self.rate = 2
STATE = State()
""",
    "self.rate = 2 => self.rate = 3",
)
_counts(
    "own transformer in a pipeline of sklearn",
    """
import numpy as np
from model import MODEL
def t(x):
    return MODEL.transform(np.array([[x, 1.0]])).tolist()
--- model.py
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer
from steps import Clip
MODEL = make_pipeline(FunctionTransformer(), Clip())
--- steps.py
from sklearn.base import BaseEstimator, TransformerMixin
LIMIT = 2
class Clip(TransformerMixin, BaseEstimator):
    def __sklearn_is_fitted__(self):
        return True
    def fit(self, X, y=None):
        return self
    def transform(self, X):
        return X.clip(None, LIMIT)
""",
    "LIMIT = 2 => LIMIT = 1",
)
_counts(
    "a graph of dask in a constant",
    """
from graph import TOTAL
def t(x):
    return TOTAL.compute(scheduler="sync") + x
--- graph.py
import dask
from steps import load
TOTAL = dask.delayed(sum)([dask.delayed(load)(n) for n in range(3)])
--- steps.py
def load(n):
    return n * _factor()
def _factor():
    return 2
""",
    "return 2 => return 3",
)
_counts(
    "environment of jinja made by a function",
    """
from rendering import ENV
def t(x):
    return ENV.from_string("{{ x|money }} {{ sign() }}").render(x=x)
--- rendering.py
import jinja2
import filters
def _make():
    env = jinja2.Environment(autoescape=True)
    env.filters.update({name: getattr(filters, name) for name in filters.__all__})
    env.globals["sign"] = lambda: "c"
    return env
ENV = _make()
--- filters.py
__all__ = ["money"]
def money(value):
    return value * 100
""",
    "value * 100 => value * 10",
)
_counts(
    "delimiter of a string template",
    """
from texts import Text
def t(x):
    return Text("%a $a").substitute(a=x)
--- texts.py
import string
class Text(string.Template):
    delimiter = "$"
""",
    'delimiter = "$" => delimiter = "%"',
)
_counts(
    "dependencies in defaults, by signature",
    """
from services import run
def t(x):
    return run(x)
--- services.py
from injection import Depends, inject
from rates import rate
@inject
def run(x, factor=Depends(rate)):
    return x * factor
--- injection.py
import functools
import inspect
class Depends:
    def __init__(self, make):
        self.make = make
def inject(function):
    needs = {n: p.default for n, p in inspect.signature(function).parameters.items() if isinstance(p.default, Depends)}
    @functools.wraps(function)
    def wrapper(*args):
        return function(*args, **{n: d.make() for n, d in needs.items()})
    return wrapper
--- rates.py
def rate():
    return 2
""",
    "return 2 => return 3",
)
for _how, _read in {
    "signature": "inspect.signature(function).parameters['x'].annotation",
    "get_annotations": "inspect.get_annotations(function)['x']",
    "get_type_hints": "typing.get_type_hints(function)['x']",
    "__annotations__": "function.__annotations__['x']",
    "getfullargspec": "inspect.getfullargspec(function).annotations['x']",
}.items():
    _counts(
        f"an annotation of a function read by {_how}",
        f"""
from work import run
def t(x):
    return run(x)
--- work.py
from coercion import coerce
@coerce
def run(x: int):
    return [x, x]
--- coercion.py
import functools
import inspect
import typing
def coerce(function):
    @functools.wraps(function)
    def wrapper(x):
        return function(({_read})(x))
    return wrapper
""",
        "run(x: int) => run(x: str)",
    )
_counts(
    "docstring by inspect.getdoc",
    """
import inspect
from work import run
def t(x):
    return [inspect.getdoc(run), x]
--- work.py
def run(x):
    '''Runs.'''
    return x
""",
    "Runs. => Walks.",
)
_counts(
    "docstring in the schema of a model",
    """
from models import Order
def t(x):
    return Order.model_json_schema()
--- models.py
from pydantic import BaseModel
class Order(BaseModel):
    '''An order.'''
    n: int
""",
    "An order. => A return.",
)
_counts(
    "docstring of a module in a parser",
    """
from options import PARSER
def t(x):
    return [PARSER.description, x]
--- options.py
'''Loads rows.'''
import argparse
PARSER = argparse.ArgumentParser(description=__doc__)
""",
    "Loads rows. => Loads lines.",
)
_counts(
    "name of the module of a class",
    """
from orders_a import Order
def t(x):
    return Order.__module__
--- orders_a.py
class Order:
    pass
""",
    "orders_a => orders_b",
)
_counts(
    "_generate_next_value_ of a base",
    """
from levels import Level
def t(x):
    return Level.LOW.value * x
--- levels.py
from enum import auto
from enums import Lower
class Level(Lower):
    LOW = auto()
--- enums.py
from enum import Enum
class Lower(Enum):
    @staticmethod
    def _generate_next_value_(name, start, count, last):
        return name.lower()
""",
    "name.lower() => name.title()",
)
_counts(
    "__subclasshook__",
    """
from kinds import Sized2
def t(x):
    return isinstance(x, Sized2)
--- kinds.py
from abc import ABC
class Sized2(ABC):
    @classmethod
    def __subclasshook__(cls, other):
        return hasattr(other, NEEDS)
NEEDS = "bit_length"
""",
    'NEEDS = "bit_length" => NEEDS = "__len__"',
)
_counts(
    "__class_getitem__",
    """
from parsers import Parser
def t(x):
    return Parser[int]().parse(str(x))
--- parsers.py
class Parser:
    kind = str
    def __class_getitem__(cls, kind):
        return type(f"{cls.__name__}_", (cls,), {"kind": kind, "times": 2})
    def parse(self, text):
        return self.kind(text) * self.times
""",
    '"times": 2 => "times": 3',
)
_counts(
    "a context decorator swallows",
    """
from guards import guarded
@guarded()
def t(x):
    if x == 3:
        raise KeyError(x)
    return x
--- guards.py
import contextlib
class guarded(contextlib.ContextDecorator):
    def __enter__(self):
        return self
    def __exit__(self, kind, value, trace):
        return kind is not None and issubclass(kind, CAUGHT)
CAUGHT = (LookupError,)
""",
    "(LookupError,) => (LookupError, OSError)",
)
_counts(
    "a function defined under a flag of another module",
    """
from work import run
def t(x):
    return run(x)
--- work.py
import flags
if flags.FAST:
    def run(x):
        return x * 2
else:
    def run(x):
        return x + x + 1
--- flags.py
FAST = True
""",
    "FAST = True => FAST = False",
)
_counts(
    "a module that appears, for a body that tries to import it",
    """
def t(x):
    try:
        from overrides_local import RATE
    except ImportError:
        RATE = 2
    return x * RATE
--- notes.md
""",
    "--- notes.md => --- overrides_local.py\nRATE = 5",
)
_counts(
    "a constant in the __init__ of a deep package, imported in the body",
    """
def t(x):
    import lake.deep.clean as c
    return c.strip(x)
--- lake/__init__.py
--- lake/deep/__init__.py
LIMIT = 2
--- lake/deep/clean.py
from . import LIMIT
def strip(x):
    return min(x, LIMIT)
""",
    "LIMIT = 2 => LIMIT = 1",
)
_counts(
    "an object that pickles by its name",
    """
from registry import REGISTRY
import entries
def t(x):
    return REGISTRY.known["eur"] * x
--- registry.py
class Registry:
    def __init__(self):
        self.known = {}
    def __reduce__(self):
        return "REGISTRY"
    def add(self, name, value):
        self.known[name] = value
REGISTRY = Registry()
--- entries.py
from registry import REGISTRY
REGISTRY.add("eur", 2)
""",
    '"eur", 2 => "eur", 3',
)
_counts(
    "a default that calls of another module fill",
    """
import columns
from known import every
def t(x):
    return [x, *every()]
--- known.py
def register(name=None, _known=[]):
    if name:
        _known.append(name)
    return _known
def every():
    return register()
--- columns.py
from known import register
register("day")
""",
    '"day" => "month"',
)
_counts(
    "__defaults__ that another module sets",
    """
import tuning
from work import scale
def t(x):
    return scale(x)
--- work.py
def scale(x, rate=2):
    return x * rate
--- tuning.py
import work
work.scale.__defaults__ = (3,)
""",
    "(3,) => (4,)",
)
_counts(
    "a proxy that makes its target when it is asked",
    """
from services import client
def t(x):
    return client.convert(x)
--- services.py
from proxies import Proxy
def _make():
    from targets import Target
    return Target(2)
client = Proxy(_make)
--- proxies.py
class Proxy:
    def __init__(self, make):
        object.__setattr__(self, "_make", make)
        object.__setattr__(self, "_made", None)
    def __getattr__(self, name):
        if self._made is None:
            object.__setattr__(self, "_made", self._make())
        return getattr(self._made, name)
--- targets.py
class Target:
    def __init__(self, rate):
        self.rate = rate
    def convert(self, x):
        return x * self.rate + OFFSET
OFFSET = 1
""",
    "OFFSET = 1 => OFFSET = 2",
)
_counts(
    "a global that a query of pandas names",
    """
from work import run
def t(x):
    return run(x)
--- work.py
import pandas as pd
LIMIT = 1
def run(x):
    return pd.DataFrame({"a": range(x)}).query("a > @LIMIT")["a"].tolist()
""",
    "LIMIT = 1 => LIMIT = 0",
)
_counts(
    "a global that an eval names",
    """
from work import run
def t(x):
    return run(x)
--- work.py
def scale(x):
    return x * 2
def run(x):
    return eval("scale(x)")
""",
    "x * 2 => x * 3",
)
_counts(
    "a frame that a query of polars names",
    """
import polars as pl
RATES = pl.DataFrame({"rate": [2]})
def t(x):
    return pl.sql("SELECT rate FROM RATES", eager=True)["rate"].to_list() + [x]
""",
    "[2] => [3]",
)
_counts(
    "globals of a template",
    """
RATE = 2
def t(x):
    return "{RATE} {x}".format(**globals(), x=x)
""",
    "RATE = 2 => RATE = 3",
)
_counts(
    "the module of a function by sys.modules",
    """
from work import run
def t(x):
    return run(x)
--- work.py
import sys
RATE = 2
def run(x):
    return x * sys.modules[__name__].RATE
""",
    "RATE = 2 => RATE = 3",
)
_counts(
    "a circular import, by the module",
    """
from left import run
def t(x):
    return run(x)
--- left.py
import right
def scale(x):
    return x * 2
def run(x):
    return right.twice(x)
--- right.py
import left
def twice(x):
    return left.scale(left.scale(x))
""",
    "x * 2 => x * 3",
)
_counts(
    "an initializer of a pool of threads",
    """
from pool import POOL, LOCAL
def t(x):
    return POOL.submit(lambda: x * LOCAL["rate"]).result()
--- pool.py
from concurrent.futures import ThreadPoolExecutor
LOCAL = {}
def _prepare(rate):
    LOCAL["rate"] = rate + 1
POOL = ThreadPoolExecutor(1, initializer=_prepare, initargs=(2,))
""",
    "rate + 1 => rate + 2",
)
_counts(
    "singledispatch on an abstract type, registered by a package",
    """
import lake
def t(x):
    return lake.render([x])
--- lake/__init__.py
from .core import render
from . import renderers
--- lake/core.py
import functools
@functools.singledispatch
def render(value):
    return repr(value)
--- lake/renderers.py
from collections.abc import Sequence
from .core import render
@render.register(Sequence)
def _(value):
    return SEPARATOR.join(map(str, [*value, *value]))
SEPARATOR = "-"
""",
    'SEPARATOR = "-" => SEPARATOR = "+"',
)

_not(
    "only a bare annotation of a local variable",
    """
from work import run
def t(x):
    return run(x)
--- work.py
def run(x):
    total = x + 1
    return total
""",
    "    total = x + 1 =>     total: int\n    total = x + 1",
)
_not(
    "only an annotated assignment of a local variable",
    """
from work import run
def t(x):
    return run(x)
--- work.py
def run(x):
    total = x + 1
    return total
""",
    "    total = x + 1 =>     total: int = x + 1",
)
_not(
    "another type of a bare annotation",
    """
from work import run
def t(x):
    return run(x)
--- work.py
def run(x):
    total: int
    total = x + 1
    return total
""",
    "total: int => total: float",
)
_not(
    "a pass more, and docstrings of inner functions and properties",
    """
from work import Run
def t(x):
    return Run().go(x)
--- work.py
class Run:
    @property
    def step(self):
        return 2
    def go(self, x):
        def inner(y):
            return y * self.step
        if x > 5:
            return 0
        return inner(x)
""",
    """        return 2
    def go(self, x):
        def inner(y):
 =>         '''Step.'''
        pass
        return 2
    def go(self, x):
        '''Go.'''
        def inner(y):
            '''Scale.'''
""",
)
_not(
    "a constant in an annotation",
    """
from work import run
def t(x):
    return run(x)
--- work.py
from typing import Annotated, TypeVar
LIMIT = 5
T = TypeVar("T", bound=int)
def run(x: Annotated[T, LIMIT]) -> T:
    return x
""",
    'LIMIT = 5\nT = TypeVar("T", bound=int) => LIMIT = 6\nT = TypeVar("T", bound=float)',
)
_not(
    "an import of a project's module that nobody uses goes",
    """
import unused_one
from work import run
def t(x):
    return run(x)
--- unused_one.py
TABLE = {"a": 1}
def other(x):
    return x
--- work.py
import unused_one
def run(x):
    return x + 1
""",
    "import unused_one\n => ",
)
_not(
    "a shebang, an encoding and a form feed",
    """
from work import run
def t(x):
    return run(x)
--- work.py
def run(x):
    return x + 1
def other(x):
    return x
""",
    "def run(x): => #!/usr/bin/env python\n# -*- coding: utf-8 -*-\n\x0c\n\ndef run(x):",
)
_not(
    "a data class that is used moves",
    """
from shapes import Point, scale
def t(x):
    return scale(Point(x))
--- shapes.py
from dataclasses import dataclass
@dataclass
class Point:
    x: int
def scale(point):
    return point.x * 2
--- points.py
""",
    """from dataclasses import dataclass
@dataclass
class Point:
    x: int
def scale(point):
    return point.x * 2
--- points.py
 => from points import Point
def scale(point: Point) -> int:
    return point.x * 2
--- points.py
from dataclasses import dataclass
@dataclass
class Point:
    x: int
""",
)
_not(
    "an array and a frame computed otherwise",
    """
from tables import A, B, C
def t(x):
    return [int(A.sum()) * x, B["a"].tolist(), C]
--- tables.py
import numpy as np
import pandas as pd
A = np.array([0, 2, 4])
B = pd.DataFrame({"a": [1, 2]})
C = frozenset(["x", "y"])
""",
    """A = np.array([0, 2, 4])
B = pd.DataFrame({"a": [1, 2]})
C = frozenset(["x", "y"])
 => A = np.arange(6)[::2]
B = pd.DataFrame([[1], [2]], columns=["a"])
C = frozenset("yx")
""",
)
_not(
    "a star import made explicit",
    """
from lake import *
def t(x):
    return run(x) + RATE
--- lake/__init__.py
from .work import *
from .rates import *
--- lake/work.py
__all__ = ["run"]
def run(x):
    return x + 1
--- lake/rates.py
RATE = 2
OTHER = 3
""",
    'from .work import *\nfrom .rates import * => from .rates import OTHER, RATE\nfrom .work import run\n__all__ = ["RATE", "run"]',
)
_not(
    "a logger by the name of a module that is renamed",
    """
from loading_a import run
def t(x):
    return run(x)
--- loading_a.py
import logging
logger = logging.getLogger(__name__)
def run(x):
    logger.info("run")
    return x + 1
""",
    "loading_a => loading_b",
)
_not(
    "another constant of a module that is used by attribute",
    """
import conf
def t(x):
    return x * conf.RATE
--- conf.py
RATE = 2
DEBUG = False
PATHS = {"a": "b"}
""",
    'DEBUG = False\nPATHS = {"a": "b"} => DEBUG = True\nPATHS = {"a": "c"}',
)
_not(
    "the main block of a module that the body imports",
    """
def t(x):
    import late_main
    return late_main.run(x)
--- late_main.py
def run(x):
    return x + 1
if __name__ == "__main__":
    print(run(1))
""",
    'print(run(1)) => print(run(2), "two")',
)
