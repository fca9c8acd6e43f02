# ruff: noqa: E501 -- a project and its edit are one line of a table
"""Settings, fields and queries in other forms, written from the documentation alone."""

from __future__ import annotations

from tests.keys.code.cases import Table

FOURTH = Table()
_counts, _not = FOURTH.counts, FOURTH.does_not
_M = """
import numpy as np
import setup_of
def t(x):
    return str(np.array([x / 7]))
--- setup_of.py
import numpy as np
"""
for _name, _text in {
    "assigned result of a project's function": "def configure():\n    np.set_printoptions(precision=2)\n    return True\nREADY = configure()",
    "assigned result of an installed function": "_ = np.set_printoptions(precision=2)",
    "comprehension": "[np.set_printoptions(**{k: v}) for k, v in {'precision': 2}.items()]".replace(
        "'precision': 2", "'precision': 2"
    ),
    "test of an if": "def configure():\n    np.set_printoptions(precision=2)\n    return True\nif not configure():\n    raise ImportError",
    "body of a class": "class Setup:\n    np.set_printoptions(precision=2)",
    "constructor of an instance": "class Setup:\n    def __init__(self):\n        np.set_printoptions(precision=2)\nSETUP = Setup()",
    "context manager": "import contextlib\n@contextlib.contextmanager\ndef configured():\n    np.set_printoptions(precision=2)\n    yield\nwith configured():\n    pass",
    "__init_subclass__": "class Plugin:\n    def __init_subclass__(cls):\n        np.set_printoptions(precision=cls.digits)\nclass Two(Plugin):\n    digits = 2 # precision=2",
    "lambda called": "(lambda: np.set_printoptions(precision=2))()",
    "for over a list of functions": "def configure():\n    np.set_printoptions(precision=2)\nfor _hook in [configure]:\n    _hook()",
    "partial": "import functools\nfunctools.partial(np.set_printoptions, precision=2)()",
    "alias": "setup = np.set_printoptions\nsetup(precision=2)",
    "try": "try:\n    np.set_printoptions(precision=2)\nexcept TypeError:\n    pass",
    "map": "list(map(lambda f: f(), [lambda: np.set_printoptions(precision=2)]))",
    "decorator class": "class now:\n    def __init__(self, function):\n        function()\n@now\ndef setup():\n    np.set_printoptions(precision=2)",
}.items():
    _old, _new = (
        ("digits = 2", "digits = 5")
        if "digits = 2" in _text
        else ("'precision': 2", "'precision': 5")
        if "'precision': 2" in _text
        else ("precision=2", "precision=5")
    )
    _counts("setting: " + _name, _M + _text + "\n", f"{_old} => {_new}")

_counts(
    "model_config changed after the class",
    """
from models import Order
def t(x):
    return Order(a=x, z=1).model_dump()
--- models.py
from pydantic import BaseModel
class Order(BaseModel):
    a: int
Order.model_config["extra"] = "allow"
Order.model_rebuild(force=True)
""",
    '"allow" => "ignore"',
)
_counts(
    "pydantic default changed by another module",
    """
from models import Order
import tuning
def t(x):
    return Order(a=x).model_dump()
--- models.py
from pydantic import BaseModel
class Order(BaseModel):
    a: int
    n: int = 1
--- tuning.py
from models import Order
def tune(model, **defaults):
    for name, value in defaults.items():
        model.model_fields[name].default = value
    model.model_rebuild(force=True)
tune(Order, n=5)
""",
    "n=5 => n=6",
)
_counts(
    "pydantic field's constraint by a loop over models",
    """
from models import Order
def t(x):
    try:
        return Order(a=x).model_dump()
    except ValueError:
        return "no"
--- models.py
import annotated_types
from pydantic import BaseModel
class Order(BaseModel):
    a: int
LIMIT = 5
for _field in Order.model_fields.values():
    _field.metadata.append(annotated_types.Lt(LIMIT))
Order.model_rebuild(force=True)
""",
    "LIMIT = 5 => LIMIT = 2",
)
_counts(
    "dataclass field changed after the class",
    """
import dataclasses
from models import Order
def t(x):
    return [f.metadata["unit"] for f in dataclasses.fields(Order)]
--- models.py
from dataclasses import dataclass, field
@dataclass
class Order:
    a: int = field(default=1, metadata={"unit": "eur"})
Order.__dataclass_fields__["a"].metadata = {"unit": "usd"}
""",
    '{"unit": "usd"} => {"unit": "gbp"}',
)
_counts(
    "pydantic default that a computed dictionary gives at the class",
    """
from models import Order
def t(x):
    return Order(a=x).model_dump()
--- models.py
from pydantic import BaseModel, Field
from defaults import DEFAULTS
class Order(BaseModel):
    a: int
    n: int = Field(default=DEFAULTS["n"], ge=DEFAULTS["low"])
--- defaults.py
DEFAULTS = {"n": 1}
DEFAULTS["low"] = DEFAULTS["n"] - 1
""",
    '"n": 1 => "n": 3',
)
_counts(
    "a global in an eval of pandas",
    """
import pandas as pd
RATE = 2
def t(x):
    return pd.DataFrame({"a": [x]}).eval("b = a * @RATE")["b"].tolist()
""",
    "RATE = 2 => RATE = 3",
)
_counts(
    "a function in a query of pandas",
    """
import pandas as pd
def keep(column):
    return column > 1
def t(x):
    return pd.DataFrame({"a": range(x)}).query("@keep(a)", engine="python")["a"].tolist()
""",
    "column > 1 => column > 0",
)
_counts(
    "a global in a query in a helper's constant",
    """
from work import run
def t(x):
    return run(x)
--- work.py
import pandas as pd
import conf
QUERY = "a > @conf.LIMIT"
def run(x):
    return pd.DataFrame({"a": range(x)}).query(QUERY)["a"].tolist()
--- conf.py
LIMIT = 1
""",
    "LIMIT = 1 => LIMIT = 0",
)
_counts(
    "frames of a SQL context of polars",
    """
import polars as pl
RATES = pl.LazyFrame({"rate": [2]})
def t(x):
    return pl.SQLContext.execute_global("SELECT rate FROM RATES", eager=True)["rate"].to_list()
""",
    '"rate": [2] => "rate": [3]',
)
_counts(
    "frame of polars as a context registers globals",
    """
import polars as pl
RATES = pl.LazyFrame({"rate": [2]})
def t(x):
    return pl.SQLContext(register_globals=True, eager=True).execute("SELECT rate FROM RATES")["rate"].to_list()
""",
    '"rate": [2] => "rate": [3]',
)
_counts(
    "a helper that reads its caller's globals",
    """
import inspect
RATE = 2
def look(name):
    return inspect.currentframe().f_back.f_globals[name]
def t(x):
    return x * look("RATE")
""",
    "RATE = 2 => RATE = 3",
)
_not(
    "a main block of a module that a lazily imported module imports",
    """
def t(x):
    import late_outer
    return late_outer.run(x)
--- late_outer.py
from late_inner import step
def run(x):
    return step(x)
--- late_inner.py
def step(x):
    return x + 1
if __name__ == "__main__":
    print(step(1))
""",
    "print(step(1)) => print(step(2))",
)
_not(
    "logging and a print of a module that the body imports",
    """
def t(x):
    import late_log
    return late_log.run(x)
--- late_log.py
import logging
logging.basicConfig(level="INFO")
print("", end="")
log = logging.getLogger("a")
def run(x):
    log.debug("x")
    return x + 1
""",
    'logging.basicConfig(level="INFO") => logging.basicConfig(level="ERROR")',
)
_not(
    "a bare annotation in the task itself",
    """
def t(x):
    y = x + 1
    return y
""",
    "    y = x + 1 =>     y: int\n    y = x + 1",
)
_not(
    "a bare annotation before a loop of a method",
    """
from work import Run
def t(x):
    return Run().go(x)
--- work.py
class Run:
    def go(self, x):
        for n in range(x):
            pass
        return n
""",
    "        for n =>         n: int\n        for n",
)
