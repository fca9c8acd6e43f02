"""Fields that are changed later, written from the documentation alone."""

from __future__ import annotations

from tests.keys.code.cases import Table

FIFTH = Table()
_counts, _not = FIFTH.counts, FIFTH.does_not
_counts(
    "READY is read by the task",
    """
import numpy as np
from setup_of import READY
def t(x):
    return [READY, str(np.array([x / 7]))]
--- setup_of.py
import numpy as np
def configure():
    np.set_printoptions(precision=2)
    return True
READY = configure()
""",
    "precision=2 => precision=5",
)
_counts(
    "assigned in the module of the task",
    """
import numpy as np
def configure():
    np.set_printoptions(precision=2)
    return True
READY = configure()
def t(x):
    return str(np.array([x / 7]))
""",
    "precision=2 => precision=5",
)
_counts(
    "decorator in the module of the task",
    """
import numpy as np
def at_import(function):
    function()
    return function
@at_import
def configure():
    np.set_printoptions(precision=2)
def t(x):
    return str(np.array([x / 7]))
""",
    "precision=2 => precision=5",
)
_counts(
    "control: plain call of configure",
    """
import numpy as np
def configure():
    np.set_printoptions(precision=2)
configure()
def t(x):
    return str(np.array([x / 7]))
""",
    "precision=2 => precision=5",
)
_counts(
    "previous value kept",
    """
import decimal
import work
def t(x):
    return work.run(x)
--- work.py
import numpy as np
_BEFORE = np.seterr(divide="raise")
def run(x):
    try:
        return str(np.array([1.0]) / 0)
    except FloatingPointError:
        return "raised"
""",
    'divide="raise" => divide="ignore"',
)
_counts(
    "pydantic default, no rebuild of text",
    """
from models import Order
def t(x):
    return Order(a=x).n
--- models.py
from pydantic import BaseModel
def low():
    return 5
class Order(BaseModel):
    a: int
    n: int = 1
Order.model_fields["n"].default = low()
Order.model_rebuild(force=True)
""",
    "return 5 => return 6",
)
_counts(
    "pydantic default_factory set after the class",
    """
from models import Order
def t(x):
    return Order(a=x).n
--- models.py
from pydantic import BaseModel
from pydantic_core import PydanticUndefined
class Order(BaseModel):
    a: int
    n: int = 1
def low():
    return 5
Order.model_fields["n"].default = PydanticUndefined
Order.model_fields["n"].default_factory = low
Order.model_rebuild(force=True)
""",
    "return 5 => return 6",
)
_counts(
    "pydantic alias set after the class",
    """
from models import Order
def t(x):
    return Order(**{"a": x, "A": 1}).a
--- models.py
from pydantic import BaseModel
class Order(BaseModel):
    a: int
Order.model_fields["a"].alias = "A"
Order.model_fields["a"].validation_alias = "A"
Order.model_rebuild(force=True)
""",
    '"A"\nOrder.model_rebuild => "a"\nOrder.model_rebuild',
)
