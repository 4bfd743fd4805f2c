"""Whose clock is wrong, and by how much: what the worker knows of its peers' clocks, and says in its log.

Two sources. Stamps of what peers send, as the node reports them (`StampAhead`): these are what the hybrid clock refuses
to follow. And heartbeats: each carries its worker's wall clock beside that of its Redis, so that how old it is can be
told by the Redis alone; what is left between the worker's clock and this one is skew, ahead or behind, whatever the
Redis's own clock says. A stamp that is old says nothing: it may have waited in a partition.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import orjson
import structlog
from redis.exceptions import RedisError

from crdt_core.errors import UnknownNode
from workers.system.clock import wall_ms
from workers.wire.keys import FLEET

if TYPE_CHECKING:
    from crdt_core.node.events import StampAhead
    from crdt_core.node.node import Node
    from workers.wire.peers import Peers

__all__ = ["HEARTBEAT_FRESH_MS", "Heartbeat", "Skew", "read_heartbeat"]

log = structlog.get_logger()

HEARTBEAT_FRESH_MS = 3000
"""A worker whose last heartbeat is older has died, or cannot reach its Redis."""

_LOOK_S = 2.0
_SILENCE_MS = 60_000


class Heartbeat:
    """A worker's last sign of life: its age by the clock of its Redis, and what its own clock shows now."""

    def __init__(self, age_ms: int, wall_ms: int) -> None:
        self.age_ms = max(0, age_ms)
        self.wall_ms = wall_ms + self.age_ms

    @property
    def fresh(self) -> bool:
        """Whether the worker lives."""
        return self.age_ms < HEARTBEAT_FRESH_MS


def read_heartbeat(beat: bytes | str | None, redis_time: tuple[int, int]) -> Heartbeat | None:
    """The heartbeat in a field of the fleet hash, read together with the TIME of that Redis; `None` for nonsense."""
    try:
        fields = orjson.loads(beat or b"null")
        made_ms, made_wall_ms = fields["redis_ms"], fields["beat_ms"]
    except (orjson.JSONDecodeError, KeyError, TypeError, IndexError):
        return None
    if type(made_ms) is not int or type(made_wall_ms) is not int:
        return None
    return Heartbeat(redis_ms(redis_time) - made_ms, made_wall_ms)


def redis_ms(redis_time: tuple[int, int]) -> int:
    """The reply to TIME in milliseconds."""
    seconds, micros = redis_time
    return int(seconds) * 1000 + int(micros) // 1000


class Skew:
    """What is known of the clocks of the peers of `node`; `warn_ms` is what is worth a word."""

    def __init__(self, node: Node, peers: Peers, warn_ms: int) -> None:
        self._node = node
        self._peers = peers
        self._warn_ms = warn_ms
        self._said_ms: dict[tuple[str, str], int] = {}
        self.by_peer: dict[str, int] = {}

    @property
    def metrics(self) -> dict[str, int]:
        """Per peer how far its clock is ahead or behind, where that is worth a word."""
        skewed = {peer: ms for peer, ms in self.by_peer.items() if abs(ms) > self._warn_ms}
        return {f"clock_{'ahead' if ms > 0 else 'behind'}_ms_{peer}": abs(ms) for peer, ms in sorted(skewed.items())}

    def note(self, effect: StampAhead) -> None:
        """Logs that a stamp was ahead: each source once a minute."""
        kind = "stamp_refused" if effect.refused else "stamp_ahead"
        if self._may_say(kind, effect.source):
            log.warning(kind, source=effect.source, ahead_ms=effect.ahead_ms)

    async def run(self) -> None:
        """Looks at the peers' clocks now and then until cancelled."""
        while True:
            await asyncio.gather(*map(self._look, self._node.peers))
            for gone in self.by_peer.keys() - set(self._node.peers):
                del self.by_peer[gone]
            await asyncio.sleep(_LOOK_S)

    async def _look(self, peer: str) -> None:
        try:
            async with self._peers.redis(peer).pipeline(transaction=True) as pipeline:
                pipeline.execute_command("HGET", FLEET, peer)
                pipeline.execute_command("TIME")
                beat, time = await pipeline.execute()
        except (RedisError, OSError, UnknownNode):
            return
        heartbeat = read_heartbeat(beat, time)
        if heartbeat is None or not heartbeat.fresh:
            self.by_peer.pop(peer, None)
            return
        ahead_ms = self.by_peer[peer] = heartbeat.wall_ms - wall_ms()
        if abs(ahead_ms) > self._warn_ms and self._may_say("clock_skewed", peer):
            log.warning("clock_skewed", peer=peer, **{"ahead_ms" if ahead_ms > 0 else "behind_ms": abs(ahead_ms)})

    def _may_say(self, kind: str, source: str) -> bool:
        now_ms = wall_ms()
        last_ms = self._said_ms.get((kind, source))
        if last_ms is not None and abs(now_ms - last_ms) < _SILENCE_MS:
            return False
        self._said_ms[kind, source] = now_ms
        return True
