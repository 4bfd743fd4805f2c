"""HSET and its like. Each field is a string of its own: it is set whole, and increments count on top of it.

A field may have several parts, so HLEN and the commands that list fields look at every part.
"""

from __future__ import annotations

from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, TypeAlias

from crdt_core.commands.arguments import SYNTAX, WRONG_TYPE, parse_integer, parse_within, wrong_number
from crdt_core.commands.choosing import choose_some
from crdt_core.commands.command import KEY, Command
from crdt_core.commands.counting import nearest
from crdt_core.commands.numbers import add_floats, parse_float
from crdt_core.commands.replies import OK, CommandError, Map, Pairs
from crdt_core.commands.scan import page, parse_cursor, parse_scan
from crdt_core.commands.slicing import LOOKS_PER_STEP, fit_by_step, looking
from crdt_core.replica.steps import finish
from crdt_core.types import HASH
from crdt_core.types.counters import INT64_MAX, INT64_MIN, add_to_share
from crdt_core.types.hashes import (
    field_counted,
    field_exact,
    field_value,
    remove_field,
    set_field,
    share_part,
    slot_part,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from crdt_core.commands.replies import Reply
    from crdt_core.commands.session import Session
    from crdt_core.types.numbers import Number
    from crdt_core.types.object import Object

__all__ = ["COMMANDS"]

_FIELDS_PER_STEP = 5
"""So many fields are read in the time of a step."""

Tell: TypeAlias = "Callable[[Session, dict[bytes, bytes]], Generator[None, None, Reply]]"
"""Returns what a command tells of all fields of a hash."""


def _write_field(session: Session, key: bytes, field: bytes, value: bytes) -> bool:
    """Set a field to `value`, in place of everything that this replica sees of it, and return whether it was absent."""
    replica, slot = session.replica, slot_part(field)
    view = replica.view(key, HASH)
    writes = set_field(view, slot, value, session.now)
    absent = len(writes) == 1 and not view.shows(slot)
    replica.write_parts(key, HASH, writes)
    return absent


def _as_hash(found: Object | None) -> Object | None:
    if found is not None and found.type is not HASH:
        raise CommandError(WRONG_TYPE)
    return found


def _seen(session: Session, key: bytes) -> Object | None:
    return _as_hash(session.find(key))


def _to_write(session: Session, key: bytes) -> Object | None:
    return _as_hash(session.take(key))


def _value(session: Session, found: Object | None, field: bytes) -> bytes | None:
    return None if found is None else field_value(found.parts, slot_part(field), session.state.replica_index)


def _fields(session: Session, found: Object | None) -> dict[bytes, bytes]:
    return {} if found is None else HASH.value(session.view(found))


# Reading


def _hget(session: Session, args: list[bytes]) -> Reply:
    return _value(session, _seen(session, args[0]), args[1])


def _hmget(session: Session, args: list[bytes]) -> Reply:
    found = _seen(session, args[0])
    values = [_value(session, found, field) for field in args[1:]]
    session.must_fit_reply(values)
    return list(values)


def _hexists(session: Session, args: list[bytes]) -> Reply:
    return int(_value(session, _seen(session, args[0]), args[1]) is not None)


def _hstrlen(session: Session, args: list[bytes]) -> Reply:
    return len(_value(session, _seen(session, args[0]), args[1]) or b"")


def _hlen(session: Session, args: list[bytes]) -> Reply:
    return len(_fields(session, _seen(session, args[0])))


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
    rest = iter(fields.items())
    while some := list(islice(rest, LOOKS_PER_STEP)):
        pairs += some
        yield
    return Map(pairs)


def _all_fields(tell: Tell, session: Session, args: list[bytes]) -> Reply:
    """Return what `tell` tells of all fields, sorted."""
    return finish(tell(session, _fields(session, _seen(session, args[0]))))


def _all_fields_by_part(tell: Tell, session: Session, args: list[bytes]) -> Generator[None, None, Reply]:
    """Do the same by part, in no order: to sort a million fields takes long."""
    found = _seen(session, args[0])
    fields = {} if found is None else (yield from HASH.contents_by_part(session.view(found)))
    return (yield from tell(session, fields))


def _hscan(session: Session, args: list[bytes]) -> Reply:
    cursor = parse_cursor(args[1])
    found = _seen(session, args[0])
    if found is None:
        return [b"0", []]
    options = parse_scan(args[2:], (b"MATCH", b"COUNT", b"NOVALUES"))
    values = _fields(session, found)
    following, fields = page(values, cursor, options.about)
    listed: list[bytes] = []
    for field in fields:
        if options.pattern is None or options.pattern.matches(field):
            listed += [field] if options.names_only else [field, values[field]]
    session.must_fit_reply(listed)
    return [b"%d" % following, list(listed)]


def _hrandfield(session: Session, args: list[bytes]) -> Reply:
    count = parse_within(args[1], -INT64_MAX) if len(args) > 1 else None
    if len(args) > 3 or (len(args) == 3 and args[2].upper() != b"WITHVALUES"):
        raise CommandError(SYNTAX)
    if count is not None and len(args) == 3 and abs(count) > INT64_MAX // 2:
        raise CommandError("ERR value is out of range")
    found = _seen(session, args[0])
    if found is None:
        return None if count is None else []
    values = _fields(session, found)
    fields = list(values)
    if count is None:
        return fields[session.random(len(fields))]
    chosen = choose_some(session, fields, count)
    if len(args) == 2:
        session.must_fit_reply(chosen)
        return list(chosen)
    session.must_fit_reply([*chosen, *(values[field] for field in chosen)])
    return Pairs([(field, values[field]) for field in chosen])


# Writing


def _hset(session: Session, args: list[bytes]) -> Reply:
    if len(args) % 2 == 0:
        raise wrong_number(b"HSET")
    return _set_fields(session, args)


def _hmset(session: Session, args: list[bytes]) -> Reply:
    if len(args) % 2 == 0:
        raise wrong_number(b"HMSET")
    _set_fields(session, args)
    return OK


def _set_fields(session: Session, args: list[bytes]) -> int:
    _to_write(session, args[0])
    return sum([_write_field(session, args[0], *pair) for pair in zip(args[1::2], args[2::2], strict=True)])


def _hsetnx(session: Session, args: list[bytes]) -> Reply:
    if _value(session, _to_write(session, args[0]), args[1]) is not None:
        return 0
    _write_field(session, *args)
    return 1


def _hdel(session: Session, args: list[bytes]) -> Reply:
    key, replica = args[0], session.replica
    if _to_write(session, key) is None:
        return 0
    removed = 0
    for field in args[1:]:
        writes = remove_field(replica.view(key, HASH), slot_part(field))
        replica.write_parts(key, HASH, writes)
        removed += bool(writes)
    return removed


def _hincrby(session: Session, args: list[bytes]) -> Reply:
    key, slot, amount = args[0], slot_part(args[1]), parse_integer(args[2])
    found = _to_write(session, key)
    before = 0 if found is None else field_counted(found.parts, slot, session.state.replica_index)
    if before is None:
        raise CommandError("ERR hash value is not an integer")
    after = before + amount
    if not INT64_MIN <= after <= INT64_MAX:
        after = nearest(after, amount)
    _add_to_field(session, key, slot, amount)
    return after


def _hincrbyfloat(session: Session, args: list[bytes]) -> Reply:
    key, slot, amount = args[0], slot_part(args[1]), parse_float(args[2])
    if amount is None:
        raise CommandError("ERR value is NaN or Infinity")
    found = _to_write(session, key)
    text = _value(session, found, args[1])
    before = parse_float(b"0" if text is None else text, "ERR hash value is not a float")
    parts = {} if found is None else found.parts
    exact = None if before is None else field_exact(parts, slot, session.state.replica_index)
    after, growth = add_floats(exact, amount)
    if type(growth) is not int and session.replica.cautious:
        _write_field(session, key, args[1], after)
    else:
        _add_to_field(session, key, slot, growth)
    return after


def _add_to_field(session: Session, key: bytes, slot: bytes, amount: Number) -> None:
    replica = session.replica
    part = share_part(slot, replica.id)
    replica.write(key, HASH, part, add_to_share(replica.view(key, HASH).parts.get(part), amount))


_LATER = "For each field the later write is kept; a set field wins over a concurrent delete."

COMMANDS: tuple[Command[Session], ...] = (
    Command("hash", "HGET key field", 3, KEY, "readonly fast", _hget, "Returns the value of a field."),
    Command(
        "hash",
        "HMGET key field [field ...]",
        -3,
        KEY,
        "readonly fast",
        _hmget,
        "Returns the values of several fields.",
        "",
        "O(N) in the fields",
    ),
    Command("hash", "HEXISTS key field", 3, KEY, "readonly fast", _hexists, "Says whether a hash has a field."),
    Command(
        "hash", "HSTRLEN key field", 3, KEY, "readonly fast", _hstrlen, "Returns the length of the value of a field."
    ),
    Command(
        "hash", "HLEN key", 2, KEY, "readonly fast", _hlen, "Returns the number of fields.", "", "O(N) in the hash"
    ),
    Command(
        "hash",
        "HKEYS key",
        2,
        KEY,
        "readonly",
        partial(_all_fields, _names),
        "Returns the names of all fields.",
        "",
        "O(N) in the hash",
        heavy=True,
        sliced=looking(partial(_all_fields_by_part, _names), _FIELDS_PER_STEP),
    ),
    Command(
        "hash",
        "HVALS key",
        2,
        KEY,
        "readonly",
        partial(_all_fields, _values),
        "Returns the values of all fields.",
        "",
        "O(N) in the hash",
        heavy=True,
        sliced=looking(partial(_all_fields_by_part, _values), _FIELDS_PER_STEP),
    ),
    Command(
        "hash",
        "HGETALL key",
        2,
        KEY,
        "readonly",
        partial(_all_fields, _pairs),
        "Returns all fields and their values.",
        "",
        "O(N) in the hash",
        heavy=True,
        sliced=looking(partial(_all_fields_by_part, _pairs), _FIELDS_PER_STEP),
    ),
    Command(
        "hash",
        "HSCAN key cursor [MATCH pattern] [COUNT count] [NOVALUES]",
        -3,
        KEY,
        "readonly",
        _hscan,
        "Returns some fields, and the cursor for the next ones.",
        "",
        "O(N) in the hash, for every call",
    ),
    Command(
        "hash",
        "HRANDFIELD key [count [WITHVALUES]]",
        -2,
        KEY,
        "readonly",
        _hrandfield,
        "Returns random fields.",
        "",
        "O(N) in the hash",
        heavy=True,
    ),
    Command(
        "hash",
        "HSET key field value [field value ...]",
        -4,
        KEY,
        "write denyoom fast",
        _hset,
        "Sets fields.",
        _LATER,
        "O(N) in the fields",
    ),
    Command(
        "hash",
        "HMSET key field value [field value ...]",
        -4,
        KEY,
        "write denyoom fast",
        _hmset,
        "Sets fields: the old name of HSET.",
        _LATER,
        "O(N) in the fields",
    ),
    Command(
        "hash",
        "HSETNX key field value",
        4,
        KEY,
        "write denyoom fast",
        _hsetnx,
        "Sets a field if the hash does not have it at this node.",
        "Both may succeed: the later write is kept.",
    ),
    Command(
        "hash",
        "HDEL key field [field ...]",
        -3,
        KEY,
        "write fast",
        _hdel,
        "Deletes fields.",
        "It removes what this node saw; a concurrent write stays.",
        "O(N) in the fields",
    ),
    Command(
        "hash",
        "HINCRBY key field increment",
        4,
        KEY,
        "write denyoom fast",
        _hincrby,
        "Adds an integer to a field.",
        "The amounts add up.",
    ),
    Command(
        "hash",
        "HINCRBYFLOAT key field increment",
        4,
        KEY,
        "write denyoom fast",
        _hincrbyfloat,
        "Adds a fraction to a field.",
        "The amounts add up.",
    ),
)
