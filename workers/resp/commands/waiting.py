"""WAIT, DELTAIC.TOKEN and DELTAIC.AWAIT: how a client waits for what other nodes have seen, or this one.

A token says what a node has seen. A client that takes it to another node and waits for it there reads its own writes,
and all that it had read before.
"""

from __future__ import annotations

from base64 import urlsafe_b64decode, urlsafe_b64encode
from typing import TYPE_CHECKING, Any

import orjson

from crdt_core.codec.clocks import decode_clock, encode_clock
from crdt_core.commands import OK, ErrorReply
from crdt_core.commands.arguments import NOT_AN_INTEGER
from crdt_core.errors import Malformed
from workers.resp.commands.rows import client_command

if TYPE_CHECKING:
    from workers.resp.context import Client

__all__ = ["COMMANDS"]


def _wait(client: Client, args: list[bytes]) -> Any:
    try:
        wanted, timeout_ms = int(args[0]), int(args[1])
    except ValueError:
        return ErrorReply(NOT_AN_INTEGER)
    if timeout_ms < 0:
        return ErrorReply("ERR timeout is negative")
    counter = min(client.written, client.services.node.own_counter)
    return client.services.acknowledgements.wait(counter, wanted, timeout_ms / 1000 or None)


def _token(client: Client, _args: list[bytes]) -> bytes:
    return urlsafe_b64encode(encode_clock(client.services.node.seen))


async def _await(client: Client, args: list[bytes]) -> Any:
    try:
        clock = decode_clock(orjson.loads(urlsafe_b64decode(args[0])))
    except (ValueError, Malformed):
        return ErrorReply("ERR this is no token of DELTAIC.TOKEN")
    if not args[1].isdigit():
        return ErrorReply("ERR timeout is not an integer or out of range")
    missing = await client.services.node.wait_until_seen(clock, int(args[1]) / 1000 or None)
    if missing:
        return ErrorReply(f"TRYAGAIN this node lacks {missing} of the commits that the token names")
    return OK


COMMANDS = (
    client_command(
        "generic",
        "WAIT numreplicas timeout",
        3,
        "blocking",
        _wait,
        "Waits until so many peers have the writes of this connection; returns how many have them.",
        categories="connection",
        settled=True,
    ),
    client_command(
        "deltaic",
        "DELTAIC.TOKEN",
        1,
        "readonly fast",
        _token,
        "Returns what this node has seen, as a token to wait for at another node.",
        settled=True,
    ),
    client_command(
        "deltaic",
        "DELTAIC.AWAIT token milliseconds",
        3,
        "readonly blocking",
        _await,
        "Waits until this node has seen all that a token of another node names.",
        settled=True,
    ),
)
