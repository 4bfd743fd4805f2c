"""GET, SET and their like, on everything that counts as a string; `counting` has INCR and its like.

That is the type `string`, the multi-value register, and what other faces have made: counters and last-writer-wins
registers. INCR and its like work on all of these as they are. Whatever writes a string whole keeps to the type that
shows, if that is `string` or the multi-value register; else it deletes what it has seen, and makes what the policies
say.

Of a multi-value register plain commands see the newest of its values, and a write replaces all that it has seen.
DELTAIC.MVGET shows all of them; DELTAIC.MVSET makes such a register whatever the policies say.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from crdt_core.commands.arguments import (
    SYNTAX,
    WRONG_TYPE,
    parse_deadline,
    parse_integer,
)
from crdt_core.commands.command import Command
from crdt_core.commands.expiry import set_deadline
from crdt_core.commands.replies import OK, CommandError
from crdt_core.types import MVREGISTER, SLOT, STRING, View
from crdt_core.types.expiry import PERSISTED
from crdt_core.types.registers import Stamped, overwrite
from crdt_core.types.strings import set_whole

if TYPE_CHECKING:
    from crdt_core.commands.replies import Reply
    from crdt_core.commands.session import Session
    from crdt_core.types.object import Object

__all__ = ["COMMANDS", "taken", "text_of", "write_text"]

_UNITS_MS = {b"EX": 1000, b"PX": 1, b"EXAT": 1000, b"PXAT": 1}


# What all share


def text_of(session: Session, found: Object) -> bytes:
    """Return the value of an object that shows. Raises `CommandError` if it is no string."""
    text = found.type.text(found.parts, session.state.replica_index)
    if text is None:
        raise CommandError(WRONG_TYPE)
    return text


def write_text(session: Session, key: bytes, value: bytes, *, keeps_deadline: bool = False) -> None:
    """Make `value` the string under `key`, in place of all that has been seen there.

    A string keeps its type, if it is plain. Else the policies say the type.
    """
    replica = session.replica
    head = replica.head(key)
    if head is None:
        replica.write(key, session.new_type(key, STRING), SLOT, Stamped(value, *session.now))
    elif head.type is STRING and SLOT in head.parts and len(head.parts) == 1 and head.live and not head.type_conflicts:
        replica.write(key, STRING, SLOT, overwrite(head.parts[SLOT], value, session.now, replica.replica_index))
    elif head.type is STRING and head.live and not head.type_conflicts:
        for part, payload in set_whole(replica.view(key, STRING), value, session.now):
            replica.write(key, STRING, part, payload)
    else:
        deadline_ms = session.deadline_ms(key) if keeps_deadline else None
        session.overwrite(key, session.type_in_place(key, STRING), value)
        if deadline_ms is not None:
            set_deadline(session, key, deadline_ms)


def _text_at(session: Session, key: bytes) -> bytes | None:
    found = session.find(key)
    return None if found is None else text_of(session, found)


def taken(session: Session, key: bytes) -> bytes | None:
    """The string under `key`, for a command that writes; raises `CommandError` where it is none."""
    found = session.take(key)
    return None if found is None else text_of(session, found)


# Reading


def _get(session: Session, args: list[bytes]) -> Reply:
    found = session.find(args[0])
    return None if found is None else text_of(session, found)


def _mget(session: Session, args: list[bytes]) -> Reply:
    replica_index = session.state.replica_index
    found = [session.find(key) for key in args]
    values = [None if f is None else f.type.text(f.parts, replica_index) for f in found]
    session.must_fit_reply(values)
    return list(values)


def _strlen(session: Session, args: list[bytes]) -> Reply:
    return len(_text_at(session, args[0]) or b"")


def _getrange(session: Session, args: list[bytes]) -> Reply:
    start, end = parse_integer(args[1]), parse_integer(args[2])
    value = _text_at(session, args[0]) or b""
    if start < 0 and end < 0 and start > end:
        return b""
    start = max(0, start + len(value) if start < 0 else start)
    end = max(0, end + len(value) if end < 0 else end)
    return value[start : end + 1]


# Writing whole values


def _set(session: Session, args: list[bytes]) -> Reply:
    key, value = args[0], args[1]
    if len(args) > 2:
        return _set_with_options(session, args)
    session.take(key)
    write_text(session, key, value)
    return OK


def _set_with_options(session: Session, args: list[bytes]) -> Reply:
    key, value = args[0], args[1]
    options = _Options(session, args[2:], "set", b"NX XX IFEQ GET KEEPTTL EX PX EXAT PXAT".split())
    found = session.take(key)
    before = text_of(session, found) if found is not None and (options.gets or options.equal is not None) else None
    refused = (
        (options.absent and found is not None)
        or (options.present and found is None)
        or (options.equal is not None and before != options.equal)
    )
    if not refused:
        write_text(session, key, value, keeps_deadline=options.keeps)
        if options.deadline_ms is not None:
            set_deadline(session, key, options.deadline_ms)
    if options.gets:
        return before
    return None if refused else OK


class _Options:
    """The options of SET and GETEX, of those that are `known`; raises `CommandError`."""

    __slots__ = ("absent", "deadline_ms", "equal", "gets", "keeps", "persists", "present")

    def __init__(self, session: Session, args: list[bytes], command: str, known: list[bytes]) -> None:
        given: dict[bytes, bytes] = {}
        rest = iter(args)
        for arg in rest:
            name = arg.upper()
            if name not in known:
                raise CommandError(SYNTAX)
            value = next(rest, None) if name in _UNITS_MS or name == b"IFEQ" else b""
            if value is None or (name == b"IFEQ" and name in given):
                raise CommandError(SYNTAX)
            given[name] = value
        if len(given.keys() & {b"NX", b"XX", b"IFEQ"}) > 1 or len(given.keys() & _LIFETIMES) > 1:
            raise CommandError(SYNTAX)
        self.absent, self.present, self.gets = b"NX" in given, b"XX" in given, b"GET" in given
        self.keeps, self.persists = b"KEEPTTL" in given, b"PERSIST" in given
        self.equal = given.get(b"IFEQ")
        self.deadline_ms: int | None = None
        for name in given.keys() & _UNITS_MS.keys():
            base_ms = 0 if name.endswith(b"AT") else session.wall_ms
            self.deadline_ms = parse_deadline(given[name], _UNITS_MS[name], base_ms, command)


_LIFETIMES = {*_UNITS_MS, b"KEEPTTL", b"PERSIST"}


def _setex(name: str, unit_ms: int, session: Session, args: list[bytes]) -> Reply:
    deadline_ms = parse_deadline(args[1], unit_ms, session.wall_ms, name)
    session.take(args[0])
    write_text(session, args[0], args[2])
    set_deadline(session, args[0], deadline_ms)
    return OK


def _setnx(session: Session, args: list[bytes]) -> Reply:
    if session.take(args[0]) is not None:
        return 0
    write_text(session, args[0], args[1])
    return 1


def _getset(session: Session, args: list[bytes]) -> Reply:
    before = taken(session, args[0])
    write_text(session, args[0], args[1])
    return before


def _getdel(session: Session, args: list[bytes]) -> Reply:
    before = taken(session, args[0])
    if before is not None:
        session.replica.delete(args[0])
    return before


def _getex(session: Session, args: list[bytes]) -> Reply:
    options = _Options(session, args[1:], "getex", b"PERSIST EX PX EXAT PXAT".split())
    value = taken(session, args[0])
    if value is not None and options.deadline_ms is not None:
        set_deadline(session, args[0], options.deadline_ms)
    elif value is not None and options.persists and session.deadline_ms(args[0]) is not None:
        set_deadline(session, args[0], PERSISTED)
    return value


def _mset(session: Session, args: list[bytes]) -> Reply:
    _must_be_pairs(args, "mset")
    for key in args[::2]:
        session.take(key)
    for key, value in zip(args[::2], args[1::2], strict=True):
        write_text(session, key, value)
    return OK


def _msetnx(session: Session, args: list[bytes]) -> Reply:
    _must_be_pairs(args, "msetnx")
    if any([session.take(key) is not None for key in args[::2]]):  # noqa: C419  every key is looked at
        return 0
    _mset(session, args)
    return 1


def _must_be_pairs(args: list[bytes], command: str) -> None:
    if len(args) % 2:
        raise CommandError(f"ERR wrong number of arguments for '{command}' command")


def _append(session: Session, args: list[bytes]) -> Reply:
    before = taken(session, args[0]) or b""
    session.must_fit(len(before) + len(args[1]))
    value = before + args[1]
    write_text(session, args[0], value, keeps_deadline=True)
    return len(value)


def _setrange(session: Session, args: list[bytes]) -> Reply:
    offset, patch = parse_integer(args[1]), args[2]
    if offset < 0:
        raise CommandError("ERR offset is out of range")
    value = taken(session, args[0]) or b""
    if not patch:
        return len(value)
    session.must_fit(offset + len(patch))
    value = value[:offset].ljust(offset, b"\0") + patch + value[offset + len(patch) :]
    write_text(session, args[0], value, keeps_deadline=True)
    return len(value)


# All the values of a multi-value register


def _mvset(session: Session, args: list[bytes]) -> Reply:
    session.take(args[0])
    session.overwrite(args[0], MVREGISTER, args[1])
    return OK


def _mvget(session: Session, args: list[bytes]) -> Reply:
    found = session.find(args[0])
    if found is None:
        return []
    if found.type is MVREGISTER:
        return list(MVREGISTER.newest_first(View(found.parts, session.state.replica_index)))
    return [text_of(session, found)]


_KEY = (1, 1, 1)

COMMANDS = (
    Command(b"GET", 2, False, _KEY, _get),
    Command(b"MGET", -2, False, (1, -1, 1), _mget),
    Command(b"STRLEN", 2, False, _KEY, _strlen),
    Command(b"GETRANGE", 4, False, _KEY, _getrange),
    Command(b"SUBSTR", 4, False, _KEY, _getrange),
    Command(b"SET", -3, True, _KEY, _set),
    Command(b"SETEX", 4, True, _KEY, partial(_setex, "setex", 1000)),
    Command(b"PSETEX", 4, True, _KEY, partial(_setex, "psetex", 1)),
    Command(b"SETNX", 3, True, _KEY, _setnx),
    Command(b"GETSET", 3, True, _KEY, _getset),
    Command(b"GETDEL", 2, True, _KEY, _getdel),
    Command(b"GETEX", -2, True, _KEY, _getex),
    Command(b"MSET", -3, True, (1, -1, 2), _mset),
    Command(b"MSETNX", -3, True, (1, -1, 2), _msetnx),
    Command(b"APPEND", 3, True, _KEY, _append),
    Command(b"SETRANGE", 4, True, _KEY, _setrange),
    Command(b"DELTAIC.MVSET", 3, True, _KEY, _mvset),
    Command(b"DELTAIC.MVGET", 2, False, _KEY, _mvget),
)
