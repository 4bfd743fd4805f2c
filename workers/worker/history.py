"""Checks that no peer has seen commits of this replica that its own Redis has lost."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

from crdt_core.errors import InvariantBroken, StoreUnavailable

if TYPE_CHECKING:
    from crdt_core.node.node import Node
    from workers.replication.published import Published

__all__ = ["check_history"]

_READ_TIMEOUT_S = 2.0


async def check_history(node: Node, published: Published) -> None:
    """Raise `InvariantBroken` if a peer has seen more commits of this replica than `node` has.

    To continue would use dots twice, and would overwrite at the peers what only they still have. Peers that cannot be
    reached are left out. What they have seen is noticed when they answer, if this node has not overtaken it by then.
    """
    own = node.replica.clock[node.replica.id]

    async def check(peer: str) -> None:
        with contextlib.suppress(StoreUnavailable, TimeoutError):
            async with asyncio.timeout(_READ_TIMEOUT_S):
                seen = (await published.clock(peer))[node.replica.id]
            if seen > own:
                raise InvariantBroken(
                    f"the Redis of {node.name} has lost commits: it is at {own}, and {peer} has seen {seen}"
                )

    for found in await asyncio.gather(*map(check, node.peers), return_exceptions=True):
        if isinstance(found, BaseException):
            raise found
