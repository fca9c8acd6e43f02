# ruff: noqa: E501 -- a project is one line of a table
"""Tasks that change what they share, by project code that they reach: ``t()`` is the task."""

from __future__ import annotations

__all__ = ["RUNS"]

MEMO = """
class Client:
    def __init__(self): self._cache = {}; self.calls = 0; self._session = None; self.rate = 2
    def get(self, k):
        if k not in self._cache: self._cache[k] = k * self.rate
        return self._cache[k]
    def count(self): self.calls += 1; return self.calls
    def session(self):
        if self._session is None: self._session = [1]
        return self._session
    def deep(self): return self._fetch(3)
    def _fetch(self, k):
        self.count()
        return self.get(k)
    def set_rate(self, rate): self.rate = rate
"""

RUNS: dict[str, str] = {
    # instances
    "a memo of an instance": f"{MEMO}C = Client()\ndef t(): return C.get(1)",
    "a counter of an instance": f"{MEMO}C = Client()\ndef t(): return C.count()",
    "a lazy attribute": f"{MEMO}C = Client()\ndef t(): return C.session()",
    "by a method that a method calls": f"{MEMO}C = Client()\ndef t(): return C.deep()",
    "of an instance in a closure": f"{MEMO}def make(c):\n    def t(): return c.get(1)\n    return t\nt = make(Client())",
    "of an instance as a default argument": f"{MEMO}def t(c=Client()): return c.get(1)",
    "of an instance in a dict": f"{MEMO}D = {{'c': Client()}}\ndef t(): return D['c'].get(1)",
    "of instances in a list": f"{MEMO}L = [Client(), Client()]\ndef t(): return [c.count() for c in L]",
    "of an instance that is an attribute": f"{MEMO}class App:\n    def __init__(self): self.client = Client()\n    def run(self): return self.client.get(1)\nA = App()\ndef t(): return A.run()",
    "of an instance in another module": f"import clients\ndef t(): return clients.C.get(1)\n--- clients.py\n{MEMO}C = Client()",
    "of an instance from another module": f"from clients2 import C\ndef t(): return C.get(1)\n--- clients2.py\n{MEMO}C = Client()",
    "by a bound method": f"{MEMO}get = Client().get\ndef t(): return get(1)",
    "by a partial of a bound method": f"{MEMO}import functools\nget = functools.partial(Client().get, 1)\ndef t(): return get()",
    "by a bound method of the task itself": f"{MEMO}class T(Client):\n    def run(self): return self.get(1)\nt = T().run",
    "by a helper with a parameter": f"{MEMO}C = Client()\ndef helper(c): c.calls += 1; c._cache['x'] = 1\ndef t(): return helper(C)",
    "by a function in it": "C = {}\ndef t():\n    def g(k): C[k] = 1\n    g(1)",
    "by a comprehension": "L = []\ndef t(): [L.append(x) for x in (1, 2)]",
    "by a global name of a function in it": "L = []\ndef t():\n    def g():\n        global L\n        L = [*L, 1]\n        L.append(1)\n    g()",
    "a weak set": "import weakref\nclass A: pass\nS, K = weakref.WeakSet(), []\ndef t():\n    K.append(A())\n    S.add(K[-1])\n    return len(S)",
    "a weak dictionary": "import weakref\nclass A: pass\nS, K = weakref.WeakValueDictionary(), []\ndef t():\n    K.append(A())\n    S['a'] = K[-1]\n    return len(S)",
    "by a local name": f"{MEMO}C = Client()\ndef t():\n    cache = C._cache\n    cache['x'] = 1",
    "by a local name in a method": "class A:\n    def __init__(self): self.c = {}\n    def f(self):\n        c = self.c\n        c['x'] = 1\na = A()\ndef t(): return a.f()",
    "by an inherited method": f"{MEMO}class Sub(Client): pass\nC = Sub()\ndef t(): return C.get(1)",
    "by super()": f"{MEMO}class Sub(Client):\n    def get(self, k): return super().get(k)\nC = Sub()\ndef t(): return C.get(1)",
    "by a call of the instance": "class A:\n    def __init__(self): self.n = 0\n    def __call__(self, x): self.n += 1; return x\na = A()\ndef t(): return a(1)",
    "by an operator": "class A:\n    def __init__(self): self.n = 0\n    def __getitem__(self, k): self.n += 1; return k\na = A()\ndef t(): return a[1]",
    "by a context manager": "class A:\n    def __init__(self): self.n = 0\n    def __enter__(self): self.n += 1; return self\n    def __exit__(self, *_): pass\na = A()\ndef t():\n    with a: return 1",
    "by a property": "class A:\n    _v = None\n    @property\n    def v(self):\n        if self._v is None: self._v = 7\n        return self._v\na = A()\ndef t(): return a.v",
    "by a private attribute": "class A:\n    def __init__(self): self.__c = {}\n    def f(self): self.__c[1] = 2\na = A()\ndef t(): return a.f()",
    "by slots": "class A:\n    __slots__ = ('n',)\n    def __init__(self): self.n = 0\n    def f(self): self.n += 1\na = A()\ndef t(): return a.f()",
    "a cached property": "from functools import cached_property\nclass A:\n    @cached_property\n    def v(self): return [1]\na = A()\ndef t(): return a.v",
    "a list in a dataclass": "from dataclasses import dataclass, field\n@dataclass\nclass A:\n    rows: list = field(default_factory=list)\n    def add(self, x): self.rows.append(x)\na = A()\ndef t(): a.add(1); a.rows.append(2)",
    "a pydantic model": "from pydantic import BaseModel\nclass A(BaseModel):\n    n: int = 0\n    def f(self): self.n += 1\na = A()\ndef t(): return a.f()",
    "an instance of a dict": "class Memo(dict):\n    def __missing__(self, k):\n        self[k] = k\n        return k\nM = Memo()\ndef t(): return M[1]",
    "an instance of a list": "class Log(list):\n    def note(self, x): self.append(x)\nL = Log()\ndef t(): return L.note(1)",
    # classes and functions
    "a class attribute": "class A: n = 0\ndef t(): A.n += 1",
    "by a class method": "class A:\n    n = 0\n    @classmethod\n    def f(cls): cls.n += 1\ndef t(): return A.f()",
    "a registry in a class": "class A:\n    seen = {}\n    def f(self, k): self.seen[k] = 1\ndef t(): return A().f(1)",
    "by the class of an instance": "class A:\n    n = 0\n    def f(self): type(self).n += 1\ndef t(): return A().f()",
    "by __class__": "class A:\n    n = 0\n    def f(self): self.__class__.n += 1\ndef t(): return A().f()",
    "a singleton": "class A:\n    _one = None\n    @classmethod\n    def get(cls):\n        if cls._one is None: cls._one = cls()\n        return cls._one\ndef t(): return A.get()",
    "by __new__": "class A:\n    _one = None\n    def __new__(cls):\n        if cls._one is None: cls._one = super().__new__(cls)\n        return cls._one\ndef t(): return A()",
    "instances that are counted": "class A:\n    n = 0\n    def __init__(self): A.n += 1\ndef t(): return A()",
    "a function attribute": "def f(): f.calls += 1\nf.calls = 0\ndef t(): return f()",
    "a function attribute that is new": "def f(): f.memo = 1\ndef t(): return f()",
    "a decorator that counts": "import functools\ndef counted(f):\n    @functools.wraps(f)\n    def w(*a):\n        w.calls += 1\n        return f(*a)\n    w.calls = 0\n    return w\n@counted\ndef t(): return 1",
    "a decorator with a memo": "def memo(f):\n    c = {}\n    def w(x=1):\n        if x not in c: c[x] = f(x)\n        return c[x]\n    return w\n@memo\ndef t(x): return x",
    "a decorator that is a class": "class memo:\n    def __init__(self, f): self.f, self.c = f, {}\n    def __call__(self, x=1):\n        if x not in self.c: self.c[x] = self.f(x)\n        return self.c[x]\n@memo\ndef t(x): return x",
    "a default argument": "def f(x, seen=[]): seen.append(x)\ndef t(): return f(1)",
    # modules and containers
    "a module attribute": "import state\ndef t(): state.X = 1\n--- state.py\nX = 0",
    "a module attribute that is new": "import state2\ndef t(): state2.Y = 1\n--- state2.py\nX = 0",
    "a global in another module": "from state3 import bump\ndef t(): return bump()\n--- state3.py\nN = 0\ndef bump():\n    global N\n    N += 1",
    "nested containers": "S = {'a': {'b': []}}\ndef t(): S['a']['b'].append(1)",
    "a default dict": "from collections import defaultdict\nD = defaultdict(list)\ndef t(): D['a'].append(1)",
    "a default dict that is read": "from collections import defaultdict\nD = defaultdict(int)\ndef t(): return D['a']",
    "a counter": "from collections import Counter\nC = Counter()\ndef t(): C['a'] += 1; C.update('ab')",
    "a deque": "from collections import deque\nD = deque(maxlen=2)\ndef t(): D.append(1)",
    "by |= and +=": "S, L = {1}, [1]\ndef t():\n    global S, L\n    S |= {2}\n    L += [3]",
    "a heap": "import heapq\nH = []\ndef t(): heapq.heappush(H, 1)",
    "a namespace": "from types import SimpleNamespace\nS = SimpleNamespace(n=0, rows=[])\ndef t(): S.n += 1; S.rows.append(1)",
    "an argparse namespace": "import argparse\nS = argparse.Namespace(n=0)\ndef t(): S.n += 1",
    "by setattr": "class A: n = 0\na = A()\ndef t(): setattr(a, 'n', 1)",
    "by a loop": "L = [[], []]\ndef t():\n    for one in L: one.append(1)",
    "a helper that fills its argument": "S = {}\ndef fill(d): d['a'] = 1\ndef t(): fill(S)",
    "a weak dict": "import weakref\nclass A: pass\na = A()\nW = weakref.WeakKeyDictionary()\ndef t(): W[a] = 1",
    "a context variable": "import contextvars\nV = contextvars.ContextVar('V', default=0)\ndef t(): V.set(V.get() + 1)",
    # what libraries keep
    "a random generator": "import random\nR = random.Random(1)\ndef t(): return R.random()",
    "a numpy generator": "import numpy\nR = numpy.random.default_rng(1)\ndef t(): return R.random()",
    "a running number": "import itertools\nN = itertools.count()\ndef t(): return next(N)",
    "a lock": "import threading\nL = threading.Lock()\ndef t():\n    with L: return 1",
    "a held lock": "import threading\nL = threading.RLock()\ndef t(): L.acquire()",
    "an event": "import threading\nE = threading.Event()\ndef t(): E.set()",
    "a thread": "import threading\nT = threading.Thread(target=print, args=('',))\ndef t():\n    if not T.ident: T.start(); T.join()",
    "a thread-local": "import threading\nL = threading.local()\ndef t(): L.x = 1",
    "a semaphore": "import threading\nS = threading.Semaphore(9)\ndef t(): S.acquire()",
    "a pool": "from concurrent.futures import ThreadPoolExecutor\nP = ThreadPoolExecutor(1)\ndef t():\n    P.submit(len, '').result()",
    "a queue": "import queue\nQ = queue.Queue()\ndef t(): Q.put(1)",
    "a simple queue": "import queue\nQ = queue.SimpleQueue()\ndef t(): Q.put(1)",
    "an open file": "import tempfile\nF = tempfile.TemporaryFile('w+')\ndef t(): F.write('a'); F.flush()",
    "a string buffer": "import io\nF = io.StringIO()\ndef t(): F.write('a')",
    "a logger": "import logging\nL = logging.getLogger('runs')\ndef t(): L.debug('a'); L.setLevel(30)",
    "a connection": "import sqlite3\nD = sqlite3.connect(':memory:', check_same_thread=False)\ndef t(): D.execute('create table if not exists a (b)'); D.execute('insert into a values (1)')",
    "a boto3 client": "import boto3\nC = boto3.client('s3', region_name='us-east-1', aws_access_key_id='a', aws_secret_access_key='b')\ndef t(): return C.generate_presigned_url('get_object', {'Bucket': 'b', 'Key': 'k'}), C.exceptions",
    "an httpx client": "import httpx\nC = httpx.Client()\ndef t(): C.close()",
    "a compiled pattern": "import re\nP = re.compile('a+')\ndef t(): return P.findall('aa')",
    "a lru_cache of a method": "import functools\nclass A:\n    @functools.lru_cache\n    def f(self, x): return x\na = A()\ndef t(): return a.f(1)",
    "a single dispatch": "from functools import singledispatch\n@singledispatch\ndef f(x): return 0\n@f.register\ndef _(x: int): return 1\ndef t(): return f(1)",
    "a lazy import": "def t():\n    global late\n    import json as late\n    return late.dumps(1)",
    "an abstract class": "import abc\nclass A(abc.ABC): pass\nclass B: pass\nA.register(B)\ndef t(): return isinstance(B(), A), isinstance(1, A)",
    "an enum": "import enum\nclass E(enum.Flag):\n    A = 1\n    B = 2\ndef t(): return E(3), E.A | E.B, E(0)",
    "a type adapter": "from pydantic import TypeAdapter\nA = TypeAdapter(list[int])\ndef t(): return A.validate_python(['1'])",
    "a model of a later one": "from typing import Optional\nfrom pydantic import BaseModel\nclass A(BaseModel):\n    b: 'Optional[B]' = None\nclass B(BaseModel):\n    n: int = 1\ndef t(): return A(b={'n': 1})",
    "a model with aliases that is built late": "from pydantic import BaseModel, ConfigDict\nclass A(BaseModel):\n    model_config = ConfigDict(defer_build=True, alias_generator=str.upper)\n    n: int = 1\ndef t(): return A(N=1)",
    "a model that is built again": "from pydantic import BaseModel, ConfigDict\nclass A(BaseModel):\n    model_config = ConfigDict(alias_generator=str.upper)\n    n: int = 1\ndef t(): A.model_rebuild(force=True); return A.model_json_schema()",
    "a class of attrs": "import attrs\n@attrs.define\nclass A:\n    n: int = 1\n    m: list = attrs.field(factory=list)\ndef t(): return attrs.evolve(A(), n=2), repr(A())",
    "an enum that keeps what it missed": "import enum\nclass E(enum.Enum):\n    A = 1\n    @classmethod\n    def _missing_(cls, v):\n        cls._value2member_map_[v] = cls.A\n        return cls.A\ndef t(): return E(5)",
    "a pickled instance": "import pickle, copy\nclass A: __slots__ = ('n',)\na = A()\na.n = 1\ndef t(): return copy.deepcopy(a), a.__reduce_ex__(4)",
    # as pipelines have them
    "lake with helpers": "class Lake:\n    def __init__(self): self.ran=[]; self.tables={}\n    def write(self,n,r): self.tables.setdefault(n,[]).extend(r); self.ran.append(n)\n    def read(self,n): return list(self.tables.get(n,()))\nLAKE=Lake()\ndef stage(lake,n): lake.write(n,[1]); return lake.read(n)\ndef t(): return stage(LAKE,'a')",
    "by getter function": 'class C:\n    def __init__(s): s.n=0\n    def go(s): s.n+=1\n_c=None\ndef get():\n    global _c\n    if _c is None: _c=C()\n    return _c\ndef t(): get().go()',
    "dataclass config memo": 'from dataclasses import dataclass, field\n@dataclass\nclass Cfg:\n    r: int=1\n    _memo: dict=field(default_factory=dict, repr=False)\n    def x(s,k):\n        try: return s._memo[k]\n        except KeyError:\n            s._memo[k]=k*s.r\n            return s._memo[k]\nc=Cfg()\ndef t(): return [c.x(i) for i in range(3)]',
    "retry decorator with stats": 'import functools\nclass Retry:\n    def __init__(s): s.tries=0\n    def __call__(s,f):\n        @functools.wraps(f)\n        def w(*a):\n            s.tries+=1\n            return f(*a)\n        return w\nr=Retry()\n@r\ndef t(): return 1',
    "lock guarded memo": 'import threading\nclass M:\n    def __init__(s): s._l=threading.Lock(); s._d={}\n    def get(s,k,f):\n        with s._l:\n            if k not in s._d: s._d[k]=f(k)\n        return s._d[k]\nm=M()\ndef t(): return m.get(1,lambda k:k)',
    "observer list": 'class Bus:\n    def __init__(s): s.subs=[]; s.log=[]\n    def emit(s,x):\n        for f in s.subs: f(x)\nb=Bus()\nb.subs.append(lambda x: b.log.append(x))\ndef t(): b.emit(1)',
    "namedtuple holder": "from collections import namedtuple\nH=namedtuple('H','a b')\nh=H([],{})\ndef t(): h.a.append(1); h.b['x']=1",
    "generator method": 'class S:\n    def __init__(s): s.seen=set()\n    def it(s,xs):\n        for x in xs:\n            if x not in s.seen:\n                s.seen.add(x)\n                yield x\ns=S()\ndef t(): return list(s.it([1,2]))',
    "async": 'import asyncio\nclass S:\n    def __init__(s): s.n=0\n    async def go(s): s.n+=1\ns=S()\ndef t(): asyncio.run(s.go())',
    "thread pool map": 'from concurrent.futures import ThreadPoolExecutor\nclass S:\n    def __init__(s): s.n=[]\n    def go(s,x): s.n.append(x)\ns=S()\ndef t():\n    with ThreadPoolExecutor(2) as p: list(p.map(s.go,[1,2]))',
    "base class template": "class B:\n    def __init__(s): s.stats={}\n    def run(s): s.stats['n']=s.stats.get('n',0)+1; return s.work()\nclass D(B):\n    def work(s): s.last=1; return 2\nd=D()\ndef t(): return d.run()",
    "chained self": 'class Q:\n    def __init__(s): s.parts=[]\n    def add(s,x): s.parts.append(x); return s\nq=Q()\ndef t(): q.add(1).add(2)',
    "tuple unpack": "A=({},[])\ndef t():\n    a,b=A\n    a['x']=1; b.append(2)",
    "items loop": "class C: n=0\nD={'a':C()}\ndef t():\n    for k,c in D.items(): c.n+=1",
    "sqlite wrapper": "import sqlite3\nclass DB:\n    def __init__(s): s.c=None; s.q=0\n    def run(s):\n        if s.c is None: s.c=sqlite3.connect(':memory:')\n        s.q+=1\n        return s.c.execute('select 1').fetchall()\nd=DB()\ndef t(): return d.run()",
    "by an argument with a name": 'class A:\n    n=0\n    def f(s): s.n+=1\na=A()\ndef h(x,*,c): c.f()\ndef t(): h(1,c=a)',
    "by a partial with a keyword": "import functools\nclass A: n = 0\na = A()\ndef h(x, c): c.n += x\np = functools.partial(h, c=a)\ndef t(): p(1)",
    "by the setter of a property": "class A:\n    _v = 0\n    @property\n    def v(self): return self._v\n    @v.setter\n    def v(self, x): self._v = x\na = A()\ndef t(): a.v = 3",
}  # fmt: skip
