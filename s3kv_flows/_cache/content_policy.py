"""Make a task's key: of its code, its inputs, a namespace.

A policy that a user gives is taken apart: Prefect's ``INPUTS`` and ``FLOW_PARAMETERS`` count by content
(see :mod:`s3kv_flows._keys`) instead of by JSON, ``TASK_SOURCE`` by everything that the task reaches
instead of by its text. All other policies make their own keys, which are parts of this one.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any, Literal, get_args

from prefect.cache_policies import (
    CachePolicy,
    CompoundCachePolicy,
    FlowParameters,
    Inputs,
    TaskSource,
)
from prefect.context import TaskRunContext
from typing_extensions import Self

from s3kv_flows._keys.identity import CodeDigest, Identity, NotLoaded, identity_of, place_of
from s3kv_flows._keys.parts import KeyParts

__all__ = ["CodeMode", "ContentPolicy", "KeyOptions", "TaskKey", "is_code_mode"]

CodeMode = Literal["auto", "source", "none"]


def is_code_mode(text: str) -> bool:
    """Return whether a text is a mode in which code counts."""
    return text in get_args(CodeMode)


@dataclass(frozen=True)
class KeyOptions:
    """What the user said of keys, beside the policy: configuration, which is never copied.

    Attributes:
        namespace: As for ``caching()``; None for that of the store.
        code: As for ``caching()``.
        depends_on: As for ``caching()``.
        ignore: As for ``caching()``.
    """

    namespace: str | None = None
    code: CodeMode = "auto"
    depends_on: tuple[object, ...] = ()
    ignore: tuple[str | type, ...] = ()

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        # A module cannot be copied, and a copy of a value would be another dependency.
        return self


@dataclass(frozen=True)
class TaskKey:
    """The key of one run.

    Attributes:
        key: The key.
        parts: What it was made of; None where another policy made it alone.
        code: The digest of the task's code; None where it does not count.
        not_loaded: Modules whose texts the key names, and that the run may import.
    """

    key: str
    parts: KeyParts | None = None
    code: CodeDigest | None = None
    not_loaded: Collection[NotLoaded] = ()


@dataclass(frozen=True)
class ContentPolicy:
    """Makes the keys of tasks, from a policy that the user gave.

    Attributes:
        policy: The user's policy.
        options: What else the user said of keys.
    """

    policy: CachePolicy = field(default_factory=Inputs)
    options: KeyOptions = field(default_factory=KeyOptions)

    def make_key(
        self,
        run: TaskRunContext,
        inputs: Mapping[str, Any],
        flow_parameters: Mapping[str, Any],
        namespace: str = "",
    ) -> TaskKey | None:
        """Return the key of a run; None where its policy makes none, as ``INPUTS`` without inputs.

        Args:
            run: The run.
            inputs: The arguments of the task, by the names of its parameters.
            flow_parameters: Those of the flow.
            namespace: The namespace, where the options have none.

        Raises:
            Unkeyable: The code, or an input, has no digest. No input was touched.
        """
        asked = _Asked.of(self.policy, self.options)
        others = _keys_of(asked.others, run, inputs, flow_parameters)
        if self.options.namespace is not None:
            namespace = self.options.namespace
        if asked.is_foreign and not namespace:
            return _foreign(others)
        identity = identity_of(run.task.fn, ignore=self.options.ignore, depends_on=self.options.depends_on)
        counted = {name: value for name, value in inputs.items() if asked.counts(name)}
        with identity.codes.modules_not_loaded() as not_loaded:
            digests = identity.inputs(counted)
            if asked.flow_parameters:
                of_flow = identity.inputs(flow_parameters)
                digests |= {f"flow.{name}": digest for name, digest in of_flow.items()}
            if not (asked.code or asked.depends_on or others or digests or (asked.inputs and inputs)):
                return None
            code = identity.code(run.task.fn) if asked.code else None
            parts = KeyParts(
                namespace=namespace,
                code=code.digest if code is not None else _name_of(run, identity),
                inputs=digests,
                others=tuple(others),
            )
        return TaskKey(parts.key(), parts, code, not_loaded)


@dataclass
class _Asked:
    """What a policy asks for, taken apart."""

    inputs: bool = False
    excluded: frozenset[str] = frozenset()
    code: bool = False
    flow_parameters: bool = False
    others: tuple[CachePolicy, ...] = ()
    depends_on: bool = False

    @classmethod
    def of(cls, policy: CachePolicy, options: KeyOptions) -> _Asked:
        asked = cls(depends_on=bool(options.depends_on))
        for one in policy.policies if type(policy) is CompoundCachePolicy else [policy]:
            if type(one) is Inputs:
                asked.inputs, asked.excluded = True, asked.excluded | frozenset(one.exclude)
            elif type(one) is FlowParameters:
                asked.flow_parameters = True
            elif type(one) is TaskSource and options.code != "source":
                asked.code = options.code == "auto"
                asked.depends_on = True  # the version by hand, which may be empty
            else:
                asked.others = (*asked.others, one)
        return asked

    @property
    def is_foreign(self) -> bool:
        """Whether other policies alone make the key."""
        return not (self.inputs or self.code or self.flow_parameters or self.depends_on)

    def counts(self, name: str) -> bool:
        return self.inputs and name not in self.excluded


def _keys_of(
    policies: tuple[CachePolicy, ...],
    run: TaskRunContext,
    inputs: Mapping[str, Any],
    flow_parameters: Mapping[str, Any],
) -> list[tuple[str, str]]:
    """Return the keys that other policies make, with their names; those that make none are left out."""
    keys = (
        (type(policy).__name__, policy.compute_key(run, dict(inputs), dict(flow_parameters)))
        for policy in policies
    )
    return [(name, key) for name, key in keys if key is not None]


def _foreign(keys: list[tuple[str, str]]) -> TaskKey | None:
    if not keys:
        return None
    if len(keys) == 1:
        return TaskKey(keys[0][1])  # the name that a cache_key_fn gave, as it is
    parts = KeyParts(others=tuple(keys))
    return TaskKey(parts.key(), parts)


def _name_of(run: TaskRunContext, identity: Identity) -> bytes:
    """Return what stands for code that does not count: the task's name, and what it depends on.

    Without the name, all tasks with equal inputs would share their results.
    """
    name = place_of(run.task.fn)
    return sha256(b"s3kv task " + name.encode() + identity.dependencies()).digest()
