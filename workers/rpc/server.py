"""The gRPC face: requests become operations, the mailbox's results become responses. It knows nothing else.

Errors of the tree become the status code that each class names, with its one line as the details. Where there is a
password, every call shows it but health checks, also those that ask for the services' descriptions (reflection): see
`workers.rpc.interceptors`, which also bounds calls and answers.
"""

from __future__ import annotations

from itertools import count
from typing import TYPE_CHECKING, Any

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from crdt_core.codec.canonical import decode_clock, decode_patch
from crdt_core.commands.operations import (
    Inspect,
)
from crdt_core.commands.unexpired import ReadAt
from crdt_core.errors import DeltaicError, InvalidArgument, UnknownNode
from crdt_core.membership.changes import AddMember, RemoveMember
from crdt_core.node.events import ImageAsked, ImageDropped, PatchAsked, PatchOffered, RoundAsked
from crdt_core.types.members import MEMBERS_KEY
from crdt_core.types.registers import Stamped
from workers.config.loading import check_name, checked_node
from workers.config.redis_url import publishable, redacted
from workers.rpc import deltaic_pb2 as pb
from workers.rpc import deltaic_pb2_grpc as rpc
from workers.rpc.batches import Batches
from workers.rpc.calls import check_key, within
from workers.rpc.interceptors import Admission, ErrorsAsStatus, Limits, abort
from workers.rpc.objects import Objects
from workers.system.clock import wall_ms
from workers.system.ports import PortTaken, split_address

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Iterable

    from crdt_core.lattice.clocks import VersionVector
    from crdt_core.lattice.deltas import Patch
    from crdt_core.node.exchange import RoundResult
    from crdt_core.node.image import ImagePiece
    from crdt_core.types.members import Members
    from workers.config.credentials import Credentials
    from workers.config.settings import LimitSettings
    from workers.replication.links import Links
    from workers.replication.published import Published
    from workers.replication.skew import Skew
    from workers.turns.mailbox import Mailbox

    Context = grpc.aio.ServicerContext[Any, Any]

__all__ = ["GrpcFace"]

_STOP_GRACE_S = 2.0


class GrpcFace:
    """The server of one worker; it talks to its mailbox and its links, and looks at what peers have published."""

    def __init__(
        self,
        mailbox: Mailbox,
        links: Links,
        published: Published,
        limits: LimitSettings,
        *,
        credentials: Credentials,
        skew: Skew,
    ) -> None:
        self._health = health.aio.HealthServicer()
        self._tls = credentials.for_server()
        # Beyond twice the limit, health checks counted in, gRPC itself refuses, before it has read the request.
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
        rpc.add_ControlServiceServicer_to_server(Control(mailbox, links, limits, skew), self._server)  # type: ignore[no-untyped-call]
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._server)
        services = pb.DESCRIPTOR.services_by_name.values()
        self._names = [service.full_name for service in services]
        reflection.enable_server_reflection([*self._names, health.SERVICE_NAME, reflection.SERVICE_NAME], self._server)

    async def start(self, node: str, address: str) -> None:
        """Serves node `node` at `address` (host:port); raises `PortTaken`."""
        try:
            if self._tls is None:
                self._server.add_insecure_port(address)
            else:
                self._server.add_secure_port(address, self._tls)
            await self._server.start()
        except RuntimeError as error:
            _, port = split_address(address)
            raise PortTaken(port, f"gRPC of {node}", f"nodes.{node}.grpc", None) from error
        for name in ("", *self._names):
            await self._health.set(name, health_pb2.HealthCheckResponse.SERVING)

    async def stop(self) -> None:
        """Says that it stops serving, lets what is under way finish, and stops."""
        await self._health.enter_graceful_shutdown()
        self._batches.close()
        await self._server.stop(_STOP_GRACE_S)


class Replication(rpc.ReplicationServiceServicer):
    """`ReplicationService`."""

    def __init__(self, mailbox: Mailbox, links: Links, published: Published, limits: LimitSettings) -> None:
        self._mailbox = mailbox
        self._links = links
        self._published = published
        self._limits = limits

    async def Merge(self, request: pb.MergeRequest, context: Context) -> pb.MergeResponse:
        patch = decode_patch(request.patch)
        check_sizes(patch, self._limits)
        check_writers_of_members(patch, self._mailbox.confirmed.members)
        claimed = patch.clock
        claimed.pop(self._mailbox.node.replica.id, None)  # the node knows that one itself
        await self._published.check_claims(self._clock.lacks(claimed))
        new = await self._mailbox.ask_in_time(lambda token: PatchOffered(request.patch, token))
        return pb.MergeResponse(new_items=new, clock=self._clock)

    async def GetPatch(self, request: pb.GetPatchRequest, context: Context) -> pb.GetPatchResponse:
        since = decode_clock(dict(request.since))
        return pb.GetPatchResponse(patch=await self._mailbox.ask_in_time(lambda token: PatchAsked(since, token)))

    async def SyncAll(self, request: pb.SyncAllRequest, context: Context) -> pb.SyncAllResponse:
        await self._links.read()  # who was healed just now, by whatever means, takes part
        result: RoundResult = await self._mailbox.ask_in_time(
            lambda token: RoundAsked(tuple(request.peers), token),
            extra_s=self._mailbox.node.options.exchange_timeout_ms / 1000,
        )
        return pb.SyncAllResponse(
            peers_contacted=result.contacted,
            peers_failed=result.failed,
            messages_sent=result.messages_sent,
            new_items=result.new_items,
            clock=self._clock,
        )

    @property
    def _clock(self) -> VersionVector:
        return self._mailbox.confirmed.clock


class Control(rpc.ControlServiceServicer):
    """`ControlService`."""

    def __init__(self, mailbox: Mailbox, links: Links, limits: LimitSettings, skew: Skew) -> None:
        self._mailbox = mailbox
        self._links = links
        self._limits = limits
        self._skew = skew
        self._backups = count(1)

    async def Status(self, request: pb.StatusRequest, context: Context) -> pb.StatusResponse:
        node, confirmed = self._mailbox.node, self._mailbox.confirmed
        return pb.StatusResponse(
            node=node.name,
            replica=node.replica.id,
            clock=confirmed.clock,
            stable=confirmed.stable,
            digest=f"{confirmed.digest:016x}",
            links=await self._links.last_known(),
            metrics={**node.counts, **self._skew.metrics, "markers": confirmed.tombstones},
        )

    async def Partition(self, request: pb.PartitionRequest, context: Context) -> pb.PartitionResponse:
        return pb.PartitionResponse(links=await self._links.set(self._peers(request.peers), paused=True))

    async def Heal(self, request: pb.HealRequest, context: Context) -> pb.HealResponse:
        return pb.HealResponse(links=await self._links.set(self._peers(request.peers), paused=False))

    async def Inspect(self, request: pb.InspectRequest, context: Context) -> pb.InspectResponse:
        seen = self._mailbox.read(ReadAt(wall_ms(), Inspect(check_key("key", request.key, self._limits))))
        return pb.InspectResponse(
            type=seen.type, value_json=seen.value, siblings_json=seen.siblings, conflicts=seen.conflicts
        )

    async def AddNode(self, request: pb.AddNodeRequest, context: Context) -> pb.AddNodeResponse:
        check_name(request.node)
        if request.grpc or request.redis:
            checked_node(request.node, grpc=request.grpc, redis=request.redis)
        if request.redis != publishable(request.redis):
            raise InvalidArgument("redis", "has a password, which is not written down; leave it to the fleet files")
        replica = await self._mailbox.call(AddMember(request.node, request.grpc, request.redis))
        return pb.AddNodeResponse(replica=replica)

    async def RemoveNode(self, request: pb.RemoveNodeRequest, context: Context) -> pb.RemoveNodeResponse:
        return pb.RemoveNodeResponse(replica=await self._mailbox.call(RemoveMember(request.node)))

    async def Members(self, request: pb.MembersRequest, context: Context) -> pb.MembersResponse:
        confirmed = self._mailbox.confirmed
        members = [
            pb.Member(
                replica=replica,
                node=fact.node,
                standing=fact.standing.name,
                grpc=fact.grpc,
                redis=redacted(fact.redis),
                reason=fact.reason,
                left_ms=fact.at_ms,
                final=fact.final,
                seen=fact.final or confirmed.clock[replica],
            )
            for replica, fact in sorted(confirmed.members.facts.items())
        ]
        return pb.MembersResponse(members=members)

    async def Backup(self, request: pb.BackupRequest, context: Context) -> AsyncGenerator[pb.BackupResponse]:
        title = f"backup {next(self._backups)}"
        try:
            ended = False
            while not ended:
                piece: ImagePiece = await self._mailbox.ask_in_time(lambda token: ImageAsked(title, token))
                yield pb.BackupResponse(lines=piece.lines, done=piece.done, of=piece.of, ended=piece.ended)
                ended = piece.ended
        except DeltaicError as error:
            await abort(context, error)
        finally:
            self._mailbox.put(ImageDropped(title))

    def _peers(self, named: Iterable[str]) -> list[str]:
        peers = list(self._mailbox.node.peers)
        for name in named:
            if name not in peers:
                raise UnknownNode(name, peers)
        return list(named) or peers


def check_sizes(patch: Patch, limits: LimitSettings) -> None:
    """Raises `TooLarge` for what could not have been written by a call of its own."""
    for part in patch.parts:
        within("patch key", part.key, limits.key_bytes_max, "limits.key_bytes_max")
        within("patch part", part.part or b"", limits.value_bytes_max, "limits.value_bytes_max")
        for payload in part.siblings.values():
            value = payload.value if isinstance(payload, Stamped) else payload
            if isinstance(value, bytes):
                within("patch value", value, limits.value_bytes_max, "limits.value_bytes_max")


def check_writers_of_members(patch: Patch, members: Members) -> None:
    """Raises `InvalidArgument` where a caller's patch has somebody else than a member say who the members are."""
    for part in patch.parts:
        writers = {dot.replica for dot in part.siblings} if part.key == MEMBERS_KEY else set()
        strangers = sorted(writers - members.facts.keys())
        if strangers:
            raise InvalidArgument("patch", f"{strangers[0]} is no member, and writes to the reserved key {part.key!r}")
