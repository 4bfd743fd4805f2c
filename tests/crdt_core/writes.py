"""Operations for tests of nodes and of the turn loop, which need something written and no language of commands."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from crdt_core.errors import InvalidArgument
from crdt_core.types import MVREGISTER, ORSET, PNCOUNTER
from crdt_core.types.counters import adjust
from crdt_core.types.registers import set_now

if TYPE_CHECKING:
    from crdt_core.lattice.clocks import Stamp
    from crdt_core.replica.replica import Replica

__all__ = ["Add", "Count", "Delete", "Look", "Put", "Refuse", "Remove"]


@dataclass(frozen=True)
class Count:
    """Adds `amount` to a counter; returns its value."""

    key: bytes
    amount: int = 1

    def run(self, replica: Replica, _now: Stamp) -> int:
        view = replica.view(self.key, PNCOUNTER)
        replica.write(self.key, PNCOUNTER, *adjust(view, replica.id.encode(), self.amount))
        value: int = replica.value(self.key)
        return value


@dataclass(frozen=True)
class Add:
    """Adds `element` to a set."""

    key: bytes
    element: bytes

    def run(self, replica: Replica, _now: Stamp) -> None:
        replica.write(self.key, ORSET, self.element, True)


@dataclass(frozen=True)
class Remove:
    """Removes `element` from a set."""

    key: bytes
    element: bytes

    def run(self, replica: Replica, _now: Stamp) -> None:
        write = ORSET.take_out(replica.view(self.key, ORSET), self.element)
        if write is not None:
            replica.write(self.key, ORSET, *write)


@dataclass(frozen=True)
class Put:
    """Sets a register to `value`."""

    key: bytes
    value: bytes

    def run(self, replica: Replica, now: Stamp) -> None:
        write = set_now(replica.view(self.key, MVREGISTER), self.value, now)
        replica.write(self.key, MVREGISTER, *write)


@dataclass(frozen=True)
class Delete:
    """Deletes whatever is under `key`."""

    key: bytes

    def run(self, replica: Replica, _now: Stamp) -> None:
        replica.delete(self.key)


@dataclass(frozen=True)
class Look:
    """Changes nothing; returns the value under `key`."""

    key: bytes

    def run(self, replica: Replica, _now: Stamp) -> object:
        return replica.value(self.key)


@dataclass(frozen=True)
class Refuse:
    """Is refused."""

    def run(self, _replica: Replica, _now: Stamp) -> None:
        raise InvalidArgument("operation", "it is always refused")
