"""DELTAIC.PARTITION, DELTAIC.HEAL and DELTAIC.SYNC: whom this node listens to, and exchanging with peers at once."""

from __future__ import annotations

from typing import TYPE_CHECKING

from crdt_core.commands import Map
from workers.resp.commands.rows import client_command

if TYPE_CHECKING:
    from workers.resp.context import Client

__all__ = ["COMMANDS"]


async def _partition(client: Client, args: list[bytes]) -> Map:
    return await _set_links(client, args, paused=True)


async def _heal(client: Client, args: list[bytes]) -> Map:
    return await _set_links(client, args, paused=False)


async def _set_links(client: Client, args: list[bytes], *, paused: bool) -> Map:
    links = await client.services.node.set_links(_names(args), paused=paused)
    return Map([(peer.encode(), state.encode()) for peer, state in links.items()])


async def _sync(client: Client, args: list[bytes]) -> Map:
    result = await client.services.node.exchange(_names(args))
    return Map(
        [
            (b"contacted", [peer.encode() for peer in result.contacted]),
            (b"failed", [peer.encode() for peer in result.failed]),
            (b"messages_sent", result.messages_sent),
            (b"new_items", result.new_items),
        ]
    )


def _names(args: list[bytes]) -> list[str]:
    return [name.decode("utf-8", "backslashreplace") for name in args]


COMMANDS = (
    client_command(
        "deltaic",
        "DELTAIC.PARTITION [peer [peer ...]]",
        -1,
        "admin",
        _partition,
        "Stops listening to peers, in this direction only; to all, if none is named. Returns the links.",
        settled=True,
    ),
    client_command(
        "deltaic",
        "DELTAIC.HEAL [peer [peer ...]]",
        -1,
        "admin",
        _heal,
        "Listens to peers again; to all, if none is named. Returns the links.",
        settled=True,
    ),
    client_command(
        "deltaic",
        "DELTAIC.SYNC [peer [peer ...]]",
        -1,
        "admin blocking",
        _sync,
        "Exchanges with peers now; with all that this node listens to, if none is named.",
        settled=True,
    ),
)
