"""INCR and its like: each replica adds to its own share of a string, and hence increments at all of them add.

INCRBYFLOAT does not: it reads, and writes the sum whole. Neither does INCR on a register: it is written whole, too.
Where there is nothing INCR makes a counter, whatever the policies say of what is written whole.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from crdt_core.commands.arguments import NOT_AN_INTEGER, parse_integer
from crdt_core.commands.base import Command, CommandError
from crdt_core.commands.expiry import set_deadline
from crdt_core.commands.numbers import add_floats, parse_float, write_float
from crdt_core.commands.strings import taken, text_of, write_text
from crdt_core.types import GCOUNTER, LWWREGISTER, MVREGISTER, STRING
from crdt_core.types.counters import INT64_MAX, INT64_MIN, adjust
from crdt_core.types.registers import set_now
from crdt_core.types.strings import add_to_share, counted, integer

if TYPE_CHECKING:
    from crdt_core.commands.base import Reply, Session

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
    found, replica = session.take(key), session.replica
    before = 0
    if found is not None:
        if found.type is STRING:
            value = counted(found.parts, replica.catalogue.roster)
        else:
            value = integer(text_of(session, found))
        if value is None:
            raise CommandError(NOT_AN_INTEGER)
        before = value
    after = before + amount
    if not INT64_MIN <= after <= INT64_MAX:
        raise CommandError(_OVERFLOW)
    part = replica.id.encode()
    if found is None:
        replica.write(key, STRING, part, add_to_share(replica.view(key, STRING).parts.get(part), amount))
    elif found.type is STRING:
        replica.write(key, STRING, part, add_to_share(found.parts.get(part), amount))
    elif found.type is LWWREGISTER or found.type is MVREGISTER:
        deadline_ms = session.deadline_ms(key)
        replica.write(key, found.type, *set_now(replica.catalogue.view(found), b"%d" % after, session.now))
        if deadline_ms is not None:
            set_deadline(session, key, deadline_ms)
    elif found.type is GCOUNTER and amount < 0:
        raise CommandError("ERR a grow-only counter cannot be decremented")
    else:
        replica.write(key, found.type, *adjust(replica.catalogue.view(found), part, amount, key))
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
