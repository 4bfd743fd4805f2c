"""INCR and its like: each replica adds to its own share of a string, and hence increments at all of them add.

INCRBYFLOAT does not: it reads, and writes the sum whole. Neither does INCR on a register: it is written whole, too.
Where there is nothing INCR makes a counter, whatever the policies say of what is written whole.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from crdt_core.commands.arguments import NOT_AN_INTEGER, parse_integer
from crdt_core.commands.command import Command
from crdt_core.commands.expiry import set_deadline
from crdt_core.commands.numbers import add_floats, parse_float, write_float
from crdt_core.commands.replies import CommandError
from crdt_core.commands.strings import taken, text_of, write_text
from crdt_core.types import STRING
from crdt_core.types.counters import INT64_MAX, INT64_MIN
from crdt_core.types.strings import incremented, integer

if TYPE_CHECKING:
    from crdt_core.commands.replies import Reply
    from crdt_core.commands.session import Session
    from crdt_core.types.object import Object

__all__ = ["COMMANDS"]

_OVERFLOW = "ERR increment or decrement would overflow"


def _incr(session: Session, args: list[bytes]) -> Reply:
    return _add(session, args[0], 1)


def _decr(session: Session, args: list[bytes]) -> Reply:
    return _add(session, args[0], -1)


def _incrby(session: Session, args: list[bytes]) -> Reply:
    return _add(session, args[0], parse_integer(args[1]))


def _decrby(session: Session, args: list[bytes]) -> Reply:
    amount = parse_integer(args[1])
    if amount == INT64_MIN:
        raise CommandError("ERR decrement would overflow")
    return _add(session, args[0], -amount)


def _add(session: Session, key: bytes, amount: int) -> int:
    found, replica = session.find(key), session.replica
    if found is None:
        found = session.take(key) or replica.catalogue.ensure(key, STRING)
    if found.type is STRING:
        outcome = incremented(found.parts, replica.encoded_id, amount, replica.replica_index)
        if outcome is None:
            raise CommandError(NOT_AN_INTEGER)
        after, share = outcome
        if not INT64_MIN <= after <= INT64_MAX:
            raise CommandError(_OVERFLOW)
        replica.write(key, STRING, replica.encoded_id, share)
        return after
    return _add_to_other(session, found, amount)


def _add_to_other(session: Session, found: Object, amount: int) -> int:
    """Add to a string of another type. What is written whole keeps its deadline, like what counts."""
    replica, type_ = session.replica, found.type
    before = integer(text_of(session, found))
    if before is None:
        raise CommandError(NOT_AN_INTEGER)
    after = before + amount
    if not INT64_MIN <= after <= INT64_MAX:
        raise CommandError(_OVERFLOW)
    if type_.grow_only and amount < 0:
        raise CommandError("ERR a grow-only counter cannot be decremented")
    deadline_ms = session.deadline_ms(found.key)
    for part, payload in type_.add_amount(replica.catalogue.view(found), replica.encoded_id, amount, session.now):
        replica.write(found.key, type_, part, payload)
    if deadline_ms != session.deadline_ms(found.key):
        assert deadline_ms is not None
        set_deadline(session, found.key, deadline_ms)
    return after


def _incrbyfloat(session: Session, args: list[bytes]) -> Reply:
    value = taken(session, args[0])
    before = parse_float(b"0" if value is None else value)
    after = write_float(add_floats(before, parse_float(args[1])))
    write_text(session, args[0], after, keeps_deadline=True)
    return after


_KEY = (1, 1, 1)

COMMANDS = (
    Command(b"INCR", 2, True, _KEY, _incr),
    Command(b"DECR", 2, True, _KEY, _decr),
    Command(b"INCRBY", 3, True, _KEY, _incrby),
    Command(b"DECRBY", 3, True, _KEY, _decrby),
    Command(b"INCRBYFLOAT", 3, True, _KEY, _incrbyfloat),
)
