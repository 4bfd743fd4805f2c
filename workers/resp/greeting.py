"""Who a client is, and how it wants to be spoken to: HELLO, AUTH, CLIENT, SELECT, RESET, QUIT, PING, ECHO."""

from __future__ import annotations

import hmac
from typing import TYPE_CHECKING, Any

from crdt_core.commands import OK, ErrorReply, Map, Status
from workers.resp.encoding import NOTHING
from workers.resp.handler import Handler
from workers.resp.transactions import end

if TYPE_CHECKING:
    from workers.resp.connection import Connection

__all__ = ["HANDLERS"]

_SYNTAX = ErrorReply("ERR syntax error")
_WRONG = ErrorReply("WRONGPASS invalid username-password pair or user is disabled.")
_NO_PASSWORD = ErrorReply(
    "ERR AUTH <password> called without any password configured for the default user. Are you sure your configuration "
    "is correct?"
)
_USER = b"default"


def _hello(connection: Connection, args: list[bytes]) -> Any:
    version: int | None = None
    name: bytes | None = None
    credentials: tuple[bytes, bytes] | None = None
    if args:
        if args[0] not in {b"2", b"3"}:
            known = args[0].isdigit()
            return ErrorReply(
                "NOPROTO unsupported protocol version"
                if known
                else "ERR Protocol version is not an integer or out of range"
            )
        version = int(args[0])
    rest = args[1:]
    while rest:
        match [rest[0].upper(), *rest[1:]]:
            case [b"AUTH", user, password, *rest]:
                credentials = (user, password)
            case [b"SETNAME", wanted, *rest]:
                name = wanted
            case _:
                return ErrorReply(f"ERR Syntax error in HELLO option '{_shown(rest[0])}'")
    if credentials is not None and not _log_in(connection, *credentials):
        return _WRONG
    if not connection.trusted:
        return ErrorReply(
            "NOAUTH HELLO must be called with the client already authenticated, otherwise the HELLO <proto> AUTH"
            " <user> <pass> option can be used to authenticate the client and select the RESP protocol version at the"
            " same time"
        )
    if name is not None:
        refused = _set_name(connection, name)
        if refused is not OK:
            return refused
    if version is not None:
        connection.resp3 = version == 3
    return Map(
        [
            (b"server", b"deltaic"),
            (b"version", connection.face.redis_version),
            (b"proto", 3 if connection.resp3 else 2),
            (b"id", connection.id),
            (b"mode", b"standalone"),
            (b"role", b"master"),
            (b"modules", []),
        ]
    )


def _auth(connection: Connection, args: list[bytes]) -> Any:
    if len(args) > 2:
        return _SYNTAX
    if connection.face.password is None and len(args) == 1:
        return _NO_PASSWORD
    user, password = args if len(args) == 2 else (_USER, args[0])
    return OK if _log_in(connection, user, password) else _WRONG


def _log_in(connection: Connection, user: bytes, password: bytes) -> bool:
    wanted = connection.face.password
    right = user == _USER and (wanted is None or hmac.compare_digest(password, wanted))
    if right:
        connection.trust()
    return right


def _select(_connection: Connection, args: list[bytes]) -> Any:
    if not args[0].isdigit():
        return ErrorReply("ERR invalid DB index")
    return OK if int(args[0]) == 0 else ErrorReply("ERR DB index is out of range")


def _ping(connection: Connection, args: list[bytes]) -> Any:
    if len(args) > 1:
        return ErrorReply("ERR wrong number of arguments for 'ping' command")
    if not connection.resp3 and (connection.channels or connection.patterns):
        return [b"pong", *(args or [b""])]
    return args[0] if args else Status("PONG")


def _echo(_connection: Connection, args: list[bytes]) -> Any:
    return args[0]


def _quit(connection: Connection, _args: list[bytes]) -> Any:
    connection.say(OK)
    connection.finish()
    return NOTHING


def _reset(connection: Connection, _args: list[bytes]) -> Any:
    connection.face.channels.leave(connection)
    end(connection)
    connection.resp3 = False
    connection.mute = ""
    connection.name = b""
    connection.trusted = connection.face.password is None
    return Status("RESET")


def _client(connection: Connection, args: list[bytes]) -> Any:  # noqa: C901, PLR0911, PLR0912  one line each
    match [args[0].upper(), *args[1:]]:
        case [b"ID"]:
            return connection.id
        case [b"GETNAME"]:
            return connection.name or None
        case [b"SETNAME", name]:
            return _set_name(connection, name)
        case [b"SETINFO", attribute, value]:
            return _set_info(connection, attribute, value)
        case [b"INFO"]:
            return describe(connection)
        case [b"LIST"]:
            return b"".join(map(describe, connection.face.connections.values()))
        case [b"LIST", option, *ids] if option.upper() == b"ID" and ids:
            known = (connection.face.connections.get(int(id_)) for id_ in ids if id_.isdigit())
            return b"".join(describe(found) for found in known if found is not None)
        case [b"LIST", option, _] if option.upper() == b"TYPE":
            return b"".join(map(describe, connection.face.connections.values()))
        case [b"REPLY", mode] if mode.upper() in {b"ON", b"OFF", b"SKIP"}:
            connection.mute = {b"ON": "", b"OFF": "off", b"SKIP": "skip"}[mode.upper()]
            return OK
        case [b"NO-EVICT" | b"NO-TOUCH", switch] if switch.upper() in {b"ON", b"OFF"}:
            return OK
        case [b"KILL", address]:
            victims = [found for found in connection.face.connections.values() if found.address.encode() == address]
            return OK if _kill(connection, victims) else ErrorReply("ERR No such client")
        case [b"KILL", option, value] if option.upper() == b"ID" and value.isdigit():
            victim = connection.face.connections.get(int(value))
            return _kill(connection, [victim] if victim is not None else [])
        case [b"GETREDIR"]:
            return -1
        case [b"TRACKINGINFO"]:
            return Map([(b"flags", [b"off"]), (b"redirect", -1), (b"prefixes", [])])
        case [b"REPLY" | b"NO-EVICT" | b"NO-TOUCH" | b"KILL" | b"LIST", *_]:
            return _SYNTAX
    return connection.face.unknown_subcommand(b"CLIENT", args[0])


def _set_name(connection: Connection, name: bytes) -> Any:
    if any(not 0x21 <= byte <= 0x7E for byte in name):
        return ErrorReply("ERR Client names cannot contain spaces, newlines or special characters.")
    connection.name = name[:1024]
    return OK


def _set_info(connection: Connection, attribute: bytes, value: bytes) -> Any:
    attribute = attribute.lower()
    if attribute not in {b"lib-name", b"lib-ver"}:
        return ErrorReply(f"ERR Unrecognized option '{_shown(attribute)}'")
    if any(not 0x21 <= byte <= 0x7E for byte in value):
        return ErrorReply(f"ERR {attribute.decode()} cannot contain spaces, newlines or special characters.")
    connection.library[attribute] = value[:1024]
    return OK


def _kill(connection: Connection, victims: list[Connection]) -> int:
    for victim in victims:
        if victim is connection:
            connection.finish_soon()
        else:
            victim.abort()
    return len(victims)


def describe(connection: Connection) -> bytes:
    """One line, as CLIENT LIST has it."""
    now_s = connection.face.now_s()
    flags = "P" if connection.channels or connection.patterns else "x" if connection.transaction is not None else "N"
    queued = len(connection.transaction.commands) if connection.transaction is not None else -1
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
        "multi": queued,
        "watch": len(connection.watch.keys) if connection.watch is not None else 0,
        "omem": connection.output_bytes,
        "cmd": connection.last_command.decode().lower(),
        "user": _USER.decode() if connection.trusted else "(none)",
        "resp": 3 if connection.resp3 else 2,
        "lib-name": connection.library.get(b"lib-name", b"").decode(),
        "lib-ver": connection.library.get(b"lib-ver", b"").decode(),
    }
    return (" ".join(f"{name}={value}" for name, value in fields.items()) + "\n").encode()


def _shown(text: bytes) -> str:
    return text[:128].decode("utf-8", "backslashreplace")


HANDLERS = (
    Handler(b"HELLO", -1, _hello),
    Handler(b"AUTH", -2, _auth),
    Handler(b"CLIENT", -2, _client, queued=True),
    Handler(b"SELECT", 2, _select, settled=False, queued=True),
    Handler(b"PING", -1, _ping, settled=False, queued=True),
    Handler(b"ECHO", 2, _echo, settled=False, queued=True),
    Handler(b"QUIT", -1, _quit),
    Handler(b"RESET", 1, _reset),
)
