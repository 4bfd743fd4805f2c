"""What the other nodes have published: the clocks in the headers of their Redis."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from redis.exceptions import RedisError

from crdt_core.codec.header import decode_header
from crdt_core.errors import InvalidArgument, Malformed, StoreUnavailable, UnknownNode
from crdt_core.types.members import Standing
from workers.wire.keys import Keys

if TYPE_CHECKING:
    from collections.abc import Mapping

    from crdt_core.lattice.clocks import VersionVector
    from crdt_core.node.node import Node
    from workers.wire.peers import Peers

__all__ = ["Published"]


class Published:
    """The published clocks of the peers of `node`, each read from the peer's Redis."""

    def __init__(self, node: Node, peers: Peers) -> None:
        self._node = node
        self._peers = peers

    async def clock(self, peer: str) -> VersionVector:
        """What `peer` has seen; raises `StoreUnavailable` where its Redis does not say."""
        try:
            fields: dict[Any, Any] = await self._peers.redis(peer).hgetall(Keys(peer).header)
            return decode_header(fields).clock
        except (RedisError, OSError, Malformed, UnknownNode) as error:
            raise StoreUnavailable(f"what {peer} has published cannot be read: {error}") from error

    async def check_claims(self, claimed: Mapping[str, int]) -> None:
        """Raises `InvalidArgument` where `claimed`, what a caller's patch adds, has commits that its node never made.

        To believe them would make this node, and then all, skip the real ones with those counters. Replicas that are no
        members' (a library object's) speak for themselves; what is claimed of an id that leaves, the node judges.
        """
        members = self._node.replica.members
        for replica, counter in claimed.items():
            fact = members.facts.get(replica)
            if fact is None and members.ids_of(replica.partition(".")[0]):
                raise InvalidArgument("patch", f"it claims {replica}:{counter}, and no such member is known here yet")
            if fact is None or fact.standing is not Standing.ACTIVE:
                continue
            made = (await self.clock(fact.node))[replica]
            if counter > made:
                raise InvalidArgument("patch", f"it claims {replica}:{counter}, and {replica} has made {made} commits")
