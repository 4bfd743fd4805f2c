"""HSET and its like. Each field is a string of its own: it is set whole, and increments count on top of it.

What looks at all fields of a hash is in `crdt_core.commands.whole_hashes`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from crdt_core.commands.arguments import WRONG_TYPE, parse_integer, wrong_number
from crdt_core.commands.command import KEY, Command
from crdt_core.commands.counting import nearest
from crdt_core.commands.numbers import add_floats, parse_float
from crdt_core.commands.replies import OK, CommandError
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
    from crdt_core.commands.replies import Reply
    from crdt_core.commands.session import Session
    from crdt_core.types.numbers import Number
    from crdt_core.types.object import Object

__all__ = ["COMMANDS", "seen_hash"]


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


def seen_hash(session: Session, key: bytes) -> Object | None:
    """Return the hash under `key`, `None` if there is none. Raises `CommandError` for another type."""
    return _as_hash(session.find(key))


def _to_write(session: Session, key: bytes) -> Object | None:
    return _as_hash(session.take(key))


def _value(session: Session, found: Object | None, field: bytes) -> bytes | None:
    return None if found is None else field_value(found.parts, slot_part(field), session.state.replica_index)


# Reading


def _hget(session: Session, args: list[bytes]) -> Reply:
    return _value(session, seen_hash(session, args[0]), args[1])


def _hmget(session: Session, args: list[bytes]) -> Reply:
    found = seen_hash(session, args[0])
    values = [_value(session, found, field) for field in args[1:]]
    session.must_fit_reply(values)
    return list(values)


def _hexists(session: Session, args: list[bytes]) -> Reply:
    return int(_value(session, seen_hash(session, args[0]), args[1]) is not None)


def _hstrlen(session: Session, args: list[bytes]) -> Reply:
    return len(_value(session, seen_hash(session, args[0]), args[1]) or b"")


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
