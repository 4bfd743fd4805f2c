"""CLIENT: what a connection tells of itself, and what is known of all of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from crdt_core.commands import OK, ErrorReply, Map
from workers.resp.subcommands import Subcommand, family

if TYPE_CHECKING:
    from collections.abc import Callable

    from workers.resp.connection import Connection

__all__ = ["HANDLERS", "USER", "set_name"]

USER = b"default"
_SYNTAX = ErrorReply("ERR syntax error")
_TYPES = frozenset({b"normal", b"pubsub", b"master", b"slave", b"replica", b"primary"})


def set_name(connection: Connection, name: bytes) -> Any:
    """Calls the connection so, if it may be."""
    if any(not 0x21 <= byte <= 0x7E for byte in name):
        return ErrorReply("ERR Client names cannot contain spaces, newlines or special characters.")
    connection.name = name[:1024]
    return OK


def _set_name(connection: Connection, args: list[bytes]) -> Any:
    return set_name(connection, args[0])


def _set_info(connection: Connection, args: list[bytes]) -> Any:
    attribute, value = args[0].lower(), args[1]
    if attribute not in {b"lib-name", b"lib-ver"}:
        return ErrorReply(f"ERR Unrecognized option '{_shown(attribute)}'")
    if any(not 0x21 <= byte <= 0x7E for byte in value):
        return ErrorReply(f"ERR {attribute.decode()} cannot contain spaces, newlines or special characters.")
    connection.library[attribute] = value[:1024]
    return OK


def _id(connection: Connection, _args: list[bytes]) -> int:
    return connection.id


def _get_name(connection: Connection, _args: list[bytes]) -> bytes | None:
    return connection.name or None


def _info(connection: Connection, _args: list[bytes]) -> bytes:
    return _description(connection)


def _list(connection: Connection, args: list[bytes]) -> Any:
    connections = connection.face.connections
    match [arg.upper() for arg in args]:
        case []:
            chosen = list(connections.values())
        case [b"ID", *ids] if ids:
            if not all(id_.isdigit() for id_ in ids):
                return ErrorReply("ERR Invalid client ID")
            chosen = [connections[int(id_)] for id_ in ids if int(id_) in connections]
        case [b"TYPE", _]:
            if args[1].lower() not in _TYPES:
                return ErrorReply(f"ERR Unknown client type '{_shown(args[1])}'")
            chosen = [found for found in connections.values() if _type(found) == args[1].lower()]
        case _:
            return _SYNTAX
    return b"".join(map(_description, chosen))


def _type(connection: Connection) -> bytes:
    return b"pubsub" if connection.channels or connection.patterns else b"normal"


def _reply(connection: Connection, args: list[bytes]) -> Any:
    modes = {b"ON": "", b"OFF": "off", b"SKIP": "skip"}
    if args[0].upper() not in modes:
        return _SYNTAX
    connection.mute = modes[args[0].upper()]
    return OK


def _switch(_connection: Connection, args: list[bytes]) -> Any:
    """NO-EVICT and NO-TOUCH: nobody is evicted here, and nothing is touched by being read."""
    return OK if args[0].upper() in {b"ON", b"OFF"} else _SYNTAX


def _kill(connection: Connection, args: list[bytes]) -> Any:
    connections = list(connection.face.connections.values())
    if len(args) == 1:
        victims = [found for found in connections if found.address.encode() == args[0]]
        return OK if _end(connection, victims) else ErrorReply("ERR No such client")
    spares_itself, filters = True, []
    for option, value in zip(args[::2], args[1::2], strict=False):
        if option.upper() == b"SKIPME" and value.upper() in {b"YES", b"NO"}:
            spares_itself = value.upper() == b"YES"
        elif (wanted := _filter(connection, option.upper(), value)) is not None:
            filters.append(wanted)
        else:
            return _SYNTAX
    if len(args) % 2:
        return _SYNTAX
    victims = [found for found in connections if all(matches(found) for matches in filters)]
    return _end(connection, [found for found in victims if found is not connection or not spares_itself])


def _filter(  # noqa: PLR0911  one line each
    connection: Connection, option: bytes, value: bytes
) -> Callable[[Connection], bool] | None:
    """What one filter of CLIENT KILL lets through; `None` where there is no such filter."""
    match option:
        case b"ID" if value.isdigit():
            return lambda found: found.id == int(value)
        case b"ADDR":
            return lambda found: found.address.encode() == value
        case b"LADDR":
            return lambda found: found.local_address.encode() == value
        case b"TYPE" if value.lower() in _TYPES:
            return lambda found: _type(found) == value.lower()
        case b"USER":
            return lambda found: found.trusted and value == USER
        case b"MAXAGE" if value.isdigit():
            now_s = connection.face.now_s()
            return lambda found: now_s - found.since_s >= int(value)
    return None


def _end(connection: Connection, victims: list[Connection]) -> int:
    for victim in victims:
        if victim is connection:
            connection.finish_soon()
        else:
            victim.abort()
    return len(victims)


def _redirection(_connection: Connection, _args: list[bytes]) -> int:
    return -1


def _tracking_info(_connection: Connection, _args: list[bytes]) -> Map:
    return Map([(b"flags", [b"off"]), (b"redirect", -1), (b"prefixes", [])])


def _description(connection: Connection) -> bytes:
    """One line, as CLIENT LIST has it."""
    now_s = connection.face.now_s()
    flags = "P" if _type(connection) == b"pubsub" else "x" if connection.transaction is not None else "N"
    fields = {
        "id": connection.id,
        "addr": connection.address,
        "laddr": connection.local_address,
        "name": connection.name.decode(),
        "age": int(now_s - connection.since_s),
        "idle": int(now_s - connection.active_s),
        "flags": flags,
        "db": 0,
        "sub": len(connection.channels),
        "psub": len(connection.patterns),
        "multi": len(connection.transaction.commands) if connection.transaction is not None else -1,
        "watch": len(connection.watch.keys) if connection.watch is not None else 0,
        "omem": connection.output_bytes,
        "cmd": connection.last_command.decode().lower(),
        "user": USER.decode() if connection.trusted else "(none)",
        "resp": 3 if connection.resp3 else 2,
        "lib-name": connection.library.get(b"lib-name", b"").decode(),
        "lib-ver": connection.library.get(b"lib-ver", b"").decode(),
    }
    return (" ".join(f"{name}={value}" for name, value in fields.items()) + "\n").encode()


def _shown(text: bytes) -> str:
    return text[:128].decode("utf-8", "backslashreplace")


HANDLERS = (
    family(
        b"CLIENT",
        (
            Subcommand("GETNAME", 2, "The name of this connection.", _get_name),
            Subcommand("GETREDIR", 2, "Where invalidations go: nowhere (-1).", _redirection),
            Subcommand("ID", 2, "The number of this connection.", _id),
            Subcommand("INFO", 2, "What is known of this connection.", _info),
            Subcommand(
                "KILL <ip:port> | [ID <id>] [ADDR <ip:port>] [LADDR <ip:port>] [TYPE NORMAL|PUBSUB] [USER <user>]"
                " [MAXAGE <seconds>] [SKIPME YES|NO]",
                -3,
                "End connections.",
                _kill,
            ),
            Subcommand("LIST [ID <id> [<id> ...] | TYPE NORMAL|PUBSUB]", -2, "A line for each connection.", _list),
            Subcommand("NO-EVICT ON|OFF", 3, "Taken note of: nobody is evicted.", _switch),
            Subcommand("NO-TOUCH ON|OFF", 3, "Taken note of: reading touches nothing.", _switch),
            Subcommand("REPLY ON|OFF|SKIP", 3, "Whether this connection is answered.", _reply),
            Subcommand("SETINFO LIB-NAME|LIB-VER <value>", 4, "Name this connection's library.", _set_info),
            Subcommand("SETNAME <name>", 3, "Name this connection.", _set_name),
            Subcommand("TRACKINGINFO", 2, "Whether its reads are tracked: they are not.", _tracking_info),
        ),
        absent="CACHING CAPA IMPORT-SOURCE PAUSE TRACKING UNBLOCK UNPAUSE",
        queued=True,
    ),
)
