"""The gRPC face of one node in this process: real calls on a real mailbox, without a worker, Redis or peers.

async with serving() as face:
    await face.objects.IncrementCounter(pb.IncrementCounterRequest(counter_id="c"))
"""

from __future__ import annotations

from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import grpc
from grpc_health.v1 import health_pb2_grpc

from crdt_core.codec.patches import encode_patch
from crdt_core.errors import InvalidArgument
from crdt_core.lattice.clocks import Stamp
from crdt_core.replica.replica import Replica
from tests.invocations import command
from tests.support import free_port
from tests.workers.mailboxes import Health, Links, QuickStore, SlowStore, end, open_mailbox
from workers.config.credentials import Credentials
from workers.config.settings import LimitSettings
from workers.rpc import deltaic_pb2 as pb
from workers.rpc.deltaic_pb2_grpc import ControlServiceStub, CRDTServiceStub, ReplicationServiceStub
from workers.rpc.server import GrpcFace

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from crdt_core.lattice.deltas import Patch
    from workers.turns.mailbox import Mailbox

__all__ = ["Face", "code_and_words", "merge", "patch_of", "serving"]


class Published:
    """What peers have published: `made` commits each. `asked`: which claims were checked."""

    def __init__(self) -> None:
        self.made: dict[str, int] = {}
        self.asked: list[dict[str, int]] = []

    async def check_claims(self, claimed: Mapping[str, int]) -> None:
        self.asked.append(dict(claimed))
        for replica, counter in claimed.items():
            if counter > self.made.get(replica, counter):
                raise InvalidArgument("patch", f"it claims {replica}:{counter}")


@dataclass
class Face:
    """A face that serves at `address`, its parts, and stubs of its services."""

    address: str
    mailbox: Mailbox
    store: SlowStore
    server: GrpcFace
    objects: Any
    replication: Any
    control: Any
    health: Any
    writability: Health
    channel: grpc.aio.Channel
    links: Links = field(default_factory=lambda: Links(["n2"]))
    published: Published = field(default_factory=Published)


@asynccontextmanager
async def serving(
    limits: LimitSettings | None = None, *, password: str | None = None, store: SlowStore | None = None
) -> AsyncIterator[Face]:
    """Node n1 of two, whose peer never answers; an exchange with it is given up after 50 ms."""
    store = store or QuickStore()
    mailbox, turns = open_mailbox(store, call_timeout_s=5, exchange_timeout_ms=50)
    links, published, health = Links(["n2"]), Published(), Health()
    face = GrpcFace(
        mailbox,
        links,  # type: ignore[arg-type]
        published,  # type: ignore[arg-type]
        limits or LimitSettings(),
        credentials=Credentials(password),
        skew=SimpleNamespace(metrics={"skew_ms": 3}),  # type: ignore[arg-type]
        writability=health,  # type: ignore[arg-type]
    )
    address = f"127.0.0.1:{free_port()}"
    await face.start("n1", address)
    try:
        async with grpc.aio.insecure_channel(address) as channel:
            yield Face(
                address=address,
                mailbox=mailbox,
                store=store,
                server=face,
                objects=CRDTServiceStub(channel),  # type: ignore[no-untyped-call]
                replication=ReplicationServiceStub(channel),  # type: ignore[no-untyped-call]
                control=ControlServiceStub(channel),  # type: ignore[no-untyped-call]
                health=health_pb2_grpc.HealthStub(channel),
                writability=health,
                channel=channel,
                links=links,
                published=published,
            )
    finally:
        await face.stop()
        await end(mailbox, turns, store)


def patch_of(name: str, *words: str) -> Patch:
    """All that replica `name` knows after one command."""
    replica, now = Replica(name), Stamp(1, 0)
    command(words[0], *words[1:]).run(replica, now)
    replica.commit(now)
    return replica.patch(None, now)


async def merge(face: Face, patch: Patch) -> pb.MergeResponse:
    """What the face answers to a caller's patch."""
    response: pb.MergeResponse = await face.replication.Merge(pb.MergeRequest(patch=encode_patch(patch)))
    return response


async def code_and_words(call: Any) -> tuple[grpc.StatusCode, str]:
    """The status that a call ends with, and its details."""
    try:
        await call
    except grpc.aio.AioRpcError as error:
        return error.code(), error.details() or ""
    return grpc.StatusCode.OK, ""
