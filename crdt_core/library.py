"""The types as objects of their own, for use without a fleet: a replica that holds one object.

Each is made with the id of its replica, changed by its mutators, and merged with others of its kind in any order, any
number of times. `to_state` is JSON-ready and `from_state` its inverse; a state restored under the same id goes on where
it was, so two live objects must never share an id (a dot spent twice loses data).

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
from crdt_core.lattice.siblings import WINNING_TOMBSTONE
from crdt_core.replica.replica import Replica
from crdt_core.types import DWFLAG, EWFLAG, GCOUNTER, GSET, LWWREGISTER, MVREGISTER, ORSET, PNCOUNTER, RWSET, SLOT
from crdt_core.types.counters import adjust, check_amount
from crdt_core.types.registers import Stamped, set_at, set_now
from crdt_core.types.sets import deny_element, remove_element

if TYPE_CHECKING:
    from collections.abc import Mapping

    from crdt_core.lattice.clocks import ReplicaId, VersionVector
    from crdt_core.lattice.siblings import Payload
    from crdt_core.types import CrdtType, View

__all__ = ["DWFlag", "EWFlag", "GCounter", "GSet", "LWWRegister", "MVRegister", "ORSet", "PNCounter", "RWSet"]

_KEY = b""
_NEVER = Stamp(0, 0)


class SingleObject:
    """What all of them share. `node_id` is the replica id; raises `InvalidArgument` for one that cannot be used."""

    type: ClassVar[CrdtType]

    def __init__(self, node_id: ReplicaId) -> None:
        self._replica = Replica(node_id)

    @property
    def node_id(self) -> ReplicaId:
        """The id of its replica."""
        return self._replica.id

    @property
    def clock(self) -> VersionVector:
        """What it has seen."""
        return self._replica.clock.copy()

    def clear(self) -> None:
        """Removes all that has been seen here; what others do concurrently survives."""
        self._replica.delete(_KEY)
        self._replica.commit(_NEVER)

    def merge(self, other: Self) -> None:
        """Takes in all that `other` has seen. Commutative, associative, idempotent.

        Raises `InvalidArgument` for an object of another kind.
        """
        if not isinstance(other, type(self)):
            raise InvalidArgument("other", f"{brief(other)} is no {type(self).__name__}")
        self._replica.join(other._replica.patch(None, _NEVER))

    def to_state(self) -> dict[str, Any]:
        """The whole state, JSON-ready; equal states of one replica give equal values."""
        return patch_value(self._replica.patch(None, _NEVER))

    @classmethod
    def from_state(cls, node_id: ReplicaId, state: Mapping[str, Any]) -> Self:
        """The object with that state, as replica `node_id`; raises `Malformed`."""
        patch = decode_patch(state)
        if patch.since is not None or any((part.key, part.type) != (_KEY, cls.type.name) for part in patch.parts):
            raise Malformed("state", f"not the full state of one {cls.type.name}")
        restored = cls(node_id)
        restored._replica.resume(patch)
        return restored

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.node_id} {self.value()!r}>"

    def value(self) -> Any:
        """The value."""
        return self.type.value(self._view)

    @property
    def _view(self) -> View:
        return self._replica.view(_KEY, self.type)

    def _write(self, part: bytes, payload: Payload) -> None:
        self._replica.write(_KEY, self.type, part, payload)
        self._replica.commit(_NEVER)

    def _adjust(self, amount: int) -> None:
        self._write(*adjust(self._view, self.node_id.encode(), amount))


class GCounter(SingleObject):
    """A counter that only grows."""

    type = GCOUNTER

    def increment(self, amount: int = 1) -> None:
        """Adds `amount`, 0 to 2^63-1; raises `InvalidArgument`, `CounterOverflow`."""
        self._adjust(check_amount(amount))


class PNCounter(SingleObject):
    """A counter that grows and shrinks.

    >>> counter, other = PNCounter("n1"), PNCounter("n2")
    >>> counter.increment(5); other.merge(counter)
    >>> other.clear(); counter.increment(2)               # concurrently: the clear takes what it saw
    >>> counter.merge(other); counter.value()
    2
    """

    type = PNCOUNTER

    def increment(self, amount: int = 1) -> None:
        """Adds `amount`, 0 to 2^63-1; raises `InvalidArgument`, `CounterOverflow`."""
        self._adjust(check_amount(amount))

    def decrement(self, amount: int = 1) -> None:
        """Takes `amount` away, 0 to 2^63-1; raises `InvalidArgument`, `CounterOverflow`."""
        self._adjust(-check_amount(amount))


class GSet(SingleObject):
    """A set of strings that only grows."""

    type = GSET

    def add(self, element: str) -> None:
        """Adds `element`; changes nothing where it is present."""
        if not self.contains(element):
            self._write(_bytes(element), True)

    def contains(self, element: str) -> bool:
        """Whether `element` is present."""
        return self._view.shows(_bytes(element))

    def value(self) -> set[str]:
        """The elements."""
        return {_text(element) for element in self._view.shown()}


class ORSet(SingleObject):
    """A set of strings where a concurrent add wins over a remove."""

    type = ORSET

    def add(self, element: str) -> None:
        """Adds `element`, anew where it is present: it survives removes that have not seen this add."""
        self._write(_bytes(element), True)

    def remove(self, element: str) -> bool:
        """Removes every add of `element` seen here; whether there was one."""
        write = remove_element(self._view, _bytes(element))
        if write is not None:
            self._write(*write)
        return write is not None

    def contains(self, element: str) -> bool:
        """Whether `element` is present."""
        return self._view.shows(_bytes(element))

    def value(self) -> set[str]:
        """The elements."""
        return {_text(element) for element in self._view.shown()}


class RWSet(SingleObject):
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

    def add(self, element: str) -> None:
        """Adds `element`; it replaces the removes seen here, and loses to those that are concurrent."""
        self._write(_bytes(element), True)

    def remove(self, element: str) -> bool:
        """Removes `element`, and keeps concurrent adds of it out, also where it is not here; whether it was."""
        was_there = self.contains(element)
        self._write(*deny_element(_bytes(element)))
        return was_there

    def contains(self, element: str) -> bool:
        """Whether `element` is present."""
        return self._view.shows(_bytes(element))

    def value(self) -> set[str]:
        """The elements."""
        return {_text(element) for element in self._view.shown()}


class LWWRegister(SingleObject):
    """A register where the write with the largest timestamp shows, ties going to the larger replica id.

    >>> one, two = LWWRegister("n1"), LWWRegister("n2")
    >>> one.set("first", timestamp=0), two.set("second", timestamp=0)
    (True, True)
    >>> one.merge(two); two.merge(one); one.get(), two.get()
    ('second', 'second')
    """

    type = LWWREGISTER

    def set(self, value: str, timestamp: int | None = None) -> bool:
        """Writes `value` at `timestamp`, zero included; whether it took effect (an older one than what shows does not).

        Without a timestamp it is stamped just after what has been seen here. The core reads no clock: give one where
        concurrent writes are to be ordered by time.
        """
        view = self._view
        write = set_now(view, _bytes(value), _NEVER) if timestamp is None else set_at(view, _bytes(value), timestamp)
        if write is not None:
            self._write(*write)
        return write is not None

    def get(self) -> str | None:
        """The value that shows, `None` where nothing was written."""
        value = self.type.value(self._view)
        return None if value is None else _text(value)

    def value(self) -> str | None:
        """The same as `get`."""
        return self.get()


class MVRegister(SingleObject):
    """A register that keeps all concurrent values."""

    type = MVREGISTER

    def set(self, value: str) -> None:
        """Writes `value`, replacing all that has been seen here."""
        self._write(SLOT, Stamped(_bytes(value), *_NEVER))

    def get(self) -> list[str]:
        """The concurrent values, in a stable order."""
        return [_text(value) for value in self.type.value(self._view)]

    def value(self) -> list[str]:
        """The same as `get`."""
        return self.get()


class EWFlag(SingleObject):
    """A flag where a concurrent enable wins over a disable."""

    type = EWFLAG

    def enable(self) -> None:
        """Sets it."""
        self._write(SLOT, True)

    def disable(self) -> None:
        """Unsets it, as far as it has been seen set."""
        if self._view.shows(SLOT):
            self._write(SLOT, self.type.removal(self._view, SLOT))


class DWFlag(SingleObject):
    """A flag where a concurrent disable wins over an enable."""

    type = DWFLAG

    def enable(self) -> None:
        """Sets it."""
        self._write(SLOT, True)

    def disable(self) -> None:
        """Unsets it, and outweighs concurrent enables, also where it is not set here."""
        self._write(SLOT, WINNING_TOMBSTONE)


def _bytes(text: str) -> bytes:
    if not isinstance(text, str):
        raise InvalidArgument("element or value", f"{brief(text)} is no string")
    try:
        return text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError as error:
        raise InvalidArgument("element or value", f"{brief(text)} is no text ({error.reason})") from error


def _text(value: bytes) -> str:
    return value.decode("utf-8", "surrogateescape")
