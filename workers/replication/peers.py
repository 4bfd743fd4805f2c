"""What callers ask about the peers of a node, whichever face they ask: an exchange now, and links paused or opened."""

from __future__ import annotations

from typing import TYPE_CHECKING

from crdt_core.errors import UnknownNode
from crdt_core.node.events import RoundAsked

if TYPE_CHECKING:
    from collections.abc import Sequence

    from crdt_core.node.events import RoundResult
    from workers.replication.links import Links
    from workers.turns.mailbox import Mailbox

__all__ = ["exchange", "set_links"]


async def exchange(mailbox: Mailbox, links: Links, peers: Sequence[str]) -> RoundResult:
    """Exchange with `peers` now (none: with all that the node listens to); return what came of it.

    Raises `UnknownNode` and what `Mailbox.ask_in_time` raises.
    """
    await links.read()  # a peer that was healed just now, by whatever means, takes part
    result: RoundResult = await mailbox.ask_in_time(
        lambda token: RoundAsked(tuple(peers), token),
        extra_s=mailbox.node.options.exchange_timeout_ms / 1000,
    )
    return result


async def set_links(mailbox: Mailbox, links: Links, peers: Sequence[str], *, paused: bool) -> dict[str, str]:
    """Pause or open the node's links to `peers` (none: to all); return all links. Raises `UnknownNode`."""
    known = list(mailbox.node.peers)
    for name in peers:
        if name not in known:
            raise UnknownNode(name, known)
    return await links.set(list(peers) or known, paused=paused)
