"""Loaded modules, compared with what the texts of their files bind.

A file may have changed since its module was loaded, and a program may put something else into a module. So
what a text says counts for a loaded module only where the module has it: functions compile from the text,
constants and containers are the same. What the text computes is compared with what the module held when it
was first looked at.
"""

from __future__ import annotations

import abc
import enum
import sys
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from operator import attrgetter, is_
from types import CodeType, FunctionType, GetSetDescriptorType, MemberDescriptorType, ModuleType
from typing import Any

from s3kv_flows._keys.code.contained import ATOMS, CONTAINERS, attributes_of, containers_in
from s3kv_flows._keys.code.syntax.bindings import (
    Bindings,
    Defined,
    DefinedClass,
    Imported,
    Literal,
    Said,
    Unknown,
)
from s3kv_flows._keys.code.syntax.texts import Import, constant

__all__ = ["UNBOUND", "Comparison", "Loaded", "seen"]

UNBOUND: Any = object()
"""Stands for the value of a name that a module does not have."""

_MOST_VISITS = 1_000_000
"""Of members of containers, each time that they occur: thirty tuples of the one before twice are endless."""
_OF_FUNCTIONS = tuple(map(attrgetter, ("__code__", "__defaults__", "__kwdefaults__")))
_ATTRIBUTES = attrgetter("__dict__")
_OF_ABSTRACT = frozenset({"__isabstractmethod__"})
_OF_INTERPRETER = frozenset({"__annotate__", "__annotate_func__"})


@dataclass
class Comparison:
    """What was found in a loaded module.

    Attributes:
        differs: Names with values that are not those of the text; UNBOUND for a name that is not there.
        filled: Names that functions of the text change, and whose values were others than those of the text
            when they were first looked at.
        is_of_other_text: Whether functions of the module were compiled from another text of the file.
        has_computed: Whether there is something that the text does not tell.
        functions: That were compared. So were the classes and the containers.
    """

    differs: dict[str, object] = field(default_factory=dict)
    filled: dict[str, object] = field(default_factory=dict)
    is_of_other_text: bool = False
    has_computed: bool = False
    functions: list[FunctionType] = field(default_factory=list)
    classes: list[type] = field(default_factory=list)
    containers: list[Any] = field(default_factory=list)

    def compared(self) -> list[int]:
        """Return the identities of what was compared, beside the names."""
        return [id(one) for kind in (self.functions, self.classes, self.containers) for one in kind]


class Loaded:
    """A loaded module with the text that it is compared with.

    Attributes:
        bindings: What the text binds.
        compiles: Tells whether the text compiles to some code.
        namespace: Of the module.
        first: What was found at first.
        last: What was found when it was last compared.

    Args:
        module: The module.
        bindings: What the text binds.
        path: The file, as the code of the module's functions names it.
        compiles: Tells whether the text compiles to some code.
        absolute: Returns the full name of the module of an import statement in the text.
    """

    def __init__(
        self,
        module: ModuleType,
        bindings: Bindings,
        path: str,
        compiles: Callable[[CodeType], bool],
        absolute: Callable[[Import], str],
    ) -> None:
        self.bindings = bindings
        self.namespace = vars(module)
        self._name = module.__name__
        self.compiles = compiles
        self._path, self._absolute = path, absolute
        self._first: dict[str, tuple[object, object]] = {}
        self._is_first = True
        self._filled = self._find_filled()
        self.first = self.compare(frozenset())
        self._is_first = False

    def compare(self, changed: Collection[str]) -> Comparison:
        """Return what is in the module now.

        Args:
            changed: Names of attributes that are changed by code that runs with the text's.
        """
        found = Comparison(filled=dict.fromkeys(self._filled))
        found.has_computed = self.bindings.acts or self.bindings.is_open
        names = dict(self.namespace)
        mine = {*self.bindings.changed, *changed}
        _Names(self, found, {*self.bindings.attributes, *changed}).compare(
            names, self.bindings.names, mine, "", found.differs
        )
        for name, value in names.items():
            if name not in self.bindings.names and name not in mine and not self._is_expected(name, value):
                if not self.bindings.is_open:
                    found.differs[name] = value
                self.look_at_code(value, found)
        found.filled = {name: names.get(name, UNBOUND) for name in self._filled}
        self.last = found
        return found

    def _find_filled(self) -> list[str]:
        names, found = self.namespace, Comparison()
        checks = _Names(self, found, set())
        return [
            name
            for name, said in self.bindings.names.items()
            if name in self.bindings.changed
            and Unknown.COMPUTED not in said
            and not any(checks.is_said(names.get(name, UNBOUND), one, name, name) for one in said)
        ]

    def _is_expected(self, name: str, value: object) -> bool:
        """Return whether a module may have a name that its text does not bind."""
        if str(name).startswith("__") and str(name).endswith("__"):
            return type(value) is not FunctionType or name in _OF_INTERPRETER
        return issubclass(type(value), ModuleType) and sys.modules.get(f"{self._name}.{name}") is value

    def look_at_code(self, value: Any, found: Comparison) -> None:
        """Record where a function of the module was compiled from another text."""
        function = _innermost(value)
        if (
            function is not None
            and function.__globals__ is self.namespace
            and function.__code__.co_filename == self._path
            and not self.compiles(function.__code__)
        ):
            found.is_of_other_text = True

    def is_imported(self, value: object, said: Imported) -> bool:
        """Return whether an import statement gives a value."""
        module = sys.modules.get(self._absolute(said.module))
        if said.attribute is None:
            return module is value
        submodule = sys.modules.get(f"{self._absolute(said.module)}.{said.attribute}", UNBOUND)
        if submodule is value or not isinstance(module, ModuleType):
            return submodule is value
        if said.attribute in vars(module):
            return vars(module)[said.attribute] is value
        try:
            # A module that loads its parts when they are asked for, as it was for this value.
            return getattr(module, said.attribute) is value
        except Exception:  # noqa: BLE001 -- it is the code of somebody
            return False

    def is_as_at_first(self, where: str, value: object) -> bool:
        """Return whether a value is the one that was looked at first."""
        if self._is_first:
            self._first.setdefault(where, (value, _picture(value)))
            return True
        first = self._first.get(where)
        return first is not None and first[0] is value and first[1] == _picture(value)


class _Names:
    """Compares the names of a module or a class, for one comparison."""

    def __init__(self, module: Loaded, found: Comparison, attributes: set[str]) -> None:
        self._module, self._found, self._attributes = module, found, attributes

    def compare(
        self,
        names: Mapping[str, Any],
        said: Mapping[str, Sequence[Said]],
        changed: Collection[str],
        prefix: str,
        differs: dict[str, object],
        *,
        is_certain: bool = True,
    ) -> None:
        """Record the names whose values are not those of the text.

        Args:
            names: The values, by name.
            said: What the text says of them.
            changed: Names that are not compared.
            prefix: Of the names.
            differs: Gets the names that differ.
            is_certain: Whether nothing else than the text has a say.
        """
        for name, possible in said.items():
            value, where = names.get(name, UNBOUND), prefix + name
            self._module.look_at_code(value, self._found)
            is_computed = Unknown.COMPUTED in possible
            if name in changed:
                self._found.has_computed |= is_computed
            elif any(self.is_said(value, one, name, where) for one in possible):
                self._found.containers += _changeable_in(value)
            elif is_computed or not is_certain:
                self._found.has_computed = True
                if not self._module.is_as_at_first(where, value):
                    differs[name] = value
                else:
                    self._found.containers += _changeable_in(value)
            else:
                differs[name] = value

    def is_said(self, value: Any, said: Said, name: str, where: str) -> bool:
        """Return whether a text says a value."""
        if isinstance(said, Literal):
            if issubclass(type(value), enum.Enum):
                value = value._value_
            return value is not UNBOUND and _picture(value) == _picture(said.value)
        if isinstance(said, Defined):
            return self._is_function(value, said, name)
        if isinstance(said, Imported):
            return self._module.is_imported(value, said)
        if isinstance(said, DefinedClass):
            return self._is_class(value, said, name, where)
        if said is Unknown.LOGGER:
            return "log" in type(value).__name__.lower() and self._module.is_as_at_first(where, value)
        return said is Unknown.UNBOUND and value is UNBOUND

    def _is_function(self, value: Any, said: Defined, name: str) -> bool:
        function = _of_descriptor(value)
        if (
            type(function) is not FunctionType
            or not _is_name_of(function.__code__.co_name, name)
            or function.__dict__.keys() - _OF_ABSTRACT
            or not self._module.compiles(function.__code__)
        ):
            return False
        self._found.functions.append(function)
        defaults, keywords = function.__defaults__ or (), function.__kwdefaults__ or {}
        if len(defaults) != len(said.defaults) or keywords.keys() != said.keyword_defaults.keys():
            return False
        code = function.__code__
        names = code.co_varnames[code.co_argcount - len(defaults) :]
        values = [(names[at], value, said.defaults[at]) for at, value in enumerate(defaults)]
        values += [(key, keywords[key], value) for key, value in said.keyword_defaults.items()]
        self._found.containers += [one for _, value, _ in values for one in _changeable_in(value)]
        return all(
            key in self._module.bindings.arguments or _picture(one) == _picture(other)
            for key, one, other in values
        )

    def _is_class(self, value: Any, said: DefinedClass, name: str, where: str) -> bool:
        if not issubclass(type(value), type) or value.__name__ != name:
            return False
        self._found.classes.append(value)
        held = {**vars(value), **getattr(value, "_member_map_", {})}
        bases = tuple(base.__name__ for base in value.__bases__ if base is not object)
        is_certain = bases == said.bases and type(value) in (type, abc.ABCMeta, enum.EnumMeta)
        if not is_certain:
            self._found.has_computed = True
            first = [value, *value.__bases__]
            if not all(self._module.is_as_at_first(f"{where} {at}", one) for at, one in enumerate(first)):
                return False
        members = {_mangled(one, name): possible for one, possible in said.members.items()}
        differs: dict[str, object] = {}
        self.compare(held, members, self._attributes, f"{where}.", differs, is_certain=is_certain)
        for one, member in held.items():
            if one not in members and one not in self._attributes:
                self._module.look_at_code(member, self._found)
                if is_certain and not _is_made(one, member, value):
                    differs[one] = member
        return not differs


def _is_made(name: str, member: object, cls: type) -> bool:
    """Return whether interpreter or metaclass made a member that the text of a class does not name."""
    if type(cls) is enum.EnumMeta and str(name).startswith("_"):
        return True
    if type(member) in (MemberDescriptorType, GetSetDescriptorType) or name == "_abc_impl":
        return True
    is_special = str(name).startswith("__") and str(name).endswith("__")
    return is_special and (type(_of_descriptor(member)) is not FunctionType or name in _OF_INTERPRETER)


def _mangled(name: str, cls: str) -> str:
    if name.startswith("__") and not name.endswith("__") and cls.strip("_"):
        return f"_{cls.lstrip('_')}{name}"
    return name


def _is_name_of(own: str, name: str) -> bool:
    """Return whether a function was defined by its own name under the name that a class holds it by."""
    is_private = own.startswith("__") and not own.endswith("__")
    return own == name or (is_private and name.startswith("_") and name.endswith(own))


def _of_descriptor(value: Any) -> Any:
    if issubclass(type(value), (staticmethod, classmethod)):
        return value.__func__
    return value.fget if type(value) is property else value


def _innermost(value: Any) -> FunctionType | None:
    """Return the function that a value is, or that it wraps."""
    for _ in range(10):
        value = _of_descriptor(value)
        if type(value) is FunctionType and "__wrapped__" not in value.__dict__:
            return value
        own = attributes_of(value)
        if own is None or "__wrapped__" not in own:
            return value if type(value) is FunctionType else None
        value = own["__wrapped__"]
    return None


def seen(functions: Sequence[FunctionType]) -> Callable[[], bool]:
    """Return a function that tells whether functions are as they are now: there may be thousands."""
    before = [list(map(attribute, functions)) for attribute in _OF_FUNCTIONS]
    keywords = [(one, one.copy()) for function in functions if (one := function.__kwdefaults__)]
    sizes = list(map(len, map(_ATTRIBUTES, functions)))

    def look() -> bool:
        for attribute, values in zip(_OF_FUNCTIONS, before, strict=True):
            if not all(map(is_, map(attribute, functions), values)):
                return False
        for one, copied in keywords:
            if one.keys() != copied.keys() or not all(map(is_, one.values(), copied.values())):
                return False
        return list(map(len, map(_ATTRIBUTES, functions))) == sizes

    return look


def _changeable_in(value: Any) -> list[Any]:
    """Return the containers in a value that can be changed in place, and the value itself if it is one."""
    return [one for one in containers_in(value) if not isinstance(one, (tuple, frozenset))]


def _picture(value: Any) -> object:
    """Return what tells a value apart: content of atoms and containers, identity of anything else."""
    if type(type(value)) is not type:  # a metaclass may have any hash
        return id(value)
    if type(value) in ATOMS:
        return type(value).__name__, constant(value)
    if type(value) not in CONTAINERS:
        return id(value)
    return _Pictured().of(value)


class _Same(list[object]):
    """A list that equals another of the same objects."""

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Same) and list(map(id, self)) == list(map(id, other))

    __hash__ = None


class _Pictured:
    """Goes through one container, without recursion: there may be thousands of levels."""

    def __init__(self) -> None:
        self._digest = sha256()
        self._seen: set[int] = set()
        self._kept = _Same()  # identities are those of living objects
        self._visits = 0

    def of(self, value: object) -> tuple[bytes, _Same]:
        levels = [iter([value])]
        while levels:
            for one in levels[-1]:
                inner = self._visit(one)
                if inner is not None:
                    levels.append(inner)
                    break
            else:
                levels.pop()
        return self._digest.digest(), self._kept

    def _visit(self, value: Any) -> Iterator[object] | None:
        """Add a value to the picture; return what is in it, None for what is no container."""
        self._visits += 1
        kind = type(value)
        if type(kind) is not type:  # a metaclass may have any hash
            self._add("object")
            self._kept.append(value)
        elif kind in ATOMS:
            self._add(f"{kind.__name__} {constant(value)}")
        elif kind not in CONTAINERS:
            self._add("object")
            self._kept.append(value)
        elif id(value) in self._seen:
            self._add("again")
        else:
            # Equal tuples of one text may be one object, or several.
            if kind not in (tuple, frozenset) or self._visits > _MOST_VISITS:
                self._seen.add(id(value))
            self._add(f"{kind.__name__} {len(value)}")
            return iter(_members(value))
        return None

    def _add(self, text: str) -> None:
        self._digest.update(f"{text}\n".encode())


def _members(value: Any) -> list[object]:
    if isinstance(value, Mapping):
        return [one for item in list(value.items()) for one in item]
    members = list(value)
    if isinstance(value, (set, frozenset)):
        members.sort(key=_place)
    return members


def _place(member: object) -> tuple[str, str, list[int]]:
    """Return what members of a set are sorted by: equal sets need not have one order."""
    kind = type(member)
    if type(kind) is not type:
        return kind.__name__, "", [id(member)]
    if kind in ATOMS:
        return kind.__name__, constant(member), []
    if kind not in CONTAINERS:
        return kind.__name__, "", [id(member)]
    digest, kept = _Pictured().of(member)
    return kind.__name__, digest.hex(), list(map(id, kept))
