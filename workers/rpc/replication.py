"""`ReplicationService`: the exchange of state on request of a caller, and what a caller's patch may hold.

A patch is decoded once, here: what the checks have seen is what the node joins.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from crdt_core.codec.clocks import decode_clock
from crdt_core.codec.patches import decode_patch
from crdt_core.errors import InvalidArgument
from crdt_core.node.events import PatchAsked, PatchOffered
from crdt_core.types.members import MEMBERS_KEY
from crdt_core.types.registers import Stamped
from workers.replication.peers import exchange
from workers.rpc import deltaic_pb2 as pb
from workers.rpc import deltaic_pb2_grpc as rpc
from workers.rpc.calls import within

if TYPE_CHECKING:
    import grpc

    from crdt_core.lattice.clocks import VersionVector
    from crdt_core.lattice.deltas import Patch
    from crdt_core.types.members import Members
    from workers.config.settings import LimitSettings
    from workers.replication.links import Links
    from workers.replication.published import Published
    from workers.turns.mailbox import Mailbox

    Context = grpc.aio.ServicerContext[Any, Any]

__all__ = ["Replication", "check_sizes", "check_writers_of_members"]

_LARGE_BYTES = 256 << 10
"""A larger patch is decoded or encoded in a thread, so that others have the event loop meanwhile."""


class Replication(rpc.ReplicationServiceServicer):
    """The calls, by their names in the contract."""

    def __init__(self, mailbox: Mailbox, links: Links, published: Published, limits: LimitSettings) -> None:
        self._mailbox = mailbox
        self._links = links
        self._published = published
        self._limits = limits

    async def Merge(self, request: pb.MergeRequest, context: Context) -> pb.MergeResponse:
        members = self._mailbox.confirmed.members
        if len(request.patch) > _LARGE_BYTES:
            patch = await asyncio.to_thread(_checked, request.patch, self._limits, members)
        else:
            patch = _checked(request.patch, self._limits, members)
        claimed = patch.clock.copy()
        claimed.pop(self._mailbox.node.replica.id, None)  # the node itself judges what is claimed of it
        await self._published.check_claims(self._clock.lacks(claimed))
        new = await self._mailbox.ask_in_time(lambda token: PatchOffered(patch, token))
        return pb.MergeResponse(new_items=new, clock=self._clock)

    async def GetPatch(self, request: pb.GetPatchRequest, context: Context) -> pb.GetPatchResponse:
        since = decode_clock(dict(request.since))
        most = self._limits.message_bytes_max
        made = await self._mailbox.ask_in_time(lambda token: PatchAsked(since, token, most))
        is_large = made.size > _LARGE_BYTES
        return pb.GetPatchResponse(patch=await asyncio.to_thread(made.take_json) if is_large else made.take_json())

    async def SyncAll(self, request: pb.SyncAllRequest, context: Context) -> pb.SyncAllResponse:
        result = await exchange(self._mailbox, self._links, request.peers)
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


def _checked(data: bytes, limits: LimitSettings, members: Members) -> Patch:
    """Return the patch in `data`; raise what may be wrong with it whatever the replica has seen."""
    patch = decode_patch(data)
    check_sizes(patch, limits)
    check_writers_of_members(patch, members)
    return patch


def check_sizes(patch: Patch, limits: LimitSettings) -> None:
    """Raise `TooLarge` for a key, part or value that a call of its own could not have written."""
    for part in patch.parts:
        within("patch key", part.key, limits.key_bytes_max, "limits.key_bytes_max")
        within("patch part", part.part or b"", limits.value_bytes_max, "limits.value_bytes_max")
        for payload in part.siblings.values():
            value = payload.value if isinstance(payload, Stamped) else payload
            if isinstance(value, bytes):
                within("patch value", value, limits.value_bytes_max, "limits.value_bytes_max")


def check_writers_of_members(patch: Patch, members: Members) -> None:
    """Raise `InvalidArgument` if anybody but a member has written who the members are."""
    for part in patch.parts:
        writers = {dot.replica for dot in part.siblings} if part.key == MEMBERS_KEY else set()
        strangers = sorted(writers - members.facts.keys())
        if strangers:
            raise InvalidArgument("patch", f"{strangers[0]} is no member, and writes to the reserved key {part.key!r}")
