"""PFADD, PFCOUNT and PFMERGE: HyperLogLogs, which count different elements without keeping them.

A count is an estimate, and the same as that of Redis. TYPE says `string`, as in Redis, but the commands on strings do
not work on a HyperLogLog: there is no string behind it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from crdt_core.commands.arguments import WRONG_TYPE
from crdt_core.commands.command import ALL_KEYS, KEY, Command, Sliced
from crdt_core.commands.replies import OK, CommandError
from crdt_core.commands.slicing import at_once, parts_of_all
from crdt_core.replica.steps import finish
from crdt_core.types import SLOT
from crdt_core.types.hyperloglogs import HYPERLOGLOG, estimate, rank_of

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable

    from crdt_core.commands.replies import Reply
    from crdt_core.commands.session import Session
    from crdt_core.types.contract import PartWrite
    from crdt_core.types.object import Object

__all__ = ["COMMANDS"]

_NO_HYPERLOGLOG = "WRONGTYPE Key is not a valid HyperLogLog string value."


def _check(found: Object | None) -> Object | None:
    """Return `found`. Raises `CommandError` if it is not a HyperLogLog."""
    if found is not None and found.type is not HYPERLOGLOG:
        raise CommandError(_NO_HYPERLOGLOG if found.type.redis_type == HYPERLOGLOG.redis_type else WRONG_TYPE)
    return found


def _pfadd(session: Session, args: list[bytes]) -> Reply:
    key, elements = args[0], args[1:]
    found = _check(session.take(key))
    view = session.replica.view(key, HYPERLOGLOG)
    writes = HYPERLOGLOG.add(view, elements)
    raised = found is None or any(rank > rank_of(view.parts.get(part)) for part, rank in writes)
    session.replica.write_parts(key, HYPERLOGLOG, _writes(found, writes))
    return int(raised)


def _pfcount(session: Session, args: list[bytes]) -> Reply:
    return estimate(finish(_union(session, args)).values())


def _pfmerge(session: Session, args: list[bytes]) -> Generator[None, None, Reply]:
    target, sources = args[0], args[1:]
    found = _check(session.take(target))
    ranks = yield from _union(session, sources)
    for write in _writes(found, HYPERLOGLOG.raised(session.replica.view(target, HYPERLOGLOG), ranks)):
        session.replica.write(target, HYPERLOGLOG, *write)
        yield
    return OK


def _union(session: Session, keys: Iterable[bytes]) -> Generator[None, None, dict[bytes, int]]:
    """Return the largest rank of each register, over the HyperLogLogs under `keys`; yield after each register."""
    ranks: dict[bytes, int] = {}
    for found in [_check(session.find(key)) for key in keys]:
        if found is not None:
            for part, siblings in found.parts.items():
                if rank := rank_of(siblings):
                    ranks[part] = max(rank, ranks.get(part, 0))
                yield
    return ranks


def _writes(found: Object | None, writes: list[PartWrite]) -> list[PartWrite]:
    """Return the writes of registers. If there are none, a key that does not exist is made all the same."""
    return writes if writes or found is not None else [(SLOT, 0)]


COMMANDS: tuple[Command[Session], ...] = (
    Command(
        "hyperloglog",
        "PFADD key [element [element ...]]",
        -2,
        KEY,
        "write denyoom fast",
        _pfadd,
        "Adds elements to a HyperLogLog. Says whether its count may have changed.",
        "The union of all adds. An add wins over a concurrent delete.",
        "O(1) for each element",
        since="0.2.0",
    ),
    Command(
        "hyperloglog",
        "PFCOUNT key [key ...]",
        -2,
        ALL_KEYS,
        "readonly",
        _pfcount,
        "Returns about how many different elements were added, to all keys together.",
        "",
        "O(N) in the keys",
        since="0.2.0",
    ),
    Command(
        "hyperloglog",
        "PFMERGE destkey [sourcekey [sourcekey ...]]",
        -2,
        ALL_KEYS,
        "write denyoom",
        at_once(_pfmerge),
        "Adds to a HyperLogLog all that was added to others.",
        "The union of all adds. It adds what this node sees of the sources.",
        "O(N) in the keys",
        sliced=Sliced(_pfmerge, parts_of_all),
        since="0.2.0",
    ),
)
