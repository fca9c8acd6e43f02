# ruff: noqa: E501 -- a project and its edit are one line of a table
"""Edits of what people do with Python's own means: decorators, descriptors, registries."""

from __future__ import annotations

from tests.keys.code.cases import Table

IDIOMS = Table()
_counts, _not = IDIOMS.counts, IDIOMS.does_not

_counts(
    "monkeypatched method",
    "class A:\n    def f(s): return 1\ndef g(s): return 2\nA.f = g\ndef t(x): return A().f()",
    "return 2 => return 3",
)
_counts(
    "method added by setattr in a loop",
    "class A: pass\nfor n in 'ab':\n    setattr(A, n, lambda s, n=n: n + 'x')\ndef t(x): return A().a()",
    "'x' => 'y'",
)
_counts(
    "property made by a factory",
    "def prop(n):\n    return property(lambda s: s.d[n])\nclass A:\n    d = {'a': 1, 'b': 2}\n    p = prop('a')\ndef t(x): return A().p",
    "prop('a') => prop('b')",
)
_counts(
    "class decorator that wraps methods",
    "def deco(c):\n    f = c.f\n    c.f = lambda s: f(s) * 2\n    return c\n@deco\nclass A:\n    def f(s): return 1\ndef t(x): return A().f()",
    "* 2 => * 3",
)
_counts(
    "class made by type()",
    "def f(s): return 1\nA = type('A', (), {'f': f, 'k': 2})\ndef t(x): return A().k",
    "'k': 2 => 'k': 3",
)
_counts(
    "make_dataclass",
    "from dataclasses import make_dataclass, field\nA = make_dataclass('A', [('k', int, field(default=1))])\ndef t(x): return A()",
    "default=1 => default=2",
)
_counts(
    "functional enum",
    "from enum import Enum\nE = Enum('E', {'A': 1, 'B': 2})\ndef t(x): return E.A.value",
    "'A': 1 => 'A': 3",
)
_counts(
    "generator expression in a global", "N = tuple(i * 2 for i in range(3))\ndef t(x): return N", "* 2 => * 3"
)
_counts(
    "closure two levels deep",
    "def a(n):\n    def b():\n        def c(x): return x + n\n        return c\n    return b()\nt = a(1)",
    "a(1) => a(2)",
)
_counts(
    "decorator with state in a class attribute",
    "class Reg:\n    fs = {}\n    @classmethod\n    def add(c, f):\n        c.fs[f.__name__] = f\n        return f\n@Reg.add\ndef h(x): return x + 1\ndef t(x): return Reg.fs['h'](x)",
    "+ 1 => + 2",
)
_counts(
    "operator dispatch by getattr on a module",
    "import ops\ndef t(x, op='add'): return getattr(ops, op)(x)\n--- ops.py\ndef add(x): return x + 1",
    "+ 1 => + 2",
)
_counts(
    "module passed through a helper",
    "import ops\ndef pick(m): return m.add\ndef t(x): return pick(ops)(x)\n--- ops.py\ndef add(x): return x + 1",
    "+ 1 => + 2",
)
_counts(
    "sys.modules",
    "import sys, ops\ndef t(x): return sys.modules['ops'].add(x)\n--- ops.py\ndef add(x): return x + 1",
    "+ 1 => + 2",
)
_counts(
    "star import of a package with __all__",
    "from pkg import *\ndef t(x): return f(x)\n--- pkg/__init__.py\n__all__ = ['f']\nfrom pkg.impl import f\n--- pkg/impl.py\n_K = 1\ndef f(x): return x + _K",
    "_K = 1 => _K = 2",
)
_counts(
    "string template in a global",
    "from string import Template\nN = Template('a $x')\ndef t(x): return N.substitute(x=x)",
    "a $x => b $x",
)
_counts(
    "compiled code object", "N = compile('x + 1', 'q', 'eval')\ndef t(x): return eval(N)", "x + 1 => x + 2"
)
_counts(
    "itertools object",
    "import itertools, functools\nf = functools.partial(map, lambda x: x + 1)\ndef t(x): return list(f([x]))",
    "x + 1 => x + 2",
)
_counts(
    "partial of a partial",
    "from functools import partial\ndef h(a, b, x): return a + b + x\ng = partial(partial(h, 1), 2)\ndef t(x): return g(x)",
    "1), 2 => 1), 3",
)
_counts(
    "descriptor with a function inside",
    "class D:\n    def __init__(s, f): s.f = f\n    def __get__(s, o, c): return s.f(o)\nclass A:\n    p = D(lambda o: 1)\ndef t(x): return A().p",
    "o: 1 => o: 2",
)
_counts(
    "wrapped twice",
    "import functools\ndef d(n):\n    def w(f):\n        @functools.wraps(f)\n        def g(x): return f(x) + n\n        return g\n    return w\n@d(1)\n@d(2)\ndef f(x): return x\ndef t(x): return f(x)",
    "@d(2) => @d(3)",
)
_counts("await of a helper", "async def h(x): return x + 1\nasync def t(x): return await h(x)", "+ 1 => + 2")
_counts(
    "async context manager",
    "from contextlib import asynccontextmanager\n@asynccontextmanager\nasync def c(): yield 1\nasync def t(x):\n    async with c() as y: return y",
    "yield 1 => yield 2",
)
_counts(
    "exit stack of helpers",
    "from contextlib import ExitStack, closing\nclass R:\n    def close(s): return 1\n    v = 1\ndef t(x):\n    with ExitStack() as e: return e.enter_context(closing(R())).v",
    "v = 1 => v = 2",
)
_counts(
    "constant through two modules",
    "from a import N\ndef t(x): return N\n--- a.py\nfrom b import M as N\n--- b.py\nM = 1 + 1",
    "1 + 1 => 1 + 2",
)
_counts(
    "conditional import in a body",
    "def t(x):\n    try:\n        import fast as impl\n    except ImportError:\n        import slow as impl\n    return impl.f(x)\n--- slow.py\ndef f(x): return x + 1",
    "+ 1 => + 2",
)
_counts(
    "int subclass with method",
    "class M(int):\n    def usd(s): return s * 2\nN = M(3)\ndef t(x): return N.usd()",
    "s * 2 => s * 3",
)
_counts(
    "weighted table of instances",
    "class W:\n    def __init__(s, k): s.k = k\nL = [W(1), W(2)]\ndef t(x): return [w.k for w in L]",
    "W(2) => W(3)",
)
_not(
    "renamed local lambda argument in an unused table",
    "U = {'a': lambda x: x}\ndef t(x): return x",
    "lambda x: x => lambda y: y",
)
_not(
    "logging configuration",
    "import logging\nlogging.getLogger('q').setLevel(10)\nlog = logging.getLogger('q')\ndef t(x):\n    log.debug('z')\n    return x",
    "Level(10) => Level(20)",
)
_not(
    "main block with calls",
    "def t(x): return x\ndef main(): t(1)\nif __name__ == 'nope': main()",
    "t(1) => t(2); t(3)",
)
_not(
    "type hints by cast import",
    "from typing import cast\nimport ty\ndef t(x: 'ty.R'): return x\n--- ty.py\nclass R:\n    a: int",
    "a: int => a: str",
)
_not(
    "helper's decorator spelled with parentheses around",
    "import functools\n@functools.lru_cache\ndef f(x): return x\ndef t(x): return f(x)",
    "def f(x): return x => def f(x):\n    # why\n    return (x)",
)
