"""What becomes of a request that is not simply a plain command from a client that may send it."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from functools import partial
from time import perf_counter
from typing import TYPE_CHECKING, Any

import structlog

from crdt_core.commands import CommandError, ErrorReply
from crdt_core.errors import DeltaicError
from workers.resp.encoding import NOTHING
from workers.resp.refusals import refusal
from workers.resp.transaction import Later

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from crdt_core.commands import Command, Session
    from workers.resp.careful import Request
    from workers.resp.context import Client

__all__ = ["HELD", "dispatch"]

log = structlog.get_logger()

HELD = object()
"""Instead of a reply: the request has to wait until everything before it is answered."""

_NO_AUTH = ErrorReply("NOAUTH Authentication required.")
_OF_BROWSERS = frozenset({b"POST", b"HOST:"})
"""How an HTTP request begins or goes on: a web page may make a browser send one here, with commands in its body."""


def dispatch(
    client: Client, command: Command[Any] | CommandError, request: Request, too_large: ErrorReply | None
) -> Any:
    """Return the reply to `request`, a coroutine of it, `NOTHING`, or `HELD`.

    `command` is what the table has for the request: a row, or the error for a wrong request. `too_large`: the error
    for an argument over its limit, if there is one.
    """
    if isinstance(command, CommandError):
        if request[0].upper() in _OF_BROWSERS:
            log.warning("client_cut_off", client=client.address, reason="it speaks HTTP")
            client.finish()
            return NOTHING
        refused: ErrorReply | None = ErrorReply(command.text)
        row = client.services.table.named(request[0])
    elif command.settled and not client.is_settled:
        return HELD
    else:
        refused = _refused(client, command) or too_large
        row = command
    muted = client.mute
    if refused is not None:
        reply: Any = refused
        if row is not None:
            client.services.statistics.rejected[row.name] += 1
        if client.transaction is not None:
            client.transaction.spoiled = True
    else:
        assert not isinstance(command, CommandError)
        reply = _run(client, command, request[command.words :])
    if muted == "skip" and client.mute == "skip":
        client.mute = ""
    elif not client.mute:
        return reply
    return _silently(reply) if asyncio.iscoroutine(reply) else NOTHING


async def _silently(reply: Coroutine[Any, Any, Any]) -> Any:
    await reply
    return NOTHING


def _refused(client: Client, command: Command[Any]) -> ErrorReply | None:
    """Return the error if this client must not send this command now, else `None`."""
    if not (client.trusted or command.for_strangers):
        return _NO_AUTH
    if client.may_only_listen and not command.while_subscribed:
        return ErrorReply(
            f"ERR Can't execute '{command.name.decode().lower()}': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT"
            " / RESET are allowed in this context"
        )
    return None


def _run(client: Client, command: Command[Any], args: list[bytes]) -> Any:
    client.last_command = command.name
    if client.transaction is not None and command.in_multi != "at once":
        return _queue(client, command, args)
    if not command.connected:  # it is here only because its reply is not wanted
        client.execute([(command, args)], muted=True)
        return NOTHING
    return _run_now(client, command, args)


def _run_now(client: Client, command: Command[Client], args: list[bytes]) -> Any:
    statistics, began_s = client.services.statistics, perf_counter()
    try:
        reply = command.run(client, args)
    except DeltaicError as error:
        reply = refusal(error)
    statistics.answered(command, 1, perf_counter() - began_s)
    if type(reply) is ErrorReply:
        statistics.failed[command.name] += 1
    return reply


def _queue(client: Client, command: Command[Any], args: list[bytes]) -> Any:
    assert client.transaction is not None
    if command.in_multi == "refused":
        client.transaction.spoiled = True
        return ErrorReply("ERR Command not allowed inside a transaction")
    if command.connected:
        command = replace(command, run=partial(_put_off, client, command))
    return client.transaction.queue(command, args)


def _put_off(client: Client, command: Command[Client], _session: Session, args: list[bytes]) -> Later:
    """Stand in for a command of the connection during the turn: what it does must not leave before the commit."""
    return Later(partial(command.run, client, args))
