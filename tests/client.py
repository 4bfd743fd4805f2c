"""A node's gRPC face, as a test sees it."""

from __future__ import annotations

from collections import Counter
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import grpc
import orjson
from grpc_health.v1 import health_pb2, health_pb2_grpc

from tests.support import wait_until
from workers.rpc import deltaic_pb2 as pb
from workers.rpc.deltaic_pb2_grpc import ControlServiceStub, CRDTServiceStub, ReplicationServiceStub

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = ["NodeClient", "channel_to", "connected"]

CALL_TIMEOUT_S = 15
CHANNEL_OPTIONS = [
    ("grpc.initial_reconnect_backoff_ms", 50),
    ("grpc.min_reconnect_backoff_ms", 50),
    ("grpc.max_reconnect_backoff_ms", 300),
    ("grpc.enable_retries", 0),  # a call is one call: a write sent twice would be two writes
]


class NodeClient:
    """The calls the tests make, by key; every one raises `grpc.RpcError` when it fails."""

    def __init__(self, channel: grpc.Channel) -> None:
        self.objects = CRDTServiceStub(channel)
        self.control = ControlServiceStub(channel)
        self.replication = ReplicationServiceStub(channel)
        self._health = health_pb2_grpc.HealthStub(channel)

    def is_serving(self) -> bool:
        """Whether the node's health answers SERVING."""
        try:
            answer = self._health.Check(health_pb2.HealthCheckRequest(), timeout=2)
        except grpc.RpcError:
            return False
        return answer.status == health_pb2.HealthCheckResponse.SERVING

    def wait_until_serving(self, timeout: float = 60) -> None:
        wait_until(self.is_serving, timeout, "the node's health to answer SERVING")

    def increment(self, key: str, amount: int = 1, timeout: float = CALL_TIMEOUT_S, kind: int = 0) -> int:
        request = pb.IncrementCounterRequest(counter_id=key, amount=amount, kind=kind)
        return self.objects.IncrementCounter(request, timeout=timeout).value

    def decrement(self, key: str, amount: int = 1, kind: int = 0) -> int:
        request = pb.DecrementCounterRequest(counter_id=key, amount=amount, kind=kind)
        return self.objects.DecrementCounter(request, timeout=CALL_TIMEOUT_S).value

    def counter(self, key: str) -> int:
        return self.objects.GetCounter(pb.GetCounterRequest(counter_id=key), timeout=CALL_TIMEOUT_S).value

    def add(self, key: str, *elements: str, timeout: float = CALL_TIMEOUT_S) -> None:
        for element in elements:
            self.objects.AddToSet(pb.AddToSetRequest(set_id=key, element=element), timeout=timeout)

    def remove(self, key: str, element: str) -> bool:
        """Whether there was something to remove."""
        request = pb.RemoveFromSetRequest(set_id=key, element=element)
        return self.objects.RemoveFromSet(request, timeout=CALL_TIMEOUT_S).removed

    def elements(self, key: str) -> list[str]:
        """The members of a set, sorted."""
        return list(self.objects.GetSet(pb.GetSetRequest(set_id=key), timeout=CALL_TIMEOUT_S).elements)

    def set(self, key: str, value: str, timestamp: int | None = None) -> bool:
        """Writes a register, multi-value without a timestamp; whether it took effect."""
        request = pb.SetRegisterRequest(register_id=key, value=value, timestamp=timestamp)
        return self.objects.SetRegister(request, timeout=CALL_TIMEOUT_S).applied

    def register(self, key: str) -> list[str]:
        """What a register shows, in its own order."""
        return list(self.objects.GetRegister(pb.GetRegisterRequest(register_id=key), timeout=CALL_TIMEOUT_S).values)

    def values(self, key: str) -> set[str]:
        """What a register shows, in no order."""
        return set(self.register(key))

    def delete(self, key: str) -> bool:
        return self.objects.Delete(pb.DeleteRequest(key=key), timeout=CALL_TIMEOUT_S).deleted

    def inspect(self, key: str) -> pb.InspectResponse:
        return self.control.Inspect(pb.InspectRequest(key=key), timeout=CALL_TIMEOUT_S)

    def sync(self, *peers: str) -> pb.SyncAllResponse:
        return self.replication.SyncAll(pb.SyncAllRequest(peers=peers), timeout=CALL_TIMEOUT_S)

    def patch(self, since: Mapping[str, int] | None = None) -> dict[str, Any]:
        """What a replica at clock `since` lacks."""
        request = pb.GetPatchRequest(since=since)
        return orjson.loads(self.replication.GetPatch(request, timeout=CALL_TIMEOUT_S).patch)

    def merge(self, patch: Mapping[str, Any]) -> int:
        """How many writes of the patch were new."""
        request = pb.MergeRequest(patch=orjson.dumps(patch))
        return self.replication.Merge(request, timeout=CALL_TIMEOUT_S).new_items

    def partition(self, *peers: str) -> dict[str, str]:
        """Stops listening to `peers` (none: to all); the links then."""
        return dict(self.control.Partition(pb.PartitionRequest(peers=peers), timeout=CALL_TIMEOUT_S).links)

    def heal(self, *peers: str) -> dict[str, str]:
        """Listens to `peers` (none: to all); the links then."""
        return dict(self.control.Heal(pb.HealRequest(peers=peers), timeout=CALL_TIMEOUT_S).links)

    def status(self) -> pb.StatusResponse:
        return self.control.Status(pb.StatusRequest(), timeout=CALL_TIMEOUT_S)

    def replica_id(self) -> str:
        """Under which id it takes part."""
        return str(self.status().replica)

    def clock(self) -> dict[str, int]:
        return dict(self.status().clock)

    def digest(self) -> str:
        return self.status().digest

    def metrics(self) -> Counter[str]:
        return Counter(self.status().metrics)


def channel_to(address: str) -> grpc.Channel:
    """A channel to the node at `address`, host:port; it need not be up yet."""
    return grpc.insecure_channel(address, options=CHANNEL_OPTIONS)


@contextmanager
def connected(address: str) -> Iterator[NodeClient]:
    """A client of the node at `address`, host:port; it need not be up yet."""
    with channel_to(address) as channel:
        yield NodeClient(channel)
