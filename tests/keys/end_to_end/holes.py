"""What is known to be wrong of keys, and why."""

from __future__ import annotations

_BY_TYPE = "stale: it counts by its type, which a note says"
_SETTING = "stale: a setting of the interpreter is no name that the task reaches"

HOLES = {
    "precision set at import": _SETTING,
    "seed set at import": _SETTING,
    "class registered with an abstract one": "stale: the abstract class keeps its registry in C",
    "module with a class of its own": "stale: the property is in the module's class, which is not visited",
    "numpy function of a helper": "stale: numpy pickles it by its name",
    "callback for C": _BY_TYPE,
    "struct": _BY_TYPE,
    "hash that has begun": _BY_TYPE,
    "weak reference to a helper": _BY_TYPE,
    "final method": "needless: the decorator leaves an attribute with the method",
    "plugins found in a package": "lost: the package's path counts, with the directory in it",
}
"""By the names of edits: a repair of one fails the test, and takes it from this list."""
