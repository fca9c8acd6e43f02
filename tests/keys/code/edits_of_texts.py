# ruff: noqa: E501 -- a project and its edit are one line of a table
"""Edits of what only a script runs, of bare annotations, and of docstrings in modules that are imported late."""

from __future__ import annotations

from tests.keys.code.cases import Table

TEXTS = Table()
_counts, _not = TEXTS.counts, TEXTS.does_not

_not(
    "bare annotation of a local in a helper",
    "def f(x):\n    total = x + 1\n    return total\ndef t(x): return f(x)",
    "    total = => \n    total: int\n    total =",
)
_not(
    "bare annotation of a local in the task",
    "def t(x):\n    total = x + 1\n    return total",
    "    total = => \n    total: int\n    total =",
)
_not(
    "bare annotation of a local in a method",
    "class A:\n    def go(self, x):\n        for n in range(x): pass\n        return n\ndef t(x): return A().go(x)",
    "        for n => \n        n: int\n        for n",
)
_not("bare annotation of an argument", "def t(x):\n    return x", "    return => \n    x: int\n    return")
_not(
    "bare annotation of a local that a comprehension has, too",
    "def t(x):\n    y = [y for y in [x]]\n    return y",
    "    y = => \n    y: list\n    y =",
)
_not(
    "bare annotation of what a with binds",
    "def t(x):\n    with open('/dev/null') as y: return y.closed",
    "    with => \n    y: list\n    with",
)
_not(
    "bare annotation of an exception",
    "def t(x):\n    try: return x\n    except OSError as y: return y",
    "    try: => \n    y: list\n    try:",
)
_not(
    "bare annotation of what a pattern binds",
    "def t(x):\n    match x:\n        case [y, *z]: return y, z\n        case {'a': 1, **w}: return w\n        case int() as v: return v",
    "    match x: => \n    y: list\n    z: int\n    w: int\n    v: int\n    match x:",
)
_not(
    "bare annotation of an import",
    "def t(x):\n    import json\n    return json.dumps(x)",
    "    import => \n    json: list\n    import",
)
_not(
    "bare annotation of a nested function",
    "def t(x):\n    def f(): return x\n    return f()",
    "    def => \n    f: list\n    def",
)
_not(
    "bare annotation of a local in a module imported in a body",
    "def t(x):\n    import late\n    return late.f(x)\n--- late.py\ndef f(x):\n    total = x + 1\n    return total",
    "    total = => \n    total: int\n    total =",
)
_not(
    "bare annotation in parentheses",
    "def t(x):\n    y = x\n    return y",
    "    return => \n    (y): int\n    return",
)
_counts(
    "bare annotation that makes a name local",
    "x = 1\ndef h():\n    return x\ndef t(z):\n    try: return h()\n    except NameError: return 0",
    "    return => \n    x: int\n    return",
)
_counts(
    "bare annotation of a name that only a comprehension binds",
    "x = 1\ndef h(z):\n    return [x for x in z] + [x]\ndef t(z):\n    try: return h([z])\n    except NameError: return 0",
    "    return => \n    x: int\n    return",
)
_counts(
    "bare annotation of a name that only a nested function binds",
    "x = 1\ndef h():\n    def f(): x = 2\n    return x\ndef t(z):\n    try: return h()\n    except NameError: return 0",
    "    def f() => \n    x: int\n    def f()",
)
_counts(
    "bare annotation of an attribute",
    "def g():\n    L.append(1)\n    return t\ndef t(x):\n    L.clear()\n    return len(L)\nL = []",
    "    return len => \n    g().y: int\n    return len",
)
_counts(
    "bare annotation of a name that only a nested class binds",
    "x = 1\ndef h():\n    class A: x = 3\n    return x\ndef t(z):\n    try: return h()\n    except NameError: return 0",
    "    class => \n    x: int\n    class",
)
_not(
    "main block of a module imported in a body",
    "def t(x):\n    import late\n    return late.run(x)\n--- late.py\ndef run(x): return x\nif __name__ == '__main__':\n    print(run(1))",
    "print(run(1)) => print(run(2), 'two')",
)
_not(
    "main block of a module imported in a body, turned round",
    "def t(x):\n    import late\n    return late.run(x)\n--- late.py\ndef run(x): return x\nif '__main__' == __name__:\n    print(run(1))",
    "print(run(1)) => print(run(2), 'two')",
)
_not(
    "main block that a module imported in a body gets",
    "def t(x):\n    import late\n    return late.run(x)\n--- late.py\ndef run(x): return x\n#",
    "# => if __name__ == '__main__':\n    print(run(1))",
)
_not(
    "import of a main block",
    "def t(x):\n    import late\n    return late.run(x)\n--- late.py\ndef run(x): return x\nif __name__ == '__main__':\n    import inner\n    print(run(1))\n--- inner.py\nN = 1",
    "N = 1 => N = 2",
)
_not(
    "function of a main block",
    "def t(x):\n    import late\n    return late.run(x)\n--- late.py\ndef run(x): return x\nif __name__ == '__main__':\n    def f(): return 1\n    f()",
    "return 1 => return 2",
)
_not(
    "main block of a module that one imported in a body imports",
    "def t(x):\n    import late\n    return late.run(x)\n--- late.py\nfrom inner import step\ndef run(x): return step(x)\n--- inner.py\ndef step(x): return x\nif __name__ == '__main__':\n    print(step(1))",
    "print(step(1)) => print(step(2))",
)
_counts(
    "else of a main block",
    "def t(x):\n    import late\n    return late.run(x)\n--- late.py\ndef run(x): return N\nif __name__ == '__main__':\n    N = 0\nelse:\n    N = 1",
    "N = 1 => N = 2",
)
_counts(
    "elif of a main block",
    "def t(x):\n    import late\n    return late.run(x)\n--- late.py\ndef run(x): return N\nif __name__ == '__main__':\n    N = 0\nelif True:\n    N = 1",
    "N = 1 => N = 2",
)
_counts(
    "block of what is no script",
    "def t(x):\n    import late\n    return late.run(x)\n--- late.py\ndef run(x): return N\nif __name__ != '__main__':\n    N = 1",
    "N = 1 => N = 2",
)
_counts(
    "main block or another condition",
    "def t(x):\n    import late\n    return late.run(x)\n--- late.py\ndef run(x): return N\nif __name__ == '__main__' or True:\n    N = 1",
    "N = 1 => N = 2",
)
_counts(
    "main block in a function",
    "def t(x):\n    import late\n    return late.run(x)\n--- late.py\ndef run(x):\n    if __name__ == '__main__': return 1\n    return 2",
    "return 1 => return 3",
)
_counts(
    "else of a main block of a loaded module",
    "import late\ndef t(x):\n    import late\n    return late.run(x)\n--- late.py\ndef run(x): return N\nif __name__ == '__main__':\n    N = 0\nelse:\n    N = 1",
    "N = 1 => N = 2",
)
_counts(
    "logging at the top of a module imported in a body",
    "def t(x):\n    import late\n    return late.run(x)\n--- late.py\nimport logging\nlogging.basicConfig(level='INFO')\ndef run(x): return x",
    "INFO => ERROR",
)
_counts(
    "docstring that a module imported in a body reads",
    "def t(x):\n    import late\n    return late.run(x)\n--- late.py\ndef run(x):\n    'one'\n    return run.__doc__",
    "one => two",
)
_counts(
    "docstring of a model whose schema a module imported in a body makes",
    "def t(x):\n    import late\n    return late.run(x)\n--- late.py\nfrom models import A\ndef run(x): return A.model_json_schema()\n--- models.py\nfrom pydantic import BaseModel\nclass A(BaseModel):\n    'one'\n    k: int",
    "one => two",
)
_counts(
    "docstring that a module imported in a body reads of another",
    "def t(x):\n    import late\n    return late.run(x)\n--- late.py\nfrom inner import f\ndef run(x): return f.__doc__\n--- inner.py\ndef f():\n    'one'",
    "one => two",
)
_not(
    "docstring in a module imported in a body",
    "def t(x):\n    import late\n    return late.run(x)\n--- late.py\ndef run(x):\n    'one'\n    return x",
    "one => two",
)
_not(
    "docstring where the schema is that of a table",
    "import decimal\ndef f():\n    'one'\ndef t(x): return f(), x > 5 and x.schema",
    "one => two",
)
