"""What has a size: catching up after a partition, what an operation costs the Redis, a million members in memory."""

from __future__ import annotations

import time
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import orjson

from bench.errors import MeasurementFailed
from bench.figures import Figure
from bench.line import Line, meet
from bench.load import RANDOM, Load, add_members, run
from bench.processes import wait_until
from workers.wire.keys import Keys

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from bench.options import Options
    from bench.processes import Process, Server, Site, Worker

__all__ = ["CatchUp", "Costs", "Million"]

LARGE = "large"
COUNTED = Load(("INCR", f"counter:{RANDOM}"), 16)
CAUGHT_UP_S = 300
AGREED_S = 20.0


@dataclass(frozen=True, slots=True)
class CatchUp:
    """A node is cut off while its peer writes; the clock runs from the healing until it has all of it."""

    name: str = "catch-up"
    what: str = "a node catches up after a partition"

    def measure(self, site: Site, options: Options) -> Iterator[Figure]:
        n1, n2 = site.fleet(2)
        meet(n1, n2)
        count = max(1000, options.members // 10)
        kinds: dict[str, tuple[str, Callable[[int], object]]] = {
            "counters": (f"{count} increments of 10 000 counters", lambda _: run(n1, COUNTED, count)),
            "set": (f"{count} new members of one set", lambda number: add_members(n1, LARGE, count, number * count)),
        }
        for name, (written, write) in kinds.items():
            seconds = []
            for number in range(options.rounds):
                options.progress(f"{written}: round {number + 1} of {options.rounds}")
                seconds.append(_caught_up(n1, n2, partial(write, number)))
            what = f"catching up with {written}"
            yield Figure(name=f"catch-up-{name}", what=what, unit="s", ours=seconds)
            rates = [count / taken for taken in seconds]
            yield Figure(name=f"catch-up-{name}-rate", what=f"{what}: the rate", unit="operations/s", ours=rates)


def _caught_up(one: Worker, other: Worker, write: Callable[[], object]) -> float:
    """Seconds from the healing until `other` has all that was written at `one` meanwhile."""
    with Line(one) as here, Line(other, CAUGHT_UP_S) as there:
        for line in (here, there):
            line.ask(b"DELTAIC.PARTITION")
        write()
        token = here.ask(b"DELTAIC.TOKEN")
        begun = time.perf_counter()
        there.ask(b"DELTAIC.HEAL")
        there.ask(b"DELTAIC.AWAIT", token, b"%d" % (CAUGHT_UP_S * 1000))
        taken = time.perf_counter() - begun
        here.ask(b"DELTAIC.HEAL")
    if not wait_until(lambda: _digest(one) == _digest(other), AGREED_S):
        raise MeasurementFailed(f"{one.name} and {other.name} have caught up and differ")
    return taken


def _digest(worker: Worker) -> Any:
    with worker.server.client() as client:
        return client.hget(Keys(worker.name).header, "digest")


@dataclass(frozen=True, slots=True)
class Costs:
    """Commands and bytes that the node's Redis is sent for each INCR; of raw Valkey, what the clients send it."""

    name: str = "costs"
    what: str = "Redis commands and bytes per INCR"

    def measure(self, site: Site, options: Options) -> Iterator[Figure]:
        ours, raw = site.fleet()[0], site.server()
        requests = max(1000, options.members // 20)
        for process in (ours, raw):
            run(process, COUNTED, requests)
        for clients, pipeline in ((1, 1), (50, 1), (50, 16)):
            load = Load(COUNTED.command, pipeline, clients)
            options.progress(f"{clients} clients, pipeline {pipeline}")
            mine = [_sent(ours.server, ours, load, requests // 5) for _ in range(options.rounds)]
            its = [_sent(raw, raw, load, requests // 5) for _ in range(options.rounds)]
            name, what = f"costs-c{clients}-p{pipeline}", f"per INCR, clients {clients}, pipeline {pipeline}"
            for index, (suffix, unit) in enumerate((("commands", "Redis commands"), ("bytes", "bytes to Redis"))):
                samples = {"ours": [one[index] for one in mine], "other": [one[index] for one in its]}
                yield Figure(name=f"{name}-{suffix}", what=what, unit=unit, **samples)


def _sent(server: Server, process: Process, load: Load, requests: int) -> tuple[float, float]:
    """Commands and bytes that `server` received for each request to `process`."""
    before = _received(server)
    run(process, load, requests)
    after = _received(server)
    return (after[0] - before[0]) / requests, (after[1] - before[1]) / requests


def _received(server: Server) -> tuple[int, int]:
    with server.client() as client:
        commands = client.info("commandstats")
        return sum(stats["calls"] for stats in commands.values()), client.info("stats")["total_net_input_bytes"]


@dataclass(frozen=True, slots=True)
class Million:
    """One set of a million members: what the worker needs for each, and how long it takes to start with them.

    The start of a worker without members is taken off, as is its memory: what is left is the members'.
    """

    name: str = "million"
    what: str = "memory and restart with a set of a million"

    def measure(self, site: Site, options: Options) -> Iterator[Figure]:
        worker, raw = site.fleet()[0], site.server()
        add_members(worker, "small", 1000)
        options.progress("starts without the set")
        empty_s = [_restarted(worker, "small", 1000) for _ in range(options.rounds)]
        empty_bytes = worker.resident_bytes
        for process in (worker, raw):
            options.progress(f"{process.name}: a set of {options.members}")
            add_members(process, LARGE, options.members)
        each = [(worker.resident_bytes - empty_bytes) / options.members]
        what = f"worker memory per member of a set of {options.members}"
        yield Figure(name="memory", what=what, unit="bytes", ours=each)
        loaded_s, bare_s = [], []
        for number in range(options.rounds):
            options.progress(f"starts with the set: round {number + 1} of {options.rounds}")
            loaded_s.append(_restarted(worker, LARGE, options.members))
            bare_s.append(_fetched(worker, options.members))
        each = [(worker.resident_bytes - empty_bytes) / options.members]
        yield Figure(name="memory-restarted", what=f"{what}, after a restart", unit="bytes", ours=each)
        yield _redis_memory(worker, raw, options.members)
        yield Figure(
            name="restart",
            what=f"loading a set of {options.members} at the start",
            unit="s",
            ours=[full - empty for full, empty in zip(loaded_s, empty_s, strict=True)],
            other=bare_s,
            against="fetching and decoding it",
        )
        yield Figure(name="restart-whole", what="the whole start", unit="s", ours=loaded_s)
        yield Figure(name="restart-empty", what="the whole start without the set", unit="s", ours=empty_s)


def _restarted(worker: Worker, key: str, members: int) -> float:
    """Seconds from starting the process until it tells how many members there are."""
    worker.stop()
    begun = time.perf_counter()
    worker.start().wait_until_ready()
    taken = time.perf_counter() - begun
    with worker.client() as client:
        if client.scard(key) != members:
            raise MeasurementFailed(f"{worker.name} has not all members of {key} after its start")
    return taken


def _fetched(worker: Worker, members: int) -> float:
    """Seconds that it takes only to fetch the set's parts from Redis and to decode them."""
    begun = time.perf_counter()
    with Line(worker.server, CAUGHT_UP_S) as line:
        fields = line.ask(b"HGETALL", Keys(worker.name).record(b"obj:" + LARGE.encode()))
    decoded = dict(zip(fields[::2], map(orjson.loads, fields[1::2]), strict=True))
    taken = time.perf_counter() - begun
    if len(decoded) < members:
        raise MeasurementFailed(f"{worker.server.name} holds {len(decoded)} of {members} members")
    return taken


def _redis_memory(worker: Worker, raw: Server, members: int) -> Figure:
    sizes = []
    for server, key in ((worker.server, Keys(worker.name).record(b"obj:" + LARGE.encode())), (raw, LARGE)):
        with server.client() as client:
            sizes.append(client.memory_usage(key, samples=0) / members)
    return Figure(
        name="memory-redis", what="memory of the Redis per member", unit="bytes", ours=sizes[:1], other=sizes[1:]
    )
