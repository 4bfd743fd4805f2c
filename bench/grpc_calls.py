"""Operations a second over gRPC: unary calls, batches, streams of batches.

This process is the client. It shares the machine with the worker and its Valkey. Every operation increments a random
one of 10 000 counters.
"""

from __future__ import annotations

import asyncio
import random
from dataclasses import dataclass
from functools import partial
from time import monotonic
from typing import TYPE_CHECKING, Any

import grpc

from bench.figures import Figure
from workers.rpc import deltaic_pb2 as pb
from workers.rpc.deltaic_pb2_grpc import CRDTServiceStub

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterator

    from bench.options import Options
    from bench.processes import Site

__all__ = ["GrpcCalls"]

KEYS = 10_000
BATCH = 100
AHEAD = 16


def increment() -> pb.IncrementCounterRequest:
    """Return an increment of one of the counters."""
    return pb.IncrementCounterRequest(counter_id=f"key:{random.randrange(KEYS):012}")


def batch() -> pb.BatchRequest:
    """Return a batch of a hundred increments."""
    return pb.BatchRequest(operations=[pb.BatchedOperation(increment_counter=increment()) for _ in range(BATCH)])


async def unary(stub: Any, end_s: float) -> int:
    """Make one call after the other until `end_s`. Return how many increments were done."""
    done = 0
    while monotonic() < end_s:
        await stub.IncrementCounter(increment())
        done += 1
    return done


async def batches(stub: Any, end_s: float) -> int:
    """Send one batch after the other until `end_s`. Return how many increments were done."""
    done = 0
    while monotonic() < end_s:
        done += len((await stub.Batch(batch())).results)
    return done


async def stream(stub: Any, end_s: float) -> int:
    """Send batches in one stream until `end_s`. Return how many increments were done.

    A few batches are sent ahead of their answers. More of them would only fill buffers.
    """
    ahead = asyncio.Semaphore(AHEAD)

    async def requests() -> AsyncIterator[pb.BatchRequest]:
        while monotonic() < end_s:
            await ahead.acquire()
            yield batch()

    done = 0
    async for response in stub.StreamBatches(requests()):
        ahead.release()
        done += len(response.results)
    return done


@dataclass(frozen=True, slots=True)
class GrpcCalls:
    """Measures one kind of call after the other, in every round."""

    name: str = "grpc"
    what: str = "increments over gRPC: alone, in batches, in streams of batches"

    def measure(self, site: Site, options: Options) -> Iterator[Figure]:
        worker = site.fleet()[0]
        ways: tuple[tuple[str, int, Callable[[Any, float], Awaitable[int]]], ...] = (
            ("grpc-unary", 50, unary),
            ("grpc-batches", 8, batches),
            ("grpc-streams", 4, stream),
        )
        found: dict[str, list[float]] = {name: [] for name, _, _ in ways}
        for number in range(options.rounds):
            options.progress(f"round {number + 1} of {options.rounds}")
            for name, callers, call in ways:
                found[name].append(asyncio.run(_rate(worker.grpc, options.seconds, callers, call)))
        shown = ("one at a time by 50 callers", f"in batches of {BATCH} by 8 callers", "in 4 streams of such batches")
        for (name, rates), how in zip(found.items(), shown, strict=True):
            yield Figure(name=name, what=f"increments over gRPC, {how}", unit="operations/s", ours=rates)


async def _rate(address: str, seconds: float, callers: int, call: Callable[[Any, float], Awaitable[int]]) -> float:
    async with grpc.aio.insecure_channel(address) as channel:
        stub: Any = CRDTServiceStub(channel)  # type: ignore[no-untyped-call]
        began_s = monotonic()
        one = partial(call, stub, began_s + seconds)
        done = sum(await asyncio.gather(*(one() for _ in range(callers))))
        return done / (monotonic() - began_s)
