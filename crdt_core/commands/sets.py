"""SADD and its like, on sets of all kinds: adds win, removes win, or (made by other faces) grow only.

An add is a new write also where the member is present: so it survives a concurrent remove. Where removes win, SREM is a
write also where the member is not seen. What stores a set (SUNIONSTORE and the like) is an observed delete of what was
there, and adds. Out of a set that only grows nothing can be taken.

What is made anew is of the kind that the policies say. DELTAIC.RWSADD and DELTAIC.RWSREM make a set where removes win,
whatever they say; all else about it is done by the plain commands.
"""

from __future__ import annotations

from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, TypeAlias

from crdt_core.commands.arguments import SYNTAX, WRONG_TYPE, parse_positive, parse_within
from crdt_core.commands.command import Command
from crdt_core.commands.replies import CommandError, SetOf
from crdt_core.commands.scan import matches, page, parse_cursor, parse_scan
from crdt_core.lattice.siblings import shows
from crdt_core.types import FAMILIES, ORSET, RWSET
from crdt_core.types.counters import INT64_MAX

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from crdt_core.commands.replies import Reply
    from crdt_core.commands.session import Session
    from crdt_core.types import CrdtType
    from crdt_core.types.object import Object

__all__ = ["COMMANDS", "REPEATS_MAX"]

Combine: TypeAlias = "Callable[[list[list[bytes]]], Collection[bytes]]"

_SETS = FAMILIES["set"]

REPEATS_MAX = 1 << 20
"""How many members SRANDMEMBER gives that may repeat: a reply must fit the memory."""

_TRIES = 64


# What all share


def _as_set(found: Object | None) -> Object | None:
    """The same object; raises `CommandError` where it is no set."""
    if found is not None and found.type is not ORSET and found.type not in _SETS:
        raise CommandError(WRONG_TYPE)
    return found


def _seen(session: Session, key: bytes) -> Object | None:
    return _as_set(session.find(key))


def _to_shrink(session: Session, key: bytes) -> Object | None:
    found = _as_set(session.take(key))
    if found is not None and found.type.grow_only:
        raise CommandError("ERR nothing can be removed from a grow-only set")
    return found


def _take_out(session: Session, key: bytes, type_: CrdtType, member: bytes) -> None:
    write = type_.take_out(session.replica.view(key, type_), member)
    if write is not None:
        session.replica.write(key, type_, *write)


def _members(found: Object | None) -> list[bytes]:
    return [] if found is None else [part for part, siblings in found.parts.items() if shows(siblings)]


def _has(found: Object | None, member: bytes) -> bool:
    return found is not None and shows(found.parts.get(member))


def _choose(session: Session, found: Object) -> bytes:
    """One member, each as likely."""
    parts = found.parts
    for _ in range(_TRIES):
        part = next(islice(parts, session.random(len(parts)), None))
        if shows(parts[part]):
            return part
    members = _members(found)
    return members[session.random(len(members))]


def _choose_some(session: Session, found: Object, count: int) -> list[bytes]:
    """`count` different members (all, where there are fewer), every choice as likely (Fisher, Yates 1938)."""
    members = _members(found)
    for at in range(min(count, len(members))):
        other = at + session.random(len(members) - at)
        members[at], members[other] = members[other], members[at]
    return members[:count]


# One set


def _sadd(session: Session, args: list[bytes], new: CrdtType | None = None) -> int:
    key, replica = args[0], session.replica
    found = _as_set(session.take(key))
    type_ = found.type if found is not None else new or session.new_type(key, ORSET)
    added = 0
    for member in args[1:]:
        absent = found is None or not shows(found.parts.get(member))
        if absent or not type_.grow_only:
            replica.write(key, type_, member, True)
        if found is None:
            found = replica.catalogue.find(key, type_.name)
        added += absent
    return added


def _srem(session: Session, args: list[bytes], new: CrdtType | None = None) -> int:
    key = args[0]
    found = _to_shrink(session, key)
    type_ = found.type if found is not None else new or session.new_type(key, ORSET)
    removed = 0
    if found is not None or type_.removes_win:
        for member in args[1:]:
            removed += _has(found, member)
            _take_out(session, key, type_, member)
    return removed


def _rwsadd(session: Session, args: list[bytes]) -> Reply:
    _must_let_removes_win(session.find(args[0]))
    return _sadd(session, args, RWSET)


def _rwsrem(session: Session, args: list[bytes]) -> Reply:
    _must_let_removes_win(session.find(args[0]))
    return _srem(session, args, RWSET)


def _must_let_removes_win(found: Object | None) -> None:
    if found is not None and found.type is not RWSET:
        raise CommandError(WRONG_TYPE)


def _smembers(session: Session, args: list[bytes]) -> Reply:
    members = _members(_seen(session, args[0]))
    session.must_fit_reply(members)
    return SetOf(list(members))


def _scard(session: Session, args: list[bytes]) -> Reply:
    found = _seen(session, args[0])
    return 0 if found is None else found.live


def _sismember(session: Session, args: list[bytes]) -> Reply:
    return int(_has(_seen(session, args[0]), args[1]))


def _smismember(session: Session, args: list[bytes]) -> Reply:
    found = _seen(session, args[0])
    return [int(_has(found, member)) for member in args[1:]]


def _spop(session: Session, args: list[bytes]) -> Reply:
    if len(args) > 2:
        raise CommandError(SYNTAX)
    count = parse_positive(args[1]) if len(args) == 2 else None
    found = _to_shrink(session, args[0])
    if found is None:
        return None if count is None else SetOf([])
    popped = [_choose(session, found)] if count is None else _choose_some(session, found, count)
    session.must_fit_reply(popped)
    if len(popped) == found.live and not found.type.removes_win:
        session.replica.delete(args[0])
    else:
        for member in popped:
            _take_out(session, args[0], found.type, member)
    return popped[0] if count is None else SetOf(list(popped))


def _srandmember(session: Session, args: list[bytes]) -> Reply:
    if len(args) > 2:
        raise CommandError(SYNTAX)
    count = parse_within(args[1], -INT64_MAX) if len(args) == 2 else None
    found = _seen(session, args[0])
    if found is None:
        return None if count is None else []
    if count is None:
        return _choose(session, found)
    if -count > REPEATS_MAX:
        raise CommandError(f"ERR value is out of range, must be at least -{REPEATS_MAX}")
    if count >= 0:
        chosen = _choose_some(session, found, count)
    else:
        members = _members(found)
        chosen = [members[session.random(len(members))] for _ in range(-count)]
    session.must_fit_reply(chosen)
    return list(chosen)


def _sscan(session: Session, args: list[bytes]) -> Reply:
    cursor = parse_cursor(args[1])
    found = _seen(session, args[0])
    if found is None:
        return [b"0", []]
    options = parse_scan(args[2:], (b"MATCH", b"COUNT"))
    following, members = page(_members(found), cursor, options.about)
    session.must_fit_reply(members)
    pattern = options.pattern
    return [b"%d" % following, [m for m in members if pattern is None or matches(pattern, m)]]


# Several sets


def _smove(session: Session, args: list[bytes]) -> Reply:
    source, target, member = args
    found, into = _as_set(session.take(source)), session.take(target)
    if found is None:
        return 0
    _to_shrink(session, source)
    _as_set(into)
    if not _has(found, member):
        return 0
    if source != target:
        _take_out(session, source, found.type, member)
        session.replica.write(target, session.new_type(target, ORSET) if into is None else into.type, member, True)
    return 1


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
    return combine([_members(found) for found in [_seen(session, key) for key in keys]])


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


_KEY = (1, 1, 1)

COMMANDS = (
    Command(b"SADD", -3, True, _KEY, _sadd),
    Command(b"SREM", -3, True, _KEY, _srem),
    Command(b"SMEMBERS", 2, False, _KEY, _smembers),
    Command(b"SCARD", 2, False, _KEY, _scard),
    Command(b"SISMEMBER", 3, False, _KEY, _sismember),
    Command(b"SMISMEMBER", -3, False, _KEY, _smismember),
    Command(b"SPOP", -2, True, _KEY, _spop),
    Command(b"SRANDMEMBER", -2, False, _KEY, _srandmember),
    Command(b"SSCAN", -3, False, _KEY, _sscan),
    Command(b"SMOVE", 4, True, (1, 2, 1), _smove),
    Command(b"SUNION", -2, False, (1, -1, 1), partial(_algebra, _union)),
    Command(b"SINTER", -2, False, (1, -1, 1), partial(_algebra, _inter)),
    Command(b"SDIFF", -2, False, (1, -1, 1), partial(_algebra, _diff)),
    Command(b"SUNIONSTORE", -3, True, (1, -1, 1), partial(_store, _union)),
    Command(b"SINTERSTORE", -3, True, (1, -1, 1), partial(_store, _inter)),
    Command(b"SDIFFSTORE", -3, True, (1, -1, 1), partial(_store, _diff)),
    Command(b"SINTERCARD", -3, False, (0, 0, 0), _sintercard),
    Command(b"DELTAIC.RWSADD", -3, True, _KEY, _rwsadd),
    Command(b"DELTAIC.RWSREM", -3, True, _KEY, _rwsrem),
)
