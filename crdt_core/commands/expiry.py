"""EXPIRE, TTL and their like, and the sweep that deletes expired keys.

A key expires by the wall clock of each replica. From then on no command there finds the key, and the next write to the
key, or the sweep, deletes it. That is an observed delete: what another replica has written concurrently survives, with
the time to live that this write set or saw.

One member sweeps a key, so one expiry is one delta. All members put themselves into the same order for each key
(rendezvous hashing; Thaler, Ravishankar 1998). The first sweeps at once, and each next one two seconds later, in case
those before it are away.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from xxhash import xxh3_64_intdigest

from crdt_core.commands.arguments import parse_deadline, shown_in_c
from crdt_core.commands.command import KEY, Command, Sliced
from crdt_core.commands.replies import CommandError
from crdt_core.commands.slicing import clearing
from crdt_core.replica.deleting import delete_by_part, parts_under
from crdt_core.replica.sliceable import Sliceable
from crdt_core.types import EXPIRY, SLOT
from crdt_core.types.counters import INT64_MIN
from crdt_core.types.expiry import PERSISTED, Until, deadline_of, slot_write

if TYPE_CHECKING:
    from collections.abc import Generator

    from crdt_core.commands.replies import Reply
    from crdt_core.commands.session import Session
    from crdt_core.lattice.clocks import Stamp
    from crdt_core.replica.replica import Replica

__all__ = ["COMMANDS", "DeleteExpired", "set_deadline"]

_NO_KEY, _NO_DEADLINE = -2, -1

_TURN_MS = 2000
"""How long a member leaves an expired key to the one whose turn comes before."""


def set_deadline(session: Session, key: bytes, deadline_ms: int) -> None:
    """Let what shows under `key` expire at `deadline_ms`, in wall time; delete it at once if that is past."""
    if deadline_ms <= session.wall_ms:
        session.replica.delete(key)
        return
    head = session.replica.head(key)
    assert head is not None
    about = slot_write(head, session.replica.replica_index)
    session.replica.write(key, EXPIRY, SLOT, Until(min(deadline_ms, PERSISTED), about))


class DeleteExpired(Sliceable):
    """An operation that deletes keys that have expired by wall time `wall_ms`, and yields how many it has deleted.

    It looks at up to `looks` keys that have a deadline, and begins with those that it has not looked at for longest. It
    leaves a key to the members whose turn comes before, for as long as they may still do it.
    """

    __slots__ = ("looks", "wall_ms")

    def __init__(self, wall_ms: int, looks: int) -> None:
        self.wall_ms = wall_ms
        self.looks = looks

    def is_large(self, replica: Replica, parts_max: int) -> bool:
        """Return whether more than `parts_max` parts would be deleted."""
        keys = replica.catalogue.expiring.peek(self.looks)
        if sum(parts_under(replica, key) for key in keys) <= parts_max:
            return False
        return sum(parts_under(replica, key) for key in keys if self._has_ended(replica, key)) > parts_max

    def steps(self, replica: Replica, now: Stamp) -> Generator[None, None, int]:  # noqa: ARG002
        """Return how many keys were deleted; yield after each part that is deleted, and each key."""
        swept = 0
        for key in replica.catalogue.expiring.look(self.looks):
            swept += yield from self._sweep(replica, key)
            yield
        replica.expired_keys += swept
        return swept

    def _has_ended(self, replica: Replica, key: bytes) -> bool:
        """Return whether something shows under the key that this replica is to delete."""
        head = replica.catalogue.heads[key]
        deadline_ms = deadline_of(head, replica.replica_index)
        return deadline_ms is not None and bool(head.showing()) and self._is_due(replica, key, deadline_ms)

    def _sweep(self, replica: Replica, key: bytes) -> Generator[None, None, bool]:
        """Return whether the key had expired. A deadline whose object is gone, or was written anew, is deleted, too."""
        head = replica.catalogue.heads[key]
        expiry = next((link for link in head.chain() if link.type is EXPIRY and link.live), None)
        if expiry is None:
            return False
        if self._has_ended(replica, key):
            return (yield from delete_by_part(replica, key))
        if deadline_of(head, replica.replica_index) is not None and head.showing():
            return False
        latest_ms = max(until.deadline_ms for until in EXPIRY.value(replica.catalogue.view(expiry)))
        if self._is_due(replica, key, latest_ms if head.showing() else min(latest_ms, self.wall_ms)):
            replica.remove(expiry)
        return False

    def _is_due(self, replica: Replica, key: bytes, deadline_ms: int) -> bool:
        """Return whether it is for this replica to delete what had to go at `deadline_ms`."""
        return deadline_ms <= self.wall_ms and deadline_ms + _TURN_MS * _turn(replica, key) <= self.wall_ms


def _turn(replica: Replica, key: bytes) -> int:
    """Return how many members come before this replica in sweeping `key`."""
    own = _weight(replica.id, key)
    return sum(_weight(member, key) > own for member in replica.members.active.values() if member != replica.id)


def _weight(member: str, key: bytes) -> int:
    return xxh3_64_intdigest(member.encode() + b"\0" + key)


def _expire(name: str, unit_ms: int, absolute: bool, session: Session, args: list[bytes]) -> Reply:
    key = args[0]
    options = _parse_options(args[2:])
    base_ms = 0 if absolute else session.wall_ms
    deadline_ms = parse_deadline(args[1], unit_ms, base_ms, name, least=INT64_MIN)
    if session.take(key) is None or not _may(options, session.deadline_ms(key), deadline_ms):
        return 0
    set_deadline(session, key, deadline_ms)
    return 1


def _sliced(name: str, unit_ms: int, absolute: bool) -> Sliced[Session]:
    """Return how the command runs by part: a time that is past deletes the key."""
    expire = clearing(partial(_expire, name, unit_ms, absolute))

    def parts(replica: Replica, args: list[bytes], wall_ms: int) -> int:
        try:
            deadline_ms = parse_deadline(args[1], unit_ms, 0 if absolute else wall_ms, name, least=INT64_MIN)
        except CommandError:
            return 0
        return expire.parts(replica, args, wall_ms) if deadline_ms <= wall_ms else 0

    return Sliced(expire.steps, parts)


def _parse_options(args: list[bytes]) -> set[bytes]:
    options = {arg.upper() for arg in args}
    for arg in args:
        if arg.upper() not in (b"NX", b"XX", b"GT", b"LT"):
            raise CommandError(f"ERR Unsupported option {shown_in_c(arg).decode('utf-8', 'surrogateescape')}")
    if b"NX" in options and len(options) > 1:
        raise CommandError("ERR NX and XX, GT or LT options at the same time are not compatible")
    if {b"GT", b"LT"} <= options:
        raise CommandError("ERR GT and LT options at the same time are not compatible")
    return options


def _may(options: set[bytes], current_ms: int | None, deadline_ms: int) -> bool:
    """Return whether the options allow the new deadline; the current one is `None`, later than any, or a wall time."""
    if current_ms is None:
        return not options & {b"XX", b"GT"}
    if b"GT" in options:
        return deadline_ms > current_ms
    if b"LT" in options:
        return deadline_ms < current_ms
    return b"NX" not in options


def _left(unit_ms: int, absolute: bool, session: Session, args: list[bytes]) -> Reply:
    if session.find(args[0]) is None:
        return _NO_KEY
    deadline_ms = session.deadline_ms(args[0])
    if deadline_ms is None:
        return _NO_DEADLINE
    left_ms = deadline_ms if absolute else deadline_ms - session.wall_ms
    return left_ms if unit_ms == 1 else (left_ms + 500) // 1000


def _persist(session: Session, args: list[bytes]) -> Reply:
    if session.take(args[0]) is None or session.deadline_ms(args[0]) is None:
        return 0
    set_deadline(session, args[0], PERSISTED)
    return 1


_LONGEST = "The longest time to live is kept. One that has seen another replaces it, also when it is shorter."

COMMANDS: tuple[Command[Session], ...] = (
    Command(
        "generic",
        "EXPIRE key seconds [NX | XX | GT | LT]",
        -3,
        KEY,
        "write fast",
        partial(_expire, "expire", 1000, False),
        "Sets the time to live of a key, in seconds.",
        _LONGEST,
        sliced=_sliced("expire", 1000, False),
    ),
    Command(
        "generic",
        "PEXPIRE key milliseconds [NX | XX | GT | LT]",
        -3,
        KEY,
        "write fast",
        partial(_expire, "pexpire", 1, False),
        "Sets the time to live of a key, in milliseconds.",
        _LONGEST,
        sliced=_sliced("pexpire", 1, False),
    ),
    Command(
        "generic",
        "EXPIREAT key unix-time-seconds [NX | XX | GT | LT]",
        -3,
        KEY,
        "write fast",
        partial(_expire, "expireat", 1000, True),
        "Sets when a key expires, in seconds since 1970.",
        _LONGEST,
        sliced=_sliced("expireat", 1000, True),
    ),
    Command(
        "generic",
        "PEXPIREAT key unix-time-milliseconds [NX | XX | GT | LT]",
        -3,
        KEY,
        "write fast",
        partial(_expire, "pexpireat", 1, True),
        "Sets when a key expires, in milliseconds since 1970.",
        _LONGEST,
        sliced=_sliced("pexpireat", 1, True),
    ),
    Command(
        "generic",
        "TTL key",
        2,
        KEY,
        "readonly fast",
        partial(_left, 1000, False),
        "Returns the time to live of a key, in seconds.",
    ),
    Command(
        "generic",
        "PTTL key",
        2,
        KEY,
        "readonly fast",
        partial(_left, 1, False),
        "Returns the time to live of a key, in milliseconds.",
    ),
    Command(
        "generic",
        "EXPIRETIME key",
        2,
        KEY,
        "readonly fast",
        partial(_left, 1000, True),
        "Returns when a key expires, in seconds since 1970.",
    ),
    Command(
        "generic",
        "PEXPIRETIME key",
        2,
        KEY,
        "readonly fast",
        partial(_left, 1, True),
        "Returns when a key expires, in milliseconds since 1970.",
    ),
    Command(
        "generic",
        "PERSIST key",
        2,
        KEY,
        "write fast",
        _persist,
        "Removes the time to live of a key.",
        "It wins over a concurrent EXPIRE.",
    ),
)
