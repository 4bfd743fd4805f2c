"""SUNION, SINTER, SDIFF and their like: the union, the intersection and the difference of sets of any kind.

A command that stores its result makes an observed delete of the destination, and then adds.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, TypeAlias

from crdt_core.commands.arguments import SYNTAX, parse_within
from crdt_core.commands.command import ALL_KEYS, NO_KEYS, Command
from crdt_core.commands.replies import CommandError, SetOf
from crdt_core.commands.sets import members_of, seen_set
from crdt_core.types import ORSET

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from crdt_core.commands.replies import Reply
    from crdt_core.commands.session import Session

__all__ = ["COMMANDS"]

Combine: TypeAlias = "Callable[[list[list[bytes]]], Collection[bytes]]"


def _union(sets: list[list[bytes]]) -> Collection[bytes]:
    return dict.fromkeys(member for members in sets for member in members)


def _inter(sets: list[list[bytes]]) -> Collection[bytes]:
    least, *others = sorted(sets, key=len)
    lookups = [set(other) for other in others]
    return [member for member in least if all(member in lookup for lookup in lookups)]


def _diff(sets: list[list[bytes]]) -> Collection[bytes]:
    without = {member for members in sets[1:] for member in members}
    return [member for member in sets[0] if member not in without]


def _combined(session: Session, keys: list[bytes], combine: Combine) -> Collection[bytes]:
    return combine([members_of(found) for found in [seen_set(session, key) for key in keys]])


def _algebra(combine: Combine, session: Session, args: list[bytes]) -> Reply:
    members = _combined(session, args, combine)
    session.must_fit_reply(members)
    return SetOf(list(members))


def _store(combine: Combine, session: Session, args: list[bytes]) -> Reply:
    members = _combined(session, args[1:], combine)
    session.overwrite(args[0], session.type_in_place(args[0], ORSET), members)
    return len(members)


def _sintercard(session: Session, args: list[bytes]) -> Reply:
    numkeys = parse_within(args[0], 1, refusal="ERR numkeys should be greater than 0")
    if numkeys > len(args) - 1:
        raise CommandError("ERR Number of keys can't be greater than number of args")
    limit, rest = 0, args[1 + numkeys :]
    while rest:
        if rest[0].upper() != b"LIMIT" or len(rest) < 2:
            raise CommandError(SYNTAX)
        limit = parse_within(rest[1], 0, refusal="ERR LIMIT can't be negative")
        rest = rest[2:]
    size = len(_combined(session, args[1 : 1 + numkeys], _inter))
    return min(size, limit) if limit else size


_STORED = "The destination gets these members, and keeps what is concurrently added to it."

COMMANDS: tuple[Command[Session], ...] = (
    Command(
        "set",
        "SUNION key [key ...]",
        -2,
        ALL_KEYS,
        "readonly",
        partial(_algebra, _union),
        "Returns the members of any of the sets.",
        "",
        "O(N) in all sets",
        heavy=True,
    ),
    Command(
        "set",
        "SINTER key [key ...]",
        -2,
        ALL_KEYS,
        "readonly",
        partial(_algebra, _inter),
        "Returns the members that all sets have.",
        "",
        "O(N) in all sets",
        heavy=True,
    ),
    Command(
        "set",
        "SDIFF key [key ...]",
        -2,
        ALL_KEYS,
        "readonly",
        partial(_algebra, _diff),
        "Returns the members that only the first set has.",
        "",
        "O(N) in all sets",
        heavy=True,
    ),
    Command(
        "set",
        "SUNIONSTORE destination key [key ...]",
        -3,
        ALL_KEYS,
        "write denyoom",
        partial(_store, _union),
        "Stores the members of any of the sets.",
        _STORED,
        "O(N) in all sets",
    ),
    Command(
        "set",
        "SINTERSTORE destination key [key ...]",
        -3,
        ALL_KEYS,
        "write denyoom",
        partial(_store, _inter),
        "Stores the members that all sets have.",
        _STORED,
        "O(N) in all sets",
    ),
    Command(
        "set",
        "SDIFFSTORE destination key [key ...]",
        -3,
        ALL_KEYS,
        "write denyoom",
        partial(_store, _diff),
        "Stores the members that only the first set has.",
        _STORED,
        "O(N) in all sets",
    ),
    Command(
        "set",
        "SINTERCARD numkeys key [key ...] [LIMIT limit]",
        -3,
        NO_KEYS,
        "readonly movablekeys",
        _sintercard,
        "Returns how many members all sets have in common.",
        "",
        "O(N) in all sets",
    ),
)
