"""The connections of a Redis face over TLS: each takes little memory, and counts from its first byte on.

The TLS is asyncio's, on the transports of whichever event loop runs. That of uvloop reads 256 KiB at once, keeps a
buffer of that size for each connection, strangers' too, and cannot be told to take less.
"""

from __future__ import annotations

import asyncio
from asyncio.sslproto import SSLProtocol
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable

    from workers.resp.context import Services

__all__ = ["HANDSHAKE_S", "READ_BYTES_MAX", "TlsConnections"]

HANDSHAKE_S = 10
"""A handshake that takes longer is ended."""

READ_BYTES_MAX = 32 * 1024
"""How much is read at once. As much is kept for each connection to read into, and of a client that is not read."""

_END_S = 2


class TlsConnections:
    """All connections of a face over TLS, which `context` encrypts. `connect` makes what is behind each of them.

    Those whose handshake has not ended count towards `connections_max`. A client beyond it is turned away before its
    handshake, so it cannot be told why; Redis does the same.
    """

    def __init__(self, context: ssl.SSLContext, services: Services, connect: Callable[[], asyncio.Protocol]) -> None:
        self._context = context
        self._services = services
        self._connect = connect
        self._open: dict[_TlsConnection, asyncio.Transport] = {}

    def accept(self) -> asyncio.BaseProtocol:
        """Return the protocol of one more connection."""
        return _TlsConnection(self._context, self._connect(), self._admit, self._forget)

    def abort(self) -> None:
        """End all connections at once, whatever their clients were told."""
        for transport in list(self._open.values()):
            transport.abort()

    def _admit(self, connection: _TlsConnection, transport: asyncio.Transport) -> bool:
        """Return whether there is room for the connection, which counts from now on if there is."""
        if len(self._open) < self._services.server.connections_max:
            self._open[connection] = transport
            return True
        self._services.statistics.connections_received += 1
        self._services.statistics.connections_refused += 1
        return False

    def _forget(self, connection: _TlsConnection) -> None:
        self._open.pop(connection, None)


class _TlsConnection(SSLProtocol):
    """One connection, between its socket's transport and the protocol `client`."""

    max_size = READ_BYTES_MAX

    def __init__(
        self,
        context: ssl.SSLContext,
        client: asyncio.Protocol,
        admit: Callable[[_TlsConnection, asyncio.Transport], bool],
        forget: Callable[[_TlsConnection], None],
    ) -> None:
        nobody_waits: Any = None
        super().__init__(
            asyncio.get_running_loop(),
            client,
            context,
            nobody_waits,
            server_side=True,
            ssl_handshake_timeout=HANDSHAKE_S,
            ssl_shutdown_timeout=_END_S,
        )
        self._get_app_transport().set_read_buffer_limits(READ_BYTES_MAX)  # type: ignore[attr-defined]
        self._admit = admit
        self._forget = forget

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin the handshake, if there is room for one more connection."""
        transport = cast("asyncio.Transport", transport)
        if self._admit(self, transport):
            super().connection_made(transport)
        else:
            transport.abort()

    def connection_lost(self, exc: BaseException | None) -> None:
        """Make room for another connection."""
        self._forget(self)
        super().connection_lost(exc)
