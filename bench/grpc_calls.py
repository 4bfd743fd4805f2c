"""Operations a second over gRPC, against one real worker: unary calls, batches, a stream of batches.

    python -m bench.grpc_calls --seconds 5

The client is one process, which shares the machine with the worker and its Valkey; every operation is an increment of a
random one of 10 000 counters.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import tempfile
from pathlib import Path
from statistics import median
from time import monotonic
from typing import TYPE_CHECKING

import grpc

from tests.fleet import Fleet
from workers.rpc import deltaic_pb2 as pb
from workers.rpc.deltaic_pb2_grpc import CRDTServiceStub

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

KEYS = 10_000
AHEAD = 16


def increment() -> pb.IncrementCounterRequest:
    return pb.IncrementCounterRequest(counter_id=f"key:{random.randrange(KEYS):012}")


def batch(size: int) -> pb.BatchRequest:
    return pb.BatchRequest(operations=[pb.BatchedOperation(increment_counter=increment()) for _ in range(size)])


async def unary(stub: CRDTServiceStub, end: float) -> int:
    """One caller, one call at a time."""
    done = 0
    while monotonic() < end:
        await stub.IncrementCounter(increment())
        done += 1
    return done


async def batches(stub: CRDTServiceStub, end: float, size: int) -> int:
    """One caller, one batch at a time."""
    done = 0
    while monotonic() < end:
        done += len((await stub.Batch(batch(size))).results)
    return done


async def stream(stub: CRDTServiceStub, end: float, size: int) -> int:
    """One stream, with so many batches sent and not answered: more would only fill buffers."""
    ahead = asyncio.Semaphore(AHEAD)

    async def requests() -> AsyncIterator[pb.BatchRequest]:
        while monotonic() < end:
            await ahead.acquire()
            yield batch(size)

    done = 0
    async for response in stub.StreamBatches(requests()):
        ahead.release()
        done += len(response.results)
    return done


async def measure(address: str, seconds: float, rounds: int) -> dict[str, float]:
    """Operations a second of each way, the median of so many rounds in turn."""
    figures: dict[str, list[float]] = {}
    async with grpc.aio.insecure_channel(address) as channel:
        stub = CRDTServiceStub(channel)
        for _ in range(rounds):
            for name, callers, call in (
                ("unary, 50 callers", 50, unary),
                ("batches of 100, 1 caller", 1, lambda *to: batches(*to, 100)),
                ("batches of 100, 8 callers", 8, lambda *to: batches(*to, 100)),
                ("1 stream of batches of 100", 1, lambda *to: stream(*to, 100)),
                ("4 streams of batches of 100", 4, lambda *to: stream(*to, 100)),
            ):
                began = monotonic()
                done = sum(await asyncio.gather(*(call(stub, began + seconds) for _ in range(callers))))
                figures.setdefault(name, []).append(done / (monotonic() - began))
    return {name: median(found) for name, found in figures.items()}


def main() -> None:
    """Prints the figures."""
    parser = argparse.ArgumentParser(prog="python -m bench.grpc_calls")
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory, Fleet(Path(directory), nodes=1, appendfsync="no") as fleet:
        figures = asyncio.run(measure(fleet["n1"].address, options.seconds, options.rounds))
    for name, figure in figures.items():
        print(f"{name:30}{figure:10,.0f} operations/s")


if __name__ == "__main__":
    main()
