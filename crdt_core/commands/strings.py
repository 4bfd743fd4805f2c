"""GET, SET and their like, on every type that counts as a string. INCR and its like are in `counting`.

Those types are `string`, the multi-value register, and what other faces make: counters and last-writer-wins registers.
A command that writes a string whole keeps the type of a `string` or of a multi-value register. It deletes what it sees
of any other type, and makes the type that the policies say.

Of a multi-value register these commands see the newest value, and a write replaces all values that it has seen. The
commands in `multivalue` show all values.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from crdt_core.commands.arguments import WRONG_TYPE, parse_deadline, parse_integer, wrong_number
from crdt_core.commands.carrying import carry
from crdt_core.commands.command import ALL_KEYS, KEY, PAIRS, Command
from crdt_core.commands.expiry import set_deadline
from crdt_core.commands.replies import OK, CommandError
from crdt_core.commands.slicing import clearing
from crdt_core.commands.string_options import StringOptions
from crdt_core.types import SLOT, STRING
from crdt_core.types.expiry import PERSISTED
from crdt_core.types.registers import Stamped, overwrite
from crdt_core.types.strings import set_whole

if TYPE_CHECKING:
    from crdt_core.commands.replies import Reply
    from crdt_core.commands.session import Session
    from crdt_core.types.object import Object

__all__ = ["COMMANDS", "WRITTEN_WHOLE", "taken", "text_at", "text_of", "write_text"]

# What all share


def text_of(session: Session, found: Object) -> bytes:
    """Return the value of an object that shows. Raises `CommandError` if it is no string."""
    held = found.held
    if found.type is STRING and type(held) is tuple and type(held[1]) is Stamped:
        return held[1].value  # what `text` returns, for nearly all strings
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
    elif head.type is STRING and head.only == SLOT and head.live and not head.type_conflicts:
        replica.write(key, STRING, SLOT, overwrite(head.held, value, session.now, replica.replica_index))
    elif head.type is STRING and head.live and not head.type_conflicts:
        replica.write_parts(key, STRING, set_whole(replica.view(key, STRING), value, session.now))
    else:
        deadline_ms = session.deadline_ms(key) if keeps_deadline else None
        keeps = deadline_ms is not None
        session.overwrite(key, session.type_in_place(key, STRING), value, keeps_attributes=keeps)
        if deadline_ms is not None:
            carry(session, key, deadline_ms)


def text_at(session: Session, key: bytes) -> bytes | None:
    """Return the string under `key`, `None` if there is none. Raises `CommandError` if the key holds something else."""
    found = session.find(key)
    return None if found is None else text_of(session, found)


def taken(session: Session, key: bytes) -> bytes | None:
    """Return the string under `key`, `None` if there is none, for a command that writes.

    Raises `CommandError` for another type.
    """
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
    return len(text_at(session, args[0]) or b"")


def _getrange(session: Session, args: list[bytes]) -> Reply:
    start, end = parse_integer(args[1]), parse_integer(args[2])
    value = text_at(session, args[0]) or b""
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
    options = StringOptions(session, args[2:], "set", b"NX XX IFEQ GET KEEPTTL EX PX EXAT PXAT".split())
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
    options = StringOptions(session, args[1:], "getex", b"PERSIST EX PX EXAT PXAT".split())
    value = taken(session, args[0])
    if value is not None and options.deadline_ms is not None:
        set_deadline(session, args[0], options.deadline_ms)
    elif value is not None and options.persists and session.deadline_ms(args[0]) is not None:
        set_deadline(session, args[0], PERSISTED)
    return value


def _mset(session: Session, args: list[bytes]) -> Reply:
    _must_be_pairs(args, b"MSET")
    for key in args[::2]:
        session.take(key)
    for key, value in zip(args[::2], args[1::2], strict=True):
        write_text(session, key, value)
    return OK


def _msetnx(session: Session, args: list[bytes]) -> Reply:
    _must_be_pairs(args, b"MSETNX")
    if any([session.take(key) is not None for key in args[::2]]):  # noqa: C419  every key is looked at
        return 0
    _mset(session, args)
    return 1


def _must_be_pairs(args: list[bytes], command: bytes) -> None:
    if len(args) % 2:
        raise wrong_number(command)


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


_LATER = "The later write is kept."
WRITTEN_WHOLE = "The whole string is written, so they do not merge: the later write is kept."

COMMANDS: tuple[Command[Session], ...] = (
    Command("string", "GET key", 2, KEY, "readonly fast", _get, "Returns a string."),
    Command(
        "string",
        "MGET key [key ...]",
        -2,
        ALL_KEYS,
        "readonly fast",
        _mget,
        "Returns several strings.",
        "",
        "O(N) in the keys",
    ),
    Command("string", "STRLEN key", 2, KEY, "readonly fast", _strlen, "Returns the length of a string."),
    Command(
        "string",
        "GETRANGE key start end",
        4,
        KEY,
        "readonly",
        _getrange,
        "Returns a part of a string.",
        "",
        "O(N) in the reply",
        heavy=True,
    ),
    Command(
        "string",
        "SUBSTR key start end",
        4,
        KEY,
        "readonly",
        _getrange,
        "Returns a part of a string: the old name of GETRANGE.",
        "",
        "O(N) in the reply",
        heavy=True,
    ),
    Command(
        "string",
        "SET key value [NX | XX | IFEQ comparison-value] [GET] [EX seconds | PX milliseconds | EXAT unix-time-seconds"
        " | PXAT unix-time-milliseconds | KEEPTTL]",
        -3,
        KEY,
        "write denyoom",
        _set,
        "Sets a key to a string, whatever it held.",
        "The later write is kept. A SET replaces the increments that it saw; those that it did not see add to it.",
        sliced=clearing(_set),
    ),
    Command(
        "string",
        "SETEX key seconds value",
        4,
        KEY,
        "write denyoom",
        partial(_setex, "setex", 1000),
        "Sets a string that expires.",
        _LATER,
        sliced=clearing(partial(_setex, "setex", 1000)),
    ),
    Command(
        "string",
        "PSETEX key milliseconds value",
        4,
        KEY,
        "write denyoom",
        partial(_setex, "psetex", 1),
        "Sets a string that expires.",
        _LATER,
        sliced=clearing(partial(_setex, "psetex", 1)),
    ),
    Command(
        "string",
        "SETNX key value",
        3,
        KEY,
        "write denyoom fast",
        _setnx,
        "Sets a string if the key does not exist at this node.",
        "Both may succeed: the later write is kept.",
    ),
    Command(
        "string",
        "GETSET key value",
        3,
        KEY,
        "write denyoom fast",
        _getset,
        "Sets a string and returns the old one.",
        _LATER,
        sliced=clearing(_getset),
    ),
    Command(
        "string",
        "GETDEL key",
        2,
        KEY,
        "write fast",
        _getdel,
        "Returns a string and deletes the key.",
        "The delete removes what this node saw; a concurrent write stays.",
        sliced=clearing(_getdel),
    ),
    Command(
        "string",
        "GETEX key [EX seconds | PX milliseconds | EXAT unix-time-seconds | PXAT unix-time-milliseconds | PERSIST]",
        -2,
        KEY,
        "write fast",
        _getex,
        "Returns a string and sets or removes its time to live.",
        "The longest time to live is kept; none at all is the longest.",
        sliced=clearing(_getex),
    ),
    Command(
        "string",
        "MSET key value [key value ...]",
        -3,
        PAIRS,
        "write denyoom",
        _mset,
        "Sets several strings, which show together at every node.",
        "For each key the later write is kept.",
        "O(N) in the keys",
        sliced=clearing(_mset, slice(0, None, 2)),
    ),
    Command(
        "string",
        "MSETNX key value [key value ...]",
        -3,
        PAIRS,
        "write denyoom",
        _msetnx,
        "Sets several strings if none of the keys exists at this node.",
        "Both may succeed: for each key the later write is kept.",
        "O(N) in the keys",
    ),
    Command(
        "string",
        "APPEND key value",
        3,
        KEY,
        "write denyoom fast",
        _append,
        "Appends to a string.",
        WRITTEN_WHOLE,
        "O(N) in the length of the string",
        sliced=clearing(_append),
    ),
    Command(
        "string",
        "SETRANGE key offset value",
        4,
        KEY,
        "write denyoom",
        _setrange,
        "Overwrites a part of a string.",
        WRITTEN_WHOLE,
        "O(N) in the length of the string",
        sliced=clearing(_setrange),
    ),
)
