"""INCR and its like: each replica adds to its own share of a string, so increments at all replicas add up.

One thing does not add up: increments of a register. They read the value and write the sum whole. A key that does not
exist becomes a counter under every policy.

Concurrent increments may take a count beyond 64 bits. An increment that brings it nearer again is allowed. Its reply is
the 64-bit integer that is nearest to the count, because a reply cannot be larger.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from crdt_core.commands.arguments import NOT_AN_INTEGER, parse_integer
from crdt_core.commands.carrying import carry
from crdt_core.commands.command import KEY, Command
from crdt_core.commands.numbers import add_floats, parse_float
from crdt_core.commands.replies import CommandError
from crdt_core.commands.slicing import clearing
from crdt_core.commands.strings import text_of, write_text
from crdt_core.types import STRING
from crdt_core.types.counters import INT64_MAX, INT64_MIN, add_to_share, overflows, within_64_bits
from crdt_core.types.strings import incremented, integer, string_exact

if TYPE_CHECKING:
    from crdt_core.commands.replies import Reply
    from crdt_core.commands.session import Session
    from crdt_core.types.object import Object

__all__ = ["COMMANDS", "nearest"]

_OVERFLOW = "ERR increment or decrement would overflow"


def _add(amount: int, session: Session, args: list[bytes]) -> int:
    """Add `amount` to the number under the first argument, and return the sum."""
    key, replica = args[0], session.replica
    found = session.find(key)
    if found is None:
        found = session.take(key) or replica.catalogue.ensure(key, STRING)
    if found.type is STRING:
        outcome = incremented(found, replica.encoded_id, amount, replica.replica_index)
        if outcome is None:
            raise CommandError(NOT_AN_INTEGER)
        after, share = outcome
        if not INT64_MIN <= after <= INT64_MAX:
            after = nearest(after, amount)
        replica.write(key, STRING, replica.encoded_id, share)
        return after
    return _add_to_other(session, found, amount)


def nearest(after: int, amount: int) -> int:
    """Return the 64-bit integer nearest to a count beyond 64 bits to which `amount` has been added.

    Raises `CommandError` unless `amount` has brought the count nearer.
    """
    if overflows(after, amount):
        raise CommandError(_OVERFLOW)
    return within_64_bits(after)


def _incrby(session: Session, args: list[bytes]) -> Reply:
    return _add(parse_integer(args[1]), session, args)


def _decrby(session: Session, args: list[bytes]) -> Reply:
    amount = parse_integer(args[1])
    if amount == INT64_MIN:
        raise CommandError("ERR decrement would overflow")
    return _add(-amount, session, args)


def _add_to_other(session: Session, found: Object, amount: int) -> int:
    """Add to a string of another type. What is written whole keeps its deadline, like what counts."""
    replica, type_ = session.replica, found.type
    before = integer(text_of(session, found))
    if before is None:
        raise CommandError(NOT_AN_INTEGER)
    after = before + amount
    shown = nearest(after, amount)
    if type_.grow_only and amount < 0:
        raise CommandError("ERR a grow-only counter cannot be decremented")
    deadline_ms = session.deadline_ms(found.key)
    writes = type_.add_amount(session.view(found), replica.encoded_id, amount, session.now)
    replica.write_parts(found.key, type_, writes)
    if deadline_ms != session.deadline_ms(found.key):
        assert deadline_ms is not None
        carry(session, found.key, deadline_ms)
    return shown


def _incrbyfloat(session: Session, args: list[bytes]) -> Reply:
    key, replica = args[0], session.replica
    found = session.take(key)
    before = parse_float(b"0" if found is None else text_of(session, found))
    amount = parse_float(args[1])
    if found is not None and found.type is not STRING:
        after, _ = add_floats(before, amount)
        write_text(session, key, after, keeps_deadline=True)
        return after
    parts = {} if found is None else found.parts
    exact = None if before is None else string_exact(parts, replica.replica_index)
    after, growth = add_floats(exact, amount)
    if type(growth) is not int and replica.cautious:
        write_text(session, key, after, keeps_deadline=True)
    else:
        replica.write(key, STRING, replica.encoded_id, add_to_share(parts.get(replica.encoded_id), growth))
    return after


_ADD_UP = "The amounts add up."

COMMANDS: tuple[Command[Session], ...] = (
    Command("string", "INCR key", 2, KEY, "write denyoom fast", partial(_add, 1), "Adds 1 to a number.", _ADD_UP),
    Command(
        "string", "DECR key", 2, KEY, "write denyoom fast", partial(_add, -1), "Takes 1 away from a number.", _ADD_UP
    ),
    Command(
        "string", "INCRBY key increment", 3, KEY, "write denyoom fast", _incrby, "Adds an integer to a number.", _ADD_UP
    ),
    Command(
        "string",
        "DECRBY key decrement",
        3,
        KEY,
        "write denyoom fast",
        _decrby,
        "Takes an integer away from a number.",
        _ADD_UP,
    ),
    Command(
        "string",
        "INCRBYFLOAT key increment",
        3,
        KEY,
        "write denyoom fast",
        _incrbyfloat,
        "Adds a fraction to a number.",
        _ADD_UP,
        sliced=clearing(_incrbyfloat),
    ),
)
