"""SUNION, SINTER, SDIFF and their like: the union, the intersection and the difference of sets of any kind.

A command that stores its result makes an observed delete of the destination, and then adds.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, TypeAlias

from crdt_core.commands.arguments import SYNTAX, parse_within
from crdt_core.commands.command import ALL_KEYS, NO_KEYS, Command, Sliced
from crdt_core.commands.replies import CommandError, SetOf
from crdt_core.commands.sets import has_member, seen_set
from crdt_core.commands.slicing import at_once, fit_by_step, looking, parts_of_all
from crdt_core.lattice.siblings import shows
from crdt_core.replica.steps import batched
from crdt_core.types import ORSET

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Generator, Iterator

    from crdt_core.commands.replies import Reply
    from crdt_core.commands.session import Session
    from crdt_core.types.object import Object

__all__ = ["COMMANDS"]

Combine: TypeAlias = "Callable[[list[Object | None]], Generator[None, None, Collection[bytes]]]"


def _union(sets: list[Object | None]) -> Generator[None, None, Collection[bytes]]:
    found: dict[bytes, None] = {}
    for some in _some_of_each(sets):
        found.update(dict.fromkeys(some))
        yield
    return found


def _inter(sets: list[Object | None]) -> Generator[None, None, Collection[bytes]]:
    least, *others = sorted(sets, key=lambda found: 0 if found is None else found.live)
    members: list[bytes] = []
    for some in _some_of_each([least]):
        members += [member for member in some if all(has_member(other, member) for other in others)]
        yield
    return members


def _diff(sets: list[Object | None]) -> Generator[None, None, Collection[bytes]]:
    first, *others = sets
    members: list[bytes] = []
    for some in _some_of_each([first]):
        members += [member for member in some if not any(has_member(other, member) for other in others)]
        yield
    return members


def _some_of_each(sets: list[Object | None]) -> Iterator[list[bytes]]:
    """Yield the members of all sets, one set after the other, some at a time."""
    for found in sets:
        for some in batched(() if found is None else found.parts.items()):
            yield [part for part, siblings in some if shows(siblings)]


def _combined(session: Session, keys: list[bytes], combine: Combine) -> Generator[None, None, Collection[bytes]]:
    return combine([seen_set(session, key) for key in keys])


def _algebra(combine: Combine, session: Session, args: list[bytes]) -> Generator[None, None, Reply]:
    members = list((yield from _combined(session, args, combine)))
    yield from fit_by_step(session, members)
    return SetOf([*members])


def _store(combine: Combine, session: Session, args: list[bytes]) -> Generator[None, None, Reply]:
    members = yield from _combined(session, args[1:], combine)
    yield from session.overwrite_by_part(args[0], session.type_in_place(args[0], ORSET), members)
    return len(members)


def _sintercard(session: Session, args: list[bytes]) -> Generator[None, None, Reply]:
    numkeys = parse_within(args[0], 1, refusal="ERR numkeys should be greater than 0")
    if numkeys > len(args) - 1:
        raise CommandError("ERR Number of keys can't be greater than number of args")
    limit, rest = 0, args[1 + numkeys :]
    while rest:
        if rest[0].upper() != b"LIMIT" or len(rest) < 2:
            raise CommandError(SYNTAX)
        limit = parse_within(rest[1], 0, refusal="ERR LIMIT can't be negative")
        rest = rest[2:]
    size = len((yield from _combined(session, args[1 : 1 + numkeys], _inter)))
    return min(size, limit) if limit else size


_STORED = "The destination gets these members, and keeps what is concurrently added to it."


def _returning(usage: str, combine: Combine, summary: str) -> Command[Session]:
    """Return the row of a command that returns what `combine` makes of the sets."""
    steps = partial(_algebra, combine)
    return Command(
        "set",
        usage,
        -2,
        ALL_KEYS,
        "readonly",
        at_once(steps),
        summary,
        "",
        "O(N) in all sets",
        heavy=True,
        sliced=looking(steps),
    )


def _storing(usage: str, combine: Combine, summary: str) -> Command[Session]:
    """Return the row of a command that stores what `combine` makes of the sets."""
    steps = partial(_store, combine)
    return Command(
        "set",
        usage,
        -3,
        ALL_KEYS,
        "write denyoom",
        at_once(steps),
        summary,
        _STORED,
        "O(N) in all sets",
        sliced=Sliced(steps, parts_of_all),
    )


COMMANDS: tuple[Command[Session], ...] = (
    _returning("SUNION key [key ...]", _union, "Returns the members of any of the sets."),
    _returning("SINTER key [key ...]", _inter, "Returns the members that all sets have."),
    _returning("SDIFF key [key ...]", _diff, "Returns the members that only the first set has."),
    _storing("SUNIONSTORE destination key [key ...]", _union, "Stores the members of any of the sets."),
    _storing("SINTERSTORE destination key [key ...]", _inter, "Stores the members that all sets have."),
    _storing("SDIFFSTORE destination key [key ...]", _diff, "Stores the members that only the first set has."),
    Command(
        "set",
        "SINTERCARD numkeys key [key ...] [LIMIT limit]",
        -3,
        NO_KEYS,
        "readonly movablekeys",
        at_once(_sintercard),
        "Returns how many members all sets have in common.",
        "",
        "O(N) in all sets",
        sliced=looking(_sintercard),
    ),
)
