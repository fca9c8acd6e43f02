# ruff: noqa: E501 -- a project and its edit are one line of a table
"""Edits of small projects: what must give a task another key, and what must not."""

from __future__ import annotations

from tests.keys.code.cases import Table

EDITS = Table()
_counts, _not = EDITS.counts, EDITS.does_not

# The function itself.
_counts("body", "def t(x): return x + 1", "+ 1 => + 2")
_counts("operator", "def t(x): return x + 1", "+ => -")
_counts("constant type", "def t(x): return x + 1", "1 => 1.0")
_counts("true for one", "def t(x): return [x, 1]", "1 => True")
_counts("negative zero", "def t(x): return [x, 0.0]", "0.0 => -0.0")
_counts("bytes for str", "def t(x): return 'a'", "'a' => b'a'")
_counts("default", "def t(x, y=1): return x + y", "y=1 => y=2")
_counts("keyword default", "def t(x, *, y=1): return x + y", "y=1 => y=2")
_counts("default by name", "N = 1\ndef t(x, y=N): return x + y", "N = 1 => N = 2")
_counts(
    "two lambdas on a line, the second", "t, u = (lambda x: x + 1), (lambda x: x + 1.0)\nt = u", "1.0 => 2.0"
)
_counts("order of lambdas", "t, u = (lambda x: x + 1), (lambda x: x * 1)", "t, u => u, t")
_counts("async", "def t(x): return x", "def => async def")
_counts("generator", "def t(x):\n    return [x]", "return [x] => yield x")
_counts("assert", "def t(x):\n    assert x > 1\n    return x", "> 1 => > 2")
_counts("walrus", "def t(x): return (y := x + 1) * y", "x + 1 => x + 3")
_counts(
    "match value",
    "def t(x):\n    match x:\n        case 1: return 2\n        case _: return 3",
    "case 1 => case 4",
)
_counts(
    "match class",
    "class A: pass\nclass B: pass\ndef t(x):\n    match x:\n        case A(): return 2",
    "case A => case B",
)
_counts("f-string format", "def t(x): return f'{x:.2f}'", ".2f => .3f")
_counts("f-string conversion", "def t(x): return f'{x!r}'", "!r => !s")
_counts("star", "def t(*x): return x", "*x => **x")
_counts("positional only", "def t(x, y): return x", "x, y => x, /, y")
_counts("argument name", "def t(x, y): return x", "return x => return y")
_counts("chained comparison", "def t(x): return 1 < x < 3", "1 < x => 1 <= x")
_counts("comprehension filter", "def t(x): return [i for i in x if i]", "if i => if not i")
_counts("nested function", "def t(x):\n    def f(y): return y + 1\n    return f(x)", "+ 1 => + 2")
_counts("default of nested function", "def t(x):\n    def f(y=1): return y\n    return f()", "y=1 => y=2")
_counts("nested class", "def t(x):\n    class A:\n        y = 1\n    return A.y", "y = 1 => y = 2")
_counts(
    "exception type",
    "def t(x):\n    try: return 1 / x\n    except ValueError: return 0",
    "ValueError => ZeroDivisionError",
)
_counts(
    "try star order",
    "def t(x):\n    for i in x:\n        if i: break\n    else: return 1\n    return 2",
    "break => continue",
)

# Names of the module.
_counts("constant", "N = 1\ndef t(x): return x + N", "N = 1 => N = 2")
_counts("constant of a tuple", "N = (1, 2)\ndef t(x): return x in N", "2) => 3)")
_counts("constant list", "N = [1, [2]]\ndef t(x): return x in N", "[2] => [3]")
_counts(
    "constant dict order",
    "N = {'a': 1, 'b': 2}\ndef t(x): return list(N)",
    "'a': 1, 'b': 2 => 'b': 2, 'a': 1",
)
_counts("frozenset", "N = frozenset({'a', 'b'})\ndef t(x): return x in N", "'b' => 'c'")
_counts("regex", "import re\nN = re.compile('a')\ndef t(x): return N.match(x)", "'a' => 'b'")
_counts("regex flags", "import re\nN = re.compile('a')\ndef t(x): return N.match(x)", "'a') => 'a', re.I)")
_counts("decimal", "from decimal import Decimal as D\nN = D('1.0')\ndef t(x): return x * N", "1.0 => 1.00")
_counts("path", "from pathlib import Path\nN = Path('a')\ndef t(x): return N / x", "'a' => 'b'")
_counts("date", "from datetime import date\nN = date(2020, 1, 1)\ndef t(x): return N", "2020 => 2021")
_counts("timedelta", "from datetime import timedelta\nN = timedelta(1)\ndef t(x): return N", "(1) => (2)")
_counts(
    "mapping proxy",
    "from types import MappingProxyType as P\nN = P({'a': 1})\ndef t(x): return N[x]",
    ": 1 => : 2",
)
_counts("range", "N = range(3)\ndef t(x): return list(N)", "3 => 4")
_counts("bytearray", "N = bytearray(b'ab')\ndef t(x): return N", "b'ab' => b'ac'")
_counts("deque", "from collections import deque\nN = deque([1], maxlen=3)\ndef t(x): return N", "[1] => [2]")
_counts("namespace", "from types import SimpleNamespace as S\nN = S(a=1)\ndef t(x): return N.a", "a=1 => a=2")
_counts(
    "defaultdict factory",
    "from collections import defaultdict\nf = lambda: 1\nN = defaultdict(f)\ndef t(x): return N.copy()",
    "lambda: 1 => lambda: 2",
)
_counts("numpy array", "import numpy\nN = numpy.arange(3)\ndef t(x): return N", "(3) => (4)")
_counts("rebound at the end", "N = 1\ndef t(x): return x + N\n# end", "# end => N = 2")
_counts("conditional", "import sys\nif sys.maxsize > 1: N = 1\nelse: N = 2\ndef t(x): return N", "> 1 => < 1")
_counts("built-in that is shadowed", "def t(x): return len(x)\n#", "# => def len(x): return 3")
_counts("helper", "def f(x): return x + 1\ndef t(x): return f(x)", "+ 1 => + 2")
_counts(
    "helper of a helper", "def g(x): return x + 1\ndef f(x): return g(x)\ndef t(x): return f(x)", "+ 1 => + 2"
)
_counts(
    "recursion",
    "def t(x): return f(x - 1) if x else 0\ndef f(x): return t(x - 1) if x > 2 else 1",
    "> 2 => > 3",
)
_counts("alias", "def f(x): return x + 1\ng = f\ndef t(x): return g(x)", "+ 1 => + 2")
_counts(
    "helper in a comprehension", "def f(x): return x + 1\ndef t(x): return [f(i) for i in x]", "+ 1 => + 2"
)
_counts("helper in a lambda", "def f(x): return x + 1\ndef t(x): return map(lambda i: f(i), x)", "+ 1 => + 2")
_counts("helper as an argument", "def f(x): return x + 1\ndef t(x): return map(f, x)", "+ 1 => + 2")
_counts("constant in a default of a lambda", "N = 1\ndef t(x): return (lambda y=N: y)()", "N = 1 => N = 2")
_counts("dispatch table", "def f(x): return x + 1\nD = {'f': f}\ndef t(x): return D[x](x)", "+ 1 => + 2")
_counts(
    "keys of a dispatch table",
    "def f(x): return 1\ndef g(x): return 2\nD = {'f': f, 'g': g}\ndef t(x): return D[x](x)",
    "'f': f, 'g': g => 'f': g, 'g': f",
)
_counts("list of functions", "def f(x): return x + 1\nL = [f]\ndef t(x): return L[0](x)", "+ 1 => + 2")
_counts(
    "set of functions",
    "def f(x): return x + 1\ndef g(x): return x + 3\nL = {f, g}\ndef t(x): return [h(x) for h in L]",
    "+ 1 => + 2",
)
_counts(
    "tuple in a dict of functions",
    "def f(x): return x + 1\nL = {'a': (1, [f])}\ndef t(x): return L",
    "+ 1 => + 2",
)
_counts("function attribute", "def f(x): return f.k\nf.k = 1\ndef t(x): return f(x)", "f.k = 1 => f.k = 2")
_counts("own attribute", "def t(x): return t.k\nt.k = 1", "t.k = 1 => t.k = 2")
_counts("docstring that is read", 'def f(x):\n    "one"\ndef t(x): return f.__doc__', "one => two")
_counts(
    "docstring of a nested function that is read",
    "def t(x):\n    def g():\n        'one'\n    return g.__doc__",
    "one => two",
)
_counts(
    "docstring of a nested class that is read",
    "def t(x):\n    class G:\n        'one'\n    return G.__doc__",
    "one => two",
)
_counts(
    "annotation of a nested function that is read",
    "def t(x):\n    def g(a: int): pass\n    return g.__annotations__",
    "int => str",
)
_counts(
    "what a nested function's annotation names",
    "import typing\nclass R:\n    a: int\ndef t(x):\n    def g(a: R): pass\n    return typing.get_type_hints(g)",
    "a: int\n => a: str\n",
)
_counts(
    "annotation of a validated nested function",
    "from pydantic import validate_call\ndef t(x):\n    def g(a: int): return a\n    return validate_call(g)(x)",
    "int => float",
)
_counts(
    "docstring of a module imported in a body that is read",
    "def t(x):\n    import docs1\n    return docs1.f.__doc__\n--- docs1.py\ndef f():\n    'one'",
    "one => two",
)
_counts("annotations that are read", "def f(x: int): pass\ndef t(x): return f.__annotations__", "int => str")
_counts("globals by string", "def h(x): return x + 1\ndef t(x): return globals()['h'](x)", "+ 1 => + 2")
_counts("eval", "def h(x): return x + 1\ndef t(x): return eval('h(x)')", "+ 1 => + 2")

# Closures and partials.
_counts(
    "closure", "def make(n):\n    def f(x): return x + n\n    return f\nt = make(1)", "make(1) => make(2)"
)
_counts(
    "two closures of one function",
    "def make(n):\n    def f(x): return x + n\n    return f\na, b = make(1), make(2)\ndef t(x): return a(x) - b(x)",
    "make(1), make(2) => make(2), make(1)",
)
_counts(
    "closure over a function",
    "def g(x): return x + 1\ndef make(f):\n    return lambda x: f(x)\nt = make(g)",
    "+ 1 => + 2",
)
_counts(
    "closure over a list",
    "def make(n):\n    def f(x): return x in n\n    return f\nt = make([1])",
    "[1] => [2]",
)
_counts(
    "partial argument",
    "from functools import partial\ndef f(a, x): return a + x\ng = partial(f, 1)\ndef t(x): return g(x)",
    "f, 1 => f, 2",
)
_counts(
    "partial function",
    "from functools import partial\ndef f(a, x): return a + x\nt = partial(f, 1)",
    "a + x => a - x",
)
_counts(
    "partial keyword",
    "from functools import partial\ndef f(x, k): return k\nt = partial(f, k=1)",
    "k=1 => k=2",
)
_counts(
    "itemgetter", "from operator import itemgetter\nN = itemgetter(1)\ndef t(x): return N(x)", "(1) => (2)"
)
_counts(
    "methodcaller",
    "from operator import methodcaller\nN = methodcaller('upper')\ndef t(x): return N(x)",
    "upper => lower",
)

# Decorators.
_WRAP = (
    "import functools\ndef deco(f):\n    @functools.wraps(f)\n    def w(*a): return f(*a) + 1\n    return w\n"
)
_counts("decorator", _WRAP + "@deco\ndef f(x): return x\ndef t(x): return f(x)", ") + 1 => ) + 2")
_counts("decorated", _WRAP + "@deco\ndef f(x): return x * 3\ndef t(x): return f(x)", "* 3 => * 4")
_counts("decorator of the task", _WRAP + "@deco\ndef t(x): return x", ") + 1 => ) + 2")
_counts("decorator removed", _WRAP + "@deco\ndef f(x): return x\ndef t(x): return f(x)", "@deco => # no")
_counts(
    "decorator argument",
    "def by(n):\n    def d(f):\n        return lambda x: f(x) * n\n    return d\n@by(2)\ndef t(x): return x",
    "by(2) => by(3)",
)
_counts(
    "lru_cache",
    "from functools import lru_cache\n@lru_cache\ndef f(x): return x + 1\ndef t(x): return f(x)",
    "+ 1 => + 2",
)
_counts(
    "context manager",
    "from contextlib import contextmanager\n@contextmanager\ndef c(): yield 1\ndef t(x):\n    with c() as y: return y",
    "yield 1 => yield 2",
)
_counts(
    "class as decorator",
    "class D:\n    def __init__(s, f): s.f = f\n    def __call__(s, x): return s.f(x) + 1\n@D\ndef f(x): return x\ndef t(x): return f(x)",
    ") + 1 => ) + 2",
)
_counts(
    "decorated by a class",
    "class D:\n    def __init__(s, f): s.f = f\n    def __call__(s, x): return s.f(x) + 1\n@D\ndef f(x): return x - 3\ndef t(x): return f(x)",
    "- 3 => - 4",
)
_counts(
    "singledispatch",
    "from functools import singledispatch\n@singledispatch\ndef f(x): return 0\n@f.register\ndef _(x: int): return 1\ndef t(x): return f(x)",
    "return 1 => return 2",
)
_counts(
    "singledispatch type",
    "from functools import singledispatch\n@singledispatch\ndef f(x): return 0\n@f.register\ndef _(x: int): return 1\ndef t(x): return f(x)",
    "x: int => x: str",
)
_counts(
    "registry filled by a decorator",
    "R = {}\ndef reg(f):\n    R[f.__name__] = f\n    return f\n@reg\ndef a(x): return x + 1\ndef t(x): return R['a'](x)",
    "+ 1 => + 2",
)
_counts(
    "tenacity-like wrapper of a package",
    "import functools\nfrom contextlib import ContextDecorator\nclass C(ContextDecorator):\n    def __enter__(s): return s\n    def __exit__(s, *a): return False\n@C()\ndef f(x): return x + 1\ndef t(x): return f(x)",
    "+ 1 => + 2",
)
_counts(
    "validate_call",
    "from pydantic import validate_call\n@validate_call\ndef f(x: int): return x\ndef t(x): return f(x)",
    "x: int => x: str",
)

# Classes.
_C = "class A:\n    k = 1\n    def f(self, x): return x + 2\n    @property\n    def p(self): return 3\n    @staticmethod\n    def s(x): return x + 4\n    @classmethod\n    def c(cls, x): return x + 5\ndef t(x): return A().f(x)"
for _old, _new in (
    ("k = 1", "k = 9"),
    ("x + 2", "x + 9"),
    ("return 3", "return 9"),
    ("x + 4", "x + 9"),
    ("x + 5", "x + 9"),
):
    _counts(f"class: {_old}", _C, f"{_old} => {_new}")
_counts(
    "base",
    "class B:\n    def f(s): return 1\nclass A(B): pass\ndef t(x): return A().f()",
    "return 1 => return 2",
)
_counts(
    "another base",
    "class B:\n    k = 1\nclass C:\n    k = 2\nclass A(B, C): pass\ndef t(x): return A.k",
    "B, C => C, B",
)
_counts(
    "super",
    "class B:\n    def f(s): return 1\nclass A(B):\n    def f(s): return super().f()\nt = A().f",
    "return 1 => return 2",
)
_counts(
    "metaclass",
    "class M(type):\n    def f(c): return 1\nclass A(metaclass=M): pass\ndef t(x): return A.f()",
    "return 1 => return 2",
)
_counts(
    "init_subclass",
    "class B:\n    def __init_subclass__(c, k=0): c.k = k\nclass A(B, k=1): pass\ndef t(x): return A.k",
    "k=1 => k=2",
)
_counts(
    "class_getitem",
    "class A:\n    def __class_getitem__(c, k): return 1\ndef t(x): return A[x]",
    "return 1 => return 2",
)
_counts(
    "slots default",
    "class A:\n    __slots__ = ('a',)\n    def f(s): return 1\ndef t(x): return A().f()",
    "'a', => 'b',",
)
_counts(
    "descriptor",
    "class D:\n    def __get__(s, o, c): return 1\nclass A:\n    d = D()\ndef t(x): return A().d",
    "return 1 => return 2",
)
_counts(
    "instance", "class A:\n    def __init__(s, k): s.k = k\na = A(1)\ndef t(x): return a.k", "A(1) => A(2)"
)
_counts(
    "class of an instance",
    "class A:\n    def f(s): return 1\na = A()\ndef t(x): return a.f()",
    "return 1 => return 2",
)
_counts("callable instance", "class A:\n    def __call__(s, x): return x + 1\nt = A()", "+ 1 => + 2")
_counts(
    "bound method",
    "class A:\n    def __init__(s, k): s.k = k\n    def f(s, x): return x + s.k\nt = A(1).f",
    "A(1) => A(2)",
)
_counts(
    "bound method in a global",
    "class A:\n    def __init__(s, k): s.k = k\n    def f(s, x): return x + s.k\nf = A(1).f\ndef t(x): return f(x)",
    "s.k\nf => 2 * s.k\nf",
)
_counts(
    "cached property",
    "from functools import cached_property\nclass A:\n    @cached_property\n    def p(s): return 1\ndef t(x): return A().p",
    "return 1 => return 2",
)
_counts(
    "property setter",
    "class A:\n    @property\n    def p(s): return 1\n    @p.setter\n    def p(s, v): s.v = v + 1\ndef t(x):\n    a = A(); a.p = 1; return a.v",
    "v + 1 => v + 2",
)
_counts(
    "partialmethod",
    "from functools import partialmethod\nclass A:\n    def f(s, k): return k\n    g = partialmethod(f, 1)\ndef t(x): return A().g()",
    "f, 1 => f, 2",
)
_counts(
    "dataclass default",
    "from dataclasses import dataclass\n@dataclass\nclass A:\n    k: int = 1\ndef t(x): return A()",
    "= 1 => = 2",
)
_counts(
    "dataclass field type",
    "from dataclasses import dataclass\n@dataclass\nclass A:\n    k: int = 1\ndef t(x): return A()",
    "int => float",
)
_counts(
    "dataclass factory",
    "from dataclasses import dataclass, field\ndef f(): return 1\n@dataclass\nclass A:\n    k: int = field(default_factory=f)\ndef t(x): return A()",
    "return 1 => return 2",
)
_counts(
    "dataclass option",
    "from dataclasses import dataclass\n@dataclass(order=False)\nclass A:\n    k: int = 1\ndef t(x): return A()",
    "order=False => order=True",
)
_counts(
    "dataclass field option",
    "from dataclasses import dataclass, field\n@dataclass\nclass A:\n    k: int = field(default=1, compare=True)\ndef t(x): return A() == A()",
    "=True => =False",
)
_counts(
    "dataclass method",
    "from dataclasses import dataclass\n@dataclass\nclass A:\n    k: int = 1\n    def f(s): return s.k + 1\ndef t(x): return A().f()",
    "+ 1 => + 2",
)
_counts(
    "enum value",
    "from enum import Enum\nclass E(Enum):\n    A = 1\n    B = 2\ndef t(x): return E.A.value",
    "A = 1 => A = 3",
)
_counts(
    "enum method",
    "from enum import Enum\nclass E(Enum):\n    A = 1\n    def f(s): return 1\ndef t(x): return E.A.f()",
    "return 1 => return 2",
)
_counts(
    "enum member in a global",
    "from enum import Enum\nclass E(Enum):\n    A = 1\n    B = 2\nM = E.A\ndef t(x): return M",
    "M = E.A => M = E.B",
)
_counts(
    "enum missing",
    "from enum import Enum\nclass E(Enum):\n    A = 1\n    @classmethod\n    def _missing_(c, v): return c.A if v == 3 else None\ndef t(x): return E(x)",
    "== 3 => == 4",
)
_counts(
    "enum order",
    "from enum import IntFlag\nclass E(IntFlag):\n    A = 1\n    B = 2\ndef t(x): return list(E)",
    "B = 2 => B = 4",
)
_counts(
    "named tuple default",
    "from typing import NamedTuple\nclass P(NamedTuple):\n    x: int = 1\ndef t(x): return P()",
    "= 1 => = 2",
)
_counts(
    "named tuple method",
    "from typing import NamedTuple\nclass P(NamedTuple):\n    x: int = 1\n    def f(s): return s.x + 1\ndef t(x): return P().f()",
    "+ 1 => + 2",
)
_counts(
    "namedtuple fields",
    "from collections import namedtuple\nP = namedtuple('P', 'a b')\ndef t(x): return P(1, 2)",
    "a b => b a",
)
_counts(
    "typed dict",
    "from typing import TypedDict\nclass P(TypedDict):\n    a: int\ndef t(x): return P.__annotations__",
    "a: int => b: int",
)
_counts(
    "abstract class",
    "from abc import ABC, abstractmethod\nclass B(ABC):\n    @abstractmethod\n    def f(s): ...\n    def g(s): return 1\nclass A(B):\n    def f(s): return s.g()\ndef t(x): return A().f()",
    "return 1 => return 2",
)
_counts(
    "protocol",
    "from typing import Protocol\nclass B(Protocol):\n    def g(s): return 1\nclass A(B): pass\ndef t(x): return A().g()",
    "return 1 => return 2",
)
_counts(
    "generic",
    "from typing import Generic, TypeVar\nT = TypeVar('T')\nclass B(Generic[T]):\n    def g(s): return 1\nclass A(B[int]): pass\ndef t(x): return A().g()",
    "return 1 => return 2",
)
_counts(
    "generic argument",
    "from typing import Generic, TypeVar\nT = TypeVar('T')\nclass B(Generic[T]):\n    def g(s): return s.__orig_bases__\nclass A(B[int]): pass\ndef t(x): return A().g()",
    "B[int] => B[str]",
)
_counts(
    "subclasses",
    "class B:\n    def f(s): return 0\nclass A(B):\n    def f(s): return 1\ndef t(x): return [c().f() for c in B.__subclasses__()]",
    "return 1 => return 2",
)
_counts(
    "pydantic default",
    "from pydantic import BaseModel\nclass A(BaseModel):\n    k: int = 1\ndef t(x): return A()",
    "= 1 => = 2",
)
_counts(
    "pydantic type",
    "from pydantic import BaseModel\nclass A(BaseModel):\n    k: int = 1\ndef t(x): return A()",
    "int => str",
)
_counts(
    "pydantic constraint",
    "from pydantic import BaseModel, Field\nclass A(BaseModel):\n    k: int = Field(1, ge=0)\ndef t(x): return A(k=x)",
    "ge=0 => ge=1",
)
_counts(
    "pydantic validator",
    "from pydantic import BaseModel, field_validator\nclass A(BaseModel):\n    k: int = 1\n    @field_validator('k')\n    @classmethod\n    def v(c, x): return x + 1\ndef t(x): return A(k=x)",
    "+ 1 => + 2",
)
_counts(
    "pydantic validator's field",
    "from pydantic import BaseModel, field_validator\nclass A(BaseModel):\n    k: int = 1\n    j: int = 1\n    @field_validator('k')\n    @classmethod\n    def v(c, x): return x + 1\ndef t(x): return A(k=x)",
    "('k') => ('j')",
)
_counts(
    "pydantic validator's mode",
    "from pydantic import BaseModel, field_validator\nclass A(BaseModel):\n    k: int = 1\n    @field_validator('k', mode='before')\n    @classmethod\n    def v(c, x): return x + 1\ndef t(x): return A(k=x)",
    "before => after",
)
_counts(
    "pydantic config",
    "from pydantic import BaseModel\nclass A(BaseModel):\n    model_config = {'extra': 'allow'}\ndef t(x): return A(k=x)",
    "allow => ignore",
)
_counts(
    "pydantic factory",
    "from pydantic import BaseModel, Field\nclass A(BaseModel):\n    k: list = Field(default_factory=lambda: [1])\ndef t(x): return A()",
    "[1] => [2]",
)
_counts(
    "pydantic annotated",
    "from typing import Annotated\nfrom pydantic import BaseModel, AfterValidator\ndef v(x): return x + 1\nclass A(BaseModel):\n    k: Annotated[int, AfterValidator(v)] = 1\ndef t(x): return A(k=x)",
    "x + 1 => x + 2",
)
_counts(
    "pydantic instance",
    "from pydantic import BaseModel\nclass A(BaseModel):\n    k: int = 1\na = A(k=3)\ndef t(x): return a.k",
    "k=3 => k=4",
)
_counts(
    "pydantic private",
    "from pydantic import BaseModel, PrivateAttr\nclass A(BaseModel):\n    _k: int = PrivateAttr(1)\ndef t(x): return A()._k",
    "Attr(1) => Attr(2)",
)
_counts(
    "attrs default",
    "import attrs\n@attrs.define\nclass A:\n    k: int = 1\ndef t(x): return A()",
    "= 1 => = 2",
)
_counts(
    "attrs validator",
    "import attrs\ndef v(i, a, x): assert x > 1\n@attrs.define\nclass A:\n    k: int = attrs.field(validator=v)\ndef t(x): return A(x)",
    "> 1 => > 2",
)
_counts(
    "attrs factory",
    "import attrs\n@attrs.define\nclass A:\n    k: list = attrs.field(factory=lambda: [1])\ndef t(x): return A()",
    "[1] => [2]",
)

# Modules.
_H = "\n--- helpers.py\nN = 1\ndef f(x): return x + 2\n"
_counts("import from", "from helpers import f\ndef t(x): return f(x)" + _H, "+ 2 => + 3")
_counts("import module", "import helpers\ndef t(x): return helpers.f(x)" + _H, "+ 2 => + 3")
_counts("import as", "import helpers as h\ndef t(x): return h.N" + _H, "N = 1 => N = 2")
_counts("import star", "from helpers import *\ndef t(x): return f(x)" + _H, "+ 2 => + 3")
_counts("import in a body", "def t(x):\n    from helpers import f\n    return f(x)" + _H, "+ 2 => + 3")
_counts(
    "import in a body, constant", "def t(x):\n    import helpers\n    return helpers.N" + _H, "N = 1 => N = 2"
)
_counts(
    "import in a body of a helper",
    "def g(x):\n    import helpers\n    return helpers.f(x)\ndef t(x): return g(x)" + _H,
    "+ 2 => + 3",
)
_counts(
    "import in a body, transitive",
    "def t(x):\n    import a\n    return a.g(x)\n--- a.py\nfrom helpers import f as g" + _H,
    "+ 2 => + 3",
)
_counts(
    "import in a body, transitive in a body",
    "def t(x):\n    import a\n    return a.g(x)\n--- a.py\ndef g(x):\n    import helpers\n    return helpers.f(x)"
    + _H,
    "+ 2 => + 3",
)
_counts(
    "module as an argument", "import helpers\ndef t(x): return getattr(helpers, 'N')" + _H, "N = 1 => N = 2"
)
_counts(
    "module in a dict", "import helpers\nD = {'h': helpers}\ndef t(x): return D['h'].f(x)" + _H, "+ 2 => + 3"
)
_counts(
    "import_module",
    "from importlib import import_module\ndef t(x): return import_module('helpers').f(x)" + _H,
    "+ 2 => + 3",
)
_P = "\n--- pkg/__init__.py\nfrom .a import f\n--- pkg/a.py\nfrom . import b\ndef f(x): return b.g(x)\n--- pkg/b.py\nK = 1\ndef g(x): return x + K\n"
_counts("package, re-exported", "from pkg import f\ndef t(x): return f(x)" + _P, "K = 1 => K = 2")
_counts("package, attribute chain", "import pkg.b as c\ndef t(x): return c.g(x)" + _P, "x + K => x - K")
_counts("package, long chain", "import pkg.b\ndef t(x): return pkg.b.K" + _P, "K = 1 => K = 2")
_counts("package in a body", "def t(x):\n    from pkg import f\n    return f(x)" + _P, "K = 1 => K = 2")
_counts(
    "package by relative import in a body",
    "from pkg2.x import t\n--- pkg2/__init__.py\n--- pkg2/x.py\ndef t(x):\n    from .y import N\n    return N\n--- pkg2/y.py\nN = 1",
    "N = 1 => N = 2",
)
_counts(
    "what the package's init binds instead",
    "import pkg\ndef t(x): return pkg.f(x)" + _P,
    "import f => import f\nf = lambda x: 3",
)
_counts(
    "namespace package",
    "from ns.a import f\ndef t(x): return f(x)\n--- ns/a.py\ndef f(x): return x + 1",
    "+ 1 => + 2",
)
_counts(
    "lazy module",
    "import lazy\ndef t(x): return lazy.f(x)\n--- lazy.py\ndef __getattr__(n):\n    import helpers\n    return getattr(helpers, n)"
    + _H,
    "+ 2 => + 3",
)
_counts(
    "lazy module, by value",
    "import lazy\ndef t(x): return lazy.N\n--- lazy.py\ndef __getattr__(n): return {'N': 1}[n]",
    "'N': 1 => 'N': 2",
)
_counts(
    "config module",
    "import cfg\ndef t(x): return x * cfg.settings['rate']\n--- cfg.py\nsettings = {'rate': 1}",
    ": 1 => : 2",
)
_counts(
    "mixin of another module",
    "from mix import M\nclass A(M): pass\ndef t(x): return A().f()\n--- mix.py\nclass M:\n    def f(s): return 1",
    "return 1 => return 2",
)
_counts(
    "which module",
    "from a import f\ndef t(x): return f(x)\n--- a.py\ndef f(x): return 1\n--- b.py\ndef f(x): return 2",
    "from a => from b",
)
_counts("which library", "import math as n\ndef t(x): return n.sqrt(x)", "math => cmath")
_counts("which function of a library", "from math import sin as f\ndef t(x): return f(x)", "sin => cos")
_counts(
    "fallback import",
    "try:\n    from nowhere import f\nexcept ImportError:\n    from helpers import f\ndef t(x): return f(x)"
    + _H,
    "+ 2 => + 3",
)
_counts("type alias in use", "Row = dict[str, int]\ndef t(x): return Row(x)", "int => float")
_counts(
    "logger's helper",
    "import logging\nlog = logging.getLogger(__name__)\ndef f(x):\n    log.info('a')\n    return x + 1\ndef t(x): return f(x)",
    "+ 1 => + 2",
)
_counts(
    "memo, the function",
    "C = {}\ndef f(x):\n    if x not in C: C[x] = x + 1\n    return C[x]\ndef t(x): return f(x)",
    "+ 1 => + 2",
)
_counts(
    "memo, its first content",
    "C = {1: 2}\ndef f(x):\n    if x not in C: C[x] = x + 1\n    return C[x]\ndef t(x): return f(x)",
    "1: 2 => 1: 3",
)
_counts("global statement", "N = 1\ndef t(x):\n    global N\n    N += 1\n    return N", "N = 1 => N = 2")
_counts(
    "client with a lock",
    "import threading\nclass C:\n    def __init__(s, url): s.url, s.lock = url, threading.Lock()\nc = C('a')\ndef t(x): return c.url",
    "'a' => 'b'",
)
_counts(
    "exception class", "class E(Exception):\n    def __str__(s): return 'a'\ndef t(x): raise E", "'a' => 'b'"
)
_counts(
    "subclass of dict", "class D(dict):\n    def f(s): return 1\nd = D(a=1)\ndef t(x): return d", "a=1 => a=2"
)
_counts("subclass of float", "class D(float): pass\nd = D(1)\ndef t(x): return d", "D(1) => D(2)")
_counts(
    "subclass of Path",
    "import pathlib\nclass D(type(pathlib.Path())): pass\nd = D('a')\ndef t(x): return d",
    "D('a') => D('b')",
)

# What must not count.
_F = "import os\nN = 1\ndef f(x, y=2):\n    'doc'\n    # comment\n    return x + N\ndef unused(x): return x + 5\nclass Unused:\n    z = 6\ndef t(x: int) -> int:\n    'doc of t'\n    r = f(x)\n    return r\n"
_not("comment", _F, "# comment => # another")
_not("comment that moves lines", _F, "# comment => # another\n    # line")
_not("docstring", _F, "'doc' => 'other'")
_not("docstring removed", _F, "    'doc'\n => ")
_not("docstring of the task", _F, "'doc of t' => 'other'")
_not("blank lines", _F, "def f => \n\n\ndef f")
_not("parentheses", _F, "return x + N => return (x + N)")
_not("line break", _F, "return x + N => return (\n        x\n        + N\n    )")
_not("unused function", _F, "+ 5 => + 6")
_not("unused class", _F, "z = 6 => z = 7")
_not("unused import", _F, "import os => import sys")
_not("new function", _F, "class Unused => def new(): return 1\nclass Unused")
_not("annotation", _F, "x: int => x: float")
_not("return annotation", _F, "-> int => -> float")
_not("annotation of a local", _F, "r = f => r: int = f")
_not("future import", _F, "import os => from __future__ import annotations")
_not("pass in a body", _F, "    r = f(x) =>     pass\n    r = f(x)")
_not(
    "order of functions",
    "def f(x): return x + 1\ndef g(x): return 2\ndef t(x): return f(x)",
    "def f(x): return x + 1\ndef g(x): return 2 => def g(x): return 2\ndef f(x): return x + 1",
)
_not("quotes", "def t(x): return 'a'", "'a' => \"a\"")
_not("trailing comma", "def t(x): return f(x, 1)\ndef f(a, b): return [a, b]", "x, 1 => x, 1,")
_not("hexadecimal", "def t(x): return x + 255", "255 => 0xff")
_not("underscores", "def t(x): return x + 1000", "1000 => 1_000")
_not("joined strings", "def t(x): return 'ab'", "'ab' => 'a' 'b'")
_not("backslash", "def t(x): return x + 1", "x + => x + \\\n       ")
_not("semicolons", "def t(x):\n    y = x\n    return y", "y = x\n    return => y = x; return")
_not("same text in constant", "N = 1\nM = 2\ndef t(x): return x + N", "M = 2 => M = 3")
_not(
    "attribute of a module that is not used",
    "import helpers\ndef t(x): return helpers.f(x)" + _H,
    "N = 1 => N = 2",
)
_not("another function of a module", "from helpers import N\ndef t(x): return N" + _H, "+ 2 => + 3")
_not("a module that is imported and not used", "import helpers\ndef t(x): return x" + _H, "+ 2 => + 3")
_not(
    "import for type checkers",
    "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from helpers import f\ndef t(x: 'f'): return x"
    + _H,
    "+ 2 => + 3",
)
_not(
    "comment in a module imported in a body",
    "def t(x):\n    import helpers\n    return helpers.f(x)" + _H,
    "N = 1 => N = 1  # one",
)
_not(
    "docstring of a module imported in a body",
    "def t(x):\n    import helpers\n    return helpers.f(x)" + _H,
    "N = 1 => 'doc'\nN = 1",
)
_not("docstring of a class", "class A:\n    'doc'\n    k = 1\ndef t(x): return A.k", "'doc' => 'other'")
_not("comment in a class", "class A:\n    # one\n    k = 1\ndef t(x): return A.k", "# one => # two\n")
_not(
    "order of methods",
    "class A:\n    def f(s): return 1\n    def g(s): return 2\ndef t(x): return A().f()",
    "def f(s): return 1\n    def g(s): return 2 => def g(s): return 2\n    def f(s): return 1",
)
_not(
    "annotation of a method",
    "class A:\n    def f(s, x): return 1\ndef t(x): return A().f(x)",
    "f(s, x) => f(s, x: int)",
)
_not(
    "docstring of a method",
    "class A:\n    def f(s, x):\n        'one'\n        return 1\ndef t(x): return A().f(x)",
    "'one' => 'two'",
)
_not(
    "lines above a class in a function",
    "#\ndef t(x):\n    class A:\n        k = 1\n    return A.k",
    "# => #\n#\n#",
)
_not(
    "annotation of a nested function by a class",
    "class A:\n    k = 1\ndef t(x):\n    def f(y: A): return y\n    return f(x)",
    "k = 1 => k = 2",
)
_not(
    "annotation of a local variable by a class",
    "class A:\n    k = 1\ndef t(x):\n    y: A = x\n    return y",
    "k = 1 => k = 2",
)
_not("docstring of a nested function", "def t(x):\n    def g():\n        'one'\n    return g()", "one => two")
_not(
    "annotation of a nested function",
    "class A: pass\ndef t(x):\n    def g(a: int): return a\n    return g(x)",
    "int => A",
)
_not("attribute docstring", "class A:\n    k = 1\n    'one'\ndef t(x): return A.k", "'one' => 'two'")
_not(
    "logger's name",
    "import logging\nlog = logging.getLogger('a')\ndef t(x):\n    log.info('b')\n    return x",
    "'a' => 'c'",
)
_not(
    "name of the module",
    "import logging\ndef t(x):\n    logging.getLogger(__name__).info(x)\n    return x\n#",
    "# => # x",
)
_not("decorator's comment", _WRAP + "@deco\ndef f(x): return x\ndef t(x): return f(x)", "@deco => # c\n@deco")
_not("lambda's line", "N = [1]\nt = lambda x: x + 1", "N = [1] => N = [\n1]")
_not("another lambda on the line", "t, u = (lambda x: x + 1), (lambda x: x + 3)", "+ 3 => + 4")
_not(
    "another closure",
    "def make(n):\n    def f(x): return x + n\n    return f\na, b = make(1), make(2)\ndef t(x): return a(x)",
    "make(2) => make(3)",
)
_not(
    "class that is not used",
    "class A:\n    k = 1\nclass B(A): pass\ndef t(x): return A.k",
    "class B(A): pass => class B(A): k = 3",
)
_not(
    "enum's comment",
    "from enum import Enum\nclass E(Enum):\n    A = 1\ndef t(x): return E.A",
    "A = 1 => A = 1  # one",
)
_not(
    "dataclass's comment",
    "from dataclasses import dataclass\n@dataclass\nclass A:\n    k: int = 1\ndef t(x): return A()",
    "= 1 => = 1  # one",
)
_not(
    "package's other module",
    "from pkg import f\ndef t(x): return f(x)\n--- pkg/c.py\nM = 1" + _P,
    "M = 1 => M = 2",
)
_not(
    "unused name of the package's init",
    "from pkg import f\ndef t(x): return f(x)" + _P,
    "import f => import f\nZ = 1",
)
_not("unused in star import", "from helpers import *\ndef t(x): return f(x)" + _H, "N = 1 => N = 2")
_not("block of the main script", "def t(x): return x\nif __name__ == 'no':\n    t(1)", "t(1) => t(2)")
_not("version of the module", "__version__ = '1'\ndef t(x): return x", "'1' => '2'")
_not("type alias in annotations", "Row = dict[str, int]\ndef t(x: Row) -> Row: return x", "int => float")
_not(
    "overload",
    "from typing import overload\n@overload\ndef f(x: int) -> int: ...\n@overload\ndef f(x: str) -> str: ...\ndef f(x): return x\ndef t(x): return f(x)",
    "str) -> str => bytes) -> bytes",
)
_not("ignored name", "N = 1\ndef t(x): return N", "N = 1 => N = 2", ignore=["N"])
_not(
    "ignored name of a module",
    "import helpers\ndef t(x): return helpers.N" + _H,
    "N = 1 => N = 2",
    ignore=["helpers.N"],
)
_not("ignored method's class", "class A:\n    k = 1\ndef t(x): return A.k", "k = 1 => k = 2", ignore=["A"])
_not("ignored attribute", "class A:\n    k = 1\ndef t(x): return A.k", "k = 1 => k = 2", ignore=["A.k"])

# What was found later.
_counts(
    "annotation of a registered function in a body",
    "from functools import singledispatch\ndef t(x):\n    @singledispatch\n    def f(x): return 0\n    @f.register\n    def _(x: int): return 1\n    return f(x)",
    "x: int => x: str",
)
_counts(
    "annotation of a registered function in a module imported in a body",
    "def t(x):\n    import reg\n    return reg.f(x)\n--- reg.py\nfrom functools import singledispatch\n@singledispatch\ndef f(x): return 0\n@f.register\ndef _(x: int): return 1",
    "x: int => x: str",
)
_counts(
    "context variable",
    "from contextvars import ContextVar\nV = ContextVar('V', default=1)\ndef t(x): return V.get()",
    "default=1 => default=2",
)
_counts("generator in a global", "G = (i + 1 for i in range(3))\ndef t(x): return next(G)", "i + 1 => i + 2")
_counts(
    "client of a package",
    "import logging.handlers, urllib.request, threading\nclass_ = threading.Timer\nc = urllib.request.OpenerDirector()\nc.lock, c.url = threading.Lock(), 'a'\ndef t(x): return c.url",
    "'a' => 'b'",
)
_counts(
    "proxy that fails when asked",
    "class P:\n    @property\n    def __class__(s): raise RuntimeError\n    def f(s): return 1\np = P()\ndef t(x): return p.f()",
    "return 1 => return 2",
)
_counts("method of a built-in", "f = str.upper\ndef t(x): return f(x)", "upper => lower")
_counts(
    "keyword default or attribute",
    "def f(*, k=1): return k\ndef t(x): return f(k=2)",
    "k=1): return k => k): return k\nf.k = 1",
)
_counts(
    "plugin table",
    "from importlib import import_module\nT = {'a': 'plug.a'}\ndef t(x): return import_module(T['a']).f(x)\n--- plug/__init__.py\n--- plug/a.py\ndef f(x): return x + 1",
    "+ 1 => + 2",
)
_counts(
    "plugin by f-string",
    "from importlib import import_module\ndef t(x, n='a'): return import_module(f'plug.{n}').f(x)\n--- plug/__init__.py\n--- plug/a.py\ndef f(x): return x + 1",
    "+ 1 => + 2",
)

# Attributes of instances: what a task uses of them counts, and all of an instance that it passes on or calls.
_SETTINGS = "class S:\n    def __init__(s): s.rate, s.name = 1, 'a'\n    def f(s): return s.name\nC = S()\n"
_counts("attribute of an instance", _SETTINGS + "def t(x): return x * C.rate", "= 1, => = 2,")
_not("another attribute of an instance", _SETTINGS + "def t(x): return x * C.rate", "'a' => 'b'")
_not(
    "a method of an instance that is not called",
    _SETTINGS + "def t(x): return x * C.rate",
    "return s.name => return 5",
)
_counts("an instance that is passed on", _SETTINGS + "def t(x): return x * C.rate, vars(C)", "'a' => 'b'")
_counts("a method of an instance", _SETTINGS + "def t(x): return x * C.rate, C.f()", "'a' => 'b'")
_counts(
    "an instance that is asked by name",
    _SETTINGS + "def t(x): return getattr(C, str(x), 0), C.rate",
    "'a' => 'b'",
)
_counts(
    "an attribute of an instance within an instance",
    _SETTINGS + "class D:\n    def __init__(s): s.c = C\nd = D()\ndef t(x): return d.c.rate",
    "= 1, => = 2,",
)
_not(
    "another attribute of an instance within an instance",
    _SETTINGS + "class D:\n    def __init__(s): s.c = C\nd = D()\ndef t(x): return d.c.rate",
    "'a' => 'b'",
)
_counts(
    "a property of an instance",
    "class S:\n    def __init__(s): s.n = 1\n    @property\n    def rate(s): return s.n\nC = S()\ndef t(x): return C.rate",
    "= 1 => = 2",
)
_counts(
    "an attribute that the class makes up",
    "class S:\n    n = 1\n    def __getattr__(s, name): return s.n\nC = S()\ndef t(x): return C.rate",
    "n = 1 => n = 2",
)
_counts(
    "an attribute that the class has a say in",
    "class S:\n    def __init__(s): s.rate = 1\n    def __getattribute__(s, name): return object.__getattribute__(s, name) + 1\n"
    "C = S()\ndef t(x): return C.rate",
    "+ 1 => + 2",
)
_counts(
    "attribute of an instance in a closure",
    _SETTINGS + "def make(c):\n    def inner(x): return x * c.rate\n    return inner\nt = make(C)",
    "= 1, => = 2,",
)
_not(
    "another attribute of an instance in a closure",
    _SETTINGS + "def make(c):\n    def inner(x): return x * c.rate\n    return inner\nt = make(C)",
    "'a' => 'b'",
)
