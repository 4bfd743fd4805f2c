"""Finds the Redis of the other nodes, and holds the connections to it.

The fleet file takes precedence over the addresses that members have published: this node may have to use another
address than the published one.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any
from weakref import WeakSet

from redis.asyncio import Redis

from crdt_core.errors import UnknownNode
from workers.config.embedded_server import completed
from workers.wire.large_replies import LargeReplyWire
from workers.wire.outages import Outages
from workers.wire.pushes import listening
from workers.wire.reconnecting import ReconnectingConnection

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from crdt_core.types.members import Members
    from workers.config.settings import FleetSettings
    from workers.wire.connection import RedisCommand

__all__ = ["Peers", "redis_client", "redis_url"]

_REPLY_TIMEOUT_S = 5.0
_PROBE_TIMEOUT_S = 1.0


class Peers:
    """The connections of node `name` to the Redis of all nodes, its own included.

    `members` is what is known of the members at present; the owner of this object keeps it up to date (`follow`).
    `met` has, per node, the run id of its Redis when this worker began to read what the node sends.
    """

    def __init__(self, settings: FleetSettings, name: str) -> None:
        self._settings = settings
        self._name = name
        self._clients: dict[str, Redis] = {}
        self._outages = Outages()
        self._readers: WeakSet[ReconnectingConnection] = WeakSet()
        self.members: Members | None = None
        self.met: dict[str, str] = {}

    @property
    def name(self) -> str:
        """The name of the node whose connections these are."""
        return self._name

    @property
    def inbox_entries_max(self) -> int:
        """How many messages may wait in a node's inbox."""
        return self._settings.limits.inbox_entries_max

    def follow(self, members: Members, *, joins: bool) -> None:
        """Take over `members`, which is what the node's replica knows.

        The replica of a node that `joins` may not have heard of its sponsor yet. Until the node is a member, what its
        start has found out from others counts, too.
        """
        self.members = self.members.joined(members) if joins and self.members is not None else members

    def in_fleet_file(self) -> list[str]:
        """Return the other nodes that the fleet file names."""
        return list(self._settings.peers_of(self._name))

    def url(self, node: str) -> str:
        """Return the URL of the Redis of `node`.

        Raises `UnknownNode` where neither the fleet file nor the members have its address.
        """
        return redis_url(self._settings, self.members, node)

    def urls(self, nodes: Iterable[str]) -> set[tuple[str, str]]:
        """Return those of `nodes` whose address is known, each with the URL of its Redis."""
        found = set()
        for node in nodes:
            with suppress(UnknownNode):
                found.add((node, self.url(node)))
        return found

    def redis(self, node: str) -> Redis:
        """Return the client for the Redis of `node`, shared by all callers. Raises `UnknownNode`."""
        return self._client(self.url(node))

    async def run_id(self, node: str) -> str:
        """Return the run id of the Redis of `node`. Raises the errors of the connection, and `UnknownNode`."""
        found: str = (await self.redis(node).info("server"))["run_id"]
        return found

    def recorded(self) -> Redis | None:
        """Return a client for the Redis that the members have recorded for this node, if it is not the fleet file's."""
        if self.members is None or self._name not in self.members.active:
            return None
        published = self.members.facts[self.members.active[self._name]].redis
        url = completed(published, self._settings.valkey)
        if not published or url == self._settings.node(self._name).redis:
            return None
        return self._client(url)

    def reader(self, node: str) -> ReconnectingConnection:
        """Return a new reconnecting connection to the Redis of `node`, for one reader. Raises `UnknownNode`."""
        url = self.url(node)
        name = f"deltaic-reader-{self._name}"
        reader = ReconnectingConnection(url, name, _REPLY_TIMEOUT_S, self._outages, make=LargeReplyWire)
        self._readers.add(reader)
        return reader

    def listener(
        self,
        node: str,
        opening: Sequence[RedisCommand],
        *,
        on_push: Callable[[list[Any]], None],
        on_lost: Callable[[], None],
    ) -> ReconnectingConnection:
        """Return a new connection to the Redis of `node` on which it says what happens: see `workers.wire.pushes`."""
        url = self.url(node)
        name = f"deltaic-listener-{self._name}"
        listener = listening(url, name, _REPLY_TIMEOUT_S, self._outages, opening, on_push=on_push, on_lost=on_lost)
        self._readers.add(listener)
        return listener

    def probe(self, node: str) -> ReconnectingConnection:
        """Return a new reconnecting connection to the Redis of `node`, to find out whether it answers."""
        url = self.url(node)
        probe = ReconnectingConnection(url, f"deltaic-probe-{self._name}", _PROBE_TIMEOUT_S, self._outages)
        self._readers.add(probe)
        return probe

    def _client(self, url: str) -> Redis:
        if url not in self._clients:
            self._clients[url] = redis_client(url)
        return self._clients[url]

    async def close(self) -> None:
        """Close all connections."""
        for reader in self._readers:
            reader.close()
        for client in self._clients.values():
            await client.aclose()


def redis_url(settings: FleetSettings, members: Members | None, node: str) -> str:
    """Return the URL of the Redis of `node`: the one in the fleet file, else the one that the member has published.

    Raises `UnknownNode` where there is neither.
    """
    if node in settings.nodes:
        return settings.nodes[node].redis
    if members is not None and node in members.active:
        published = members.facts[members.active[node]].redis
        if published:
            return completed(published, settings.valkey)
    raise UnknownNode(node, list(settings.nodes))


def redis_client(url: str) -> Redis:
    """Return a redis-py client whose calls fail after some seconds where the other end has vanished."""
    return Redis.from_url(url, socket_timeout=_REPLY_TIMEOUT_S, socket_connect_timeout=_REPLY_TIMEOUT_S)
