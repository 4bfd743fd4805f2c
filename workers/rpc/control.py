"""`ControlService`: what operators ask of one node."""

from __future__ import annotations

import secrets
from itertools import count
from typing import TYPE_CHECKING, Any

from crdt_core.commands import COMMANDS
from crdt_core.errors import DeltaicError, InvalidArgument
from crdt_core.membership.changes import AddMember, RemoveMember
from crdt_core.node.events import ImageAsked, ImageDropped
from workers.config.loading import check_name, checked_node
from workers.config.redis_url import publishable, redacted
from workers.replication.peers import set_links
from workers.rpc import deltaic_pb2 as pb
from workers.rpc import deltaic_pb2_grpc as rpc
from workers.rpc.calls import check_key, command_options
from workers.rpc.interceptors import abort
from workers.turns.commands import CommandRunner

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Sequence

    import grpc

    from crdt_core.node.image import ImagePiece
    from workers.config.settings import LimitSettings
    from workers.replication.links import Links
    from workers.replication.skew import Skew
    from workers.storage.writability import Health
    from workers.turns.mailbox import Mailbox

    Context = grpc.aio.ServicerContext[Any, Any]

__all__ = ["Control"]

_NONCE_BYTES = 3
_INSPECT = COMMANDS[b"DELTAIC.INSPECT"]


class Control(rpc.ControlServiceServicer):
    """The calls, by their names in the contract."""

    def __init__(self, mailbox: Mailbox, links: Links, limits: LimitSettings, skew: Skew, health: Health) -> None:
        self._mailbox = mailbox
        self._runner = CommandRunner(mailbox, command_options(limits))
        self._links = links
        self._limits = limits
        self._skew = skew
        self._health = health
        self._backups = count(1)

    async def Status(self, request: pb.StatusRequest, context: Context) -> pb.StatusResponse:
        node, confirmed, trouble = self._mailbox.node, self._mailbox.confirmed, self._health.trouble
        return pb.StatusResponse(
            node=node.name,
            replica=node.replica.id,
            clock=confirmed.clock,
            stable=confirmed.stable,
            digest=f"{confirmed.digest:016x}",
            links=await self._links.last_known(),
            metrics={**node.counts, **self._skew.metrics, "markers": confirmed.tombstones},
            trouble=trouble.reason if trouble is not None else "",
        )

    async def Partition(self, request: pb.PartitionRequest, context: Context) -> pb.PartitionResponse:
        return pb.PartitionResponse(links=await self._set_links(request.peers, paused=True))

    async def Heal(self, request: pb.HealRequest, context: Context) -> pb.HealResponse:
        return pb.HealResponse(links=await self._set_links(request.peers, paused=False))

    async def Inspect(self, request: pb.InspectRequest, context: Context) -> pb.InspectResponse:
        reply: Any = await self._runner.run(_INSPECT, [check_key("key", request.key, self._limits)])
        if reply is None:
            return pb.InspectResponse(value_json=b"null", siblings_json=b"{}")
        (_, type_), (_, value), (_, siblings), (_, conflicts) = reply.items
        hidden = [other.decode() for other in conflicts]
        return pb.InspectResponse(type=type_.decode(), value_json=value, siblings_json=siblings, conflicts=hidden)

    async def AddNode(self, request: pb.AddNodeRequest, context: Context) -> pb.AddNodeResponse:
        check_name(request.node)
        if request.grpc or request.redis:
            checked_node(request.node, grpc=request.grpc, redis=request.redis)
        if request.redis != publishable(request.redis):
            raise InvalidArgument("redis", "has a password, which is not recorded; leave it to the fleet files")
        nonce = secrets.token_hex(_NONCE_BYTES)
        replica = await self._mailbox.call(AddMember(request.node, request.grpc, request.redis, nonce))
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

    async def _set_links(self, peers: Sequence[str], *, paused: bool) -> dict[str, str]:
        return await set_links(self._mailbox, self._links, peers, paused=paused)
