# ruff: noqa: E501 -- a project and its edit are one line of a table
"""Edits of statements whose effect no value shows: opaque objects, settings of packages."""

from __future__ import annotations

from tests.keys.code.cases import Table

OBJECTS = Table()
_counts, _not = OBJECTS.counts, OBJECTS.does_not

# Objects that show nothing of themselves.
_counts(
    "ufunc of a helper",
    "import numpy as np\ndef h(x): return x + 1\nF = np.frompyfunc(h, 1, 1)\ndef t(x): return F(x)",
    "x + 1 => x + 2",
)
_counts(
    "ufunc of a lambda in a dict",
    "import numpy as np\nF = {'a': np.frompyfunc(lambda x: x + 1, 1, 1)}\ndef t(x): return F['a'](x)",
    "x + 1 => x + 2",
)
_counts(
    "format of bytes in a list",
    "import struct\nL = [struct.Struct('<i')]\ndef t(x): return L[0].pack(x)",
    "<i => >i",
)
_counts(
    "method of a format of bytes",
    "import struct\nPACK = struct.Struct('<i').pack\ndef t(x): return PACK(x)",
    "<i => >i",
)
_counts(
    "hash with a salt",
    "import hashlib\nH = hashlib.blake2b(b'salt')\ndef t(x): return H.copy().hexdigest()",
    "salt => pepper",
)
_counts(
    "hash that is fed later",
    "import hashlib\nH = hashlib.sha256()\nH.update(b'salt')\ndef t(x): return H.copy().hexdigest()",
    "salt => pepper",
)
_counts(
    "signature with a key",
    "import hmac\nH = hmac.new(b'salt', digestmod='sha256')\ndef t(x): return H.copy().hexdigest()",
    "salt => pepper",
)
_counts(
    "weak reference",
    "import weakref\ndef h(x): return x + 1\nR = weakref.ref(h)\ndef t(x): return R()(x)",
    "x + 1 => x + 2",
)
_counts(
    "proxy of a function",
    "import weakref\ndef h(x): return x + 1\nP = weakref.proxy(h)\ndef t(x): return P(x)",
    "x + 1 => x + 2",
)
_counts(
    "weak dictionary of functions",
    "import weakref\ndef h(x): return x + 1\nW = weakref.WeakValueDictionary(h=h)\ndef t(x): return W['h'](x)",
    "x + 1 => x + 2",
)
_counts(
    "callback of C",
    "import ctypes\nCALL = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_int)\ndef h(x): return x + 1\nC = CALL(h)\ndef t(x): return C(x)",
    "x + 1 => x + 2",
)
_counts(
    "comparison as a key",
    "import functools\nKEY = functools.cmp_to_key(lambda a, b: a - b)\ndef t(x): return sorted([x, 1], key=KEY)",
    "a - b => b - a",
)
_counts(
    "comparison of a helper in another module",
    "from cmp import KEY\ndef t(x): return sorted([x, 1], key=KEY)\n--- cmp.py\nimport functools\nfrom rank import rank\ndef less(a, b): return rank(a) - rank(b)\nKEY = functools.cmp_to_key(less)\n--- rank.py\ndef rank(x): return x",
    "return x => return -x",
)
_counts(
    "constant in a statement that makes an object",
    "import functools\nfrom settings import SIGN\ndef make(sign): return functools.cmp_to_key(lambda a, b: sign * (a - b))\nKEY = make(SIGN)\ndef t(x): return sorted([x, 1], key=KEY)\n--- settings.py\nSIGN = 1",
    "SIGN = 1 => SIGN = -1",
)
_counts(
    "object through a package and a star",
    "from pkg import *\ndef t(x): return sorted([x, 1], key=KEY)\n--- pkg/__init__.py\nfrom .impl import KEY\n--- pkg/impl.py\nimport functools\nKEY = functools.cmp_to_key(lambda a, b: a - b)",
    "a - b => b - a",
)
_counts(
    "object under two names",
    "import functools\nfirst = functools.cmp_to_key(lambda a, b: a - b)\nKEY = first\ndef t(x): return sorted([x, 1], key=KEY)",
    "a - b => b - a",
)
_counts(
    "object of an instance",
    "import functools\nclass A:\n    def __init__(s, k): s.k = k\nONE = A(functools.cmp_to_key(lambda a, b: a - b))\ndef t(x): return sorted([x, 1], key=ONE.k)",
    "a - b => b - a",
)
_counts(
    "object of a class",
    "import functools\nclass A:\n    k = functools.cmp_to_key(lambda a, b: a - b)\ndef t(x): return sorted([x, 1], key=A.k)",
    "a - b => b - a",
)
_counts(
    "object in a closure",
    "import functools\ndef make(sign):\n    key = functools.cmp_to_key(lambda a, b: sign * (a - b))\n    def f(x): return sorted([x, 1], key=key)\n    return f\nt = make(1)",
    "make(1) => make(-1)",
)
_counts(
    "object as a default",
    "import functools\ndef t(x, key=functools.cmp_to_key(lambda a, b: a - b)): return sorted([x, 1], key=key)",
    "a - b => b - a",
)
_counts(
    "objects made in a loop",
    "import functools\nKEYS = {}\nfor sign in (1, 2): KEYS[sign] = functools.cmp_to_key(lambda a, b, sign=sign: sign * (a - b))\ndef t(x): return sorted([x, 1], key=KEYS[1])",
    "(1, 2) => (1, 2, -1)",
)
_counts(
    "map in a global",
    "def h(x): return x + 1\nM = map(h, [1])\ndef t(x): return M",
    "x + 1 => x + 2",
)
_counts("counter in a global", "import itertools\nC = itertools.count(5)\ndef t(x): return C", "(5) => (6)")
_counts("reversed list", "R = reversed([1, 2])\ndef t(x): return R", "[1, 2] => [1, 3]")
_counts(
    "generator that a function made, in a global",
    "def gen(n): yield n\nG = gen(5)\ndef t(x): return G",
    "gen(5) => gen(6)",
)
_counts(
    "database with a function",
    "import sqlite3\nDB = sqlite3.connect(':memory:', check_same_thread=False)\nDB.create_function('f', 1, lambda x: x + 1)\ndef t(x): return DB.execute('select f(1)').fetchone()",
    "x + 1 => x + 2",
)
_counts(
    "values of a thread",
    "import threading\nL = threading.local()\nL.k = 1\ndef t(x): return L.k + x",
    "L.k = 1 => L.k = 2",
)
_counts(
    "client with an address",
    "import httpx\nC = httpx.Client(base_url='http://a.test')\ndef t(x): return str(C.base_url)",
    "a.test => b.test",
)
_counts(
    "engine with an address",
    "import sqlalchemy\nE = sqlalchemy.create_engine('sqlite:///a.db')\ndef t(x): return str(E.url)",
    "a.db => b.db",
)
_counts(
    "query in a global",
    "import sqlalchemy as sa\nU = sa.table('u', sa.column('a'), sa.column('b'))\nQ = sa.select(U.c.a).where(U.c.b == 3)\ndef t(x): return str(Q)",
    "U.c.b == 3 => U.c.b == 4",
)
_counts(
    "query over a table of another module",
    "import sqlalchemy as sa\nfrom tables import U\nQ = sa.select(U.c.a).where(U.c.a == 3)\ndef t(x): return str(Q)\n--- tables.py\nimport sqlalchemy as sa\nU = sa.table('u', sa.column('a'))",
    "sa.table('u' => sa.table('v'",
)
_counts(
    "command of click",
    "import click\n@click.command()\n@click.option('--n', default=1)\ndef c(n): return n\ndef t(x): return c.main([], standalone_mode=False)",
    "default=1 => default=2",
)
_counts(
    "formatter with a method",
    "import string\nclass F(string.Formatter):\n    def convert_field(s, v, c): return v + 1\nf = F()\ndef t(x): return f.format('{0!a}', x)",
    "v + 1 => v + 2",
)

# Registries.
_counts(
    "registered with an abstract class",
    "import abc\nclass Number(abc.ABC): pass\nNumber.register(str)\ndef t(x): return isinstance(x, Number)",
    "register(str) => register(int)",
)
_counts(
    "registered by a decorator",
    "import abc\nclass Number(abc.ABC): pass\n@Number.register\nclass A: pass\ndef t(x): return isinstance(x, Number)",
    "@Number.register => # no",
)
_counts(
    "registered with an installed class",
    "import numbers\nclass A: pass\nnumbers.Number.register(A)\ndef t(x): return isinstance(A(), numbers.Number)",
    "numbers.Number.register(A) => pass",
)
_counts(
    "protocol at run time",
    "from typing import Protocol, runtime_checkable\n@runtime_checkable\nclass P(Protocol):\n    def f(self): ...\ndef t(x):\n    try: return isinstance(x, P)\n    except TypeError: return 'no'",
    "@runtime_checkable => # no",
)
_counts(
    "pickling of a class",
    "import copyreg\nclass A: pass\ndef reduce(a): return int, (1,)\ncopyreg.pickle(A, reduce)\ndef t(x):\n    import pickle\n    return pickle.loads(pickle.dumps(A()))",
    "(1,) => (2,)",
)
_counts(
    "method of an installed class",
    "import fractions\ndef half(s): return s / 2\nfractions.Fraction.half = half\ndef t(x): return fractions.Fraction(x).half()",
    "s / 2 => s / 4",
)
_counts(
    "accessor of frames",
    "import pandas as pd\n@pd.api.extensions.register_series_accessor('k')\nclass K:\n    def __init__(s, o): s.o = o\n    def f(s): return 1\ndef t(x): return pd.Series([x]).k.f()",
    "return 1 => return 2",
)
_counts(
    "class of a module",
    "import cfg\ndef t(x): return x + cfg.N\n--- cfg.py\nimport sys, types\nclass Config(types.ModuleType): N = property(lambda s: 1)\nsys.modules[__name__].__class__ = Config",
    "s: 1 => s: 2",
)
_counts(
    "class of a module that reads a name",
    "import cfg\ndef t(x): return x + cfg.N\n--- cfg.py\nimport sys, types\n_n = 1\nclass Config(types.ModuleType): N = property(lambda s: s._n)\nsys.modules[__name__].__class__ = Config",
    "_n = 1 => _n = 2",
)

# Settings of installed packages.
_counts(
    "precision of decimals",
    "import decimal\ndecimal.getcontext().prec = 6\ndef t(x): return str(decimal.Decimal(1) / x)",
    "= 6 => = 4",
)
_counts(
    "precision by a name",
    "from decimal import Decimal, getcontext\ncontext = getcontext()\ncontext.prec = 6\ndef t(x): return str(Decimal(1) / x)",
    "= 6 => = 4",
)
_counts(
    "precision by a constant",
    "import decimal\nfrom settings import PREC\ndecimal.getcontext().prec = PREC\ndef t(x): return str(decimal.Decimal(1) / x)\n--- settings.py\nPREC = 6",
    "= 6 => = 4",
)
_counts(
    "precision by a function of another module",
    "import decimal\nfrom settings import setup\nsetup()\ndef t(x): return str(decimal.Decimal(1) / x)\n--- settings.py\nimport decimal\ndef setup(): decimal.getcontext().prec = 6",
    "= 6 => = 4",
)
_counts(
    "precision by a module that is only imported",
    "import decimal\nimport settings\ndef t(x): return str(decimal.Decimal(1) / x)\n--- settings.py\nimport decimal\nif True:\n    decimal.getcontext().prec = 6",
    "= 6 => = 4",
)
_counts(
    "seed",
    "import random\nrandom.seed(1)\ndef t(x): return random.randrange(10**9) + x",
    "seed(1) => seed(2)",
)
_counts(
    "option of pandas",
    "import pandas as pd\npd.set_option('display.precision', 3)\ndef t(x): return str(pd.Series([x / 7]))",
    "precision', 3 => precision', 4",
)
_counts(
    "options of numpy",
    "import numpy as np\nnp.set_printoptions(precision=3)\ndef t(x): return str(np.array([x / 7]))",
    "precision=3 => precision=4",
)
_counts(
    "environment set at import",
    "import os\nos.environ['S3KV_ZZ'] = '1'\ndef t(x): return os.environ['S3KV_ZZ']",
    "'1' => '2'",
)
_counts(
    "environment set in a loop",
    "import os\nfor name in ('S3KV_ZA', 'S3KV_ZB'): os.environ.setdefault(name, '1')\ndef t(x): return os.environ['S3KV_ZA']",
    "'1' => '2'",
)
_counts(
    "warnings are errors",
    "import warnings\nwarnings.simplefilter('ignore')\ndef t(x):\n    try: warnings.warn('w')\n    except UserWarning: return 1",
    "'ignore' => 'error'",
)

_counts(
    "setting in a class, in its body or a method",
    "import decimal\nclass Setup:\n    decimal.getcontext().rounding = 'ROUND_UP'\n    def run(self): decimal.getcontext().prec = 6\nsetup = Setup()\nsetup.run()\ndef t(x): return str(decimal.Decimal(1) / x)",
    "= 6 => = 4",
)
_counts(
    "setting by a path beside the code",
    "import os\nfrom conf import BASE\nos.environ['S3KV_ZP'] = str(BASE)\ndef t(x): return os.environ['S3KV_ZP'][-1]\n--- conf.py\nimport pathlib\nBASE = pathlib.Path(__file__).parent / 'a'",
    "/ 'a' => / 'b'",
)
_counts(
    "object made by a path beside the code",
    "import functools\nimport conf\nKEY = functools.cmp_to_key(lambda a, b: len(conf.BASE))\ndef t(x): return sorted([x, 1], key=KEY)\n--- conf.py\nimport os\nBASE = os.path.join(os.path.dirname(__file__), 'a')",
    "'a') => 'b')",
)

# What looks alike, and does not count.
_not(
    "format of bytes, reformatted",
    "import functools\nKEY = functools.cmp_to_key(lambda a, b: a - b)\ndef t(x): return sorted([x, 1], key=KEY)",
    "KEY = functools.cmp_to_key(lambda a, b: a - b) => # why\nKEY = functools.cmp_to_key(\n    lambda a, b: (a - b),  # so\n)",
)
_not(
    "another opaque object",
    "import functools\nKEY = functools.cmp_to_key(lambda a, b: a - b)\nOTHER = functools.cmp_to_key(lambda a, b: a - b - 1)\ndef t(x): return sorted([x, 1], key=KEY)",
    "- 1) => - 2)",
)
_not(
    "opaque object below another",
    "import functools\nKEY = functools.cmp_to_key(lambda a, b: a - b)\nN = 1\ndef t(x): return sorted([x, 1], key=KEY)",
    "N = 1 => N = 2\n\n\nM = 3",
)
_not(
    "opaque object that moved to another module",
    "import functools\nKEY = functools.cmp_to_key(lambda a, b: a - b)\ndef t(x): return sorted([x, 1], key=KEY)\n--- lib.py\nN = 1",
    "import functools\nKEY = functools.cmp_to_key(lambda a, b: a - b)\ndef t(x): return sorted([x, 1], key=KEY)\n--- lib.py => from lib import KEY\ndef t(x): return sorted([x, 1], key=KEY)\n--- lib.py\nimport functools\nKEY = functools.cmp_to_key(lambda a, b: a - b)",
)
_not(
    "function that uses an opaque object",
    "import functools\nKEY = functools.cmp_to_key(lambda a, b: a - b)\ndef other(x): return sorted(x, key=KEY)[0]\ndef t(x): return sorted([x, 1], key=KEY)",
    "[0] => [1]",
)
_not("line that prints", "import sys\nprint('one', file=sys.stderr)\ndef t(x): return x", "'one' => 'two'")
_not(
    "level of logging",
    "import logging\nlogging.basicConfig(level=10)\ndef t(x): return x",
    "level=10 => level=20",
)
_not(
    "command of an application",
    "import typer\napp = typer.Typer()\n@app.command()\ndef c(n: int = 1): print(n)\ndef t(x): return x",
    "print(n) => print(n, n)",
)
_not(
    "path of modules",
    "import sys\nsys.path.append('/nowhere/one')\ndef t(x): return x",
    "one => two",
)
_not(
    "block of a script",
    "import random\ndef t(x): return x\nif __name__ == '__main__x':\n    random.seed(1)",
    "seed(1) => seed(2)",
)
_not(
    "setting in a module that is not imported",
    "def t(x): return x\n--- other.py\nimport random\nrandom.seed(1)",
    "seed(1) => seed(2)",
)
_not(
    "setting in a function that nobody calls",
    "import random\ndef setup(): random.seed(1)\ndef t(x): return x",
    "seed(1) => seed(2)",
)
_not(
    "comment at a setting",
    "import random\nrandom.seed(1)\ndef t(x): return x",
    "seed(1) => seed( 1 )  # always",
)
_not(
    "assignment of a call's value",
    "import time\nSTARTED = time.time()\ndef t(x): return x",
    "time.time() => time.time() + 1",
)
_not(
    "final class",
    "import typing\nclass A:\n    def f(self, x): return x + 1\ndef t(x): return A().f(x)",
    "class A => @typing.final\nclass A",
)
_not(
    "final function",
    "import typing\ndef h(x): return x + 1\ndef t(x): return h(x)",
    "def h => @typing.final\ndef h",
)
_not(
    "file of a module",
    "import cfg, pathlib\ndef t(x): return pathlib.Path(cfg.__file__).name\n--- cfg.py\nN = 1",
    "N = 1 => N = 2",
)

_counts(
    "hash that is taken away",
    "class A:\n    k = 1\ndef t(x): return callable(A.__hash__)",
    "k = 1 => k = 1\n    __hash__ = None",
)

# what a module that a task imports when it runs was changed to before
_LAZY = "\n--- lazy1.py\nimport functools\nfrom lazy2 import *\ndef make(n): return [n]\nTABLE, N = make(1), 1\nclass A:\n    def __init__(s, n): s.n = n\nCONF = A(1)\n@functools.lru_cache\ndef f(x): return x + 1\ndef set_table(n):\n    global TABLE\n    TABLE = [n]\n--- lazy2.py\nSTAR = [1]"
for _name, _change, _use, _edit in (
    ("value", "lazy1.TABLE = lazy1.make(2)", "TABLE", "make(2) => make(3)"),
    ("instance", "lazy1.CONF = lazy1.A(2)", "CONF.n", "A(2) => A(3)"),
    ("attribute", "lazy1.CONF.n = 2", "CONF.n", "n = 2 => n = 3"),
    ("list", "lazy1.TABLE.append(2)", "TABLE", "append(2) => append(3)"),
    (
        "list that is imported from it",
        "from lazy1 import TABLE\nTABLE.append(2)",
        "TABLE",
        "append(2) => append(3)",
    ),
    ("function", "def g(x): return 5\nlazy1.f = g", "f(x)", "return 5 => return 6"),
    ("value that a function changes", "def g(): lazy1.TABLE = [5]\ng()", "TABLE", "[5] => [6]"),
    ("value that its own function changes", "lazy1.set_table(5)", "TABLE", "table(5) => table(6)"),
    ("constant", "lazy1.N = 2", "N", "N = 2 => N = 3"),
    ("name that a star imports", "lazy1.STAR = [2]", "STAR", "[2] => [3]"),
    ("attribute, by name", "setattr(lazy1, 'TABLE', 5)", "TABLE", ", 5) => , 6)"),
):
    _counts(
        f"{_name} of a module that is imported in a body",
        f"import lazy1\n{_change}\ndef t(x):\n    import lazy1\n    return lazy1.{_use}{_LAZY}",
        _edit,
    )
_counts(
    "value that another module puts into a module that is imported in a body",
    f"import lazy3\ndef t(x):\n    import lazy1\n    return lazy1.TABLE\n--- lazy3.py\nimport lazy1\nlazy1.TABLE = lazy1.make(2){_LAZY}",
    "make(2) => make(3)",
)
_counts(
    "value of a module of a package that is imported in a body",
    "from lazy4 import values as v\nv.TABLE = v.make(2)\ndef t(x):\n    from lazy4.values import TABLE\n    return TABLE\n--- lazy4/__init__.py\n--- lazy4/values.py\ndef make(n): return [n]\nTABLE = make(1)",
    "v.make(2) => v.make(3)",
)
_not(
    "value that is put into a module, and not reached",
    "import lazy5\nlazy5.OTHER = lazy5.make(2)\ndef t(x): return lazy5.TABLE\n--- lazy5.py\ndef make(n): return [n]\nTABLE, OTHER = make(1), make(1)",
    "lazy5.make(2) => lazy5.make(3)",
)

_WEAKLY = "\n--- weak1.py\nimport weakref\nALL, BY_NAME, BY_ONE = weakref.WeakSet(), weakref.WeakValueDictionary(), weakref.WeakKeyDictionary()\nclass A:\n    def __init__(s, name, n):\n        s.n = n\n        ALL.add(s)\n        BY_NAME[name] = s\n        BY_ONE[s] = n\n    def get(s): return s.n\nKEPT = [A('a', 1), A('b', 2)]\nMETHOD = weakref.WeakMethod(KEPT[1].get)"
for _name, _use in (
    ("set", "sorted(a.n for a in weak1.ALL)"),
    ("dictionary", "weak1.BY_NAME['b'].n"),
    ("dictionary of keys", "list(weak1.BY_ONE.values())"),
    ("method", "weak1.METHOD()()"),
):
    _counts(
        f"instance in a weak {_name}",
        f"import weak1\ndef t(x): return {_use}{_WEAKLY}",
        "A('b', 2) => A('b', 3)",
    )
_not(
    "comment beside a weak set",
    f"import weak1\ndef t(x): return len(weak1.ALL){_WEAKLY}",
    "KEPT => # kept\nKEPT",
)
