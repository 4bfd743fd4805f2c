"""DEL, TYPE, RENAME, SCAN and their like: commands on keys of any type.

COPY and RENAME write what shows at the source as new: values, not their history. So a counter's value is copied as a
number, and a concurrent increment of the old name stays under the old name. What takes the place of a set or a string
keeps its type. Otherwise the policies for the new name say the type, or else it is that of the source.
"""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING

from crdt_core.commands.arguments import SYNTAX, check_database
from crdt_core.commands.command import ALL_KEYS, KEY, NO_KEYS, TWO_KEYS, Command, Sliced
from crdt_core.commands.expiry import set_deadline
from crdt_core.commands.patterns import Pattern
from crdt_core.commands.replies import OK, CommandError, Status
from crdt_core.commands.scan import parse_cursor, parse_scan
from crdt_core.commands.slicing import at_once, parts_of_all
from crdt_core.replica.deleting import delete_by_part
from crdt_core.replica.steps import LOOKS_PER_STEP, batched
from crdt_core.types import FAMILIES
from crdt_core.types.members import RESERVED

if TYPE_CHECKING:
    from collections.abc import Generator

    from crdt_core.commands.replies import Reply
    from crdt_core.commands.session import Session
    from crdt_core.replica.replica import Replica
    from crdt_core.types.object import Object

__all__ = ["COMMANDS"]

_NO_KEY = "ERR no such key"
_TRIES = 64
_HASHES = 1 << 32


def _delete(session: Session, args: list[bytes]) -> Reply:
    return sum([session.take(key) is not None and session.replica.delete(key) for key in args])


def _delete_by_part(session: Session, args: list[bytes]) -> Generator[None, None, Reply]:
    deleted = 0
    for key in args:
        is_found = session.find(key) is not None
        deleted += (yield from delete_by_part(session.replica, key)) and is_found
    return deleted


def _exists(session: Session, args: list[bytes]) -> Reply:
    return sum([session.find(key) is not None for key in args])


def _type(session: Session, args: list[bytes]) -> Reply:
    found = session.find(args[0])
    return Status("none" if found is None else found.type.redis_type)


def _keys(session: Session, args: list[bytes]) -> Reply:
    pattern = None if args[0] == b"*" else Pattern(args[0])
    return [found.key for found in session.showing() if pattern is None or pattern.matches(found.key)]


def _scan(session: Session, args: list[bytes]) -> Reply:
    cursor = parse_cursor(args[0])
    options = parse_scan(args[1:], (b"MATCH", b"COUNT", b"TYPE"))
    wanted, pattern = options.type, options.pattern
    following, keys = session.state.order.page(cursor, options.about)
    found = [session.find(key) for key in keys if _matches(key, pattern)]
    return [b"%d" % following, [one.key for one in found if one is not None and wanted in (None, one.type.redis_type)]]


def _matches(key: bytes, pattern: Pattern | None) -> bool:
    return not key.startswith(RESERVED) and (pattern is None or pattern.matches(key))


def _dbsize(session: Session, args: list[bytes]) -> Reply:  # noqa: ARG001
    return session.state.shown


def _randomkey(session: Session, args: list[bytes]) -> Generator[None, None, Reply]:  # noqa: ARG001
    """Try keys at random. If none of them shows, go through all from a random place on; yield after every few."""
    order = session.state.order
    tried = [order.choose(session.random) for _ in range(min(_TRIES, len(order)))]
    following, ends = session.random(_HASHES), 0
    while True:
        for key in tried:
            if not key.startswith(RESERVED) and session.find(key) is not None:
                return key
        yield
        if ends == 2:
            return None
        following, tried = order.page(following, LOOKS_PER_STEP)
        ends += not following


def _keys_looked_at(replica: Replica, args: list[bytes], wall_ms: int) -> int:  # noqa: ARG001
    """Return after how many keys RANDOMKEY may expect one that shows."""
    return len(replica.order) // (replica.shown + 1)


def _flush(session: Session, args: list[bytes]) -> Reply:
    _check_flush(args)
    for key in list(session.state.keys()):
        if not key.startswith(RESERVED):
            session.replica.delete(key)
    return OK


def _flush_by_part(session: Session, args: list[bytes]) -> Generator[None, None, Reply]:
    _check_flush(args)
    for key in chain.from_iterable((yield from _keys_by_step(session))):
        if not key.startswith(RESERVED):
            yield from delete_by_part(session.replica, key)
    return OK


def _keys_by_step(session: Session) -> Generator[None, None, list[list[bytes]]]:
    """Return all keys; yield whenever some are noted. No key goes meanwhile: what a call deletes leaves tombstones."""
    noted: list[list[bytes]] = []
    for some in batched(session.replica.catalogue.heads):
        noted.append(some)
        yield
    return noted


def _check_flush(args: list[bytes]) -> None:
    if len(args) > 1 or (args and args[0].upper() not in (b"ASYNC", b"SYNC")):
        raise CommandError(SYNTAX)


def _all_parts(replica: Replica, args: list[bytes], wall_ms: int) -> int:  # noqa: ARG001
    return replica.catalogue.size


def _rename(session: Session, args: list[bytes]) -> Generator[None, None, Reply]:
    yield from _move(session, args[0], args[1])
    return OK


def _renamenx(session: Session, args: list[bytes]) -> Generator[None, None, Reply]:
    if session.take(args[0]) is not None and session.take(args[1]) is not None:
        return 0
    yield from _move(session, args[0], args[1])
    return 1


def _move(session: Session, source: bytes, target: bytes) -> Generator[None, None, None]:
    found = session.take(source)
    if found is None:
        raise CommandError(_NO_KEY)
    if source != target:
        yield from _copy_to(session, found, target)
        yield from delete_by_part(session.replica, source)


def _copy(session: Session, args: list[bytes]) -> Generator[None, None, Reply]:
    replaces, rest = False, args[2:]
    while rest:
        option = rest.pop(0).upper()
        if option == b"REPLACE":
            replaces = True
        elif option == b"DB" and rest:
            check_database(rest.pop(0))
        else:
            raise CommandError(SYNTAX)
    if args[0] == args[1]:
        raise CommandError("ERR source and destination objects are the same")
    found = session.take(args[0])
    if found is None or (session.take(args[1]) is not None and not replaces):
        return 0
    yield from _copy_to(session, found, args[1])
    return 1


def _copy_to(session: Session, found: Object, target: bytes) -> Generator[None, None, None]:
    """Make `target` what shows in `found`, in place of all that has been seen there; yield after each part."""
    source = found.type
    contents = yield from source.contents_by_part(session.replica.catalogue.view(found))
    if contents is None:
        raise CommandError(f"ERR a key of type {source.name} cannot be copied or renamed")
    deadline_ms = session.deadline_ms(found.key)
    session.take(target)
    copied_as = source if source.plain else next(type_ for type_ in FAMILIES[source.family] if type_.plain)
    yield from session.overwrite_by_part(target, session.type_in_place(target, copied_as), contents)
    if deadline_ms is not None:
        set_deadline(session, target, deadline_ms)


_SEEN = "It removes what this node saw; a concurrent write stays."
_COPIED = "Concurrent writes to the source stay under its old name."


def _deleting(name: str, flags: str, summary: str) -> Command[Session]:
    return Command(
        "generic",
        f"{name} key [key ...]",
        -2,
        ALL_KEYS,
        flags,
        _delete,
        summary,
        _SEEN,
        "O(N) in the keys",
        sliced=Sliced(_delete_by_part, parts_of_all),
    )


def _flushing(name: str) -> Command[Session]:
    return Command(
        "server",
        f"{name} [ASYNC | SYNC]",
        -1,
        NO_KEYS,
        "write",
        _flush,
        "Deletes all keys.",
        _SEEN,
        "O(N) in all keys",
        categories="keyspace dangerous",
        sliced=Sliced(_flush_by_part, _all_parts),
    )


COMMANDS: tuple[Command[Session], ...] = (
    _deleting("DEL", "write", "Deletes keys."),
    _deleting("UNLINK", "write fast", "Deletes keys, as DEL does."),
    Command(
        "generic",
        "EXISTS key [key ...]",
        -2,
        ALL_KEYS,
        "readonly fast",
        _exists,
        "Returns how many of the keys exist.",
        "",
        "O(N) in the keys",
    ),
    Command(
        "generic",
        "TOUCH key [key ...]",
        -2,
        ALL_KEYS,
        "readonly fast",
        _exists,
        "Returns how many of the keys exist, as EXISTS does.",
        "",
        "O(N) in the keys",
    ),
    Command("generic", "TYPE key", 2, KEY, "readonly fast", _type, "Returns the type of a key."),
    Command(
        "generic",
        "KEYS pattern",
        2,
        NO_KEYS,
        "readonly",
        _keys,
        "Returns the keys that match a pattern.",
        "",
        "O(N) in all keys",
        categories="keyspace dangerous",
        heavy=True,
    ),
    Command(
        "generic",
        "SCAN cursor [MATCH pattern] [COUNT count] [TYPE type]",
        -2,
        NO_KEYS,
        "readonly",
        _scan,
        "Returns some keys, and the cursor for the next ones.",
        "",
        "O(1) for every call, O(N) for all keys",
    ),
    Command(
        "server",
        "DBSIZE",
        1,
        NO_KEYS,
        "readonly fast",
        _dbsize,
        "Returns the number of keys.",
        "",
        "O(1)",
        categories="keyspace",
    ),
    Command(
        "generic",
        "RANDOMKEY",
        1,
        NO_KEYS,
        "readonly",
        at_once(_randomkey),
        "Returns a random key.",
        "",
        "O(1)",
        sliced=Sliced(_randomkey, _keys_looked_at),
    ),
    _flushing("FLUSHDB"),
    _flushing("FLUSHALL"),
    Command(
        "generic",
        "RENAME key newkey",
        3,
        TWO_KEYS,
        "write",
        at_once(_rename),
        "Moves the value of a key to another name.",
        _COPIED,
        "O(N) in the value",
        sliced=Sliced(_rename, parts_of_all),
    ),
    Command(
        "generic",
        "RENAMENX key newkey",
        3,
        TWO_KEYS,
        "write fast",
        at_once(_renamenx),
        "Moves the value of a key to another name, if that name is free at this node.",
        _COPIED,
        "O(N) in the value",
        sliced=Sliced(_renamenx, parts_of_all),
    ),
    Command(
        "generic",
        "COPY source destination [DB destination-db] [REPLACE]",
        -3,
        TWO_KEYS,
        "write denyoom",
        at_once(_copy),
        "Copies the value of a key to another name.",
        _COPIED,
        "O(N) in the value",
        sliced=Sliced(_copy, parts_of_all),
    ),
)
