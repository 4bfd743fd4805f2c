"""SADD and its like, on sets of every kind: add-wins, remove-wins and grow-only.

An add is a write even if the member is present, so it survives a concurrent remove. In a remove-wins set a remove is a
write even if the member is not seen. Nothing can be removed from a grow-only set; only other faces make those. The
policies say of which kind a new set is.
"""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING

from crdt_core.commands.arguments import SYNTAX, WRONG_TYPE, parse_positive, parse_within
from crdt_core.commands.choosing import choose_by_step, parts_chosen
from crdt_core.commands.command import KEY, TWO_KEYS, Command, Sliced
from crdt_core.commands.replies import CommandError, SetOf
from crdt_core.commands.scan import parse_cursor, parse_scan
from crdt_core.commands.slicing import at_once, fit_by_step, looking, parts_to_order
from crdt_core.lattice.siblings import shows
from crdt_core.replica.deleting import delete_by_part, parts_under
from crdt_core.replica.part_orders import ORDERED_FROM
from crdt_core.replica.scan_order import page
from crdt_core.replica.steps import LOOKS_PER_STEP, batched
from crdt_core.types import FAMILIES, ORSET
from crdt_core.types.counters import INT64_MAX

if TYPE_CHECKING:
    from collections.abc import Generator

    from crdt_core.commands.replies import Reply
    from crdt_core.commands.session import Session
    from crdt_core.replica.replica import Replica
    from crdt_core.types import CrdtType
    from crdt_core.types.object import Object

__all__ = [
    "COMMANDS",
    "add_members",
    "has_member",
    "members_by_part",
    "members_of",
    "remove_members",
    "seen_set",
]

_SETS = FAMILIES["set"]

_TRIES = 64


# What all share


def _as_set(found: Object | None) -> Object | None:
    """Return `found`. Raises `CommandError` if it is not a set."""
    if found is not None and found.type is not ORSET and found.type not in _SETS:
        raise CommandError(WRONG_TYPE)
    return found


def seen_set(session: Session, key: bytes) -> Object | None:
    """Return the set under `key`, `None` if there is none. Raises `CommandError` for another type."""
    return _as_set(session.find(key))


def _to_shrink(session: Session, key: bytes) -> Object | None:
    found = _as_set(session.take(key))
    if found is not None and found.type.grow_only:
        raise CommandError("ERR nothing can be removed from a grow-only set")
    return found


def members_of(found: Object | None) -> list[bytes]:
    """Return the members of a set; none of `None`."""
    return [] if found is None else [part for part, siblings in found.parts.items() if shows(siblings)]


def members_by_part(found: Object | None) -> Generator[None, None, list[bytes]]:
    """Return the same as `members_of`, and yield after every few members."""
    members: list[bytes] = []
    for some in batched(() if found is None else found.parts.items()):
        members += [part for part, siblings in some if shows(siblings)]
        yield
    return members


def has_member(found: Object | None, member: bytes) -> bool:
    """Return whether a set has the member; `None` has none."""
    return found is not None and shows(found.get(member))


def _choose(session: Session, found: Object) -> bytes:
    """One member, each as likely."""
    parts = found.parts
    for _ in range(_TRIES):
        part = next(islice(parts, session.random(len(parts)), None))
        if shows(parts[part]):
            return part
    members = members_of(found)
    return members[session.random(len(members))]


# One set


def add_members(session: Session, args: list[bytes], new: CrdtType | None = None) -> int:
    """Add members to the set under the first argument, and return how many were absent.

    A new set is of type `new`, or of the type that the policies say.
    """
    key, replica = args[0], session.replica
    found = _as_set(session.take(key))
    type_ = found.type if found is not None else new or session.new_type(key, ORSET)
    added = 0
    for member in args[1:]:
        absent = found is None or not shows(found.get(member))
        if absent or not type_.grow_only:
            replica.write(key, type_, member, True)
        if found is None:
            found = replica.catalogue.find(key, type_.name)
        added += absent
    return added


def remove_members(session: Session, args: list[bytes], new: CrdtType | None = None) -> int:
    """Remove members from the set under the first argument, and return how many were present.

    A key that does not exist counts as a set of type `new`, or of the type that the policies say: in a remove-wins set
    the members are kept out from then on.
    """
    key = args[0]
    found = _to_shrink(session, key)
    type_ = found.type if found is not None else new or session.new_type(key, ORSET)
    removed = 0
    if found is not None or type_.removes_win:
        for member in args[1:]:
            removed += has_member(found, member)
            session.take_out(key, type_, member)
    return removed


def _smembers(session: Session, args: list[bytes]) -> Generator[None, None, Reply]:
    members = yield from members_by_part(seen_set(session, args[0]))
    yield from fit_by_step(session, members)
    return SetOf(list(members))


def _scard(session: Session, args: list[bytes]) -> Reply:
    found = seen_set(session, args[0])
    return 0 if found is None else found.live


def _sismember(session: Session, args: list[bytes]) -> Reply:
    return int(has_member(seen_set(session, args[0]), args[1]))


def _smismember(session: Session, args: list[bytes]) -> Reply:
    found = seen_set(session, args[0])
    return [int(has_member(found, member)) for member in args[1:]]


def _spop(session: Session, args: list[bytes]) -> Generator[None, None, Reply]:
    if len(args) > 2:
        raise CommandError(SYNTAX)
    count = parse_positive(args[1]) if len(args) == 2 else None
    found = _to_shrink(session, args[0])
    if found is None:
        return None if count is None else SetOf([])
    if count is None:
        popped = [_choose(session, found)]
    else:
        popped = yield from choose_by_step(session, (yield from members_by_part(found)), count)
    yield from fit_by_step(session, popped)
    if len(popped) == found.live and not found.type.removes_win:
        yield from delete_by_part(session.replica, args[0])
    else:
        for member in popped:
            session.take_out(args[0], found.type, member)
            yield
    return popped[0] if count is None else SetOf(list(popped))


def _parts_popped(replica: Replica, args: list[bytes], wall_ms: int) -> int:  # noqa: ARG001
    """Return about how many parts SPOP changes. To look at members counts a little, too."""
    parts = parts_under(replica, args[0])
    try:
        count = parse_positive(args[1]) if len(args) == 2 else 0
    except CommandError:
        return 0
    return min(count, parts) + (parts // LOOKS_PER_STEP if count else 0)


def _srandmember(session: Session, args: list[bytes]) -> Generator[None, None, Reply]:
    if len(args) > 2:
        raise CommandError(SYNTAX)
    count = parse_within(args[1], -INT64_MAX) if len(args) == 2 else None
    found = seen_set(session, args[0])
    if found is None:
        return None if count is None else []
    if count is None:
        return _choose(session, found)
    chosen = yield from choose_by_step(session, (yield from members_by_part(found)), count)
    yield from fit_by_step(session, chosen)
    return [*chosen]


def _parts_looked_at(replica: Replica, args: list[bytes], wall_ms: int) -> int:  # noqa: ARG001
    """Return what SRANDMEMBER costs in parts. Without a count it looks at few members."""
    return (parts_under(replica, args[0]) + parts_chosen(args[1:])) // LOOKS_PER_STEP if len(args) > 1 else 0


def _sscan(session: Session, args: list[bytes]) -> Generator[None, None, Reply]:
    cursor = parse_cursor(args[1])
    found = seen_set(session, args[0])
    if found is None:
        return [b"0", []]
    options = parse_scan(args[2:], (b"MATCH", b"COUNT"))
    if found.size < ORDERED_FROM:
        following, members = page(members_of(found), cursor, options.about)
    else:
        order = yield from session.state.part_order_by_step(found)
        following, parts = order.page(cursor, options.about)
        members = [part for part in parts if has_member(found, part)]
    session.must_fit_reply(members)
    pattern = options.pattern
    return [b"%d" % following, [m for m in members if pattern is None or pattern.matches(m)]]


# Several sets


def _smove(session: Session, args: list[bytes]) -> Reply:
    source, target, member = args
    found, into = _as_set(session.take(source)), session.take(target)
    if found is None:
        return 0
    _to_shrink(session, source)
    _as_set(into)
    if not has_member(found, member):
        return 0
    if source != target:
        session.take_out(source, found.type, member)
        session.replica.write(target, session.new_type(target, ORSET) if into is None else into.type, member, True)
    return 1


COMMANDS: tuple[Command[Session], ...] = (
    Command(
        "set",
        "SADD key member [member ...]",
        -3,
        KEY,
        "write denyoom fast",
        add_members,
        "Adds members to a set.",
        "An add wins over a concurrent remove.",
        "O(N) in the members",
    ),
    Command(
        "set",
        "SREM key member [member ...]",
        -3,
        KEY,
        "write fast",
        remove_members,
        "Removes members from a set.",
        "It removes what this node saw; a concurrent add stays.",
        "O(N) in the members",
    ),
    Command(
        "set",
        "SMEMBERS key",
        2,
        KEY,
        "readonly",
        at_once(_smembers),
        "Returns all members of a set.",
        "",
        "O(N) in the set",
        heavy=True,
        sliced=looking(_smembers),
    ),
    Command("set", "SCARD key", 2, KEY, "readonly fast", _scard, "Returns the number of members."),
    Command("set", "SISMEMBER key member", 3, KEY, "readonly fast", _sismember, "Says whether a set has a member."),
    Command(
        "set",
        "SMISMEMBER key member [member ...]",
        -3,
        KEY,
        "readonly fast",
        _smismember,
        "Says which members a set has.",
        "",
        "O(N) in the members",
    ),
    Command(
        "set",
        "SPOP key [count]",
        -2,
        KEY,
        "write fast",
        at_once(_spop),
        "Removes random members and returns them.",
        "Two nodes may pop the same member; a concurrent add stays.",
        "O(1), with a count O(N) in the set",
        sliced=Sliced(_spop, _parts_popped),
    ),
    Command(
        "set",
        "SRANDMEMBER key [count]",
        -2,
        KEY,
        "readonly",
        at_once(_srandmember),
        "Returns random members.",
        "",
        "O(1), with a count O(N) in the set",
        heavy=True,
        sliced=Sliced(_srandmember, _parts_looked_at),
    ),
    Command(
        "set",
        "SSCAN key cursor [MATCH pattern] [COUNT count]",
        -3,
        KEY,
        "readonly",
        at_once(_sscan),
        "Returns some members, and the cursor for the next ones.",
        "",
        "O(1) for every call, O(N) for the first",
        sliced=Sliced(_sscan, parts_to_order),
    ),
    Command(
        "set",
        "SMOVE source destination member",
        4,
        TWO_KEYS,
        "write fast",
        _smove,
        "Moves a member from one set to another.",
        "The member is in both sets if it is concurrently added to the source.",
    ),
)
