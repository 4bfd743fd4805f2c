"""The Redis face of one worker: its port and its connections."""

from __future__ import annotations

import asyncio
import resource
from typing import TYPE_CHECKING

import structlog

from crdt_core.commands import CommandOptions
from workers.resp.acknowledgements import Acknowledgements
from workers.resp.announcer import Announcer
from workers.resp.channels import Channels
from workers.resp.commands.table import TABLE
from workers.resp.connection import Connection
from workers.resp.context import ServerFacts, Services
from workers.resp.node_access import NodeAccess
from workers.resp.tls import TlsConnections
from workers.system.ports import PortTaken, split_address

if TYPE_CHECKING:
    import ssl

    from crdt_core.commands import Policies
    from workers.config.settings import LimitSettings
    from workers.replication.broadcasts import Broadcasts
    from workers.replication.links import Links
    from workers.replication.published import Published
    from workers.storage.writability import Health
    from workers.turns.mailbox import Mailbox

__all__ = ["RespFace"]

log = structlog.get_logger()

_BACKLOG = 1024
_OTHER_FILES = 256
_STOP_GRACE_S = 2.0


class RespFace:
    """The server of one worker.

    `health`: whether writes can succeed. `broadcasts`: the messages from and to other nodes. `password`: what clients
    must show, `None` where all are let in. `tls`: the connections are encrypted by it; `None` for plain ones.
    """

    def __init__(
        self,
        mailbox: Mailbox,
        links: Links,
        published: Published,
        limits: LimitSettings,
        *,
        health: Health,
        broadcasts: Broadcasts,
        policies: Policies | None = None,
        password: str | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        node, channels = NodeAccess(mailbox, links), Channels()
        broadcasts.deliver = channels.publish
        self._services = Services(
            node=node,
            table=TABLE,
            channels=channels,
            announcer=Announcer(node, channels),
            acknowledgements=Acknowledgements(node, published),
            options=CommandOptions(policies, limits.value_bytes_max, limits.output_bytes_max),
            limits=limits,
            health=health,
            broadcast=broadcasts.publish,
            server=ServerFacts(limits.connections_max, tls is not None),
            password=password.encode() if password is not None else None,
        )
        self._encrypted = TlsConnections(tls, self._services, self.connect) if tls is not None else None
        self._last_id = 0
        self._server: asyncio.Server | None = None
        self._empty = asyncio.Event()

    async def start(self, node: str, address: str) -> None:
        """Serve node `node` at `address` (host:port). Raises `PortTaken`."""
        server = self._services.server
        server.host, server.port = split_address(address)
        wanted = server.connections_max
        server.connections_max = min(wanted, _room_for(wanted))
        if server.connections_max < wanted:
            log.warning("connections_limited", limit=server.connections_max, by="the limit of open files")
        accept = self.connect if self._encrypted is None else self._encrypted.accept
        loop = asyncio.get_running_loop()
        try:
            self._server = await loop.create_server(accept, server.host, server.port, backlog=_BACKLOG)
        except OSError as error:
            raise PortTaken(server.port, f"Redis face of {node}", f"nodes.{node}.resp", None) from error

    async def stop(self) -> None:
        """Take nothing more, let what is under way finish, and close all connections."""
        if self._server is None:
            return
        self._server.close()
        clients = self._services.clients
        for client in list(clients.values()):
            client.finish()
        if clients:
            self._empty.clear()
            await asyncio.wait([waiting := asyncio.create_task(self._empty.wait())], timeout=_STOP_GRACE_S)
            waiting.cancel()
        for client in list(clients.values()):
            client.abort()
        if self._encrypted is not None:
            self._encrypted.abort()

    def connect(self) -> Connection:
        """Return the protocol of one more connection."""
        self._last_id += 1
        return Connection(self._last_id, self._services, self._closed)

    def _closed(self, connection: Connection) -> None:
        self._services.clients.pop(connection.id, None)
        if not self._services.clients:
            self._empty.set()


def _room_for(connections: int) -> int:
    """Return for how many connections the process may open files, after raising its limit as far as it may."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < connections + _OTHER_FILES:
        wanted = connections + _OTHER_FILES
        soft = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    return connections if soft == resource.RLIM_INFINITY else max(1, soft - _OTHER_FILES)
