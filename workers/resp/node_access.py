"""The node behind the face: what commands may know of it, and ask of it.

This is the only module of the face that looks behind the mailbox.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import orjson

from workers.replication.peers import exchange, set_links

if TYPE_CHECKING:
    from collections.abc import Sequence

    from crdt_core.commands import Command, Keyspace, Session
    from crdt_core.lattice.clocks import ReplicaId, VersionVector
    from crdt_core.node.events import RoundResult
    from crdt_core.replica.catalogue import Catalogue
    from workers.replication.links import Links
    from workers.turns.loop import Observer
    from workers.turns.mailbox import Mailbox

__all__ = ["NodeAccess"]


class NodeAccess:
    """The node whose mailbox is `mailbox`, and its `links` to peers.

    `submit` sends an operation to the replica, and `leave` forgets who waits for it: see `Mailbox`.
    """

    def __init__(self, mailbox: Mailbox, links: Links) -> None:
        self.submit = mailbox.submit
        self.leave = mailbox.leave
        self._mailbox = mailbox
        self._node = mailbox.node
        self._links = links

    @property
    def state(self) -> Keyspace:
        """The last confirmed state, for reads. Raises `Stopping` once the worker is about to end."""
        return self._mailbox.state

    @property
    def catalogue(self) -> Catalogue:
        """The objects of the replica, confirmed or not; only for whom `observe` calls."""
        return self._node.replica.catalogue

    @property
    def replica(self) -> Keyspace:
        """The state of the replica, confirmed or not; only for whom `observe` calls."""
        return self._node.replica

    def is_large(self, command: Command[Session], request: list[bytes]) -> bool:
        """Return whether a read would look at more than a turn may. `request` has the name and the arguments."""
        sliced, node = command.sliced, self._node
        return sliced is not None and sliced.parts(node.replica, request[1:], 0) > node.options.parts_per_turn

    @property
    def replica_id(self) -> ReplicaId:
        """The id under which this node writes."""
        return self._node.replica.id

    @property
    def peers(self) -> tuple[str, ...]:
        """The other nodes of the fleet."""
        return self._node.peers

    @property
    def own_counter(self) -> int:
        """The counter of this node's last confirmed commit."""
        return self._mailbox.confirmed.clock[self.replica_id]

    @property
    def seen(self) -> VersionVector:
        """What this node has seen, up to the last confirmed commit."""
        return self._node.replica.replica_index.with_folded(self._mailbox.confirmed.clock)

    @property
    def expired_keys(self) -> int:
        """How many keys this node has deleted because they had expired."""
        return self._node.replica.expired_keys

    @property
    def keys_with_deadline(self) -> int:
        """How many keys may have a time to live."""
        return len(self._node.replica.catalogue.expiring)

    @property
    def facts(self) -> dict[str, Any]:
        """What INFO says of the node, in the section `Deltaic`."""
        node, confirmed = self._node, self._mailbox.confirmed
        return {
            "node": node.name,
            "replica": node.replica.id,
            "peers": ",".join(node.peers),
            "paused": ",".join(sorted(self._links.paused)),
            "clock": orjson.dumps(confirmed.clock).decode(),
            "stable": orjson.dumps(confirmed.stable).decode(),
            "digest": f"{confirmed.digest:016x}",
            "markers": confirmed.tombstones,
            **{name: node.counts[name] for name in sorted(node.counts)},
        }

    def observe(self, observer: Observer) -> None:
        """Have `observer` called with the changes of every commit that is confirmed from now on."""
        if observer not in self._mailbox.observers:
            self._mailbox.observers.append(observer)

    def stop_observing(self, observer: Observer) -> None:
        """End `observe`."""
        self._mailbox.observers.remove(observer)

    async def wait_until_seen(self, clock: VersionVector, timeout_s: float | None) -> int:
        """Wait until this node has seen `clock`; return how many commits it still lacks when the time is up.

        `timeout_s`: `None` for no limit.
        """
        try:
            async with asyncio.timeout(timeout_s):
                await self._mailbox.turned.wait_for(lambda: clock <= self.seen)
        except TimeoutError:
            seen = self.seen
            missing = seen.lacks(clock)
            return sum(missing.values()) - sum(seen[replica] for replica in missing)
        return 0

    async def wait_for_other_peers(self, than: tuple[str, ...]) -> None:
        """Return once the peers are not those that `than` names, in this order."""
        await self._mailbox.turned.wait_for(lambda: self.peers != than)

    async def exchange(self, peers: Sequence[str]) -> RoundResult:
        """Exchange with `peers` now: see `workers.replication.peers`."""
        return await exchange(self._mailbox, self._links, peers)

    async def set_links(self, peers: Sequence[str], *, paused: bool) -> dict[str, str]:
        """Pause or open the links to `peers`; return all links: see `workers.replication.peers`."""
        return await set_links(self._mailbox, self._links, peers, paused=paused)
