"""The way to the other nodes: their addresses, by the fleet file or by what members have written down, and connections.

The fleet file comes first: a node may have to go another way than the one that was written down.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from weakref import WeakSet

from redis.asyncio import Redis

from crdt_core.errors import UnknownNode
from workers.wire.reconnecting import ReconnectingConnection

if TYPE_CHECKING:
    from crdt_core.types.members import Members
    from workers.config.settings import FleetSettings

__all__ = ["Peers", "connection"]

_REPLY_TIMEOUT_S = 5.0


class Peers:
    """The other nodes of `name`. `members` is what its replica knows at present.

    `met`: per node whose log is read, the run id of its Redis when that began.
    """

    def __init__(self, settings: FleetSettings, name: str) -> None:
        self._settings = settings
        self._name = name
        self._connections: dict[str, Redis] = {}
        self._lines: WeakSet[ReconnectingConnection] = WeakSet()
        self.members: Members | None = None
        self.met: dict[str, str] = {}

    @property
    def inbox_entries_max(self) -> int:
        """How many messages may wait for a node."""
        return self._settings.limits.inbox_entries_max

    def named(self) -> list[str]:
        """The other nodes that the fleet file names."""
        return list(self._settings.peers_of(self._name))

    def redis(self, node: str) -> Redis:
        """The Redis of `node`; raises `UnknownNode` where nothing says where that is."""
        url = self._url(node)
        if url not in self._connections:
            self._connections[url] = connection(url)
        return self._connections[url]

    def line(self, node: str) -> ReconnectingConnection:
        """A line of its own to the Redis of `node`; raises `UnknownNode`."""
        line = ReconnectingConnection(self._url(node), f"deltaic-reader-{self._name}", _REPLY_TIMEOUT_S)
        self._lines.add(line)
        return line

    async def close(self) -> None:
        """Closes all connections."""
        for line in self._lines:
            line.close()
        for redis in self._connections.values():
            await redis.aclose()

    def _url(self, node: str) -> str:
        named = self._settings.nodes.get(node)
        if named is not None:
            return named.redis
        if self.members is not None and node in self.members.active:
            written = self.members.facts[self.members.active[node]].redis
            if written:
                return written
        raise UnknownNode(node, list(self._settings.nodes))


def connection(url: str) -> Redis:
    """A Redis whose connections notice it when the other end has vanished without a word."""
    return Redis.from_url(url, socket_timeout=_REPLY_TIMEOUT_S, socket_connect_timeout=_REPLY_TIMEOUT_S)
