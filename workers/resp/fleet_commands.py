"""What Redis has no word for: where a client stands (tokens), and what nodes do with each other.

A token is what a node has seen, in a form to be passed on: a client that takes it to another node and waits for it
there reads its own writes, and whatever it had read.
"""

from __future__ import annotations

import asyncio
from base64 import urlsafe_b64decode, urlsafe_b64encode
from typing import TYPE_CHECKING, Any

import orjson

from crdt_core.codec.canonical import decode_clock, encode_clock
from crdt_core.commands import OK, ErrorReply, Map
from crdt_core.errors import Malformed, UnknownNode
from crdt_core.node.events import RoundAsked
from workers.resp.handler import Handler

if TYPE_CHECKING:
    from crdt_core.lattice.clocks import VersionVector
    from crdt_core.node.events import RoundResult
    from workers.resp.connection import Connection

__all__ = ["HANDLERS"]


def _token(connection: Connection, _args: list[bytes]) -> bytes:
    return urlsafe_b64encode(encode_clock(_seen(connection)))


async def _await(connection: Connection, args: list[bytes]) -> Any:
    try:
        clock = decode_clock(orjson.loads(urlsafe_b64decode(args[0])))
    except (ValueError, Malformed):
        return ErrorReply("ERR this is no token of DELTAIC.TOKEN")
    if not args[1].isdigit():
        return ErrorReply("ERR timeout is not an integer or out of range")
    turned = connection.face.mailbox.turned
    try:
        async with asyncio.timeout(int(args[1]) / 1000 or None):
            await turned.wait_for(lambda: clock <= _seen(connection))
    except TimeoutError:
        missing = sum(_seen(connection).lacks(clock).values()) - sum(
            _seen(connection)[replica] for replica in _seen(connection).lacks(clock)
        )
        return ErrorReply(f"TRYAGAIN this node lacks {missing} of the commits that the token names")
    return OK


def _seen(connection: Connection) -> VersionVector:
    mailbox = connection.face.mailbox
    return mailbox.node.replica.replica_index.whole(mailbox.confirmed.clock)


async def _partition(connection: Connection, args: list[bytes]) -> Any:
    return await _set_links(connection, args, paused=True)


async def _heal(connection: Connection, args: list[bytes]) -> Any:
    return await _set_links(connection, args, paused=False)


async def _set_links(connection: Connection, args: list[bytes], *, paused: bool) -> Map:
    links = await connection.face.links.set(_peers(connection, args), paused=paused)
    return Map([(peer.encode(), state.encode()) for peer, state in links.items()])


async def _sync(connection: Connection, args: list[bytes]) -> Any:
    mailbox, peers = connection.face.mailbox, tuple(_peers(connection, args) if args else ())
    await connection.face.links.read()  # who was healed just now, by whatever means, takes part
    result: RoundResult = await mailbox.ask_in_time(
        lambda token: RoundAsked(peers, token), extra_s=mailbox.node.options.exchange_timeout_ms / 1000
    )
    return Map(
        [
            (b"contacted", [peer.encode() for peer in result.contacted]),
            (b"failed", [peer.encode() for peer in result.failed]),
            (b"messages_sent", result.messages_sent),
            (b"new_items", result.new_items),
        ]
    )


def _peers(connection: Connection, named: list[bytes]) -> list[str]:
    """The peers that are named (none: all); raises `UnknownNode`."""
    peers = list(connection.face.mailbox.node.peers)
    names = [name.decode("utf-8", "backslashreplace") for name in named]
    for name in names:
        if name not in peers:
            raise UnknownNode(name, peers)
    return names or peers


HANDLERS = (
    Handler(b"DELTAIC.TOKEN", 1, _token),
    Handler(b"DELTAIC.AWAIT", 3, _await),
    Handler(b"DELTAIC.PARTITION", -1, _partition),
    Handler(b"DELTAIC.HEAL", -1, _heal),
    Handler(b"DELTAIC.SYNC", -1, _sync),
)
