"""What a command runs on: what it sees, what it writes to, its time, its random choices and the settings of commands.

In a turn the session's state is the replica itself; outside of turns it is what the last confirmed commit has left.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from crdt_core.commands.policies import CommandOptions
from crdt_core.commands.replies import CommandError
from crdt_core.errors import TooLarge
from crdt_core.types import ORSET, STRING
from crdt_core.types.expiry import deadline_of

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator

    from crdt_core.lattice.clocks import Stamp
    from crdt_core.lattice.replica_index import ReplicaIndex
    from crdt_core.replica.replica import Replica
    from crdt_core.types import CrdtType
    from crdt_core.types.object import Object

__all__ = ["RESERVED", "Keyspace", "Session"]

RESERVED = b"deltaic:"
"""What the names of Deltaic's own keys begin with; no command sees or makes such keys."""

_MASK64 = (1 << 64) - 1

_DEFAULTS = CommandOptions()

_STRING_BYTES_MAX = 512 << 20
"""How long a string may get in Redis, whatever the settings say."""


class Keyspace(Protocol):
    """What commands look at: a replica, or what it was when its last commit was confirmed."""

    @property
    def replica_index(self) -> ReplicaIndex: ...

    def head(self, key: bytes) -> Object | None:
        """The first made of the objects under `key`."""

    def keys(self) -> Iterable[bytes]:
        """Every key that may show something; nothing may change meanwhile."""


@dataclass(slots=True, eq=False)
class Session:
    """What a command runs on.

    `state`: what it sees. `replica`: what it writes to; only there in a turn, where it is the state too. `now`: the
    hybrid time of its writes. `wall_ms`: the time of day, by which keys expire. `random(n)` chooses below n, always
    alike for the same seed. `options`: what the settings say.
    """

    state: Keyspace
    wall_ms: int
    seed: int
    options: CommandOptions = _DEFAULTS
    replica: Replica = field(init=False)
    now: Stamp = field(init=False)

    def random(self, below: int) -> int:
        """The next choice from 0 to `below` - 1 (SplitMix64; Steele, Lea, Flood 2014)."""
        self.seed = z = (self.seed + 0x9E3779B97F4A7C15) & _MASK64
        z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9 & _MASK64
        z = (z ^ (z >> 27)) * 0x94D049BB133111EB & _MASK64
        return (z ^ (z >> 31)) % below

    def find(self, key: bytes) -> Object | None:
        """The object that shows under `key`; `None` where there is none, or it has expired."""
        if key.startswith(RESERVED):
            raise CommandError("ERR keys that begin with 'deltaic:' are reserved")
        head = self.state.head(key)
        if head is None:
            return None
        if not head.type_conflicts:
            return head if head.live and not head.type.attribute else None
        return None if self.has_expired(head) else next(iter(head.showing()), None)

    def take(self, key: bytes) -> Object | None:
        """As `find`, for a command that writes: what has expired is deleted, and so is the expiry of nothing."""
        found = self.find(key)
        if found is None:
            head = self.state.head(key)
            if head is not None and any(link.live for link in head.chain()):
                self.replica.delete(key)
        return found

    def deadline_ms(self, key: bytes) -> int | None:
        """When what is under `key` expires, in wall time; `None` for never."""
        head = self.state.head(key)
        return deadline_of(head, self.state.replica_index) if head is not None and head.type_conflicts else None

    def has_expired(self, head: Object) -> bool:
        """Whether the time of the objects in this chain is over."""
        deadline_ms = deadline_of(head, self.state.replica_index)
        return deadline_ms is not None and deadline_ms <= self.wall_ms

    def new_set(self, key: bytes, otherwise: CrdtType = ORSET) -> CrdtType:
        """The type of a set that is made under `key`: what the policies say, and `otherwise` where they say nothing."""
        policies = self.options.policies
        return otherwise if policies is None else policies.set_type(key) or otherwise

    def new_string(self, key: bytes, otherwise: CrdtType = STRING) -> CrdtType:
        """The type of a string that is made under `key`, likewise."""
        policies = self.options.policies
        return otherwise if policies is None else policies.string_type(key) or otherwise

    def must_fit(self, size: int) -> None:
        """Raises `CommandError` where a value of so many bytes would be too long."""
        if size > _STRING_BYTES_MAX:
            raise CommandError("ERR string exceeds maximum allowed size (proto-max-bulk-len)")
        if size > self.options.value_bytes_max:
            error = TooLarge("value", size, self.options.value_bytes_max, "limits.value_bytes_max")
            raise CommandError(f"ERR {error}")

    def must_fit_reply(self, items: Collection[bytes | None]) -> None:
        """Raises `CommandError` where a reply of these values would be too long. It costs little where they are few."""
        options = self.options
        if len(items) * options.value_bytes_max > options.reply_bytes_max:
            size = sum(len(item) for item in items if item is not None)
            if size > options.reply_bytes_max:
                error = TooLarge("reply", size, options.reply_bytes_max, "limits.output_bytes_max")
                raise CommandError(f"ERR {error}")

    def showing(self) -> Iterator[Object]:
        """Everything that shows, by key; nothing may change meanwhile."""
        for key in self.state.keys():  # noqa: SIM118  it is no mapping
            if not key.startswith(RESERVED):
                found = self.find(key)
                if found is not None:
                    yield found
