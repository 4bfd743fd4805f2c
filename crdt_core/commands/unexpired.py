"""Operations as of a time of day: what has expired by then is not there, swept or not.

The commands of Redis see to that themselves; this is for what other faces ask.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from crdt_core.commands.operations import Operation, Read
from crdt_core.types import View
from crdt_core.types.expiry import deadline_of

if TYPE_CHECKING:
    from crdt_core.commands.operations import State
    from crdt_core.lattice.clocks import Stamp
    from crdt_core.lattice.replica_index import ReplicaIndex
    from crdt_core.replica.replica import Replica
    from crdt_core.types import CrdtType
    from crdt_core.types.object import Object

__all__ = ["At", "KeyOperation", "ReadAt", "Unexpired"]


class Unexpired:
    """A state as it is at `wall_ms`: what has expired by then does not show, swept or not."""

    __slots__ = ("_state", "_wall_ms")

    def __init__(self, state: State, wall_ms: int) -> None:
        self._state = state
        self._wall_ms = wall_ms

    @property
    def replica_index(self) -> ReplicaIndex:
        """The ids behind packed dots."""
        return self._state.replica_index

    def head(self, key: bytes) -> Object | None:
        """The first made of the objects under `key`, unless they have expired."""
        head = self._state.head(key)
        deadline_ms = deadline_of(head, self.replica_index) if head is not None and head.type_conflicts else None
        return None if deadline_ms is not None and deadline_ms <= self._wall_ms else head

    def showing(self, key: bytes) -> list[Object]:
        """The objects under `key` that show something; none where they have expired."""
        return [] if self.head(key) is None else self._state.showing(key)

    def view(self, key: bytes, type_: CrdtType) -> View:
        """What queries of `type_` see under `key`."""
        return View({}, self.replica_index) if self.head(key) is None else self._state.view(key, type_)


class KeyOperation(Operation, Protocol):
    """An operation on one key."""

    @property
    def key(self) -> bytes: ...


@dataclass(frozen=True, slots=True)
class At:
    """An operation at wall time `wall_ms`: what has expired by then is deleted first."""

    wall_ms: int
    operation: KeyOperation

    def run(self, replica: Replica, now: Stamp) -> Any:
        """What the operation yields."""
        key = self.operation.key
        if replica.head(key) is not None and Unexpired(replica, self.wall_ms).head(key) is None:
            replica.delete(key)
        return self.operation.run(replica, now)


@dataclass(frozen=True, slots=True)
class ReadAt(Read):
    """A read at wall time `wall_ms`: what has expired by then does not show."""

    wall_ms: int
    inner: Read

    def read(self, state: State) -> Any:
        return self.inner.read(Unexpired(state, self.wall_ms))
