"""Edits of projects as people lay them out: installed, editable, in notebooks.

A project's folder ``site-packages`` is one that packages are installed to, and its ``target`` one of
``pip install --target``. ``{here}`` in a ``.pth`` file stands for the project's directory. A notebook's cells
are divided by ``# %%``.
"""

from __future__ import annotations

from tests.keys.code.cases import Table

SHAPES = Table()
HOWS = {
    "notebook: the first cell": "cells",
    "notebook: a cell's comment": "cells",
    "entry point: helper": "entry point",
    "entry point: comment": "entry point",
    "entry point that returns an instance: helper": "entry point",
    "entry point that returns an instance: comment": "entry point",
}
"""How projects have to be loaded, by the names of edits."""

_FROM_DIRECTORY = '{"url": "file:///home/me/pkg", "dir_info": {}}'
_EDITABLE = '{"url": "file:///home/me/pkg", "dir_info": {"editable": true}}'
_RECORD = "pkg/__init__.py,,\npkg/tasks.py,,\npkg/helpers.py,,"


def _both(name: str, text: str, counts: str, does_not: str) -> None:
    SHAPES.counts(f"{name}: helper", text, counts)
    SHAPES.does_not(f"{name}: comment", text, does_not)


def _package(place: str) -> str:
    return f"""
--- {place}/pkg/__init__.py
from pkg.tasks import t
--- {place}/pkg/tasks.py
from prefect import task
from .helpers import scale, LIMIT
def t(x): return min(scale(x), LIMIT)
--- {place}/pkg/helpers.py
LIMIT = 100
def scale(x): return x * 2
"""


_COUNTS, _COMMENT = "x * 2 => x * 3", "def scale => # note\ndef scale"

_both(
    "src layout, editable by a path",
    f"""
from pkg import t
{_package("src")}
--- site-packages/__editable__.pkg-1.0.pth
{{here}}/src
--- site-packages/pkg-1.0.dist-info/direct_url.json
{_EDITABLE}
--- site-packages/pkg-1.0.dist-info/RECORD
__editable__.pkg-1.0.pth,,
""",
    _COUNTS,
    _COMMENT,
)
_both(
    "flat layout, editable by a finder",
    f"""
from pkg import t
{_package("checkout")}
--- site-packages/__editable__.pkg-1.0.pth
import __editable___pkg_finder; __editable___pkg_finder.install()
--- site-packages/__editable___pkg_finder.py
import sys
from importlib.util import spec_from_file_location
from pathlib import Path
PLACE = Path(__file__).parents[1] / "checkout" / "pkg"
class Finder:
    @classmethod
    def find_spec(cls, name, path=None, target=None):
        if name == "pkg":
            return spec_from_file_location(
                name, PLACE / "__init__.py", submodule_search_locations=[str(PLACE)]
            )
def install():
    sys.meta_path.append(Finder)
--- site-packages/pkg-1.0.dist-info/direct_url.json
{_EDITABLE}
--- site-packages/pkg-1.0.dist-info/RECORD
__editable__.pkg-1.0.pth,,
""",
    _COUNTS,
    _COMMENT,
)
_both(
    "installed from its directory",
    f"""
from pkg import t
{_package("site-packages")}
--- site-packages/pkg-1.0.dist-info/direct_url.json
{_FROM_DIRECTORY}
--- site-packages/pkg-1.0.dist-info/RECORD
{_RECORD}
""",
    _COUNTS,
    _COMMENT,
)
_both(
    "installed from an index, where the task stands in it",
    f"""
from pkg import t
{_package("site-packages")}
--- site-packages/pkg-1.0.dist-info/RECORD
{_RECORD}
""",
    _COUNTS,
    _COMMENT,
)
_both(
    "installed to a target, where the task stands in it",
    f"""
from pkg import t
{_package("target")}
--- target/pkg-1.0.dist-info/RECORD
{_RECORD}
""",
    _COUNTS,
    _COMMENT,
)
_both(
    "helper of a package installed from its directory",
    f"""
from pkg.helpers import scale
def t(x): return scale(x)
{_package("site-packages")}
--- site-packages/pkg-1.0.dist-info/direct_url.json
{_FROM_DIRECTORY}
--- site-packages/pkg-1.0.dist-info/RECORD
{_RECORD}
""",
    _COUNTS,
    _COMMENT,
)
_both(
    "namespace package in two places",
    """
from ns.one import t
--- first/ns/one.py
from ns.two import scale
def t(x): return scale(x)
--- second/ns/two.py
def scale(x): return x * 2
--- site-packages/both.pth
{here}/first
{here}/second
""",
    _COUNTS,
    _COMMENT,
)
_both(
    "relative imports of a deep package",
    """
from pkg.a.tasks import t
--- pkg/__init__.py

--- pkg/a/__init__.py

--- pkg/a/tasks.py
from ..b import helpers
from ..b.helpers import LIMIT as most
from . import near
def t(x): return min(helpers.scale(x) + near.add(x), most)
--- pkg/a/near.py
def add(x): return x
--- pkg/b/__init__.py

--- pkg/b/helpers.py
LIMIT = 100
def scale(x): return x * 2
""",
    _COUNTS,
    _COMMENT,
)
_both(
    "conditional imports",
    """
import sys
try:
    from a_package_that_nobody_has import scale
except ImportError:
    if sys.version_info >= (3, 10):
        from pkg.fast import scale
    else:
        from pkg.slow import scale
def t(x): return scale(x)
--- pkg/__init__.py

--- pkg/fast.py
def scale(x): return x * 2
--- pkg/slow.py
def scale(x): return x + x
""",
    _COUNTS,
    "x + x => 2 * x",
)
_both(
    "imports within functions",
    """
def t(x):
    from pkg.tasks import run
    return run(x)
--- pkg/__init__.py

--- pkg/tasks.py
def run(x):
    from .helpers import scale
    import pkg.unrelated as other
    return scale(x) + other.N
--- pkg/helpers.py
def scale(x): return x * 2
--- pkg/unrelated.py
N = 1
""",
    _COUNTS,
    _COMMENT,
)
_NOTEBOOK = """
import math
N = 1
def scale(x): return x * 2
# %%
# unrelated
print_later = []
# %%
def t(x): return scale(x) + N
"""
SHAPES.counts("notebook: the first cell", _NOTEBOOK, _COUNTS)
SHAPES.does_not("notebook: a cell's comment", _NOTEBOOK, "# unrelated => # not related\nOTHER = 3")

_both("entry point", "def scale(x): return x * 2\ndef t(x): return scale(x)", _COUNTS, _COMMENT)
_both(
    "entry point that returns an instance",
    """
from dataclasses import dataclass
@dataclass
class Scaled:
    value: int
def scale(x): return x * 2
def t(x): return Scaled(scale(x))
""",
    _COUNTS,
    _COMMENT,
)
