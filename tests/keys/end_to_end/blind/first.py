# ruff: noqa: E501 -- a project and its edit are one line of a table
"""Thirty edits, written without knowledge of the code."""

from __future__ import annotations

from tests.keys.code.cases import Table

FIRST = Table()
_counts, _not = FIRST.counts, FIRST.does_not

_counts(
    "plugins found by pkgutil",
    "from steps import run_all\n\ndef t(x):\n    return run_all(x)\n--- steps/__init__.py\nimport importlib\nimport pkgutil\n\nfrom steps.registry import STEPS\n\nfor found in sorted(module.name for module in pkgutil.iter_modules(__path__)):\n    importlib.import_module(f'{__name__}.{found}')\n\ndef run_all(x):\n    for name in sorted(STEPS):\n        x = STEPS[name](x)\n    return x\n--- steps/registry.py\nSTEPS = {}\n\ndef step(name):\n    def register(function):\n        STEPS[name] = function\n        return function\n    return register\n--- steps/shift.py\nfrom .registry import step\n\nOFFSET = 10\n\n@step('a')\ndef shift(x):\n    return x + OFFSET\n--- steps/widen.py\nfrom .registry import step\n\ndef _square(x):\n    return x * x\n\n@step('b')\ndef widen(x):\n    return _square(x) + 1",
    "return x * x => return x * x * x",
)
_counts(
    "a descriptor's __set_name__ fills its owner",
    "from schema import Order\n\ndef t(x):\n    return [Order(x).price, *Order.columns]\n--- schema.py\nfrom columns import Column\n\nclass Order:\n    columns = []\n    price = Column(2)\n    amount = Column(5)\n\n    def __init__(self, base):\n        self.base = base\n--- columns.py\nclass Column:\n    def __init__(self, factor):\n        self.factor = factor\n\n    def __set_name__(self, owner, name):\n        owner.columns.insert(0, name)\n\n    def __get__(self, instance, owner=None):\n        return self if instance is None else instance.base * self.factor",
    "owner.columns.insert(0, name) => owner.columns.append(name)",
)
_counts(
    "a virtual subclass by ABC.register",
    "from kinds import Countable\n\ndef t(x):\n    return x * 2 if isinstance(x, Countable) else repr(x)\n--- kinds.py\nfrom abc import ABC\n\nclass Countable(ABC):\n    pass\n\nCountable.register(int)",
    "Countable.register(int) => Countable.register(str)",
)
_counts(
    "a module's __getattr__ computes the constant",
    "import rates_of\n\ndef t(x):\n    return x * rates_of.SURCHARGE\n--- rates_of.py\ndef _base():\n    return 4\n\n_LAZY = {'SURCHARGE': lambda: _base() + 1}\n\ndef __getattr__(name):\n    if name in _LAZY:\n        return _LAZY[name]()\n    raise AttributeError(name)",
    "return 4 => return 6",
)
_counts(
    "the mask of a masked array",
    "from weights import WEIGHTS\n\ndef t(x):\n    return int(WEIGHTS.sum()) * x\n--- weights.py\nimport numpy as np\n\nWEIGHTS = np.ma.array([1, 2, 4], mask=[False, True, False])",
    "mask=[False, True, False] => mask=[False, False, True]",
)
_counts(
    "functions made by exec of a template",
    "import formulas\n\ndef t(x):\n    return formulas.double(formulas.triple(x))\n--- formulas.py\nTEMPLATE = 'def {name}(x): return x * {factor}'\n\nfor name, factor in [('triple', 3), ('double', 2)]:\n    exec(TEMPLATE.format(name=name, factor=factor))",
    "('triple', 3) => ('triple', 4)",
)
_counts(
    "__match_args__ set after the class",
    "from boxes import Box\n\ndef describe(box):\n    match box:\n        case Box(width, 1):\n            return width\n        case Box(width, depth):\n            return width * 10 + depth\n\ndef t(x):\n    return describe(Box(x, 7))\n--- boxes.py\nclass Box:\n    __slots__ = ('width', 'depth')\n\n    def __init__(self, width, depth):\n        self.width, self.depth = width, depth\n\nBox.__match_args__ = ('width', 'depth')",
    "__match_args__ = ('width', 'depth') => __match_args__ = ('depth', 'width')",
)
_counts(
    "a pydantic validator within an annotated alias",
    "from orders import Order\n\ndef t(x):\n    return Order(amount=x).model_dump()\n--- orders.py\nfrom pydantic import BaseModel\n\nfrom bounds import Amount\n\nclass Order(BaseModel):\n    amount: Amount\n    note: str = 'none'\n--- bounds.py\nfrom typing import Annotated\n\nfrom pydantic import AfterValidator\n\nLIMIT = 2\n\ndef _clip(value):\n    return min(value, LIMIT)\n\nAmount = Annotated[int, AfterValidator(_clip)]",
    "LIMIT = 2 => LIMIT = 1",
)
_counts(
    "__all__ decides which star import wins",
    "from defaults import *\nfrom site_overrides import *\n\ndef t(x):\n    return x * RATE + OFFSET\n--- defaults.py\nRATE = 2\nOFFSET = 1\n--- site_overrides.py\n__all__ = ['OFFSET']\nRATE = 5\nOFFSET = 3",
    "['OFFSET'] => ['OFFSET', 'RATE']",
)
_counts(
    "a call at import advances a closure of another module",
    "from meter import bump, scaled\n\nbump(4)\n\ndef t(x):\n    return scaled(x)\n--- meter.py\ndef make():\n    total = 1\n\n    def bump(n):\n        nonlocal total\n        total += n\n\n    def scaled(x):\n        return x * total\n\n    return bump, scaled\n\nbump, scaled = make()",
    "bump(4) => bump(5)",
)
_counts(
    "an overload of a singledispatchmethod registered elsewhere",
    "import renderings\nfrom renderer import Renderer\n\ndef t(x):\n    return Renderer('<').render(x)\n--- renderer.py\nfrom functools import singledispatchmethod\n\nclass Renderer:\n    def __init__(self, mark):\n        self.mark = mark\n\n    @singledispatchmethod\n    def render(self, value):\n        return self.mark + repr(value)\n--- renderings.py\nfrom renderer import Renderer\n\ndef _digits(value):\n    return format(value, '03d')\n\n@Renderer.render.register\ndef _(self, value: int):\n    return self.mark + _digits(value)",
    "'03d' => '05d'",
)
_counts(
    "__missing__ of a dictionary's class",
    "from tariffs import TARIFF\n\ndef t(x):\n    return TARIFF[x] + TARIFF['base']\n--- tariffs.py\nclass Tariff(dict):\n    def __missing__(self, key):\n        return key * fallback()\n\ndef fallback():\n    return 10\n\nTARIFF = Tariff(base=1)",
    "return 10 => return 20",
)
_counts(
    "a module that replaces itself by an object",
    "import knobs\n\ndef t(x):\n    return x + knobs.depth\n--- knobs.py\nimport sys\n\nclass Knobs:\n    base = 2\n\n    @property\n    def depth(self):\n        return self.base * 4\n\nsys.modules[__name__] = Knobs()",
    "self.base * 4 => self.base * 5",
)
_counts(
    "the hook of a JSON decoder, by its bound method",
    "from wire import READ\n\ndef t(x):\n    return READ(f'[{x}, 2.5]')\n--- wire.py\nimport json\n\nfrom coins import cents\n\nDECODER = json.JSONDecoder(parse_float=cents)\nREAD = DECODER.decode\n--- coins.py\nSCALE = 100\n\ndef cents(text):\n    return round(float(text) * SCALE)",
    "SCALE = 100 => SCALE = 1000",
)
_counts(
    "a project's function inside an object of sklearn",
    "import numpy as np\n\nfrom cleaning import CLEAN\n\ndef t(x):\n    return CLEAN.transform(np.array([[x, 1.0]])).tolist()\n--- cleaning.py\nfrom sklearn.preprocessing import FunctionTransformer\n\nfrom squashing import squash\n\nCLEAN = FunctionTransformer(squash, kw_args={'limit': 2})\n--- squashing.py\ndef squash(values, limit):\n    return values.clip(None, limit) * 2",
    "* 2 => * 3",
)
_counts(
    "a csv dialect registered by an imported module",
    "import csv\n\nimport dialects\n\ndef t(x):\n    return next(csv.reader([f'{x}|4;5'], 'bank'))\n--- dialects.py\nimport csv\n\ncsv.register_dialect('bank', delimiter='|')",
    "delimiter='|' => delimiter=';'",
)
_counts(
    "the end of a chain behind an import in the body",
    "def t(x):\n    from engine import run\n    return run(x)\n--- engine/__init__.py\nfrom .core import *\n--- engine/core.py\nfrom . import tables\n\n__all__ = ['run']\n\ndef run(x):\n    return sum(weight * x for weight in tables.WEIGHTS.values())\n--- engine/tables.py\nfrom .extras import MORE\n\nWEIGHTS = {'a': 1}\nWEIGHTS |= MORE\n--- engine/extras.py\nMORE = {key: len(key) * 2 for key in 'ab bcd'.split()}",
    "'ab bcd' => 'ab bcde'",
)
_counts(
    "late-bound lambdas read a loop's last value",
    "from ladder import RUNGS\n\ndef t(x):\n    return [rung(x) for rung in RUNGS]\n--- ladder.py\nRUNGS = []\nfor step in (1, 2, 3):\n    RUNGS.append(lambda x: x * step)",
    "(1, 2, 3) => (1, 2, 5)",
)
_counts(
    "a class decorator's options come from another module",
    "from records import Job\n\ndef t(x):\n    return [x, Job(x, 'a') == Job(x, 'a')]\n--- records.py\nfrom dataclasses import dataclass\n\nfrom style import OPTIONS\n\n@dataclass(**OPTIONS)\nclass Job:\n    size: int\n    name: str\n--- style.py\nOPTIONS = {'repr': True, 'eq': True}",
    "'eq': True => 'eq': False",
)
_counts(
    "instances that enter a weak dictionary by themselves",
    "import live\n\ndef t(x):\n    return x * live.ACTIVE['eur'].value\n--- live.py\nfrom weakref import WeakValueDictionary\n\nACTIVE = WeakValueDictionary()\n\nclass Rate:\n    def __init__(self, name, value):\n        self.value = value\n        ACTIVE[name] = self\n\nKEPT = [Rate('usd', 2), Rate('eur', 3)]",
    "Rate('eur', 3) => Rate('eur', 4)",
)
_not(
    "a docstring for a dataclass that had none",
    "from points import Point\n\ndef t(x):\n    return Point(x).shifted()\n--- points.py\nfrom dataclasses import dataclass, field\n\n@dataclass(order=True)\nclass Point:\n    x: int\n    tags: list = field(default_factory=list)\n\n    def shifted(self):\n        return [self.x + 1, *self.tags]",
    "class Point: => class Point:\n    '''A point of a line, with its tags.'''\n",
)
_not(
    "a global that a parameter shadows",
    "from scaling import scaled\n\ndef t(x):\n    return scaled(x)\n--- scaling.py\nfactor = 4\n\ndef scaled(x, factor=2):\n    return [factor * n for n in range(x)]\n\ndef other(x):\n    return x * factor",
    "factor = 4 => factor = 5",
)
_not(
    "definitions in another order",
    "from parts import whole\n\ndef t(x):\n    return whole(x)\n--- parts.py\nimport functools\n\nBASE = 2\n\ndef whole(x):\n    return left(x) + Right().value(x)\n\n@functools.lru_cache(maxsize=None)\ndef left(x):\n    return x * BASE\n\nclass Right:\n    def value(self, x):\n        return x - BASE",
    "BASE = 2\n\ndef whole(x):\n    return left(x) + Right().value(x)\n\n@functools.lru_cache(maxsize=None)\ndef left(x):\n    return x * BASE\n\nclass Right:\n    def value(self, x):\n        return x - BASE => class Right:\n    def value(self, x):\n        return x - BASE\n\n@functools.lru_cache(maxsize=None)\ndef left(x):\n    return x * BASE\n\ndef whole(x):\n    return left(x) + Right().value(x)\n\nBASE = 2",
)
_not(
    "a helper of an unreached function and an unreached constant",
    "import toolbox\n\ndef t(x):\n    return toolbox.used(x)\n--- toolbox.py\nimport legacy\n\nLIMIT = legacy.guess(3)\n\ndef used(x):\n    return x + 1\n\ndef unused(x):\n    return legacy.guess(x)\n--- legacy.py\ndef guess(x):\n    return x * 2",
    "return x * 2 => return x * 3",
)
_not(
    "literals, joined texts and semicolons reformatted in a body",
    "from words import label\n\ndef t(x):\n    return label(x)\n--- words.py\ndef label(x):\n    sizes = {'a': 1000, 'b': 16}; text = f'{x}' '-' f'{x:>4}'\n    return text, sum(sizes.values()) * x",
    "sizes = {'a': 1000, 'b': 16}; text = f'{x}' '-' f'{x:>4}' => sizes = {\n        'a': 1_000,\n        'b': 0x10,  # bytes\n    }\n    text = (\n        f'{x}-{x:>4}'\n    )",
)
_not(
    "the set-up of logging at the top",
    "import logging\n\nimport work\n\nlogging.basicConfig(level=logging.INFO)\n\ndef t(x):\n    return work.run(x)\n--- work.py\nimport logging\n\nlog = logging.getLogger(__name__)\n\ndef run(x):\n    log.debug('run %s', x)\n    return x + 5",
    "logging.basicConfig(level=logging.INFO) => logging.basicConfig(level=logging.DEBUG, format='%(message)s')\nlogging.getLogger('work').setLevel(logging.WARNING)",
)
_not(
    "two lambdas of one line on lines of their own",
    "from pairs import PAIR\n\ndef t(x):\n    return [function(x) for function in PAIR]\n--- pairs.py\nPAIR = (lambda x, n=1: x + n, lambda x, n=2: x + n)",
    "(lambda x, n=1: x + n, lambda x, n=2: x + n) => (\n    lambda x, n=1: x + n,  # low\n    lambda x, n=2: (x + n),\n)",
)
_not(
    "a docstring that update_wrapper copied onto an object",
    "from steps_of import grow\n\ndef t(x):\n    return grow(x)\n--- steps_of.py\nfrom counted import Counted\n\n@Counted\ndef grow(x):\n    '''Adds one.'''\n    return x + 1\n--- counted.py\nimport functools\n\nclass Counted:\n    def __init__(self, function):\n        functools.update_wrapper(self, function)\n        self.function = function\n\n    def __call__(self, *args):\n        return [self.function(*args)]",
    "Adds one. => Adds one to x, and returns the sum.",
)
_not(
    "comments and docstring of a module imported in the body",
    "def t(x):\n    import late\n    return late.grow(x)\n--- late.py\nSTEP = 2\n\ndef grow(x):\n    # one step\n    return x + STEP",
    "# one step\n    return x + STEP => '''Take one step.'''\n\n    # as long as the table says\n    return (x + STEP)",
)
_not(
    "annotations of overloads and of a local variable",
    "from readings import read\n\ndef t(x):\n    return read(x)\n--- readings.py\nfrom typing import overload\n\n@overload\ndef read(value: int) -> int: ...\n@overload\ndef read(value: str) -> str: ...\ndef read(value):\n    result: int = value * 2\n    return result",
    ": int => : float",
)
