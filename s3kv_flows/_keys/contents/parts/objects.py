"""Instances of classes: by their pickled state, attributes in sorted order.

The state that pickle keeps is the state that comes out of the cache: an attribute that a class leaves out of
its pickle does not count. Where a class does not customize pickling, its attributes are read directly, as
pickle would write ``__slotnames__`` into the class. Values of cached properties are left out: they tell only
whether somebody read them.
"""

from __future__ import annotations

import copyreg
import sys
from collections import OrderedDict
from contextlib import suppress
from types import MemberDescriptorType
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary

from s3kv_flows._keys.contents.parts.kinds import Parts, PartsOf, Walk, name_of
from s3kv_flows._keys.project import is_project_module, module_of

__all__ = ["PARTS", "Layout", "attributes", "instance", "layout_of", "reduced", "state_of"]

_NEW: Any = vars(copyreg)["__newobj__"]
"""How pickle makes an instance whose class has no other way."""

_HISTORY = {
    "scipy": frozenset({"_has_sorted_indices", "_has_canonical_format"}),  # found out when they are asked for
    "": frozenset({"_attrs_cached_hash"}),  # another one in each process
}


class Layout(NamedTuple):
    """How the instances of a class without a word on pickling hold their attributes."""

    slots: tuple[tuple[str, Any], ...]
    has_dict: bool
    left_out: frozenset[str]


_homes: dict[str, str] = {}
"""The modules that objects were found in by their names."""
_layouts: WeakKeyDictionary[type, Layout | None] = WeakKeyDictionary()
_left_out: WeakKeyDictionary[type, frozenset[str]] = WeakKeyDictionary()


def instance(walk: Walk, value: object) -> Parts:
    """Return the parts of an instance of any class that is not in the table."""
    layout = layout_of(value)
    if layout is None:
        return reduced(walk, value)
    return Parts(b"attributes", [attributes(value, layout)])


def reduced(walk: Walk, value: Any) -> Parts:
    """Return the parts of what a value would be pickled as."""
    kind: Any = type(value)
    found: Any = _reduction(kind, value)
    if isinstance(found, str):
        # By a name that it has in a module; of the project's, what it holds may change in place.
        code = walk.code_of(kind)
        if code is None and not _is_installed_as(found, value):
            raise TypeError(f"it is pickled by its name alone, {found}, which no installed module has")
        held = state_of(value) if code is not None else None
        return Parts(b"global", [getattr(value, "__module__", None), found, held])
    whole: tuple[Any, ...] = tuple(found) + (None,) * 4
    make, args, state, items, pairs, setter = whole[:6]
    if make is _NEW and args and args[0] is kind:
        start: tuple[object, ...] = ("made", args[1:])
    elif make is kind:
        start = ("called", args)
    else:
        start = (make, args)
    state = _told_apart(value, state)
    listed = None if items is None else list(items)
    mapped = None if pairs is None else list(map(tuple, pairs))
    if make is _NEW:  # what is in it, whatever its class says is in it
        if isinstance(value, list):
            listed = list.__getitem__(value, slice(None))
        elif isinstance(value, dict) and not isinstance(value, OrderedDict):
            mapped = list(dict.items(value))
    rest = (state, listed, mapped, setter)
    return Parts(b"reduced", [start, rest])


def _is_installed_as(name: str, value: Any) -> bool:
    """Return whether a value is what an installed module has under a name, as pickle would find it."""
    said = getattr(value, "__module__", None)
    kind = module_of(type(value))
    likely = [one for one in (said, kind, kind.partition(".")[0], _homes.get(name)) if isinstance(one, str)]
    home = next((one for one in likely if _finds(one, name, value)), None)
    if home is None and not isinstance(said, str):
        home = next((one for one in list(sys.modules) if _finds(one, name, value)), None)
    if home is not None:
        _homes[name] = home
    return home is not None


def _finds(module: str, name: str, value: object) -> bool:
    found: Any = sys.modules.get(module)
    for part in name.split("."):
        found = getattr(found, "__dict__", {}).get(part)
    return found is value and not is_project_module(module)


def _reduction(kind: Any, value: Any) -> Any:
    """Return what a value is pickled as: by its class, or by a registered pickler where the class cannot.

    Libraries register picklers for classes of others (Dask's tblib for all exceptions): which do depends on
    what a process has imported, and must not count.
    """
    try:
        return kind.__reduce_ex__(value, 4)
    except TypeError:
        reduce = copyreg.dispatch_table.get(kind)
        if reduce is None:
            raise
        return reduce(value)


def _told_apart(value: Any, state: Any) -> object:
    """Return the state of an instance without its history: who looked, and what was set first."""
    kind = type(value)
    says = _says_its_state(kind)
    if type(state) is tuple and len(state) == 2 and not says:  # attributes, and slots
        return tuple(_by_name(one, left_out_of(kind)) if one else None for one in state)
    if type(state) is not dict:
        return state
    if not state and not says:  # until somebody looks at the attributes, there is not even an empty dict
        return None
    own: Any = getattr(value, "__dict__", {})
    return _by_name(state, left_out_of(kind)) if state.keys() <= own.keys() else state


def state_of(value: object) -> dict[str, object]:
    """Return the attributes that a user's subclass of a library's class may add, by name."""
    own: Any = getattr(value, "__dict__", None)
    return _by_name(own, left_out_of(type(value))) if own else {}


def left_out_of(kind: type) -> frozenset[str]:
    """Return the names of attributes that tell the history of an instance, not its content."""
    found = _left_out.get(kind)
    if found is None:
        names = set(_HISTORY[""])
        for base in kind.__mro__:
            names |= _HISTORY.get(name_of(base).partition(".")[0], frozenset())
            names |= {
                name
                for name, member in vars(base).copy().items()
                if any(one.__name__ == "cached_property" for one in type(member).__mro__)
            }
        found = _left_out[kind] = frozenset(names)
    return found


def attributes(value: Any, layout: Layout) -> dict[str, object]:
    """Return the attributes of an instance by name, in the order of the names."""
    own: dict[str, object] = value.__dict__ if layout.has_dict else {}
    found = _by_name(own, layout.left_out)
    if layout.slots:
        for name, member in layout.slots:
            with suppress(AttributeError):  # not set
                found[name] = member.__get__(value)
    return found


def _by_name(attributes: dict[Any, object], left_out: frozenset[str]) -> dict[Any, object]:
    held = dict(attributes)  # as another thread may add one
    try:
        names = sorted(held)
    except TypeError:  # which are no names
        return held
    return {name: held[name] for name in names if name not in left_out}


def layout_of(value: Any) -> Layout | None:
    kind = type(value)
    if kind not in _layouts:
        _layouts[kind] = _found_layout(value)
    return _layouts[kind]


def _says_its_state(kind: type) -> bool:
    return getattr(kind, "__getstate__", None) is not getattr(object, "__getstate__", None)


def _found_layout(value: Any) -> Layout | None:
    kind: Any = type(value)
    says_how = (
        kind.__reduce_ex__ is not object.__reduce_ex__
        or kind.__reduce__ is not object.__reduce__
        or _says_its_state(kind)
        or hasattr(kind, "__getnewargs_ex__")
        or hasattr(kind, "__getnewargs__")
    )
    if says_how:
        return None
    noted = "__slotnames__" in vars(kind)
    try:
        made = object.__reduce_ex__(value, 4)
    except TypeError:  # a C type holds more than its attributes: a registered pickler may know
        return None
    finally:
        if not noted:
            with suppress(AttributeError, TypeError):  # another thread was first; a built-in class
                type.__delattr__(kind, "__slotnames__")
    if isinstance(made, str) or made[0] is not _NEW or made[3] or made[4]:
        return None
    slots = {
        (name, base): member
        for base in kind.__mro__
        for name, member in vars(base).copy().items()  # in which pickle may write meanwhile
        if type(member) is MemberDescriptorType and member.__objclass__ is base
    }
    names = [name for name, _ in slots]
    return Layout(
        slots=tuple(
            (name if names.count(name) == 1 else f"{base.__qualname__}.{name}", member)
            for (name, base), member in sorted(slots.items(), key=lambda item: item[0][0])
        ),
        has_dict=hasattr(value, "__dict__"),
        left_out=left_out_of(kind),
    )


def _enum_member(walk: Walk, value: Any) -> Parts:  # noqa: ARG001
    return Parts(b"member", [value._name_])


def _flag(walk: Walk, value: Any) -> Parts:  # noqa: ARG001
    return Parts(b"flag", [value._value_])


def _pydantic_model(walk: Walk, value: Any) -> Parts:
    if _says_how_beside("pydantic", value):
        return reduced(walk, value)
    return Parts(
        b"model",
        [
            state_of(value),
            getattr(value, "__pydantic_extra__", None),
            getattr(value, "__pydantic_fields_set__", None),
            _by_name(getattr(value, "__pydantic_private__", None) or {}, frozenset()),
        ],
    )


def _says_how_beside(library: str, value: object) -> bool:
    for name in ("__reduce_ex__", "__reduce__", "__getstate__"):
        owner = next((base for base in type(value).__mro__ if name in vars(base)), object)
        if owner is not object and not name_of(owner).startswith(f"{library}."):
            return True
    return False


def _exception(walk: Walk, value: BaseException) -> Parts:
    context = None if value.__suppress_context__ else value.__context__
    parts = reduced(walk, value)
    return parts._replace(
        children=[*parts.children, value.args, value.__cause__, context, value.__suppress_context__]
    )


PARTS: dict[str, PartsOf] = {
    "enum.Enum": _enum_member,
    "enum.Flag": _flag,
    "pydantic.BaseModel": _pydantic_model,
    "builtins.BaseException": _exception,
}
