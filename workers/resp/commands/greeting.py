"""HELLO, AUTH, SELECT, RESET, QUIT, PING and ECHO: who a client is, and how it wants to be spoken to."""

from __future__ import annotations

import hmac
from typing import TYPE_CHECKING, Any

from crdt_core.commands import OK, ErrorReply, Map, Status
from crdt_core.commands.arguments import SYNTAX, check_database, parse_integer, wrong_number
from workers.resp.commands.clients import set_name
from workers.resp.commands.rows import client_command
from workers.resp.context import REDIS_VERSION, USER
from workers.resp.encoding import NOTHING
from workers.resp.refusals import no_writes

if TYPE_CHECKING:
    from workers.resp.context import Client

__all__ = ["COMMANDS"]

_WRONG = ErrorReply("WRONGPASS invalid username-password pair or user is disabled.")
_NO_PASSWORD = ErrorReply(
    "ERR AUTH <password> called without any password configured for the default user. Are you sure your configuration "
    "is correct?"
)
_NOT_LOGGED_IN = ErrorReply(
    "NOAUTH HELLO must be called with the client already authenticated, otherwise the HELLO <proto> AUTH <user> <pass>"
    " option can be used to authenticate the client and select the RESP protocol version at the same time"
)


def _hello(client: Client, args: list[bytes]) -> Any:
    name: bytes | None = None
    credentials: tuple[bytes, bytes] | None = None
    if args and args[0] not in {b"2", b"3"}:
        parse_integer(args[0], "ERR Protocol version is not an integer or out of range")
        return ErrorReply("NOPROTO unsupported protocol version")
    rest = args[1:]
    while rest:
        match [rest[0].upper(), *rest[1:]]:
            case [b"AUTH", user, password, *rest]:
                credentials = (user, password)
            case [b"SETNAME", wanted, *rest]:
                name = wanted
            case _:
                shown = rest[0][:128].decode("utf-8", "backslashreplace")
                return ErrorReply(f"ERR Syntax error in HELLO option '{shown}'")
    if credentials is not None and not _log_in(client, *credentials):
        return _WRONG
    if not client.trusted:
        return _NOT_LOGGED_IN
    if name is not None:
        refused = set_name(client, name)
        if refused is not OK:
            return refused
    if args:
        client.resp3 = args[0] == b"3"
    return Map(
        [
            (b"server", b"deltaic"),
            (b"version", REDIS_VERSION.encode()),
            (b"proto", 3 if client.resp3 else 2),
            (b"id", client.id),
            (b"mode", b"standalone"),
            (b"role", b"master"),
            (b"modules", []),
        ]
    )


def _auth(client: Client, args: list[bytes]) -> Any:
    if len(args) > 2:
        return ErrorReply(SYNTAX)
    if client.services.password is None and len(args) == 1:
        return _NO_PASSWORD
    user, password = args if len(args) == 2 else (USER, args[0])
    return OK if _log_in(client, user, password) else _WRONG


def _log_in(client: Client, user: bytes, password: bytes) -> bool:
    wanted = client.services.password
    right = user == USER and (wanted is None or hmac.compare_digest(password, wanted))
    if right:
        client.trust()
    return right


def _select(client: Client, args: list[bytes]) -> Any:
    check_database(args[0], client.services.limits.databases, "limits.databases")
    return OK


def _ping(client: Client, args: list[bytes]) -> Any:
    if len(args) > 1:
        raise wrong_number(b"PING")
    if client.may_only_listen:
        return [b"pong", *(args or [b""])]
    if (trouble := client.services.health.trouble) is not None:
        return no_writes(trouble.reason)
    return args[0] if args else Status("PONG")


def _echo(_client: Client, args: list[bytes]) -> Any:
    return args[0]


def _quit(client: Client, _args: list[bytes]) -> Any:
    client.say(OK)
    client.finish()
    return NOTHING


def _reset(client: Client, _args: list[bytes]) -> Any:
    client.services.channels.leave(client)
    client.end_transaction()
    client.resp3 = False
    client.mute = ""
    client.name = b""
    if client.services.password is not None:
        client.distrust()
    return Status("RESET")


_STRANGER = "noscript loading stale fast no_auth allow_busy"

COMMANDS = (
    client_command(
        "connection",
        "HELLO [protover [AUTH username password] [SETNAME clientname]]",
        -1,
        _STRANGER,
        _hello,
        "Chooses the version of the protocol, and logs in.",
        settled=True,
    ),
    client_command("connection", "AUTH [username] password", -2, _STRANGER, _auth, "Logs in.", settled=True),
    client_command(
        "connection",
        "SELECT index",
        2,
        "loading stale fast allow_busy",
        _select,
        "Chooses a database: there is only 0, and `limits.databases` more names for it.",
        in_multi="queued",
    ),
    client_command(
        "connection",
        "PING [message]",
        -1,
        "fast",
        _ping,
        "Answers PONG, or returns the message; an error while the node cannot write, unless the client listens.",
        in_multi="queued",
        while_subscribed=True,
    ),
    client_command(
        "connection", "ECHO message", 2, "loading stale fast", _echo, "Returns the message.", in_multi="queued"
    ),
    client_command(
        "connection",
        "QUIT",
        -1,
        _STRANGER,
        _quit,
        "Ends the connection.",
        settled=True,
        in_multi="at once",
        while_subscribed=True,
    ),
    client_command(
        "connection",
        "RESET",
        1,
        _STRANGER,
        _reset,
        "Resets the connection to its initial state.",
        settled=True,
        in_multi="at once",
        while_subscribed=True,
    ),
)
