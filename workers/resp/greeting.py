"""Who a client is, and how it wants to be spoken to: HELLO, AUTH, SELECT, RESET, QUIT, PING, ECHO."""

from __future__ import annotations

import hmac
from typing import TYPE_CHECKING, Any

from crdt_core.commands import OK, ErrorReply, Map, Status
from workers.resp.clients import USER, set_name
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
        refused = set_name(connection, name)
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
    user, password = args if len(args) == 2 else (USER, args[0])
    return OK if _log_in(connection, user, password) else _WRONG


def _log_in(connection: Connection, user: bytes, password: bytes) -> bool:
    wanted = connection.face.password
    right = user == USER and (wanted is None or hmac.compare_digest(password, wanted))
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


def _shown(text: bytes) -> str:
    return text[:128].decode("utf-8", "backslashreplace")


HANDLERS = (
    Handler(b"HELLO", -1, _hello),
    Handler(b"AUTH", -2, _auth),
    Handler(b"SELECT", 2, _select, settled=False, queued=True),
    Handler(b"PING", -1, _ping, settled=False, queued=True),
    Handler(b"ECHO", 2, _echo, settled=False, queued=True),
    Handler(b"QUIT", -1, _quit),
    Handler(b"RESET", 1, _reset),
)
