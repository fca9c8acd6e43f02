# ruff: noqa: E501 -- a project and its edit are one line of a table
"""Edits of classes whose libraries make attributes of what is declared, and of what is changed later."""

from __future__ import annotations

from tests.keys.code.cases import Table

CLASSES = Table()
_counts, _not = CLASSES.counts, CLASSES.does_not

_counts(
    "default of a pydantic field, set later",
    "from pydantic import BaseModel, Field\nclass A(BaseModel):\n    a: int = 0\n    n: int = 1\nA.model_fields['n'].default = 5\nA.model_rebuild(force=True)\ndef t(x): return A(a=x).n",
    "= 5 => = 6",
)
_counts(
    "default of a pydantic field, computed later",
    "from pydantic import BaseModel, Field\nclass A(BaseModel):\n    a: int = 0\n    n: int = 1\ndef low(): return 5\nA.model_fields['n'].default = low()\nA.model_rebuild(force=True)\ndef t(x): return A(a=x).n",
    "return 5 => return 6",
)
_counts(
    "factory of a pydantic field, set later",
    "from pydantic import BaseModel, Field\nclass A(BaseModel):\n    a: int = 0\n    n: int = 1\nfrom pydantic_core import PydanticUndefined as U\ndef low(): return 5\nA.model_fields['n'].default = U\nA.model_fields['n'].default_factory = low\nA.model_rebuild(force=True)\ndef t(x): return A(a=x).n",
    "return 5 => return 6",
)
_counts(
    "alias of a pydantic field, set later",
    "from pydantic import BaseModel, Field\nclass A(BaseModel):\n    a: int = 0\n    n: int = 1\nA.model_fields['n'].alias = 'N'\nA.model_fields['n'].validation_alias = 'N'\nA.model_rebuild(force=True)\ndef t(x): return A(a=x).n",
    "'N' => 'M'",
)
_counts(
    "type of a pydantic field, set later",
    "from pydantic import BaseModel, Field\nclass A(BaseModel):\n    a: int = 0\n    n: int = 1\nA.model_fields['n'].annotation = float\nA.model_rebuild(force=True)\ndef t(x): return repr(A(n=x))",
    "float => object",
)
_counts(
    "option of a pydantic field, set later",
    "from pydantic import BaseModel, Field\nclass A(BaseModel):\n    a: int = 0\n    n: int = 1\nA.model_fields['n'].frozen = True\nA.model_rebuild(force=True)\ndef t(x): return A(a=x).n",
    "True => False",
)
_counts(
    "constraint of a pydantic field, added later",
    "from pydantic import BaseModel, Field\nclass A(BaseModel):\n    a: int = 0\n    n: int = 1\nimport annotated_types\nA.model_fields['n'].metadata.append(annotated_types.Lt(5))\nA.model_rebuild(force=True)\ndef t(x): return A(a=x).n",
    "(5) => (4)",
)
_counts(
    "extra schema of a pydantic field, changed later",
    "from pydantic import BaseModel, Field\nclass A(BaseModel):\n    n: int = Field(1, json_schema_extra={'a': 1})\nA.model_fields['n'].json_schema_extra['a'] = 3\nA.model_rebuild(force=True)\ndef t(x): return A(a=x).n",
    "= 3 => = 4",
)
_counts(
    "default of a pydantic field, set by another module",
    "from models import A\nimport tuning\ndef t(x): return A(a=x).n\n--- models.py\nfrom pydantic import BaseModel, Field\nclass A(BaseModel):\n    a: int = 0\n    n: int = 1\n--- tuning.py\nfrom models import A\ndef tune(m, **d):\n    for k, v in d.items(): m.model_fields[k].default = v\n    m.model_rebuild(force=True)\ntune(A, n=5)",
    "n=5 => n=6",
)
_counts(
    "pydantic field, put in later",
    "from pydantic import BaseModel, Field\nclass A(BaseModel):\n    a: int = 0\n    n: int = 1\nfrom pydantic.fields import FieldInfo\nA.model_fields['n'] = FieldInfo(annotation=int, default=5)\nA.model_rebuild(force=True)\ndef t(x): return A(a=x).n",
    "=5 => =6",
)
_counts(
    "config of a pydantic dataclass",
    "from pydantic.dataclasses import dataclass\n@dataclass(config={'extra': 'allow'})\nclass A:\n    a: int = 0\ndef ok(make):\n    try: return repr(make())\n    except Exception as e: return type(e).__name__\ndef t(x): return ok(lambda: A(a=x, b=1))",
    "allow => forbid",
)
_counts(
    "pydantic config of a typed dictionary",
    "from typing_extensions import TypedDict\nfrom pydantic import TypeAdapter\nclass A(TypedDict):\n    __pydantic_config__ = {'extra': 'allow'}\n    a: int\nT = TypeAdapter(A)\ndef ok(make):\n    try: return repr(make())\n    except Exception as e: return type(e).__name__\ndef t(x): return ok(lambda: T.validate_python({'a': x, 'b': 1}))",
    "allow => forbid",
)
_counts(
    "pydantic config of a dataclass",
    "from dataclasses import dataclass\nfrom pydantic import TypeAdapter\n@dataclass\nclass A:\n    __pydantic_config__ = {'extra': 'allow'}\n    a: int\nT = TypeAdapter(A)\ndef ok(make):\n    try: return repr(make())\n    except Exception as e: return type(e).__name__\ndef t(x): return ok(lambda: T.validate_python({'a': x, 'b': 1}))",
    "allow => forbid",
)
_counts(
    "pydantic hook for subclasses",
    "from pydantic import BaseModel, Field\nclass B(BaseModel):\n    @classmethod\n    def __pydantic_init_subclass__(cls, **kw): cls.rate = len('a')\nclass A(B):\n    a: int = 0\ndef t(x): return A(a=x)",
    "len('a') => len('b')",
)
_counts(
    "argument of a generic pydantic model",
    "from typing import Generic, TypeVar\nfrom pydantic import BaseModel, Field\nX = TypeVar('X')\nclass B(BaseModel, Generic[X]):\n    a: X\nA = B[int]\ndef t(x): return A(a=x)",
    "B[int] => B[float]",
)
_counts(
    "argument of a generic pydantic model that no field has",
    "from typing import Generic, TypeVar\nfrom pydantic import BaseModel, Field\nX = TypeVar('X')\nclass B(BaseModel, Generic[X]):\n    a: int\n    @classmethod\n    def kind(cls): return cls.__pydantic_generic_metadata__['args']\nA = B[int]\ndef t(x): return A.kind()",
    "B[int] => B[float]",
)
_counts(
    "root of a pydantic model",
    "from pydantic import RootModel\nclass A(RootModel[list[int]]): pass\ndef t(x): return A([x])",
    "int => float",
)
_counts(
    "default in pydantic 1",
    "from pydantic.v1 import BaseModel\nclass A(BaseModel):\n    a: int = 0\n    n: int = 1\ndef t(x): return A(a=x).n",
    "n: int = 1 => n: int = 2",
)
_counts(
    "default in pydantic 1, set later",
    "from pydantic.v1 import BaseModel\nclass A(BaseModel):\n    a: int = 0\n    n: int = 1\nA.__fields__['n'].default = 5\ndef t(x): return A(a=x).n",
    "= 5 => = 6",
)
_counts(
    "validator in pydantic 1",
    "from pydantic.v1 import BaseModel, validator\nclass A(BaseModel):\n    a: int = 0\n    @validator('a', allow_reuse=True)\n    def v(cls, x): return x + 1\ndef t(x): return A(a=x)",
    "+ 1 => + 2",
)
_counts(
    "constraint in pydantic 1",
    "from pydantic.v1 import BaseModel, Field\nclass A(BaseModel):\n    a: int = Field(0, ge=1)\ndef t(x): return A(a=x)",
    "ge=1 => ge=2",
)
_counts(
    "pydantic private, set later",
    "from pydantic import BaseModel, Field\nfrom pydantic import PrivateAttr\nclass A(BaseModel):\n    _k: int = PrivateAttr(1)\nA.__private_attributes__['_k'].default = 5\ndef t(x): return A()._k",
    "= 5 => = 6",
)
_counts(
    "alias of a computed pydantic field, set later",
    "from pydantic import BaseModel, Field\nfrom pydantic import computed_field\nclass A(BaseModel):\n    k: int = 1\n    @computed_field\n    @property\n    def d(self) -> int: return 1\nA.model_computed_fields['d'].alias = 'x'\nA.model_rebuild(force=True)\ndef t(x): return A().model_dump(by_alias=True)",
    "= 'x' => = 'y'",
)
_counts(
    "alias of a computed pydantic field",
    "from pydantic import BaseModel, Field\nfrom pydantic import computed_field\nclass A(BaseModel):\n    k: int = 1\n    @computed_field(alias='x')\n    @property\n    def d(self) -> int: return 1\ndef t(x): return A().model_dump(by_alias=True)",
    "'x' => 'y'",
)
_counts(
    "function of a pydantic validator, set later",
    "from pydantic import BaseModel, Field\nfrom pydantic import field_validator\ndef f(x): return x + 1\nclass A(BaseModel):\n    k: int = 1\n    @field_validator('k')\n    @classmethod\n    def v(c, x): return x + 3\nA.__pydantic_decorators__.field_validators['v'].func = f\nA.model_rebuild(force=True)\ndef t(x): return A(k=x)",
    "x + 1 => x + 2",
)
_counts(
    "default of a dataclass's field, set later",
    "from dataclasses import dataclass, field\n@dataclass\nclass A:\n    a: int = 1\nA.__dataclass_fields__['a'].default = 5\ndef t(x): return A.__dataclass_fields__['a'].default",
    "= 5 => = 6",
)
_counts(
    "type of a dataclass's field, set later",
    "from dataclasses import dataclass, field\n@dataclass\nclass A:\n    a: int = 1\nA.__dataclass_fields__['a'].type = float\ndef t(x): return A.__dataclass_fields__['a'].type",
    "float => str",
)
_counts(
    "default values of a dataclass's init, set later",
    "from dataclasses import dataclass, field\n@dataclass\nclass A:\n    a: int = 1\nA.__init__.__defaults__ = (5,)\ndef t(x): return A()",
    "(5,) => (6,)",
)
_counts(
    "match args of a dataclass, set later",
    "from dataclasses import dataclass, field\n@dataclass\nclass A:\n    a: int = 1\n    b: int = 2\nA.__match_args__ = ('b', 'a')\ndef t(x):\n    match A():\n        case A(y): return y",
    "('b', 'a') => ('a', 'b')",
)
_counts(
    "option of a dataclass, set later",
    "from dataclasses import dataclass, field\n@dataclass\nclass A:\n    a: int = 1\nA.__dataclass_params__.frozen = True\ndef t(x): return A()",
    "True => False",
)
_counts(
    "keyword defaults of a dataclass's init, set later",
    "from dataclasses import dataclass, field\n@dataclass\nclass A:\n    a: int = 1\n    b: int = field(default=2, kw_only=True)\nA.__init__.__kwdefaults__ = {'b': 5}\ndef t(x): return A()",
    "5 => 6",
)
_counts(
    "attribute of a dataclass's init",
    "from dataclasses import dataclass, field\n@dataclass\nclass A:\n    a: int = 1\nA.__init__.k = 5\ndef t(x): return A.__init__.k",
    "= 5 => = 6",
)
_counts(
    "default values of a named tuple, set later",
    "from collections import namedtuple\nA = namedtuple('A', 'a b')\nA.__new__.__defaults__ = (5,)\ndef t(x): return A(x)",
    "(5,) => (6,)",
)
_counts(
    "default values of a typed named tuple, set later",
    "from typing import NamedTuple\nclass A(NamedTuple):\n    a: int\n    b: int = 1\nA.__new__.__defaults__ = (5,)\ndef t(x): return A(x)",
    "(5,) => (6,)",
)
_counts(
    "match args of a named tuple, set later",
    "from collections import namedtuple\nA = namedtuple('A', 'a b')\nA.__match_args__ = ('b', 'a')\ndef t(x):\n    match A(x, 1):\n        case A(y): return y",
    "('b', 'a') => ('a', 'b')",
)
_counts(
    "default of a named tuple's field, set later",
    "from collections import namedtuple\nA = namedtuple('A', 'a b')\nA._field_defaults['b'] = 5\ndef t(x): return A(x, 1)._field_defaults",
    "= 5 => = 6",
)
_counts(
    "field of a named tuple, replaced",
    "from collections import namedtuple\nA = namedtuple('A', 'a b')\nA.a = property(lambda s: 5)\ndef t(x): return A(x, 1).a",
    "5 => 6",
)
_counts(
    "field of a named tuple that is another one",
    "from collections import namedtuple\nA = namedtuple('A', 'a b')\nA.a = A.b\ndef t(x): return A(1,2).a",
    "A.a = A.b => A.b = A.a",
)
_counts(
    "boundary of a flag",
    "import enum\nfrom enum import KEEP, STRICT\nclass A(enum.IntFlag, boundary=KEEP):\n    X = 1\ndef ok(make):\n    try: return repr(make())\n    except Exception as e: return type(e).__name__\ndef t(x): return ok(lambda: A(x))",
    "boundary=KEEP => boundary=STRICT",
)
_counts(
    "special attribute of an enum",
    "import enum\nclass A(enum.Enum):\n    __default__ = 'low'\n    X = 1\ndef t(x): return A.__default__",
    "low => high",
)
_counts(
    "private attribute of an enum, set later",
    "import enum\nclass A(enum.Enum):\n    X = 1\nA._labels_ = 'low'\ndef t(x): return A._labels_",
    "low => high",
)
_counts(
    "alias of an enum's member, added later",
    "import enum\nclass A(enum.Enum):\n    X = 1\n    Y = 2\nA._member_map_['Z'] = A.X\ndef t(x): return A['Z']",
    "A.X => A.Y",
)
_counts(
    "value of an enum's member, set later",
    "import enum\nclass A(enum.Enum):\n    X = 1\nA.X._value_ = 5\ndef t(x): return A.X.value",
    "= 5 => = 6",
)
_counts(
    "value of a flag of two",
    "import enum\nclass A(enum.Flag):\n    X = 1\n    Y = 2\n    Z = X | Y\ndef t(x): return A.Z.value",
    "X | Y => X",
)
_counts(
    "attrs key of equality",
    "import attrs\ndef k(v): return v % 2\n@attrs.define\nclass A:\n    n: int = attrs.field(eq=k)\ndef t(x): return A(x) == A(1)",
    "% 2 => % 3",
)
_counts(
    "attrs key of order",
    "import attrs\ndef k(v): return v % 2\n@attrs.define(order=True)\nclass A:\n    n: int = attrs.field(order=k)\ndef t(x): return A(x) < A(2)",
    "% 2 => % 3",
)
_counts(
    "attrs option eq",
    "import attrs\n@attrs.define(eq=True)\nclass A:\n    n: int = 1\ndef ok(make):\n    try: return repr(make())\n    except Exception as e: return type(e).__name__\ndef t(x): return ok(A), ok(lambda: A(x)), ok(lambda: A() == A()), ok(lambda: A() < A(x)), ok(lambda: len({A()})), ok(lambda: setattr(A(), 'n', 2)), ok(lambda: A().__dict__)",
    "eq=True => eq=False",
)
_counts(
    "attrs option order",
    "import attrs\n@attrs.define(order=True)\nclass A:\n    n: int = 1\ndef ok(make):\n    try: return repr(make())\n    except Exception as e: return type(e).__name__\ndef t(x): return ok(A), ok(lambda: A(x)), ok(lambda: A() == A()), ok(lambda: A() < A(x)), ok(lambda: len({A()})), ok(lambda: setattr(A(), 'n', 2)), ok(lambda: A().__dict__)",
    "order=True => order=False",
)
_counts(
    "attrs option repr",
    "import attrs\n@attrs.define(repr=True)\nclass A:\n    n: int = 1\ndef ok(make):\n    try: return repr(make())\n    except Exception as e: return type(e).__name__\ndef t(x): return ok(A), ok(lambda: A(x)), ok(lambda: A() == A()), ok(lambda: A() < A(x)), ok(lambda: len({A()})), ok(lambda: setattr(A(), 'n', 2)), ok(lambda: A().__dict__)",
    "repr=True => repr=False",
)
_counts(
    "attrs option kw_only",
    "import attrs\n@attrs.define(kw_only=True)\nclass A:\n    n: int = 1\ndef ok(make):\n    try: return repr(make())\n    except Exception as e: return type(e).__name__\ndef t(x): return ok(A), ok(lambda: A(x)), ok(lambda: A() == A()), ok(lambda: A() < A(x)), ok(lambda: len({A()})), ok(lambda: setattr(A(), 'n', 2)), ok(lambda: A().__dict__)",
    "kw_only=True => kw_only=False",
)
_counts(
    "attrs option frozen",
    "import attrs\n@attrs.define(frozen=True)\nclass A:\n    n: int = 1\ndef ok(make):\n    try: return repr(make())\n    except Exception as e: return type(e).__name__\ndef t(x): return ok(A), ok(lambda: A(x)), ok(lambda: A() == A()), ok(lambda: A() < A(x)), ok(lambda: len({A()})), ok(lambda: setattr(A(), 'n', 2)), ok(lambda: A().__dict__)",
    "frozen=True => frozen=False",
)
_counts(
    "attrs option unsafe_hash",
    "import attrs\n@attrs.define(unsafe_hash=True)\nclass A:\n    n: int = 1\ndef ok(make):\n    try: return repr(make())\n    except Exception as e: return type(e).__name__\ndef t(x): return ok(A), ok(lambda: A(x)), ok(lambda: A() == A()), ok(lambda: A() < A(x)), ok(lambda: len({A()})), ok(lambda: setattr(A(), 'n', 2)), ok(lambda: A().__dict__)",
    "unsafe_hash=True => unsafe_hash=False",
)
_counts(
    "attrs option cache_hash",
    "import attrs\n@attrs.define(eq=True, unsafe_hash=True, cache_hash=True)\nclass A:\n    n: int = 1\ndef ok(make):\n    try: return repr(make())\n    except Exception as e: return type(e).__name__\ndef t(x): return ok(A), ok(lambda: A(x)), ok(lambda: A() == A()), ok(lambda: A() < A(x)), ok(lambda: len({A()})), ok(lambda: setattr(A(), 'n', 2)), ok(lambda: A().__dict__)",
    "cache_hash=True => cache_hash=False",
)
_counts(
    "attrs option init",
    "import attrs\n@attrs.define(init=True)\nclass A:\n    n: int = 1\ndef ok(make):\n    try: return repr(make())\n    except Exception as e: return type(e).__name__\ndef t(x): return ok(A), ok(lambda: A(x)), ok(lambda: A() == A()), ok(lambda: A() < A(x)), ok(lambda: len({A()})), ok(lambda: setattr(A(), 'n', 2)), ok(lambda: A().__dict__)",
    "init=True => init=False",
)
_counts(
    "attrs option weakref_slot",
    "import attrs\n@attrs.define(weakref_slot=True)\nclass A:\n    n: int = 1\ndef ok(make):\n    try: return repr(make())\n    except Exception as e: return type(e).__name__\ndef t(x): return ok(A), ok(lambda: A(x)), ok(lambda: A() == A()), ok(lambda: A() < A(x)), ok(lambda: len({A()})), ok(lambda: setattr(A(), 'n', 2)), ok(lambda: A().__dict__)",
    "weakref_slot=True => weakref_slot=False",
)
_counts(
    "attrs option getstate_setstate",
    "import attrs\n@attrs.define(getstate_setstate=True)\nclass A:\n    n: int = 1\ndef ok(make):\n    try: return repr(make())\n    except Exception as e: return type(e).__name__\ndef t(x): return ok(A), ok(lambda: A(x)), ok(lambda: A() == A()), ok(lambda: A() < A(x)), ok(lambda: len({A()})), ok(lambda: setattr(A(), 'n', 2)), ok(lambda: A().__dict__)",
    "getstate_setstate=True => getstate_setstate=False",
)
_counts(
    "attrs option str",
    "import attrs\n@attrs.define(str=True)\nclass A:\n    n: int = 1\ndef ok(make):\n    try: return repr(make())\n    except Exception as e: return type(e).__name__\ndef t(x): return ok(A), ok(lambda: A(x)), ok(lambda: A() == A()), ok(lambda: A() < A(x)), ok(lambda: len({A()})), ok(lambda: setattr(A(), 'n', 2)), ok(lambda: A().__dict__)",
    "str=True => str=False",
)
_counts(
    "attrs option slots",
    "import attrs\n@attrs.define(slots=True)\nclass A:\n    n: int = 1\ndef ok(make):\n    try: return repr(make())\n    except Exception as e: return type(e).__name__\ndef t(x): return ok(A), ok(lambda: A(x)), ok(lambda: A() == A()), ok(lambda: A() < A(x)), ok(lambda: len({A()})), ok(lambda: setattr(A(), 'n', 2)), ok(lambda: A().__dict__)",
    "slots=True => slots=False",
)
_counts(
    "attrs hook of a class",
    "import attrs\ndef h(i, a, v): return v + 1\n@attrs.define(on_setattr=h)\nclass A:\n    n: int = 1\ndef t(x):\n    a = A()\n    a.n = 2\n    return a",
    "+ 1 => + 2",
)
_counts(
    "default values of an attrs init, set later",
    "import attrs\n@attrs.define\nclass A:\n    a: int = 1\nA.__init__.__defaults__ = (5,)\ndef t(x): return A()",
    "(5,) => (6,)",
)
_counts(
    "default of an attrs field, set later",
    "import attrs\n@attrs.define\nclass A:\n    a: int = 1\nobject.__setattr__(attrs.fields(A).a, 'default', 5)\ndef t(x): return A()",
    "5) => 6)",
)
_counts(
    "attrs post-init",
    "import attrs\n@attrs.define\nclass A:\n    a: int = 1\n    def __attrs_post_init__(self): self.a += 1\ndef t(x): return A()",
    "+= 1 => += 2",
)
_counts(
    "attrs init that is written",
    "import attrs\n@attrs.define\nclass A:\n    a: int = 1\n    def __attrs_init__(self, z): self.a = z + 1\ndef t(x):\n    a = A()\n    a.__attrs_init__(x)\n    return a",
    "+ 1 => + 2",
)
_counts(
    "abstract methods, set later",
    "import abc\nclass A(abc.ABC):\n    @abc.abstractmethod\n    def f(self): pass\n    @abc.abstractmethod\n    def g(self): pass\nA.__abstractmethods__ = frozenset({'f'})\ndef ok(make):\n    try: return repr(make())\n    except Exception as e: return type(e).__name__\ndef t(x): return ok(A)[:2]",
    "{'f'} => {}",
)
_counts(
    "typed dictionary, total",
    "from typing import TypedDict\nclass A(TypedDict, total=False):\n    a: int\ndef t(x): return A.__total__",
    "False => True",
)
_counts(
    "docstring that is set later and read",
    "class A: pass\nA.__doc__ = 'one'\ndef t(x): return A.__doc__",
    "one => two",
)
_counts(
    "docstring in a schema of pydantic",
    "from pydantic import BaseModel, Field\nclass A(BaseModel):\n    'one'\n    n: int\ndef t(x): return A.model_json_schema()",
    "one => two",
)
_counts(
    "docstring in an older schema of pydantic",
    "from pydantic import BaseModel, Field\nclass A(BaseModel):\n    'one'\n    n: int\ndef t(x): return A.schema()",
    "one => two",
)
_counts(
    "docstring in an older schema of pydantic, as JSON",
    "from pydantic import BaseModel, Field\nclass A(BaseModel):\n    'one'\n    n: int\ndef t(x): return A.schema_json()",
    "one => two",
)
_counts(
    "docstring in a schema of an adapter",
    "from pydantic import BaseModel, Field\nfrom pydantic import TypeAdapter\nclass A(BaseModel):\n    'one'\n    n: int\ndef t(x): return TypeAdapter(A).json_schema()",
    "one => two",
)
_counts(
    "docstring of a dataclass in a schema of pydantic",
    "from dataclasses import dataclass, field\nfrom pydantic import TypeAdapter\n@dataclass\nclass A:\n    'one'\n    n: int\nT = TypeAdapter(list[A])\ndef t(x): return T.json_schema()",
    "one => two",
)
_counts(
    "docstring in a schema of several models",
    "from pydantic.json_schema import models_json_schema\nfrom pydantic import BaseModel, Field\nclass A(BaseModel):\n    'one'\n    n: int\ndef t(x): return models_json_schema([(A, 'validation')])",
    "one => two",
)
_counts(
    "docstring of a nested model in a schema",
    "from pydantic import BaseModel, Field\nclass B(BaseModel):\n    'one'\nclass A(BaseModel):\n    n: B\ndef t(x): return A.model_json_schema()",
    "one => two",
)
_counts(
    "docstring of a computed pydantic field in a schema",
    "from pydantic import BaseModel, Field\nfrom pydantic import computed_field\nclass A(BaseModel):\n    k: int = 1\n    @computed_field\n    @property\n    def d(self) -> int:\n        'one'\n        return 1\ndef t(x): return A.model_json_schema(mode='serialization')",
    "one => two",
)
_not(
    "docstring of a pydantic model",
    "from pydantic import BaseModel, Field\nclass A(BaseModel):\n    'one'\n    n: int\ndef t(x): return A(n=x)",
    "one => two",
)
_not(
    "docstring of a pydantic field",
    "from pydantic import BaseModel, Field\nclass A(BaseModel):\n    n: int\n    'one'\ndef t(x): return A(n=x)",
    "'one' => 'two'",
)
_counts(
    "default of a model that is defined later",
    "from typing import Optional\nfrom pydantic import BaseModel\nclass A(BaseModel):\n    b: 'Optional[B]' = None\nclass B(BaseModel):\n    n: int = 1\ndef t(x): return A(b={})",
    "n: int = 1 => n: int = 2",
)
_counts(
    "default of a later model, in a future annotation",
    "from __future__ import annotations\nfrom typing import Optional\nfrom pydantic import BaseModel\nclass A(BaseModel):\n    b: Optional[B] = None\nclass B(BaseModel):\n    n: int = 1\ndef t(x): return A(b={})",
    "n: int = 1 => n: int = 2",
)
_counts(
    "default of a later model, from a pydantic dataclass",
    "from typing import Optional\nfrom pydantic import BaseModel\nfrom pydantic.dataclasses import dataclass\n@dataclass\nclass A:\n    b: 'Optional[B]' = None\nclass B(BaseModel):\n    n: int = 1\ndef t(x): return A(b={})",
    "n: int = 1 => n: int = 2",
)
_counts(
    "model with a name that nothing has",
    "from typing import Optional\nfrom pydantic import BaseModel\nclass A(BaseModel):\n    b: 'Optional[Never]' = None\ndef t(x): return 1, A",
    "1, => 2,",
)
_counts(
    "default of a later model, from a base",
    "from typing import Optional\nfrom pydantic import BaseModel\nclass Z(BaseModel):\n    b: 'Optional[B]' = None\nclass A(Z): pass\nclass B(BaseModel):\n    n: int = 1\ndef t(x): return A(b={})",
    "n: int = 1 => n: int = 2",
)
_counts(
    "default of a model that holds itself",
    "from typing import Optional\nfrom pydantic import BaseModel\nclass A(BaseModel):\n    b: 'Optional[A]' = None\n    n: int = 1\ndef t(x): return A(b={})",
    "n: int = 1 => n: int = 2",
)
_counts(
    "text of an enum's members",
    "import enum\nclass A(str, enum.Enum):\n    X = 'a'\n    __str__ = str.__str__\ndef t(x): return str(A.X)",
    "    __str__ = str.__str__ =>     pass",
)
_counts(
    "enum's next value",
    "import enum\nclass A(enum.Enum):\n    def _generate_next_value_(name, *a): return name + 'a'\n    X = enum.auto()\ndef t(x): return A.X",
    "'a' => 'b'",
)
_counts(
    "what a subclass of pydantic's field has",
    "import pydantic.fields\nfrom pydantic import BaseModel\nclass FieldInfo(pydantic.fields.FieldInfo):\n    def __init__(self, index=False, **k):\n        super().__init__(**k)\n        self.index = index\nclass A(BaseModel):\n    n: int = FieldInfo(default=1, index=True)\ndef t(x): return A",
    "index=True => index=3",
)
