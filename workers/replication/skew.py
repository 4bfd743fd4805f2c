"""Finds out whose clock is wrong and by how much, for the log and the metrics.

There are two sources. The node reports the stamps of its peers that are ahead (`StampAhead`): these are the stamps
that the hybrid clock refuses to follow, or follows with a warning. And heartbeats carry the worker's wall clock beside
the time of its Redis. The time of the Redis tells how old the heartbeat is, so the rest of the difference between the
two workers' clocks is skew, ahead or behind, whatever the clock of the Redis shows. An old stamp tells nothing: it may
have waited in a partition.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import structlog
from redis.exceptions import RedisError

from crdt_core.errors import UnknownNode
from workers.replication.formats import Formats
from workers.replication.heartbeat import read_heartbeat
from workers.system.clock import wall_ms
from workers.wire.keys import FLEET

if TYPE_CHECKING:
    from crdt_core.node.events import StampAhead
    from crdt_core.node.node import Node
    from workers.wire.peers import Peers

__all__ = ["Skew"]

log = structlog.get_logger()

_MEASURE_INTERVAL_S = 2.0
_LOG_INTERVAL_MS = 60_000


class Skew:
    """The clocks of the peers of `node`. A skew of more than `warn_ms` is logged and shown in the metrics.

    `by_peer`: by how many milliseconds each peer's clock is ahead (behind: negative), of the peers whose worker runs.
    `logged_ms`: when each event of each source was logged, within the last minute.
    """

    def __init__(self, node: Node, peers: Peers, warn_ms: int) -> None:
        self._node = node
        self._peers = peers
        self._warn_ms = warn_ms
        self._formats = Formats(node)
        self.by_peer: dict[str, int] = {}
        self.logged_ms: dict[tuple[str, str], int] = {}

    @property
    def metrics(self) -> dict[str, int]:
        """Per peer with a large skew, how far its clock is ahead or behind."""
        skewed = {peer: ms for peer, ms in self.by_peer.items() if abs(ms) > self._warn_ms}
        return {f"clock_{'ahead' if ms > 0 else 'behind'}_ms_{peer}": abs(ms) for peer, ms in sorted(skewed.items())}

    def log_stamp(self, effect: StampAhead) -> None:
        """Log that a stamp was ahead, at most once a minute for each source."""
        event = "stamp_refused" if effect.refused else "stamp_ahead"
        if self._may_log(event, effect.source):
            log.warning(event, source=effect.source, ahead_ms=effect.ahead_ms)

    async def run(self) -> None:
        """Measure the skew of every peer every two seconds, until cancelled."""
        while True:
            await asyncio.gather(*map(self._measure, self._node.peers))
            self._formats.decide()
            for gone in self.by_peer.keys() - set(self._node.peers):
                del self.by_peer[gone]
            await asyncio.sleep(_MEASURE_INTERVAL_S)

    async def _measure(self, peer: str) -> None:
        try:
            async with self._peers.redis(peer).pipeline(transaction=True) as pipeline:
                pipeline.execute_command("HGET", FLEET, peer)
                pipeline.execute_command("TIME")
                value, redis_time = await pipeline.execute()
        except (RedisError, OSError, UnknownNode):
            self.by_peer.pop(peer, None)
            return
        heartbeat = read_heartbeat(value, redis_time)
        if heartbeat is None or not heartbeat.fresh:
            self.by_peer.pop(peer, None)
            return
        self._formats.note(peer, heartbeat.fields)
        ahead_ms = self.by_peer[peer] = heartbeat.wall_ms - wall_ms()
        if abs(ahead_ms) > self._warn_ms and self._may_log("clock_skewed", peer):
            log.warning("clock_skewed", peer=peer, **{"ahead_ms" if ahead_ms > 0 else "behind_ms": abs(ahead_ms)})

    def _may_log(self, event: str, source: str) -> bool:
        now_ms = wall_ms()
        recent = {what: at_ms for what, at_ms in self.logged_ms.items() if abs(now_ms - at_ms) < _LOG_INTERVAL_MS}
        self.logged_ms = {(event, source): now_ms} | recent
        return (event, source) not in recent
