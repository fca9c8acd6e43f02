# ruff: noqa: E501 -- a project and its edit are one line of a table
"""Edits where what counts, or does not, is out of sight."""

from __future__ import annotations

from tests.keys.code.cases import Table

HIDDEN = Table()
_counts, _not = HIDDEN.counts, HIDDEN.does_not

# What the code leaves with the interpreter, or in an object that shows nothing of it.
_counts(
    "precision set at import",
    "import decimal\ndecimal.getcontext().prec = 6\ndef t(x): return str(decimal.Decimal(1) / x)",
    "= 6 => = 4",
)
_counts(
    "seed set at import",
    "import random\nrandom.seed(1)\ndef t(x): return random.randrange(10**9) + x",
    "seed(1) => seed(2)",
)
_counts(
    "numpy function of a helper",
    "import numpy as np\ndef h(x): return x + 1\nF = np.frompyfunc(h, 1, 1)\ndef t(x): return F(x)",
    "x + 1 => x + 2",
)
_counts(
    "callback for C",
    "import ctypes\nCALL = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_int)\n@CALL\ndef h(x): return x + 1\ndef t(x): return h(x)",
    "x + 1 => x + 2",
)
_counts(
    "class registered with an abstract one",
    "import abc\nclass Number(abc.ABC): pass\nNumber.register(str)\ndef t(x): return isinstance(x, Number)",
    "register(str) => register(int)",
)
_counts(
    "module with a class of its own",
    """
import cfg
def t(x): return x + cfg.N
--- cfg.py
import sys, types
class Config(types.ModuleType):
    @property
    def N(self): return 1
sys.modules[__name__].__class__ = Config
""",
    "return 1 => return 2",
)
_counts("struct", "import struct\nS = struct.Struct('<i')\ndef t(x): return S.pack(x)", "<i => >i")
_counts(
    "hash that has begun",
    "import hashlib\nH = hashlib.sha256(b'salt')\ndef t(x):\n    h = H.copy()\n    h.update(bytes(x))\n    return h.hexdigest()",
    "salt => pepper",
)
_counts(
    "default of a parser",
    "import argparse\nP = argparse.ArgumentParser()\nP.add_argument('--n', type=int, default=1)\ndef t(x): return P.parse_args([]).n + x",
    "default=1 => default=2",
)
_counts(
    "scanner of lambdas",
    "import re\nS = re.Scanner([(r'\\d+', lambda s, token: int(token) + 1)])\ndef t(x): return S.scan(str(x))",
    "+ 1 => + 2",
)
_counts(
    "grammar in a docstring",
    "import inspect\ndef rule(x):\n    'a | b'\ndef t(x): return inspect.getdoc(rule).split('|')",
    "a | b => a | c",
)
_counts(
    "types in a signature",
    "import inspect\ndef h(a: int): ...\ndef t(x): return [p.annotation(x) for p in inspect.signature(h).parameters.values()]",
    "a: int => a: float",
)
_counts(
    "plugins found in a package",
    """
import importlib, pkgutil
import plugins
def t(x): return [importlib.import_module('plugins.' + one.name).run(x) for one in pkgutil.iter_modules(plugins.__path__)]
--- plugins/__init__.py

--- plugins/first.py
def run(x): return x + 1
""",
    "x + 1 => x + 2",
)
_counts(
    "name of a class",
    "class First: pass\ndef make(): return First()\ndef t(x): return type(make()).__name__",
    "First => Second",
)
_counts(
    "weak reference to a helper",
    "import weakref\ndef h(x): return x + 1\nR = weakref.ref(h)\ndef t(x): return R()(x)",
    "x + 1 => x + 2",
)

# The same by another way, and what only leaves traces.
_not(
    "f-string in two pieces",
    "def t(x): return f'{x} and {x + 1}'",
    "f'{x} and {x + 1}' => f'{x} and ' f'{x + 1}'",
)
_not("raw string", "import re\ndef t(x): return re.findall('\\\\d', str(x))", "'\\\\d' => r'\\d'")
_not(
    "text that is not Unicode",
    "S = '\\udc80'\ndef t(x): return len(S + '\\udc81') + x",
    "def t => # note\ndef t",
)
_not("number of many digits", "N = 10 ** 6000\ndef t(x): return N % (x + 4)", "def t => # note\ndef t")
_not("tabs", "def h(x):\n    if x:\n        return 1\n    return 2\ndef t(x): return h(x)", "     => \t")
_not(
    "annotation of a constant",
    "from typing import Final\nN = 1\ndef t(x): return x + N",
    "N = 1 => N: Final[int] = 1",
)
_not(
    "helper moved to another module",
    "def h(x): return x + 1\ndef t(x): return h(x)\n--- lib.py\nN = 1",
    "def h(x): return x + 1\ndef t(x): return h(x)\n--- lib.py => from lib import h\ndef t(x): return h(x)\n--- lib.py\ndef h(x): return x + 1",
)
_not(
    "final method",
    "import typing\nclass A:\n    def f(self, x): return x + 1\ndef t(x): return A().f(x)",
    "    def f =>     @typing.final\n    def f",
)
_not(
    "equal mapping, written otherwise",
    "T = {'a': 1, 'b': 2}\ndef t(x): return T['a'] + x",
    "{'a': 1, 'b': 2} => dict(a=1, b=2)",
)
_not("equal number, written otherwise", "HOUR = 60 * 60\ndef t(x): return x * HOUR", "60 * 60 => 3600")
_not(
    "comment in modules that import each other",
    """
import one
def t(x): return one.f(x)
--- one.py
import two
def f(x): return two.g(x - 1) if x else 0
--- two.py
import one
def g(x): return one.f(x - 1) if x > 0 else 1
""",
    "def g => # note\ndef g",
)
_not(
    "docstring within a decorator",
    """
import functools
def twice(f):
    @functools.wraps(f)
    def call(x):
        "Call it."
        return f(f(x))
    return call
@twice
def h(x): return x + 1
def t(x): return h(x)
""",
    "Call it. => Call it twice.",
)
_not(
    "instance check at import",
    "import abc\nclass Number(abc.ABC): pass\nNumber.register(int)\ndef t(x): return isinstance(x, Number)\nBEGUN = 1",
    "BEGUN = 1 => BEGUN = isinstance('', Number) or isinstance(1, Number)",
)
_not(
    "memo that is warm at import",
    "import functools\n@functools.lru_cache\ndef h(x): return x + 1\ndef t(x): return h(x)\nBEGUN = 1",
    "BEGUN = 1 => BEGUN = h(1) + h(3)",
)
_not(
    "flags combined at import",
    "import enum\nclass P(enum.Flag):\n    R = 1\n    W = 2\ndef t(x): return P.R.value + x\nBEGUN = 1",
    "BEGUN = 1 => BEGUN = P.R | P.W",
)
