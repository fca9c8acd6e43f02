# ruff: noqa: E501 -- a project and its edit are one line of a table
"""Edits of small projects as people write them: rules, configurations, pipelines."""

from __future__ import annotations

from tests.keys.code.cases import Table

PROJECTS = Table()
_counts, _not = PROJECTS.counts, PROJECTS.does_not

_counts(
    "rule engine of lambdas in a dataclass",
    "from dataclasses import dataclass\nfrom typing import Callable\n@dataclass(frozen=True)\nclass R:\n    name: str\n    f: Callable\nRULES = (R('a', lambda x: x > 1), R('b', lambda x: x > 5))\ndef t(x): return [r.name for r in RULES if r.f(x)]",
    "x > 5 => x > 6",
)
_counts(
    "config class built at import",
    "import json\nclass Cfg:\n    def __init__(s, text): s.__dict__.update(json.loads(text))\ncfg = Cfg('{\"rate\": 1}')\ndef t(x): return x * cfg.rate",
    '"rate": 1 => "rate": 2',
)
_counts(
    "strategy chosen by a constant",
    "MODE = 'fast'\ndef fast(x): return x\ndef slow(x): return x + 1\nrun = {'fast': fast, 'slow': slow}[MODE]\ndef t(x): return run(x)",
    "MODE = 'fast' => MODE = 'slow'",
)
_counts(
    "pipeline as a list of partials",
    "from functools import partial, reduce\ndef add(n, x): return x + n\nSTEPS = [partial(add, 1), partial(add, 2)]\ndef t(x): return reduce(lambda v, f: f(v), STEPS, x)",
    "add, 2 => add, 3",
)
_counts(
    "order of steps",
    "def a(x): return x + 1\ndef b(x): return x * 2\nSTEPS = [a, b]\ndef t(x):\n    for f in STEPS: x = f(x)\n    return x",
    "[a, b] => [b, a]",
)
_counts(
    "inherited class attribute of another module",
    "import base\nclass A(base.B): pass\ndef t(x): return A.RATE * x\n--- base.py\nclass B:\n    RATE = 1",
    "RATE = 1 => RATE = 2",
)
_counts(
    "classmethod constructor",
    "class A:\n    @classmethod\n    def make(c): return c.helper() + 1\n    @staticmethod\n    def helper(): return 3\ndef t(x): return A.make()",
    "return 3 => return 4",
)
_counts(
    "module constant by its default in a method",
    "N = 5\nclass A:\n    def f(s, n=N): return n\ndef t(x): return A().f()",
    "N = 5 => N = 6",
)
_counts(
    "value of a property's closure",
    "def ro(v): return property(lambda s: v)\nclass A:\n    p = ro(1)\ndef t(x): return A().p",
    "ro(1) => ro(2)",
)
_counts(
    "exception hierarchy",
    "class Base(Exception): pass\nclass E(Base): pass\ndef g(x): raise E\ndef t(x):\n    try: g(x)\n    except Base: return 1\n    except Exception: return 2",
    "class E(Base) => class E(Exception)",
)
_counts(
    "constants of an IntEnum in a match",
    "from enum import IntEnum\nclass K(IntEnum):\n    A = 1\n    B = 2\ndef t(x):\n    match x:\n        case K.A: return 'a'\n        case K.B: return 'b'",
    "B = 2 => B = 3",
)
_counts(
    "sentinel default from a module",
    "from consts import DEFAULT\ndef g(x, d=DEFAULT): return d\ndef t(x): return g(x)\n--- consts.py\nDEFAULT = {'a': [1, 2]}",
    "[1, 2] => [1, 3]",
)
_counts(
    "sub-package by two relative dots",
    "from app.tasks.one import t\n--- app/__init__.py\n--- app/tasks/__init__.py\n--- app/tasks/one.py\nfrom ..core import scale\ndef t(x): return scale(x)\n--- app/core.py\ndef scale(x): return x * 2",
    "x * 2 => x * 3",
)
_counts(
    "relative import of a package in a body",
    "from app.tasks.one import t\n--- app/__init__.py\n--- app/tasks/__init__.py\n--- app/tasks/one.py\ndef t(x):\n    from .. import core\n    return core.scale(x)\n--- app/core.py\ndef scale(x): return x * 2",
    "x * 2 => x * 3",
)
_counts(
    "two attributes of a config module",
    "import settings as s\ndef t(x): return x if s.DEBUG else s.LIMITS['hi']\n--- settings.py\nDEBUG = False\nLIMITS = {'hi': 9}",
    "'hi': 9 => 'hi': 8",
)
_counts(
    "monkeypatching module at import",
    "import ops\nops.f = lambda x: x + 7\ndef t(x): return ops.f(x)\n--- ops.py\ndef f(x): return x",
    "x + 7 => x + 8",
)
_counts(
    "mutation at import time",
    "TABLE = {}\nfor i in range(3):\n    TABLE[i] = i * 2\ndef t(x): return TABLE[x]",
    "i * 2 => i * 3",
)
_counts(
    "del and redefinition",
    "def f(x): return 1\ng = f\ndel f\ndef f(x): return 2\ndef t(x): return g(x) + f(x)",
    "return 1 => return 5",
)
_counts(
    "helper that is a generator",
    "def gen(n):\n    while n:\n        yield n\n        n -= 1\ndef t(x): return sum(gen(x))",
    "n -= 1 => n -= 2",
)
_counts(
    "star arguments to a helper",
    "def h(*a, **k): return len(a) + len(k)\nA, K = (1, 2), {'z': 1}\ndef t(x): return h(*A, **K)",
    "(1, 2), => (1, 2, 3),",
)
_counts(
    "regular expression with a function",
    "import re\ndef rep(m): return m.group(0).upper()\nP = re.compile('a+')\ndef t(x): return P.sub(rep, x)",
    "upper => title",
)
_counts(
    "sorted by a key function",
    "def key(r): return r['a']\ndef t(x): return sorted(x, key=key)",
    "['a'] => ['b']",
)
_counts(
    "numpy helper",
    "import numpy as np\nW = np.array([1.0, 2.0])\ndef dot(x): return np.dot(W, x)\ndef t(x): return dot(x)",
    "2.0 => 2.5",
)
_counts(
    "numpy vectorize",
    "import numpy as np\n@np.vectorize\ndef f(x): return x + 1\ndef t(x): return f(x)",
    "+ 1 => + 2",
)
_counts(
    "pandas pipe",
    "import pandas as pd\ndef clean(d): return d.dropna()\nSCHEMA = {'a': 'int64'}\ndef t(x): return pd.DataFrame(x).pipe(clean).astype(SCHEMA)",
    "int64 => int32",
)
_counts(
    "global data frame",
    "import pandas as pd\nD = pd.DataFrame({'a': [1, 2]})\ndef t(x): return D.a.sum()",
    "[1, 2] => [1, 3]",
)
_counts(
    "sklearn transformer with a function",
    "from sklearn.preprocessing import FunctionTransformer\ndef f(x): return x + 1\nT = FunctionTransformer(f)\ndef t(x): return T.transform(x)",
    "+ 1 => + 2",
)
_counts(
    "sklearn parameters",
    "from sklearn.linear_model import Ridge\nM = Ridge(alpha=1.0)\ndef t(x): return M.get_params()",
    "alpha=1.0 => alpha=2.0",
)
_counts(
    "pydantic computed field",
    "from pydantic import BaseModel, computed_field\nclass A(BaseModel):\n    k: int = 1\n    @computed_field\n    @property\n    def d(self) -> int: return self.k + 1\ndef t(x): return A().model_dump()",
    "+ 1 => + 2",
)
_counts(
    "pydantic alias",
    "from pydantic import BaseModel, Field\nclass A(BaseModel):\n    k: int = Field(1, alias='K')\ndef t(x): return A(**x)",
    "alias='K' => alias='J'",
)
_counts(
    "pydantic nested model",
    "from pydantic import BaseModel\nclass B(BaseModel):\n    n: int = 1\nclass A(BaseModel):\n    b: B = B()\ndef t(x): return A()",
    "n: int = 1 => n: int = 2",
)
_counts(
    "pydantic discriminated by literal",
    "from typing import Literal\nfrom pydantic import BaseModel\nclass A(BaseModel):\n    kind: Literal['a', 'b'] = 'a'\ndef t(x): return A(**x)",
    "'b'] => 'c']",
)
_counts(
    "pydantic serializer",
    "from pydantic import BaseModel, field_serializer\nclass A(BaseModel):\n    k: int = 1\n    @field_serializer('k')\n    def s(self, v): return v + 1\ndef t(x): return A().model_dump()",
    "v + 1 => v + 2",
)
_counts(
    "settings by environment default",
    "import os\nRATE = float(os.environ.get('NOT_SET_ANYWHERE', '1.5'))\ndef t(x): return x * RATE",
    "'1.5' => '2.5'",
)
_counts(
    "cached method",
    "from functools import lru_cache\nclass A:\n    @lru_cache(maxsize=None)\n    def f(s, x): return x + 1\ndef t(x): return A().f(x)",
    "+ 1 => + 2",
)
_counts(
    "weak registry of subclasses by init_subclass",
    "class P:\n    reg = {}\n    def __init_subclass__(c, **k): P.reg[c.__name__] = c\nclass A(P):\n    def run(s): return 1\ndef t(x): return P.reg['A']().run()",
    "return 1 => return 2",
)
_counts(
    "currying with nonlocal state",
    "def counter(step):\n    n = 0\n    def f():\n        nonlocal n\n        n += step\n        return n\n    return f\nc = counter(1)\ndef t(x): return c()",
    "counter(1) => counter(2)",
)
_not(
    "comment in a base class of another module",
    "import base\nclass A(base.B): pass\ndef t(x): return A.RATE\n--- base.py\nclass B:\n    RATE = 1",
    "RATE = 1 => RATE = 1  # percent",
)
_not(
    "another task of the module",
    "from prefect import task\n@task\ndef other(x): return x + 1\n@task\ndef _t(x): return x\nt = _t.fn",
    "+ 1 => + 2",
)
_not(
    "flow that calls the task",
    "from prefect import flow, task\n@task\ndef _t(x): return x\n@flow\ndef f(): return _t(1)\nt = _t.fn",
    "_t(1) => _t(2)",
)
_not(
    "task options",
    "from prefect import task\n@task(retries=1, tags=['a'])\ndef _t(x): return x\nt = _t.fn",
    "retries=1 => retries=2",
)
_not(
    "wrapped in black style",
    "def t(x): return dict(a=1, b=x, c=[1, 2])",
    "dict(a=1, b=x, c=[1, 2]) => dict(\n        a=1,\n        b=x,\n        c=[\n            1,\n            2,\n        ],\n    )",
)
_not(
    "type comments and casts of nothing", "def t(x):\n    y = x\n    return y", "y = x => y = x  # type: int"
)
_not(
    "new unused argument of an unused function",
    "def u(a): return a\ndef t(x): return x",
    "def u(a) => def u(a, b=3)",
)
_not(
    "stub overloads in a protocol that is only an annotation",
    "from typing import Protocol\nclass P(Protocol):\n    def f(self) -> int: ...\ndef t(x: P): return x.f()",
    "-> int => -> str",
)
_not(
    "dataclass that is only an annotation",
    "from dataclasses import dataclass\n@dataclass\nclass A:\n    k: int = 1\ndef t(x: A) -> A: return x",
    "k: int = 1 => k: int = 2",
)
