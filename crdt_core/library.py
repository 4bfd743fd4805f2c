"""The types as objects, for use without a fleet: each object is a replica that holds nothing else.

Make an object with the id of its replica, change it by its methods, and merge it with others of its kind, in any order
and any number of times. `to_state` returns the state, ready for JSON, and `from_state` is its inverse. An object that
is restored under the same id goes on where the state was saved. So two live objects must never share an id: a dot that
is used twice loses data.

    >>> here, there = ORSet("n1"), ORSet("n2")
    >>> here.add("apple"); there.merge(here)
    >>> there.remove("apple"), here.add("apple")          # concurrently
    (True, None)
    >>> here.merge(there); there.merge(here)
    >>> here.value(), there.value()                       # the add wins
    ({'apple'}, {'apple'})
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Self

from crdt_core.codec.patches import decode_patch, patch_value
from crdt_core.errors import InvalidArgument, Malformed, brief
from crdt_core.lattice.clocks import Stamp
from crdt_core.replica.replica import Replica
from crdt_core.types import DWFLAG, EWFLAG, GCOUNTER, GSET, LWWREGISTER, MVREGISTER, ORSET, PNCOUNTER, RWSET, SLOT
from crdt_core.types.counters import adjust, check_amount
from crdt_core.types.registers import Stamped, set_at, set_now

if TYPE_CHECKING:
    from collections.abc import Mapping

    from crdt_core.lattice.clocks import ReplicaId, VersionVector
    from crdt_core.lattice.siblings import Payload
    from crdt_core.types import CrdtType, View

__all__ = ["DWFlag", "EWFlag", "GCounter", "GSet", "LWWRegister", "MVRegister", "ORSet", "PNCounter", "RWSet"]

_KEY = b""
_NEVER = Stamp(0, 0)


class SingleObject:
    """What all objects share. `node_id` is the replica id. Raises `InvalidArgument` for an id that cannot be used."""

    type: ClassVar[CrdtType]

    def __init__(self, node_id: ReplicaId) -> None:
        self._replica = Replica(node_id)

    @property
    def node_id(self) -> ReplicaId:
        """The id of the object's replica."""
        return self._replica.id

    @property
    def clock(self) -> VersionVector:
        """The version vector of what the object has seen."""
        return self._replica.clock.copy()

    def clear(self) -> None:
        """Remove all that has been seen here. What others do concurrently survives."""
        self._replica.delete(_KEY)
        self._replica.commit(_NEVER)

    def merge(self, other: Self) -> None:
        """Take in all that `other` has seen. Commutative, associative, idempotent.

        Raises `InvalidArgument` for an object of another kind.
        """
        if not isinstance(other, type(self)):
            raise InvalidArgument("other", f"{brief(other)} is no {type(self).__name__}")
        self._replica.join(other._replica.patch(None, _NEVER))

    def to_state(self) -> dict[str, Any]:
        """Return the whole state, ready for JSON. Equal states of one replica give equal values."""
        return patch_value(self._replica.patch(None, _NEVER))

    @classmethod
    def from_state(cls, node_id: ReplicaId, state: Mapping[str, Any]) -> Self:
        """Return the object with that state, as replica `node_id`. Raises `Malformed`."""
        patch = decode_patch(state)
        if patch.since is not None or any((part.key, part.type) != (_KEY, cls.type.name) for part in patch.parts):
            raise Malformed("state", f"not the full state of one {cls.type.name}")
        restored = cls(node_id)
        restored._replica.resume(patch)
        return restored

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.node_id} {self.value()!r}>"

    def value(self) -> Any:
        """Return the value."""
        return self.type.value(self._view)

    @property
    def _view(self) -> View:
        return self._replica.view(_KEY, self.type)

    def _write(self, part: bytes, payload: Payload) -> None:
        self._replica.write(_KEY, self.type, part, payload)
        self._replica.commit(_NEVER)

    def _take_out(self, part: bytes) -> bool:
        """Remove one part, as far as it is seen, or more where removals win. Return whether it was there."""
        view = self._view
        was_there, write = view.shows(part), self.type.take_out(view, part)
        if write is not None:
            self._write(*write)
        return was_there


class Counter(SingleObject):
    """What both counters share."""

    def increment(self, amount: int = 1) -> None:
        """Add `amount`, 0 to 2^63-1. Raises `InvalidArgument`, `CounterOverflow`."""
        self._adjust(check_amount(amount))

    def _adjust(self, amount: int) -> None:
        self._write(*adjust(self._view, self.node_id.encode(), amount))


class GCounter(Counter):
    """A counter that only grows."""

    type = GCOUNTER


class PNCounter(Counter):
    """A counter that grows and shrinks.

    >>> counter, other = PNCounter("n1"), PNCounter("n2")
    >>> counter.increment(5); other.merge(counter)
    >>> other.clear(); counter.increment(2)               # concurrently: the clear takes what it saw
    >>> counter.merge(other); counter.value()
    2
    """

    type = PNCOUNTER

    def decrement(self, amount: int = 1) -> None:
        """Take `amount` away, 0 to 2^63-1. Raises `InvalidArgument`, `CounterOverflow`."""
        self._adjust(-check_amount(amount))


class StringSet(SingleObject):
    """What all sets of strings share."""

    def add(self, element: str) -> None:
        """Add `element`. A set that can also shrink records the add even if `element` is present.

        So the add survives removes that have not seen it, unless removes win.
        """
        if not (self.type.grow_only and self.contains(element)):
            self._write(_bytes(element), True)

    def contains(self, element: str) -> bool:
        """Return whether `element` is present."""
        return self._view.shows(_bytes(element))

    def value(self) -> set[str]:
        """Return the elements."""
        return {_text(element) for element in self._view.shown()}


class GSet(StringSet):
    """A set of strings that only grows."""

    type = GSET


class ORSet(StringSet):
    """A set of strings where a concurrent add wins over a remove."""

    type = ORSET

    def remove(self, element: str) -> bool:
        """Remove every add of `element` that has been seen here. Return whether there was one."""
        return self._take_out(_bytes(element))


class RWSet(StringSet):
    """A set of strings where a concurrent remove wins over an add.

    >>> here, there = RWSet("n1"), RWSet("n2")
    >>> here.remove("mallory"), there.add("mallory")      # concurrently
    (False, None)
    >>> here.merge(there); there.merge(here); here.value(), there.value()
    (set(), set())
    >>> there.add("mallory"); there.value()               # has seen the remove
    {'mallory'}
    """

    type = RWSET

    def remove(self, element: str) -> bool:
        """Remove `element`, and keep concurrent adds of it out, even if it is not here. Return whether it was."""
        return self._take_out(_bytes(element))


class LWWRegister(SingleObject):
    """A register where the write with the largest timestamp shows. The larger replica id breaks a tie.

    >>> one, two = LWWRegister("n1"), LWWRegister("n2")
    >>> one.set("first", timestamp=0), two.set("second", timestamp=0)
    (True, True)
    >>> one.merge(two); two.merge(one); one.get(), two.get()
    ('second', 'second')
    """

    type = LWWREGISTER

    def set(self, value: str, timestamp: int | None = None) -> bool:
        """Write `value` at `timestamp`, in ms, zero included. Return whether the write took effect.

        A write that is older than what shows does not. Without a timestamp the write is stamped just after what has
        been seen here. The core reads no clock: give a timestamp to have concurrent writes ordered by time.
        """
        view = self._view
        write = set_now(view, _bytes(value), _NEVER) if timestamp is None else set_at(view, _bytes(value), timestamp)
        if write is not None:
            self._write(*write)
        return write is not None

    def get(self) -> str | None:
        """Return the value that shows, `None` if nothing was written."""
        value = self.type.value(self._view)
        return None if value is None else _text(value)

    def value(self) -> str | None:
        """Return the same as `get`."""
        return self.get()


class MVRegister(SingleObject):
    """A register that keeps all concurrent values."""

    type = MVREGISTER

    def set(self, value: str) -> None:
        """Write `value`, in place of all that has been seen here."""
        self._write(SLOT, Stamped(_bytes(value), *_NEVER))

    def get(self) -> list[str]:
        """Return the concurrent values, in the order of their dots."""
        return [_text(value) for value in self.type.value(self._view)]

    def value(self) -> list[str]:
        """Return the same as `get`."""
        return self.get()


class Flag(SingleObject):
    """What both flags share."""

    def enable(self) -> None:
        """Enable the flag."""
        self._write(SLOT, True)


class EWFlag(Flag):
    """A flag where a concurrent enable wins over a disable."""

    type = EWFLAG

    def disable(self) -> None:
        """Disable the flag, as far as it has been seen enabled."""
        self._take_out(SLOT)


class DWFlag(Flag):
    """A flag where a concurrent disable wins over an enable."""

    type = DWFLAG

    def disable(self) -> None:
        """Disable the flag, and outweigh concurrent enables, even if it is not enabled here."""
        self._take_out(SLOT)


def _bytes(text: str) -> bytes:
    if not isinstance(text, str):
        raise InvalidArgument("element or value", f"{brief(text)} is no string")
    try:
        return text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError as error:
        raise InvalidArgument("element or value", f"{brief(text)} is no text ({error.reason})") from error


def _text(value: bytes) -> str:
    return value.decode("utf-8", "surrogateescape")
