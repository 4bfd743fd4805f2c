"""What callers can do with objects, whatever face they use: each operation is a value that runs on a replica.

A `Read` changes nothing, and needs no turn: it can be answered from any `State`, such as the last confirmed one.

A key holds one type. An operation that names none takes the type that the key has, or its default for a new key; one
that meets another type is refused with `WrongType`. An operation that is refused has changed nothing.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import orjson

from crdt_core.codec.records import encode_part
from crdt_core.errors import CounterOverflow, InvalidArgument, WrongType
from crdt_core.lattice.clocks import check_replica_id
from crdt_core.types import (
    DWFLAG,
    EWFLAG,
    GCOUNTER,
    GSET,
    LWWREGISTER,
    MVREGISTER,
    ORSET,
    PNCOUNTER,
    RWSET,
    SLOT,
    View,
    encode_text,
)
from crdt_core.types.counters import INT64_MAX, INT64_MIN, adjusted, check_amount, raise_share
from crdt_core.types.registers import set_at, set_now

if TYPE_CHECKING:
    from crdt_core.lattice.clocks import Stamp
    from crdt_core.lattice.replica_index import ReplicaIndex
    from crdt_core.lattice.siblings import Payload
    from crdt_core.replica.replica import Replica
    from crdt_core.types import CrdtType
    from crdt_core.types.object import Object

__all__ = [
    "AddToSet",
    "AdjustCounter",
    "Delete",
    "GetCounter",
    "GetFlag",
    "GetRegister",
    "GetSet",
    "Inspect",
    "Inspection",
    "Operation",
    "RaiseShare",
    "Read",
    "RegisterView",
    "RemoveFromSet",
    "SetFlag",
    "SetRegister",
    "State",
]

_COUNTERS = (PNCOUNTER, GCOUNTER)
_SETS = (ORSET, GSET, RWSET)
_REGISTERS = (LWWREGISTER, MVREGISTER)
_FLAGS = (EWFLAG, DWFLAG)


class Operation(Protocol):
    """Something to do with a replica at hybrid time `now`; the result is for the caller. Raises a `CallerError`."""

    def run(self, replica: Replica, now: Stamp) -> Any: ...


class State(Protocol):
    """What a read looks at: a replica, or what it was when its last commit was confirmed."""

    @property
    def replica_index(self) -> ReplicaIndex: ...

    def head(self, key: bytes) -> Object | None: ...

    def showing(self, key: bytes) -> list[Object]: ...

    def view(self, key: bytes, type_: CrdtType) -> View: ...


class Read(ABC):
    """An operation that changes nothing. Raises a `CallerError`."""

    __slots__ = ()

    @abstractmethod
    def read(self, state: State) -> Any:
        """The answer, as `state` is."""

    def run(self, replica: Replica, now: Stamp) -> Any:  # noqa: ARG002
        """The answer, as the replica is in the turn under way: the read is an operation too."""
        return self.read(replica)


@dataclass(frozen=True, slots=True)
class AdjustCounter:
    """Adds `amount` (0 to 2^63-1), or takes it away; yields the new value."""

    key: bytes
    amount: int
    type: CrdtType | None = None
    decrement: bool = False

    def run(self, replica: Replica, now: Stamp) -> int:  # noqa: ARG002
        check_amount(self.amount)
        type_ = _resolve(replica, self.key, _COUNTERS, self.type, PNCOUNTER)
        if self.decrement and type_.grow_only:
            raise WrongType(_text(self.key), type_.name, PNCOUNTER.name, "a grow-only counter cannot be decremented")
        signed = -self.amount if self.decrement else self.amount
        value, share = adjusted(replica.view(self.key, type_), replica.encoded_id, signed, self.key)
        if signed:
            replica.write(self.key, type_, replica.encoded_id, share)
        return value


@dataclass(frozen=True, slots=True)
class RaiseShare:
    """Takes in that replica `owner` is known to have counted up to `total`, 0 to 2^63-1."""

    key: bytes
    owner: str
    total: int

    def run(self, replica: Replica, now: Stamp) -> None:  # noqa: ARG002
        check_amount(self.total)
        part = check_replica_id(self.owner).encode()
        type_ = _resolve(replica, self.key, _COUNTERS, GCOUNTER, GCOUNTER)
        if self.owner != replica.id:
            raised = raise_share(replica.view(self.key, type_), part, self.total)
            if raised is not None:
                replica.write(self.key, type_, part, raised)


@dataclass(frozen=True, slots=True)
class GetCounter(Read):
    """Yields the value and the type name (0 and an empty name where there is none)."""

    key: bytes

    def read(self, state: State) -> tuple[int, str]:
        type_ = _held(state, self.key, _COUNTERS)
        if type_ is None:
            return 0, ""
        value = type_.value(state.view(self.key, type_))
        if not INT64_MIN <= value <= INT64_MAX:
            raise CounterOverflow(_text(self.key))
        return value, type_.name


@dataclass(frozen=True, slots=True)
class AddToSet:
    """Adds `element`; yields whether it was absent. A set that can also shrink records the add in either case."""

    key: bytes
    element: bytes
    type: CrdtType | None = None

    def run(self, replica: Replica, now: Stamp) -> bool:  # noqa: ARG002
        type_ = _resolve(replica, self.key, _SETS, self.type, ORSET)
        absent = not replica.view(self.key, type_).shows(self.element)
        if absent or not type_.grow_only:
            replica.write(self.key, type_, self.element, True)
        return absent


@dataclass(frozen=True, slots=True)
class RemoveFromSet:
    """Removes `element`, as far as it has been seen; yields whether it was. Where removes win it is kept out, too."""

    key: bytes
    element: bytes

    def run(self, replica: Replica, now: Stamp) -> bool:  # noqa: ARG002
        type_ = _held(replica, self.key, _SETS) or ORSET
        if type_.grow_only:
            raise WrongType(_text(self.key), type_.name, ORSET.name, "nothing can be removed from a grow-only set")
        view = replica.view(self.key, type_)
        was_there, write = view.shows(self.element), type_.take_out(view, self.element)
        if write is not None:
            replica.write(self.key, type_, *write)
        return was_there


@dataclass(frozen=True, slots=True)
class GetSet(Read):
    """Yields the sorted elements and the type name (none and an empty name where there is none)."""

    key: bytes

    def read(self, state: State) -> tuple[list[bytes], str]:
        type_ = _held(state, self.key, _SETS)
        return (type_.value(state.view(self.key, type_)), type_.name) if type_ else ([], "")


@dataclass(frozen=True, slots=True)
class SetRegister:
    """Writes `value`; yields whether it took effect.

    Without a type, a timestamp means last-writer-wins and none means multi-value. A write without a timestamp is
    stamped by the hybrid clock; one with a timestamp older than what shows does not take effect.
    """

    key: bytes
    value: bytes
    timestamp: int | None = None
    type: CrdtType | None = None

    def run(self, replica: Replica, now: Stamp) -> bool:
        type_ = self.type or (MVREGISTER if self.timestamp is None else LWWREGISTER)
        _resolve(replica, self.key, _REGISTERS, type_, type_)
        view = replica.view(self.key, type_)
        if type_ is MVREGISTER and self.timestamp is not None:
            raise InvalidArgument("timestamp", "a multi-value write has none")
        if self.timestamp is None:
            write: tuple[bytes, Payload] | None = set_now(view, self.value, now)
        else:
            write = set_at(view, self.value, self.timestamp)
        if write is not None:
            replica.write(self.key, type_, *write)
        return write is not None


@dataclass(frozen=True, slots=True)
class RegisterView:
    """What a register shows: its values, the LWW timestamp, its type name (empty where there is none)."""

    values: list[bytes]
    timestamp: int | None
    type: str


@dataclass(frozen=True, slots=True)
class GetRegister(Read):
    """Yields a `RegisterView`."""

    key: bytes

    def read(self, state: State) -> RegisterView:
        type_ = _held(state, self.key, _REGISTERS)
        if type_ is None:
            return RegisterView([], None, "")
        view = state.view(self.key, type_)
        if type_ is MVREGISTER:
            return RegisterView(MVREGISTER.value(view), None, type_.name)
        winner = LWWREGISTER.winner(view)
        return RegisterView([winner.value], winner.ms, type_.name) if winner else RegisterView([], None, type_.name)


@dataclass(frozen=True, slots=True)
class SetFlag:
    """Enables or disables a flag; yields its new value. A new one is of the kind where enabling wins."""

    key: bytes
    enabled: bool

    def run(self, replica: Replica, now: Stamp) -> bool:  # noqa: ARG002
        type_ = _resolve(replica, self.key, _FLAGS, None, EWFLAG)
        view = replica.view(self.key, type_)
        if self.enabled:
            replica.write(self.key, type_, SLOT, True)
        elif view.shows(SLOT) and (write := type_.take_out(view, SLOT)) is not None:
            replica.write(self.key, type_, *write)
        return self.enabled


@dataclass(frozen=True, slots=True)
class GetFlag(Read):
    """Yields whether the flag is enabled."""

    key: bytes

    def read(self, state: State) -> bool:
        return _held(state, self.key, _FLAGS) is not None


@dataclass(frozen=True, slots=True)
class Delete:
    """Removes what has been seen under the key, whatever its type; yields whether there was anything."""

    key: bytes

    def run(self, replica: Replica, now: Stamp) -> bool:  # noqa: ARG002
        return replica.delete(self.key)


@dataclass(frozen=True, slots=True)
class Inspection:
    """One key as a replica sees it: type name (empty: none), value and siblings as JSON, hidden types."""

    type: str
    value: bytes
    siblings: bytes
    conflicts: list[str]


@dataclass(frozen=True, slots=True)
class Inspect(Read):
    """Yields an `Inspection`."""

    key: bytes

    def read(self, state: State) -> Inspection:
        showing = state.showing(self.key)
        if not showing:
            return Inspection("", b"null", b"{}", [])
        found, *hidden = showing
        siblings = {
            str(encode_text(part)): orjson.Fragment(encode_part(found.type, held, state.replica_index))
            for part, held in sorted(found.parts.items())
        }
        value = orjson.dumps(found.type.value_json(View(found.parts, state.replica_index)))
        return Inspection(found.type.name, value, orjson.dumps(siblings), [other.type.name for other in hidden])


def _held(state: State, key: bytes, wanted: tuple[CrdtType, ...]) -> CrdtType | None:
    showing = state.showing(key)
    if not showing:
        return None
    if showing[0].type not in wanted:
        raise WrongType(_text(key), showing[0].type.name, " or ".join(type_.name for type_ in wanted))
    return showing[0].type


def _resolve(
    replica: Replica, key: bytes, wanted: tuple[CrdtType, ...], named: CrdtType | None, default: CrdtType
) -> CrdtType:
    held = _held(replica, key, wanted)
    if held is not None and named is not None and held is not named:
        raise WrongType(_text(key), held.name, named.name)
    return held or named or default


def _text(key: bytes) -> str:
    return key.decode("utf-8", "backslashreplace")
