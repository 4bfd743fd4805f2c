"""A node's gRPC face, as a test sees it."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from tests.support import wait_until
from workers.rpc import deltaic_pb2 as pb
from workers.rpc.deltaic_pb2_grpc import ControlServiceStub, CRDTServiceStub, ReplicationServiceStub

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["NodeClient", "connected"]

CALL_TIMEOUT_S = 15
QUICK_RECONNECTS = [("grpc.initial_reconnect_backoff_ms", 100), ("grpc.max_reconnect_backoff_ms", 500)]


class NodeClient:
    """The calls the tests make, by key; every one raises `grpc.RpcError` when it fails."""

    def __init__(self, channel: grpc.Channel) -> None:
        self.crdt = CRDTServiceStub(channel)
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

    def increment(self, key: str, amount: int = 1, timeout: float = CALL_TIMEOUT_S) -> int:
        request = pb.IncrementCounterRequest(counter_id=key, amount=amount)
        return self.crdt.IncrementCounter(request, timeout=timeout).value

    def counter(self, key: str) -> int:
        return self.crdt.GetCounter(pb.GetCounterRequest(counter_id=key), timeout=CALL_TIMEOUT_S).value

    def add(self, key: str, element: str) -> None:
        self.crdt.AddToSet(pb.AddToSetRequest(set_id=key, element=element), timeout=CALL_TIMEOUT_S)

    def remove(self, key: str, element: str) -> None:
        self.crdt.RemoveFromSet(pb.RemoveFromSetRequest(set_id=key, element=element), timeout=CALL_TIMEOUT_S)

    def elements(self, key: str) -> set[str]:
        return set(self.crdt.GetSet(pb.GetSetRequest(set_id=key), timeout=CALL_TIMEOUT_S).elements)

    def set(self, key: str, value: str) -> None:
        """Writes a multi-value register."""
        self.crdt.SetRegister(pb.SetRegisterRequest(register_id=key, value=value), timeout=CALL_TIMEOUT_S)

    def values(self, key: str) -> set[str]:
        return set(self.crdt.GetRegister(pb.GetRegisterRequest(register_id=key), timeout=CALL_TIMEOUT_S).values)

    def clock(self) -> dict[str, int]:
        return dict(self.control.Status(pb.StatusRequest(), timeout=CALL_TIMEOUT_S).clock)

    def digest(self) -> str:
        return self.control.Status(pb.StatusRequest(), timeout=CALL_TIMEOUT_S).digest


@contextmanager
def connected(address: str) -> Iterator[NodeClient]:
    """A client of the node at `address`, host:port; it need not be up yet."""
    with grpc.insecure_channel(address, options=QUICK_RECONNECTS) as channel:
        yield NodeClient(channel)
