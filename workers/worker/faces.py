"""The faces of a worker, through which clients reach it: gRPC always, the Redis protocol if the settings say so."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from tenacity import AsyncRetrying, retry_if_exception_type, stop_after_delay, wait_fixed

from workers.config.credentials import resp_tls
from workers.config.policies import policies_of
from workers.resp import RespFace
from workers.rpc.server import GrpcFace
from workers.system.ports import PortTaken

if TYPE_CHECKING:
    from workers.config.credentials import Credentials
    from workers.config.settings import FleetSettings
    from workers.replication.broadcasts import Broadcasts
    from workers.replication.links import Links
    from workers.replication.published import Published
    from workers.replication.skew import Skew
    from workers.storage.writability import Writability
    from workers.turns.mailbox import Mailbox

__all__ = ["Face", "NamedFace", "faces_of", "start_face"]

_PORT_RETRY_S = 0.2


class Face(Protocol):
    """A server for clients of a node."""

    async def start(self, node: str, address: str) -> None:
        """Serve clients at `address` (host:port); raises `PortTaken`."""

    async def stop(self) -> None:
        """Stop serving; does nothing if the face was never started."""


@dataclass(frozen=True, slots=True)
class NamedFace:
    """A face, its name in the settings (`grpc`, `resp`), and the host:port on which it listens."""

    name: str
    face: Face
    address: str


def faces_of(
    settings: FleetSettings,
    mailbox: Mailbox,
    links: Links,
    published: Published,
    *,
    skew: Skew,
    writability: Writability,
    broadcasts: Broadcasts,
    credentials: Credentials,
) -> list[NamedFace]:
    """Return the faces of the mailbox's node, not started yet; raises `SettingsError` for unusable TLS files."""
    node, limits = settings.node(mailbox.node.name), settings.limits
    grpc = GrpcFace(mailbox, links, published, limits, credentials=credentials, skew=skew, writability=writability)
    faces = [NamedFace("grpc", grpc, node.bind_address)]
    if node.resp is not None:
        resp = RespFace(
            mailbox,
            links,
            published,
            limits,
            health=writability,
            broadcasts=broadcasts,
            policies=policies_of(settings),
            password=credentials.password,
            tls=resp_tls(settings.security),
        )
        faces.append(NamedFace("resp", resp, node.resp))
    return faces


async def start_face(face: NamedFace, node: str, patience_s: float) -> None:
    """Start the face; raises `PortTaken` if its port is still taken after `patience_s`.

    After a takeover, the process that was just fenced needs a moment to give the port up.
    """
    patient = AsyncRetrying(
        retry=retry_if_exception_type(PortTaken),
        stop=stop_after_delay(patience_s),
        wait=wait_fixed(_PORT_RETRY_S),
        reraise=True,
    )
    await patient(face.face.start, node, face.address)
