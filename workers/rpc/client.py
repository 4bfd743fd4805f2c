"""A thin client of the nodes' gRPC faces: every call has a deadline, every failure is an error of the tree.

The client knows addresses and nothing of Redis. A write whose answer does not come in time may still take effect at its
node. So the client never repeats a write, and never sends it to another node.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self, TypeVar

import grpc
import orjson
from grpc_health.v1 import health_pb2, health_pb2_grpc

from crdt_core.errors import CallerError, DeltaicError, WorldError
from workers.config.credentials import Credentials
from workers.config.loading import START_FLEET
from workers.rpc import deltaic_pb2 as pb
from workers.rpc import deltaic_pb2_grpc as rpc

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
    from types import TracebackType

    from workers.config.settings import FleetSettings, NodeSettings

__all__ = ["CallRefused", "FleetClient", "KeyView", "NoNodeServes", "NoNodeWrites", "NodeClient", "NodeUnavailable"]

T = TypeVar("T")

READ_TIMEOUT_S = 3.0
PROBE_TIMEOUT_S = 1.0
_MARGIN_S = 2.0

_CALLERS_FAULT = frozenset(
    {
        grpc.StatusCode.INVALID_ARGUMENT,
        grpc.StatusCode.FAILED_PRECONDITION,
        grpc.StatusCode.OUT_OF_RANGE,
        grpc.StatusCode.NOT_FOUND,
        grpc.StatusCode.RESOURCE_EXHAUSTED,
        grpc.StatusCode.UNAUTHENTICATED,
    }
)
_REFUSED = "Connection refused"
_LINE_TROUBLE = {
    _REFUSED: "connection refused",
    "DNS resolution failed": "its host name cannot be resolved",
    "No route to host": "no route to host",
    "Socket closed": "the connection was lost",
    "Connection reset": "the connection was lost",
    "failed to connect": "no answer",
    "Received http2 header": "something else listens there",
    "andshake": "no TLS with it, or none that both sides trust (settings security.grpc_*)",
}
"""What gRPC says of a broken connection, and a few words for it. Any other text in an UNAVAILABLE is the node's own."""


class NodeUnavailable(WorldError):
    """Node `node` at `address` gave no answer, or reported a failure of its own. `reason` is a few words."""

    def __init__(self, node: str, address: str, reason: str) -> None:
        remedy = f"; {START_FLEET}" if reason == _LINE_TROUBLE[_REFUSED] else ""
        super().__init__(f"{node} at {address}: {reason}{remedy}")
        self.node = node
        self.address = address
        self.reason = reason


class NoNodeServes(WorldError):
    """No node that was asked serves."""

    def __init__(self, addresses: Iterable[str]) -> None:
        super().__init__(f"no node answers at {', '.join(addresses)}; {START_FLEET}")


class NoNodeWrites(WorldError):
    """Nodes answer, and none of them can write. `troubles`: why, by the node's name."""

    def __init__(self, troubles: Mapping[str, str]) -> None:
        said = "; ".join(f"{name}: {trouble}" for name, trouble in troubles.items())
        remedy = "once the Redis of a node takes writes again, repeat the command"
        super().__init__(f"no node can write at present, nothing was changed; {said}; {remedy}")


class CallRefused(CallerError):
    """Node `node` refused the call. The message is the node's own."""

    def __init__(self, node: str, reason: str) -> None:
        super().__init__(f"{node}: {reason}")
        self.node = node


@dataclass(frozen=True, slots=True)
class KeyView:
    """One key as one node sees it: the name of its type (empty without such a key), and its value as JSON has it.

    `siblings` has the live writes and tombstones of each part, with their payloads, by dot. `conflicts` names the other
    types that were written to the key concurrently.
    """

    type: str
    value: Any
    siblings: Mapping[str, Any]
    conflicts: tuple[str, ...]

    @property
    def shown(self) -> tuple[str, Any, tuple[str, ...]]:
        """The part of the view that callers notice. Nodes agree on a key when this is equal."""
        return self.type, self.value, self.conflicts


class NodeClient:
    """The calls of one node, `name` at `address`. `FleetClient` opens and closes it.

    `batch_operations_max`: how many operations the node takes in one batch, as the fleet file has it.
    """

    def __init__(self, name: str, node: NodeSettings, settings: FleetSettings) -> None:
        self.name = name
        self.address = node.grpc
        self.batch_operations_max = settings.limits.batch_operations_max
        self._write_timeout_s = settings.limits.write_timeout_ms / 1000 + _MARGIN_S
        self._round_timeout_s = 2 * settings.gossip.timeout_ms / 1000 + _MARGIN_S  # each half may take the timeout
        credentials = Credentials.read(settings.security)
        self._metadata = credentials.metadata
        self._channel = _channel(
            self.address,
            credentials,
            [
                ("grpc.enable_http_proxy", 0),
                ("grpc.max_receive_message_length", settings.limits.message_bytes_max),
                ("grpc.initial_reconnect_backoff_ms", 100),
                ("grpc.min_reconnect_backoff_ms", 1000),
                ("grpc.max_reconnect_backoff_ms", 1000),
            ],
        )
        self._objects = rpc.CRDTServiceStub(self._channel)  # type: ignore[no-untyped-call]
        self._replication = rpc.ReplicationServiceStub(self._channel)  # type: ignore[no-untyped-call]
        self._control = rpc.ControlServiceStub(self._channel)  # type: ignore[no-untyped-call]
        self._health = health_pb2_grpc.HealthStub(self._channel)

    async def close(self) -> None:
        """End the connection."""
        await self._channel.close()

    async def serving(self, timeout_s: float = PROBE_TIMEOUT_S) -> bool:
        """Return whether the node says that it serves."""
        try:
            answer = await self._call(self._health.Check, health_pb2.HealthCheckRequest(), timeout_s)
        except DeltaicError:
            return False
        return bool(answer.status == health_pb2.HealthCheckResponse.SERVING)

    async def status(self, timeout_s: float = READ_TIMEOUT_S) -> pb.StatusResponse:
        """Return what the worker reports about itself."""
        answer: pb.StatusResponse = await self._call(self._control.Status, pb.StatusRequest(), timeout_s)
        return answer

    async def inspect(self, key: str) -> KeyView:
        """Return the node's view of `key`."""
        seen = await self._call(self._control.Inspect, pb.InspectRequest(key=key), READ_TIMEOUT_S)
        value, siblings = orjson.loads(seen.value_json), orjson.loads(seen.siblings_json)
        return KeyView(seen.type, value, siblings, tuple(seen.conflicts))

    async def backup(self) -> AsyncIterator[pb.BackupResponse]:
        """Yield an image of the node, some lines at a time. It is whole once a piece has `ended`."""
        try:
            async for piece in self._control.Backup(pb.BackupRequest(), metadata=self._metadata):
                yield piece
        except grpc.aio.AioRpcError as error:
            raise self._translated(error, 0) from error

    async def sync_all(self) -> pb.SyncAllResponse:
        """Let the node and its peers exchange what either side lacks. Returns when that is done."""
        answer: pb.SyncAllResponse = await self._call(
            self._replication.SyncAll, pb.SyncAllRequest(), self._round_timeout_s
        )
        return answer

    async def adjust(self, key: str, amount: int, *, decrement: bool = False, grow_only: bool = False) -> int:
        """Add `amount` to a counter, or take it away. Return the new value. Not idempotent."""
        kind = pb.GROW_ONLY_COUNTER if grow_only else pb.COUNTER_KIND_UNSPECIFIED
        if decrement:
            fewer = pb.DecrementCounterRequest(counter_id=key, amount=amount, kind=kind)
            return int((await self._write(self._objects.DecrementCounter, fewer)).value)
        more = pb.IncrementCounterRequest(counter_id=key, amount=amount, kind=kind)
        return int((await self._write(self._objects.IncrementCounter, more)).value)

    async def add(self, key: str, element: str) -> bool:
        """Add `element` to a set. Return whether it was absent."""
        request = pb.AddToSetRequest(set_id=key, element=element)
        return bool((await self._write(self._objects.AddToSet, request)).added)

    async def remove(self, key: str, element: str) -> bool:
        """Remove `element` from a set, if the node has seen it. Return whether it was there."""
        request = pb.RemoveFromSetRequest(set_id=key, element=element)
        return bool((await self._write(self._objects.RemoveFromSet, request)).removed)

    async def set_register(
        self,
        key: str,
        value: str,
        timestamp: int | None = None,
        kind: pb.RegisterKind = pb.REGISTER_KIND_UNSPECIFIED,
    ) -> bool:
        """Write a register. Return whether the write took effect."""
        request = pb.SetRegisterRequest(register_id=key, value=value, timestamp=timestamp, kind=kind)
        return bool((await self._write(self._objects.SetRegister, request)).applied)

    async def delete(self, key: str) -> bool:
        """Delete what the node has seen under `key`. Return whether there was anything."""
        return bool((await self._write(self._objects.Delete, pb.DeleteRequest(key=key))).deleted)

    async def batch(self, *operations: pb.BatchedOperation) -> list[pb.BatchedResult]:
        """Do `operations` as one transaction. Return their results in order; a refused operation has an error there."""
        request = pb.BatchRequest(operations=operations)
        response: pb.BatchResponse = await self._write(self._objects.Batch, request)
        return list(response.results)

    async def add_node(self, name: str, node: NodeSettings) -> str:
        """Let the node record `name` as a member. Return the replica id under which it joins.

        Addresses that hold a password are not recorded: then the members' fleet files have to name the new node.
        """
        redis = node.published_redis
        request = pb.AddNodeRequest(node=name, grpc=node.grpc if redis else "", redis=redis)
        return str((await self._write(self._control.AddNode, request)).replica)

    async def remove_node(self, name: str) -> str:
        """Let the node record that member `name` leaves. Return the replica id that leaves."""
        return str((await self._write(self._control.RemoveNode, pb.RemoveNodeRequest(node=name))).replica)

    async def _write(self, method: Any, request: Any) -> Any:
        return await self._call(method, request, self._write_timeout_s)

    async def _call(self, method: Any, request: Any, timeout_s: float) -> Any:
        """Return the answer to `request`. Raises `CallRefused` or `NodeUnavailable`."""
        try:
            return await method(request, timeout=timeout_s, metadata=self._metadata)
        except grpc.aio.AioRpcError as error:
            raise self._translated(error, timeout_s) from error

    def _translated(self, error: grpc.aio.AioRpcError, timeout_s: float) -> DeltaicError:
        code, details = error.code(), error.details() or ""
        if code in _CALLERS_FAULT:
            long = " (setting limits.message_bytes_max)" if "message larger than max" in details else ""
            return CallRefused(self.name, details + long)
        if code is grpc.StatusCode.DEADLINE_EXCEEDED:
            details = f"no answer within {timeout_s:g} s; a write may still take effect"
        elif code is not grpc.StatusCode.UNAVAILABLE:
            details = f"{code.name}: {details}"
        trouble = (words for said, words in _LINE_TROUBLE.items() if said in details)
        return NodeUnavailable(self.name, self.address, next(trouble, details))


def _channel(address: str, credentials: Credentials, options: list[tuple[str, Any]]) -> grpc.aio.Channel:
    tls = credentials.for_client()
    if tls is None:
        return grpc.aio.insecure_channel(address, options=options)
    return grpc.aio.secure_channel(address, tls, options=options)


class FleetClient:
    """The clients of all nodes of `settings`, in the order of the fleet file, open for one `async with` block."""

    def __init__(self, settings: FleetSettings) -> None:
        self._settings = settings
        self.nodes: dict[str, NodeClient] = {}

    async def __aenter__(self) -> Self:
        self.nodes = {name: NodeClient(name, node, self._settings) for name, node in self._settings.nodes.items()}
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await asyncio.gather(*(client.close() for client in self.nodes.values()))

    async def chosen(self, name: str | None, *, reading: bool = False) -> NodeClient:
        """Return the client of node `name`, or of the first node that serves.

        If none serves, a caller that is `reading` gets the first that answers: a node reads on while it cannot write.
        Raises `UnknownNode`, `NoNodeServes`, and `NoNodeWrites` with what the nodes that answer say.
        """
        if name is not None:
            self._settings.node(name)
            return self.nodes[name]
        return await self.first_of(self.nodes, reading=reading)

    async def first_of(self, names: Iterable[str], *, reading: bool = False) -> NodeClient:
        """Return the client of the first of the nodes `names` that serves; see `chosen`, but for `UnknownNode`."""
        clients = [self.nodes[name] for name in names]
        for client in clients:
            if await client.serving():
                return client
        answers = await self.each(lambda client: client.status(), [client.name for client in clients])
        troubles = {node: one.trouble for node, one in answers.items() if not isinstance(one, NodeUnavailable)}
        for node, trouble in troubles.items():
            if reading or not trouble:
                return self.nodes[node]
        raise NoNodeWrites(troubles)

    async def each(
        self, call: Callable[[NodeClient], Awaitable[T]], names: Iterable[str] | None = None
    ) -> dict[str, T | NodeUnavailable]:
        """Call all nodes, or those of `names`, at once. Return each result, or the reason why a node gave none.

        Raises `NoNodeServes` if no node answered, and the `CallRefused` of a node.
        """
        clients = [self.nodes[name] for name in (self.nodes if names is None else names)]

        async def one(client: NodeClient) -> T | NodeUnavailable:
            try:
                return await call(client)
            except NodeUnavailable as error:
                return error

        answers = await asyncio.gather(*map(one, clients))
        if all(isinstance(answer, NodeUnavailable) for answer in answers):
            raise NoNodeServes(client.address for client in clients)
        return {client.name: answer for client, answer in zip(clients, answers, strict=True)}
