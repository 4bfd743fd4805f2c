"""What becomes of a request that is not simply a command of the core, sent by a client that may send it."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING, Any

import structlog

from crdt_core.commands import Command, CommandError, ErrorReply, Execute, lookup
from workers.resp.encoding import NOTHING
from workers.resp.refusals import NO_AUTH, too_large, wrong_number
from workers.system.clock import wall_ms

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from crdt_core.commands import Session
    from workers.resp.connection import Connection
    from workers.resp.face import RespFace
    from workers.resp.handler import Handler
    from workers.resp.parsing import Request

__all__ = ["HELD", "dispatch", "refused"]

log = structlog.get_logger()

HELD = object()
"""Instead of a reply: the request has to wait until everything before it is answered."""

_WHILE_SUBSCRIBED = frozenset(b"SUBSCRIBE UNSUBSCRIBE PSUBSCRIBE PUNSUBSCRIBE PING QUIT RESET".split())
_FOR_STRANGERS = frozenset(b"AUTH HELLO QUIT RESET".split())
_OF_BROWSERS = frozenset({b"POST", b"HOST:"})
"""How an HTTP request begins, or goes on: a web page may make a browser send one here, with commands in its body."""
_WITHIN_MULTI = frozenset(b"MULTI EXEC DISCARD WATCH QUIT RESET".split())


def refused(face: RespFace, command: Command, request: Request) -> ErrorReply | None:
    """Why the core need not see the request, if so."""
    count, arity = len(request), command.arity
    if count != arity and (arity > 0 or count < -arity):
        return wrong_number(command.name)
    return too_large(command, request, face.limits) if len(b"".join(request)) > face.small_bytes else None


def dispatch(connection: Connection, entry: Command | Handler | None, request: Request) -> Any:
    """The reply, a coroutine of it, `NOTHING`, or `HELD`."""
    if entry is None and request[0].upper() in _OF_BROWSERS:
        log.warning("client_cut_off", client=connection.address, reason="it speaks HTTP")
        connection.finish()
        return NOTHING
    if isinstance(entry, tuple) and not isinstance(entry, Command) and entry.settled and not connection.is_settled:
        return HELD
    muted = connection.mute
    reply = _forbidden(connection, entry, request)
    if reply is not None:
        if connection.transaction is not None:
            connection.transaction.spoiled = True
    else:
        assert entry is not None
        reply = _run(connection, entry, request[1:])
    if muted == "skip" and connection.mute == "skip":
        connection.mute = ""
    elif not connection.mute:
        return reply
    return _silently(reply) if asyncio.iscoroutine(reply) else NOTHING


async def _silently(reply: Coroutine[Any, Any, Any]) -> Any:
    await reply
    return NOTHING


def _run(connection: Connection, entry: Command | Handler, args: list[bytes]) -> Any:
    connection.last_command = entry.name
    if connection.transaction is not None and entry.name not in _WITHIN_MULTI:
        return _queue(connection, entry, args)
    if isinstance(entry, Command):  # it would have gone to the core, were its reply not unwanted
        connection.submit(
            Execute([(entry, args)], wall_ms(), connection.face.seed(), connection.face.options), 1, muted=True
        )
        return NOTHING
    return entry.run(connection, args)


def _queue(connection: Connection, entry: Command | Handler, args: list[bytes]) -> Any:
    assert connection.transaction is not None
    if isinstance(entry, Command):
        return connection.transaction.queue(entry, args)
    if not entry.queued:
        connection.transaction.spoiled = True
        return ErrorReply("ERR Command not allowed inside a transaction")
    run = partial(_run_queued, connection, entry)
    return connection.transaction.queue(Command(entry.name, entry.arity, False, (0, 0, 0), run), args)


def _run_queued(connection: Connection, handler: Handler, _session: Session, args: list[bytes]) -> Any:
    return handler.run(connection, args)


def _forbidden(connection: Connection, entry: Command | Handler | None, request: Request) -> ErrorReply | None:
    if entry is None:
        return _unknown(request)
    if len(request) != entry.arity and (entry.arity > 0 or len(request) < -entry.arity):
        return wrong_number(entry.name)
    if not connection.trusted and entry.name not in _FOR_STRANGERS:
        return NO_AUTH
    listens_only = (connection.channels or connection.patterns) and not connection.resp3
    if listens_only and entry.name not in _WHILE_SUBSCRIBED:
        return ErrorReply(
            f"ERR Can't execute '{entry.name.decode().lower()}': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT"
            " / RESET are allowed in this context"
        )
    return refused(connection.face, entry, request) if isinstance(entry, Command) else None


def _unknown(request: Request) -> ErrorReply:
    try:
        command = lookup(request[0], request[1:])
    except CommandError as error:
        return ErrorReply(error.text)
    raise AssertionError(f"{command.name!r} is known")
