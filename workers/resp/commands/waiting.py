"""WAIT, DELTAIC.TOKEN and DELTAIC.AWAIT: how a client waits for what other nodes have seen, or this one.

A token says what a node has seen. A client that takes it to another node and waits for it there reads its own writes,
and all that it had read before.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from crdt_core.codec.clocks import decode_token, encode_token
from crdt_core.commands import OK, CommandError, ErrorReply
from crdt_core.commands.arguments import parse_integer
from crdt_core.errors import Malformed
from crdt_core.types.counters import INT64_MAX
from workers.resp.commands.rows import client_command
from workers.system.clock import wall_ms

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from crdt_core.lattice.clocks import VersionVector
    from workers.resp.context import Client

__all__ = ["COMMANDS"]


def _wait(client: Client, args: list[bytes]) -> Coroutine[Any, Any, Any]:
    wanted, timeout_s = parse_integer(args[0]), _timeout_s(args[1])
    counter = min(client.written, client.services.node.own_counter)
    return client.services.acknowledgements.wait(counter, wanted, timeout_s)


def _token(client: Client, _args: list[bytes]) -> bytes:
    return encode_token(client.services.node.seen)


def _await(client: Client, args: list[bytes]) -> Coroutine[Any, Any, Any]:
    try:
        clock = decode_token(args[0])
    except Malformed:
        raise CommandError("ERR this is no token of DELTAIC.TOKEN") from None
    return _await_clock(client, clock, _timeout_s(args[1]))


async def _await_clock(client: Client, clock: VersionVector, timeout_s: float | None) -> Any:
    missing = await client.services.node.wait_until_seen(clock, timeout_s)
    if missing:
        return ErrorReply(f"TRYAGAIN this node lacks {missing} of the commits that the token names")
    return OK


def _timeout_s(text: bytes) -> float | None:
    """Return the timeout in ms that `text` spells, in seconds; `None` for 0, which is no limit."""
    timeout_ms = parse_integer(text, "ERR timeout is not an integer or out of range")
    if timeout_ms < 0:
        raise CommandError("ERR timeout is negative")
    if timeout_ms > INT64_MAX - wall_ms():
        raise CommandError("ERR timeout is out of range")
    return timeout_ms / 1000 or None


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
