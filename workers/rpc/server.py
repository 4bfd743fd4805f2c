"""The gRPC face: a server with the services of the contract, health checks and reflection. It starts and stops.

The services run commands of the core and talk to the mailbox. Every call passes `workers.rpc.interceptors` on its way:
the password, the limits, and the errors of the tree as status codes.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from workers.rpc import deltaic_pb2 as pb
from workers.rpc import deltaic_pb2_grpc as rpc
from workers.rpc.batches import Batches
from workers.rpc.control import Control
from workers.rpc.interceptors import Admission, ErrorsAsStatus, Limits
from workers.rpc.objects import Objects
from workers.rpc.replication import Replication
from workers.system.ports import PortTaken, split_address
from workers.system.tasks import end

if TYPE_CHECKING:
    from workers.config.credentials import Credentials
    from workers.config.settings import LimitSettings
    from workers.replication.links import Links
    from workers.replication.published import Published
    from workers.replication.skew import Skew
    from workers.storage.writability import Writability
    from workers.turns.mailbox import Mailbox

__all__ = ["GrpcFace"]

_STOP_GRACE_S = 2.0


class GrpcFace:
    """The server of one worker, on the worker's `mailbox`, `links` and published clocks (`published`).

    Health checks are answered `NOT_SERVING` while `writability` has a trouble: reads go on, but no write can succeed.
    """

    def __init__(
        self,
        mailbox: Mailbox,
        links: Links,
        published: Published,
        limits: LimitSettings,
        *,
        credentials: Credentials,
        skew: Skew,
        writability: Writability,
    ) -> None:
        self._health = health.aio.HealthServicer()
        self._writability = writability
        self._following: asyncio.Task[None] | None = None
        self._tls = credentials.for_server()
        # Beyond twice the limit, health checks included, gRPC itself refuses a call before it reads the request.
        backstop = min(2 * limits.concurrent_calls_max, 2**31 - 1)
        options = [
            ("grpc.max_receive_message_length", limits.message_bytes_max),
            ("grpc.max_send_message_length", limits.message_bytes_max),
            ("grpc.max_concurrent_streams", backstop),
            ("grpc.so_reuseport", 0),
        ]
        interceptors = [Admission(credentials), Limits(limits), ErrorsAsStatus()]
        self._server = grpc.aio.server(options=options, interceptors=interceptors, maximum_concurrent_rpcs=backstop)
        self._batches = Batches(mailbox, limits)
        rpc.add_CRDTServiceServicer_to_server(Objects(mailbox, limits, self._batches), self._server)  # type: ignore[no-untyped-call]
        rpc.add_ReplicationServiceServicer_to_server(Replication(mailbox, links, published, limits), self._server)  # type: ignore[no-untyped-call]
        rpc.add_ControlServiceServicer_to_server(Control(mailbox, links, limits, skew, writability), self._server)  # type: ignore[no-untyped-call]
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._server)
        services = pb.DESCRIPTOR.services_by_name.values()
        self._names = [service.full_name for service in services]
        reflection.enable_server_reflection([*self._names, health.SERVICE_NAME, reflection.SERVICE_NAME], self._server)

    async def start(self, node: str, address: str) -> None:
        """Serve node `node` at `address` (host:port). Raises `PortTaken`."""
        try:
            if self._tls is None:
                self._server.add_insecure_port(address)
            else:
                self._server.add_secure_port(address, self._tls)
            await self._server.start()
        except RuntimeError as error:
            _, port = split_address(address)
            raise PortTaken(port, f"gRPC of {node}", f"nodes.{node}.grpc", None) from error
        await self._say(is_serving=True)
        self._following = asyncio.create_task(self._follow_writability())

    async def stop(self) -> None:
        """Tell health checks that the node stops serving, let the calls under way finish, and stop."""
        if self._following is not None:
            await end([self._following])
        await self._health.enter_graceful_shutdown()
        await self._batches.close(_STOP_GRACE_S)
        await self._server.stop(_STOP_GRACE_S)

    async def _follow_writability(self) -> None:
        is_serving = True
        while True:
            is_serving = await self._writability.changed(since=is_serving)
            await self._say(is_serving=is_serving)

    async def _say(self, *, is_serving: bool) -> None:
        """Answer health checks of all services so from now on."""
        status = health_pb2.HealthCheckResponse
        for name in ("", *self._names):
            await self._health.set(name, status.SERVING if is_serving else status.NOT_SERVING)
