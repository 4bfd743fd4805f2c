"""Reads the clocks that other nodes have published in the headers in their Redis.

Who waits for a clock to grow does not ask again and again. Redis tracks the header for the connection that has read it
(`CLIENT TRACKING`), and says once that it has changed. So a wait costs one question per change, and no wait costs none.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from redis.exceptions import RedisError

from crdt_core.codec.header import decode_header
from crdt_core.errors import InvalidArgument, Malformed, StoreUnavailable, UnknownNode
from crdt_core.membership.incarnations import name_at_addition
from crdt_core.types.members import Standing
from workers.wire.keys import Keys

if TYPE_CHECKING:
    from collections.abc import Mapping

    from crdt_core.lattice.clocks import ReplicaId, VersionVector
    from crdt_core.node.node import Node
    from crdt_core.types.members import Members
    from workers.wire.peers import Peers

__all__ = ["Published"]


class Published:
    """The published clocks of the peers of `node`, each read from the peer's Redis."""

    def __init__(self, node: Node, peers: Peers) -> None:
        self._node = node
        self._peers = peers
        self._followed: dict[tuple[str, str], _Followed] = {}

    async def clock(self, peer: str) -> VersionVector:
        """Return what `peer` has seen; raises `StoreUnavailable` where its Redis does not tell."""
        try:
            fields: dict[Any, Any] = await self._peers.redis(peer).hgetall(Keys(peer).header)
            return decode_header(fields).clock
        except (RedisError, OSError, Malformed, UnknownNode) as error:
            raise _unreadable(peer, error) from error

    async def next_clock(self, peer: str) -> VersionVector:
        """Return what `peer` has seen: at once if it may have changed since the last call, else after the next change.

        One task at a time may wait for a peer. Raises `StoreUnavailable` where its Redis does not tell, and for a node
        that has left.
        """
        for gone in self._followed.keys() - self._peers.urls(self._node.peers):
            self._followed.pop(gone).close()
        if peer not in self._node.peers:
            raise StoreUnavailable(f"what {peer} has published cannot be read: {peer} is no member")
        try:
            place = peer, self._peers.url(peer)
            if place not in self._followed:
                self._followed[place] = _Followed(peer, self._peers)
            return await self._followed[place].next_clock()
        except (OSError, Malformed, UnknownNode, StoreUnavailable) as error:
            raise _unreadable(peer, error) from error

    async def check_claims(self, claimed: Mapping[str, int]) -> None:
        """Raise `InvalidArgument` if `claimed` has commits that their replica never made.

        `claimed` is the clock entries that a caller's patch would add here. If this node believed in such commits, it
        would skip the real ones with the same counters, and then so would all nodes. Replica ids that belong to no
        member (those of library objects) are not checked. For an id that leaves the fleet, the node itself decides.
        """
        members = self._node.replica.members
        for replica, counter in claimed.items():
            fact = members.facts.get(replica)
            if fact is None and _is_of_node(replica, members):
                raise InvalidArgument("patch", f"it claims {replica}:{counter}, and no such member is known here yet")
            if fact is None or fact.standing is not Standing.ACTIVE:
                continue
            made = (await self.clock(fact.node))[replica]
            if counter > made:
                raise InvalidArgument("patch", f"it claims {replica}:{counter}, and {replica} has made {made} commits")


class _Followed:
    """The header of `peer`, on a connection for which Redis tracks it."""

    def __init__(self, peer: str, peers: Peers) -> None:
        self._key = Keys(peer).header
        self._may_have_changed = asyncio.Event()
        self._may_have_changed.set()
        self._connection = peers.listener(
            peer,
            [("CLIENT", "TRACKING", "ON")],
            on_push=lambda _: self._may_have_changed.set(),
            on_lost=self._may_have_changed.set,
        )

    async def next_clock(self) -> VersionVector:
        await self._may_have_changed.wait()
        self._may_have_changed.clear()
        try:
            (fields,) = await self._connection.ask(("HGETALL", self._key))
        except BaseException:
            self._may_have_changed.set()
            raise
        return decode_header(fields).clock

    def close(self) -> None:
        self._connection.close()


def _is_of_node(replica: ReplicaId, members: Members) -> bool:
    """Return whether `replica` has the form of an id of a node that is or was a member."""
    machine, _, _ = replica.partition(".")
    return bool(members.ids_of(machine) or members.ids_of(name_at_addition(machine)))


def _unreadable(peer: str, error: Exception) -> StoreUnavailable:
    return StoreUnavailable(f"what {peer} has published cannot be read: {error}")
