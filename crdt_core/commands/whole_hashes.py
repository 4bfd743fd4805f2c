"""HGETALL and its like: commands that look at all fields of a hash.

A field may have several parts, so they look at every part. Where that is much, they run by part.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, TypeAlias

from crdt_core.commands.arguments import SYNTAX, parse_within
from crdt_core.commands.choosing import choose_by_step, parts_chosen
from crdt_core.commands.command import KEY, Command, Sliced
from crdt_core.commands.hashes import seen_hash
from crdt_core.commands.replies import CommandError, Map, Pairs
from crdt_core.commands.scan import parse_cursor, parse_scan
from crdt_core.commands.slicing import at_once, fit_by_step, looking, parts_to_order
from crdt_core.replica.deleting import parts_under
from crdt_core.replica.part_orders import ORDERED_FROM
from crdt_core.replica.scan_order import page
from crdt_core.replica.steps import LOOKS_PER_STEP, batched, finish
from crdt_core.types import HASH
from crdt_core.types.counters import INT64_MAX
from crdt_core.types.hashes import field_value, slot_part

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from crdt_core.commands.replies import Reply
    from crdt_core.commands.session import Session
    from crdt_core.replica.replica import Replica
    from crdt_core.types.object import Object

__all__ = ["COMMANDS"]

_FIELDS_PER_STEP = 5
"""So many parts of a hash are looked at in one step: more is to be done for a field than for a member."""

Tell: TypeAlias = "Callable[[Session, dict[bytes, bytes]], Generator[None, None, Reply]]"
"""Returns what a command tells of all fields of a hash."""


def _fields(session: Session, found: Object | None) -> dict[bytes, bytes]:
    return {} if found is None else HASH.value(session.view(found))


def _hlen(session: Session, args: list[bytes]) -> Generator[None, None, Reply]:
    found = seen_hash(session, args[0])
    return 0 if found is None else len((yield from HASH.contents_by_part(session.view(found))))


def _listed(session: Session, fields: list[bytes]) -> Generator[None, None, Reply]:
    yield from fit_by_step(session, fields)
    return [*fields]


def _names(session: Session, fields: dict[bytes, bytes]) -> Generator[None, None, Reply]:
    return _listed(session, list(fields))


def _values(session: Session, fields: dict[bytes, bytes]) -> Generator[None, None, Reply]:
    return _listed(session, list(fields.values()))


def _pairs(session: Session, fields: dict[bytes, bytes]) -> Generator[None, None, Reply]:
    yield from fit_by_step(session, list(fields), list(fields.values()))
    pairs: list[tuple[Reply, Reply]] = []
    for some in batched(fields.items()):
        pairs += some
        yield
    return Map(pairs)


def _all_fields(tell: Tell, session: Session, args: list[bytes]) -> Reply:
    """Return what `tell` tells of all fields, sorted."""
    return finish(tell(session, _fields(session, seen_hash(session, args[0]))))


def _all_fields_by_part(tell: Tell, session: Session, args: list[bytes]) -> Generator[None, None, Reply]:
    """Do the same by part, in no order: to sort a million fields takes long."""
    found = seen_hash(session, args[0])
    fields = {} if found is None else (yield from HASH.contents_by_part(session.view(found)))
    return (yield from tell(session, fields))


def _hscan(session: Session, args: list[bytes]) -> Generator[None, None, Reply]:
    cursor = parse_cursor(args[1])
    found = seen_hash(session, args[0])
    if found is None:
        return [b"0", []]
    options = parse_scan(args[2:], (b"MATCH", b"COUNT", b"NOVALUES"))
    if found.size < ORDERED_FROM:
        values = _fields(session, found)
        following, fields = page(values, cursor, options.about)
    else:
        order = yield from session.state.part_order_by_step(found)
        following, parts = order.page(cursor, options.about)
        values = _values_of(session, found, parts)
        fields = list(values)
    listed: list[bytes] = []
    for field in fields:
        if options.pattern is None or options.pattern.matches(field):
            listed += [field] if options.names_only else [field, values[field]]
    session.must_fit_reply(listed)
    return [b"%d" % following, list(listed)]


def _values_of(session: Session, found: Object, parts: list[bytes]) -> dict[bytes, bytes]:
    """Return the values of the fields that `parts` belong to, in their order, without those that do not show."""
    index = session.state.replica_index
    fields = dict.fromkeys(map(HASH.element, parts))
    values = ((field, field_value(found.parts, slot_part(field), index)) for field in fields)
    return {field: value for field, value in values if value is not None}


def _hrandfield(session: Session, args: list[bytes]) -> Generator[None, None, Reply]:
    count = parse_within(args[1], -INT64_MAX) if len(args) > 1 else None
    if len(args) > 3 or (len(args) == 3 and args[2].upper() != b"WITHVALUES"):
        raise CommandError(SYNTAX)
    if count is not None and len(args) == 3 and abs(count) > INT64_MAX // 2:
        raise CommandError("ERR value is out of range")
    found = seen_hash(session, args[0])
    if found is None:
        return None if count is None else []
    values = yield from HASH.contents_by_part(session.view(found))
    fields = list(values)
    if count is None:
        return fields[session.random(len(fields))]
    chosen = yield from choose_by_step(session, fields, count)
    if len(args) == 2:
        return (yield from _listed(session, chosen))
    yield from fit_by_step(session, chosen, list(map(values.__getitem__, chosen)))
    return Pairs([(field, values[field]) for field in chosen])


def _fields_looked_at(replica: Replica, args: list[bytes], wall_ms: int) -> int:  # noqa: ARG001
    return parts_under(replica, args[0]) // _FIELDS_PER_STEP + parts_chosen(args[1:]) // LOOKS_PER_STEP


def _telling(usage: str, tell: Tell, summary: str) -> Command[Session]:
    """Return the row of a command that returns what `tell` tells of all fields."""
    return Command(
        "hash",
        usage,
        2,
        KEY,
        "readonly",
        partial(_all_fields, tell),
        summary,
        "",
        "O(N) in the hash",
        heavy=True,
        sliced=looking(partial(_all_fields_by_part, tell), _FIELDS_PER_STEP),
    )


COMMANDS: tuple[Command[Session], ...] = (
    Command(
        "hash",
        "HLEN key",
        2,
        KEY,
        "readonly fast",
        at_once(_hlen),
        "Returns the number of fields.",
        "",
        "O(N) in the hash",
        sliced=looking(_hlen, _FIELDS_PER_STEP),
    ),
    _telling("HKEYS key", _names, "Returns the names of all fields."),
    _telling("HVALS key", _values, "Returns the values of all fields."),
    _telling("HGETALL key", _pairs, "Returns all fields and their values."),
    Command(
        "hash",
        "HSCAN key cursor [MATCH pattern] [COUNT count] [NOVALUES]",
        -3,
        KEY,
        "readonly",
        at_once(_hscan),
        "Returns some fields, and the cursor for the next ones.",
        "",
        "O(1) for every call, O(N) for the first",
        sliced=Sliced(_hscan, parts_to_order),
    ),
    Command(
        "hash",
        "HRANDFIELD key [count [WITHVALUES]]",
        -2,
        KEY,
        "readonly",
        at_once(_hrandfield),
        "Returns random fields.",
        "",
        "O(N) in the hash",
        heavy=True,
        sliced=Sliced(_hrandfield, _fields_looked_at),
    ),
)
