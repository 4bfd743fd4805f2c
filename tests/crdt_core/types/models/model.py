"""What a model of a type is: random operations, an independent specification, and examples of its JSON.

An operation is a plain value. `Model.writes` does it by the production mutators. `Model.value` is the specification:
what a replica must show that has seen some acts. It is written from the published rules of what concurrent operations
give, and not from the code: it knows no siblings, no version vectors and no shares. An act that has seen another holds
the bit of the other in its `past`. So "what some delete has seen" is one union of pasts.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, Protocol, TypeVar

from crdt_core.lattice.clocks import Stamp

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from hypothesis.strategies import SearchStrategy

    from crdt_core.lattice.clocks import Dot
    from crdt_core.lattice.siblings import Payload
    from crdt_core.types import CrdtType, View
    from crdt_core.types.contract import PartWrite

__all__ = ["DELETE", "NOTHING", "Act", "Choices", "Example", "Model", "Operation", "deletes", "seen_by"]

T = TypeVar("T")

NOTHING: Any = object()
"""What a specification returns for an object that does not show."""

DELETE = "delete"
"""The verb that every type knows: the key is deleted, whatever it holds."""

_SOME_TIME = Stamp(1, 0)


class Choices(Protocol):
    """Where random choices come from. A `random.Random` is one; `tests.crdt_core.histories.Drawn` asks hypothesis."""

    def randint(self, a: int, b: int, /) -> int: ...

    def choice(self, seq: Sequence[T], /) -> T: ...


class Operation(NamedTuple):
    """One operation of a client. `type` is empty for a delete. `stamp` is the hybrid time at which it is done."""

    key: bytes
    type: str
    verb: str
    argument: Any = None
    stamp: Stamp | None = None

    def at(self, now: Stamp) -> Operation:
        """Return the operation as it is done at `now`. One that brings its own time keeps that."""
        return self if self.stamp is not None else self._replace(stamp=now)

    @property
    def time(self) -> Stamp:
        """The hybrid time, or any for an operation whose time makes no difference."""
        return self.stamp or _SOME_TIME


class Act(NamedTuple):
    """An operation at its place in causality.

    `bit` stands for the act. `past` has the bits of all acts that its doer had seen, earlier ones of the same commit
    included. `dot` is that of the commit. `effect` is what the model made of it (`Model.effect`).
    """

    bit: int
    past: int
    dot: Dot
    operation: Operation
    effect: Any

    @property
    def verb(self) -> str:
        """What was done."""
        return self.operation.verb

    @property
    def argument(self) -> Any:
        """With what."""
        return self.operation.argument


class Example(NamedTuple):
    """One write of a type: its part and its payload, as JSON values, and the payload that the JSON stands for."""

    part: Any
    json: Any
    payload: Payload


class Model(ABC):
    """What tests know of one type."""

    type: CrdtType

    verbs: Sequence[tuple[str, Callable[[Choices], Any]]]
    """What can be done besides deleting, each with how its argument is chosen."""

    timed: ClassVar[frozenset[str]] = frozenset()
    """The verbs whose time the caller says."""

    parts: SearchStrategy[bytes]
    """Any part that an object may have."""

    payloads: SearchStrategy[Payload]
    """Any payload, but for `TOMBSTONE`."""

    examples: Sequence[Example]
    """Writes of every form."""

    malformed: Sequence[tuple[str, Any, Any]]
    """Writes that no replica makes: what is wrong, and the part and the payload as JSON values."""

    def operation(self, choices: Choices, key: bytes) -> Operation:
        """Return a random operation on `key`, other than a delete. It has a time only if the caller says it."""
        verb, argument = choices.choice(self.verbs)
        stamp = Stamp(choices.randint(-1, 5), 0) if verb in self.timed else None
        return Operation(key, self.type.name, verb, argument(choices), stamp)

    @abstractmethod
    def writes(self, view: View, replica: str, operation: Operation) -> list[PartWrite]:
        """Return the writes by which the production code does `operation` at `replica`."""

    def effect(self, operation: Operation, seen: list[Act]) -> Any:  # noqa: B027  most specifications need none
        """Return what `value` wants to know of an operation later, from the acts that its doer had seen."""

    @abstractmethod
    def value(self, acts: list[Act]) -> Any:
        """Return what the object shows to one that has seen `acts`, deletes included; `NOTHING` if it does not show."""


def one(write: PartWrite | None) -> list[PartWrite]:
    """Return the writes of a mutator that makes at most one."""
    return [] if write is None else [write]


def seen_by(acts: Iterable[Act]) -> int:
    """Return the bits of what any of `acts` has seen."""
    seen = 0
    for act in acts:
        seen |= act.past
    return seen


def deletes(acts: Iterable[Act]) -> list[Act]:
    """Return the deletes among `acts`."""
    return [act for act in acts if act.verb == DELETE]
