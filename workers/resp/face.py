"""The Redis face of one worker: its port, its connections, and what they share."""

from __future__ import annotations

import asyncio
import resource
import secrets
from asyncio.sslproto import SSLProtocol
from time import monotonic
from typing import TYPE_CHECKING
from weakref import WeakSet

import structlog

from crdt_core.commands import COMMANDS, CommandOptions
from workers.resp import acknowledgements, channels, clients, fleet_commands, greeting, introspection, transactions
from workers.resp.acknowledgements import Acknowledgements
from workers.resp.channels import Channels
from workers.resp.connection import Connection
from workers.resp.notifications import announce
from workers.system.clock import wall_ms
from workers.system.ports import PortTaken, split_address

if TYPE_CHECKING:
    import ssl
    from collections.abc import Mapping

    from crdt_core.commands import Command, Policies
    from crdt_core.lattice.siblings import Siblings
    from workers.config.settings import LimitSettings
    from workers.replication.links import Links
    from workers.replication.published import Published
    from workers.resp.handler import Handler
    from workers.resp.transactions import Watch
    from workers.turns.mailbox import Mailbox

__all__ = ["RespFace"]

log = structlog.get_logger()

_HANDLERS = (
    *greeting.HANDLERS,
    *clients.HANDLERS,
    *introspection.HANDLERS,
    *transactions.HANDLERS,
    *channels.HANDLERS,
    *acknowledgements.HANDLERS,
    *fleet_commands.HANDLERS,
)
_BACKLOG = 1024
_OTHER_FILES = 256
_STOP_GRACE_S = 2.0
_HANDSHAKE_S = 10.0
_TLS_END_S = 2.0
_TLS_READ_BYTES = 32 * 1024
"""What is kept for each TLS connection to read into; asyncio takes eight times that, from strangers, too."""
_STEP = 0x9E3779B97F4A7C15


class RespFace:
    """The server of one worker.

    `table`: what there is to call, by name in upper and lower case; `commands_by_name`: in upper case only. `password`:
    what clients must show; `None` where all are let in. `tls`: how they are spoken to; `None`: in the clear.
    """

    redis_version = b"7.2.4"
    """The Redis whose replies and errors these are: clients decide by it what they may ask for."""

    def __init__(
        self,
        mailbox: Mailbox,
        links: Links,
        published: Published,
        limits: LimitSettings,
        *,
        policies: Policies | None = None,
        password: str | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self.mailbox = mailbox
        self.links = links
        self.limits = limits
        self.options = CommandOptions(policies, limits.value_bytes_max, limits.output_bytes_max)
        self.password = password.encode() if password is not None else None
        self.tls = tls
        self.channels = Channels()
        self.acknowledgements = Acknowledgements(mailbox.node, published)
        self.connections: dict[int, Connection] = {}
        self.watches: WeakSet[Watch] = WeakSet()
        self.commands_by_name: dict[bytes, Command | Handler] = {
            **COMMANDS,
            **{handler.name: handler for handler in _HANDLERS},
        }
        self.table = {
            **self.commands_by_name,
            **{name.lower(): entry for name, entry in self.commands_by_name.items()},
        }
        self.connections_max = limits.connections_max
        self.bulk_bytes_max = self.request_bytes_max = limits.message_bytes_max
        self.small_bytes = min(limits.key_bytes_max, limits.value_bytes_max)
        self.run_id = secrets.token_hex(20)
        self.host, self.port = "", 0
        self.since_s, self.since_s_wall = monotonic(), wall_ms() / 1000
        self.reset_counts()
        self._last_id = 0
        self._writing: list[Connection] = []
        self._seed = secrets.randbits(64)
        self._server: asyncio.Server | None = None
        self._empty = asyncio.Event()
        mailbox.observers.append(self._changed)

    async def start(self, node: str, address: str) -> None:
        """Serves node `node` at `address` (host:port); raises `PortTaken`."""
        self.host, self.port = split_address(address)
        self.connections_max = min(self.connections_max, _room_for(self.connections_max))
        if self.connections_max < self.limits.connections_max:
            log.warning("connections_limited", limit=self.connections_max, by="the limit of open files")
        loop = asyncio.get_running_loop()
        if self.tls is not None:
            SSLProtocol.max_size = _TLS_READ_BYTES
        try:
            self._server = await loop.create_server(
                self._connection,
                self.host,
                self.port,
                backlog=_BACKLOG,
                ssl=self.tls,
                ssl_handshake_timeout=_HANDSHAKE_S if self.tls else None,
                ssl_shutdown_timeout=_TLS_END_S if self.tls else None,
            )
        except OSError as error:
            raise PortTaken(self.port, f"Redis face of {node}", f"nodes.{node}.resp", None) from error

    async def stop(self) -> None:
        """Takes nothing more, lets what is under way finish, and closes all connections."""
        if self._server is None:
            return
        self._server.close()
        for connection in list(self.connections.values()):
            connection.finish()
        if self.connections:
            self._empty.clear()
            await asyncio.wait([waiting := asyncio.create_task(self._empty.wait())], timeout=_STOP_GRACE_S)
            waiting.cancel()
        for connection in list(self.connections.values()):
            connection.abort()

    # For connections

    def enter(self, connection: Connection) -> bool:
        """Whether there is room for it."""
        self.connections_received += 1
        if len(self.connections) >= self.connections_max:
            self.connections_refused += 1
            return False
        self.connections[connection.id] = connection
        return True

    def leave(self, connection: Connection) -> None:
        """The connection is closed."""
        self.connections.pop(connection.id, None)
        self.channels.leave(connection)
        if not self.connections:
            self._empty.set()

    def write_soon(self, connection: Connection) -> None:
        """Has it write once all that has arrived meanwhile is handled.

        To send to a client that sleeps wakes it up, which costs more than the rest; one that is awake reads on.
        """
        if not self._writing:
            asyncio.get_running_loop().call_soon(self._write_all)
        self._writing.append(connection)

    def _write_all(self) -> None:
        writing, self._writing = self._writing, []
        for connection in writing:
            connection.write()

    def seed(self) -> int:
        """What the next command's random choices come from."""
        self._seed = (self._seed + _STEP) & 0xFFFFFFFFFFFFFFFF
        return self._seed

    def now_s(self) -> float:
        """Monotonic time."""
        return monotonic()

    @property
    def own_counter(self) -> int:
        """The last confirmed commit of this node."""
        return self.mailbox.confirmed.clock[self.mailbox.node.replica.id]

    def reset_counts(self) -> None:
        """Counts what happens from now on."""
        self.commands = self.connections_received = self.connections_refused = 0

    def _connection(self) -> Connection:
        self._last_id += 1
        return Connection(self, self._last_id)

    def _changed(self, changed: Mapping[tuple[bytes, str, bytes], Siblings]) -> None:
        if self.watches:
            keys = {key for key, _, _ in changed}
            for watch in self.watches:
                watch.changed = watch.changed or not keys.isdisjoint(watch.keys)
        if not self.channels.silent:
            announce(changed, self.mailbox.node.replica.catalogue, wall_ms(), self.channels.publish)


def _room_for(connections: int) -> int:
    """For how many of so many connections the process may open files, after asking for as many as it may."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < connections + _OTHER_FILES:
        wanted = connections + _OTHER_FILES
        soft = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    return connections if soft == resource.RLIM_INFINITY else max(1, soft - _OTHER_FILES)
