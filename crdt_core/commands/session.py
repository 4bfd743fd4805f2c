"""The session: what a command reads and writes, its time, its random choices and the settings of commands.

In a turn a session reads the replica itself. Outside of turns it reads the committed view: the state that the last
confirmed commit has left.

Expiry lives here. An object that has expired by the session's time of day is not found, whether it is swept or not. A
command that writes (`take`) deletes it first. So a key expires alike for every face.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from crdt_core.commands.policies import CommandOptions
from crdt_core.commands.replies import CommandError
from crdt_core.errors import TooLarge
from crdt_core.replica.deleting import remove_by_part
from crdt_core.types import View
from crdt_core.types.expiry import deadline_of
from crdt_core.types.members import RESERVED

if TYPE_CHECKING:
    from collections.abc import Collection, Generator, Iterable, Iterator
    from typing import Any

    from crdt_core.lattice.clocks import Stamp
    from crdt_core.lattice.replica_index import ReplicaIndex
    from crdt_core.replica.replica import Replica
    from crdt_core.replica.scan_order import ScanOrder
    from crdt_core.types import CrdtType
    from crdt_core.types.object import Object

__all__ = ["Keyspace", "Session"]

_MASK64 = (1 << 64) - 1

_DEFAULTS = CommandOptions()

_STRING_BYTES_MAX = 512 << 20
"""The longest string of Redis. A setting cannot raise it."""


class Keyspace(Protocol):
    """What a command reads: a replica, or the committed view of one."""

    @property
    def replica_index(self) -> ReplicaIndex: ...

    def head(self, key: bytes) -> Object | None:
        """The first object made under `key`; the objects of other types there are its `type_conflicts`."""

    @property
    def order(self) -> ScanOrder:
        """Every key that may show something, in the order of a scan."""

    @property
    def shown(self) -> int:
        """How many keys show something, expired ones included."""

    def part_order_by_step(self, found: Object) -> Generator[None, None, ScanOrder]:
        """The order of the parts of `found`, a collection. Yields after every few parts while it is made."""

    def keys(self) -> Iterable[bytes]:
        """Every key that may show something. The keyspace must not change while this is read."""


@dataclass(slots=True, eq=False)
class Session:
    """What a command runs on.

    `state` is what the command reads. `replica` and `now` exist only in a turn: the replica that the command writes to
    (the state is that replica then), and the hybrid time of its writes. `wall_ms` is the time of day, by which keys
    expire. `random(n)` chooses below n, always alike for the same seed. `options` are the settings of commands.
    `hits` and `misses` count how often something was found, and not found, for metrics.
    """

    state: Keyspace
    wall_ms: int
    seed: int
    options: CommandOptions = _DEFAULTS
    hits: int = 0
    misses: int = 0
    replica: Replica = field(init=False)
    now: Stamp = field(init=False)

    @classmethod
    def in_turn(
        cls, replica: Replica, now: Stamp, wall_ms: int, seed: int = 0, options: CommandOptions = _DEFAULTS
    ) -> Session:
        """A session that writes to `replica` at hybrid time `now`."""
        session = cls(replica, wall_ms, seed, options)
        session.replica, session.now = replica, now
        return session

    def random(self, below: int) -> int:
        """Return the next choice from 0 to `below` - 1 (SplitMix64; Steele, Lea, Flood 2014)."""
        self.seed = z = (self.seed + 0x9E3779B97F4A7C15) & _MASK64
        z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9 & _MASK64
        z = (z ^ (z >> 27)) * 0x94D049BB133111EB & _MASK64
        return (z ^ (z >> 31)) % below

    def find(self, key: bytes) -> Object | None:
        """Return the object that shows under `key`; `None` where there is none, or it has expired."""
        if key.startswith(RESERVED):
            raise CommandError("ERR keys that begin with 'deltaic:' are reserved")
        head = self.state.head(key)
        if head is None:
            self.misses += 1
            return None
        if not head.type_conflicts:
            found = head if head.live and not head.type.attribute else None
        else:
            found = None if self.has_expired(head) else next(iter(head.showing()), None)
        if found is None:
            self.misses += 1
        else:
            self.hits += 1
        return found

    def shows(self, key: bytes) -> bool:
        """Return whether something shows under `key`, which may be any key."""
        head = self.state.head(key)
        return head is not None and bool(head.showing()) and not self.has_expired(head)

    def take(self, key: bytes) -> Object | None:
        """Return what `find` returns, for a command that writes.

        Where nothing is found, this deletes what stands under the key and does not show: an expired object, or a
        deadline whose object is gone.
        """
        found = self.find(key)
        if found is None:
            head = self.state.head(key)
            if head is not None and any(link.live for link in head.chain()):
                self.replica.expired_keys += self.has_expired(head)
                self.replica.delete(key)
        return found

    def view(self, found: Object) -> View:
        """Return what the queries of its type see of `found`."""
        return View(found.parts, self.state.replica_index)

    def take_out(self, key: bytes, type_: CrdtType, part: bytes) -> None:
        """Remove one part of the object of type `type_` under `key`, as a client does."""
        write = type_.take_out(self.replica.view(key, type_), part)
        if write is not None:
            self.replica.write(key, type_, *write)

    def deadline_ms(self, key: bytes) -> int | None:
        """Return when the object under `key` expires, in wall time; `None` for never."""
        head = self.state.head(key)
        return deadline_of(head, self.state.replica_index) if head is not None and head.type_conflicts else None

    def has_expired(self, head: Object) -> bool:
        """Return whether the objects in this chain have expired."""
        deadline_ms = deadline_of(head, self.state.replica_index)
        return deadline_ms is not None and deadline_ms <= self.wall_ms

    def new_type(self, key: bytes, otherwise: CrdtType) -> CrdtType:
        """Return the type of a new object under `key`: what the policies say of the family of `otherwise`, or that."""
        policies = self.options.policies
        return otherwise if policies is None else policies.find(otherwise.family, key) or otherwise

    def type_in_place(self, key: bytes, otherwise: CrdtType) -> CrdtType:
        """Return the type of an object that takes the place of what is under `key`.

        A plain type of the family of `otherwise` stays. Anything else is followed by a new object, as in `new_type`.
        """
        before = self.find(key)
        if before is not None and before.type.plain and before.type.family == otherwise.family:
            return before.type
        return self.new_type(key, otherwise)

    def overwrite(self, key: bytes, type_: CrdtType, contents: Any, *, keeps_attributes: bool = False) -> None:
        """Make `contents`, in the form of its family, what shows under `key`, in place of all that has been seen there.

        The object is of `type_`. All others under the key are removed; attributes such as a deadline, too, unless
        `keeps_attributes`.
        """
        replica = self.replica
        for link in self._displaced(key, type_):
            if not (keeps_attributes and link.type.attribute):
                replica.remove(link)
        replica.write_parts(key, type_, type_.rewrite(replica.view(key, type_), contents, self.now))

    def overwrite_by_part(self, key: bytes, type_: CrdtType, contents: Any) -> Generator[None, None, None]:
        """Do what `overwrite` does; yield after each part."""
        replica = self.replica
        for link in self._displaced(key, type_):
            yield from remove_by_part(replica, link)
        for part, payload in type_.rewrite(replica.view(key, type_), contents, self.now):
            replica.write(key, type_, part, payload)
            yield

    def _displaced(self, key: bytes, type_: CrdtType) -> list[Object]:
        """Return the objects under `key` that are removed before an object of `type_` takes their place."""
        head = self.replica.head(key)
        chain = () if head is None else head.chain()
        return [link for link in chain if link.live and (type_.collection or link.type is not type_)]

    def must_fit(self, size: int) -> None:
        """Raise `CommandError` or `TooLarge` if a value of `size` bytes would be too long."""
        if size > _STRING_BYTES_MAX:
            raise CommandError("ERR string exceeds maximum allowed size (proto-max-bulk-len)")
        if size > self.options.value_bytes_max:
            raise TooLarge("value", size, self.options.value_bytes_max, "limits.value_bytes_max")

    def must_fit_reply(self, items: Collection[bytes | None]) -> None:
        """Raise `TooLarge` if a reply of these values would be too long. A few values are not even measured.

        No value may be longer than the limit of values.
        """
        if len(items) * self.options.value_bytes_max > self.options.reply_bytes_max:
            self.must_fit_reply_of(sum(len(item) for item in items if item is not None))

    def must_fit_reply_of(self, size: int) -> None:
        """Raise `TooLarge` if a reply of `size` bytes would be too long."""
        if size > self.options.reply_bytes_max:
            raise TooLarge("reply", size, self.options.reply_bytes_max, "limits.output_bytes_max")

    def showing(self) -> Iterator[Object]:
        """Yield every object that shows. The state must not change while this is read."""
        for key in self.state.keys():  # noqa: SIM118  it is no mapping
            if not key.startswith(RESERVED):
                found = self.find(key)
                if found is not None:
                    yield found
