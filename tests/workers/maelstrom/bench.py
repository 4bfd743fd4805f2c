"""The project's own small bench: real node processes under load on a bad network, and what must hold afterwards.

    python -m tests.workers.maelstrom.bench --workload broadcast --nodes 25 --rate 100 --latency-ms 100

As in Maelstrom, half of the operations write and half read, each at a random node; messages per operation are those
between nodes, from the first request until all nodes agree, by operation of either kind. `--probe-rate` adds reads at
every node that count as no operation: they make the stable latency (see `stable_latencies_ms`) more exact.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import statistics
import sys
import tempfile
import time
from contextlib import suppress
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.support import wait_until_async
from tests.workers.maelstrom.checks import (
    Operation,
    availability_problems,
    counter_problems,
    set_problems,
    stable_latencies_ms,
)
from tests.workers.maelstrom.cluster import Cluster, Refused
from tests.workers.maelstrom.network import Faults

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Bench", "Report", "Settings", "run"]

WRITES = {"broadcast": ("broadcast", "message"), "g-set": ("add", "element"), "g-counter": ("add", "delta")}
WRITES["pn-counter"] = WRITES["g-counter"]
COUNTERS = {"g-counter", "pn-counter"}
SETS = set(WRITES) - COUNTERS
_OBSERVED_S = 1.0


@dataclass(frozen=True, slots=True)
class Settings:
    """A run: `rate` operations a second over all nodes for `time_limit_s`; then all links heal and the nodes settle.

    `partition_s`: how long the links are cut, and then whole, in turn; 0: always whole. `kill_s`: how long until a
    random node is killed, and then started again, in turn; 0: never (needs `--redis` in `options`).
    """

    workload: str = "broadcast"
    nodes: int = 5
    rate: float = 50.0
    time_limit_s: float = 5.0
    deadline_s: float = 10.0
    settle_s: float = 60.0
    probe_rate: float = 0.0
    partition_s: float = 0.0
    kill_s: float = 0.0
    seed: int = 0
    faults: Faults = field(default_factory=Faults)
    options: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Report:
    """What a run showed; valid where there are no problems."""

    problems: list[str]
    operations: int
    writes: int
    in_doubt: int
    messages: int
    partitions: int
    kills: int
    settled_s: float
    stable_ms: list[float]

    @property
    def messages_per_operation(self) -> float:
        """Messages between nodes by operation, reads included."""
        return self.messages / max(1, self.operations)

    def lines(self) -> list[str]:
        """The figures, one a line."""
        rows: dict[str, Any] = {
            "valid": not self.problems,
            "operations": self.operations,
            "writes": f"{self.writes}, {self.in_doubt} in doubt",
            "partitions, kills": f"{self.partitions}, {self.kills}",
            "settled after": f"{self.settled_s:.1f} s",
            "messages between nodes": self.messages,
            "messages per operation": f"{self.messages_per_operation:.2f}",
            "messages per write": f"{self.messages / max(1, self.writes):.2f}",
        }
        if self.stable_ms:
            rows["stable latency, median"] = f"{statistics.median(self.stable_ms):.0f} ms"
            rows["stable latency, 99 %"] = f"{self.stable_ms[int(len(self.stable_ms) * 0.99)]:.0f} ms"
            rows["stable latency, maximum"] = f"{self.stable_ms[-1]:.0f} ms"
        return [f"{name:26}{value}" for name, value in rows.items()] + [f"PROBLEM {text}" for text in self.problems]


class Bench:
    """One run of `settings` on `cluster`."""

    def __init__(self, settings: Settings, cluster: Cluster) -> None:
        self._settings = settings
        self._cluster = cluster
        self._random = random.Random(settings.seed)
        self._history: list[Operation] = []
        self._probes: list[Operation] = []
        self._finals: dict[str, Any] = {}
        self._partitions = 0
        self._kills = 0

    async def run(self) -> Report:
        """Loads the nodes, cuts and kills them meanwhile, heals them, lets them settle, and checks."""
        if self._settings.workload == "broadcast":
            topology = {node: [peer for peer in self._cluster.nodes if peer != node] for node in self._cluster.nodes}
            for node in self._cluster.nodes:
                await self._cluster.ask(node, {"type": "topology", "topology": topology})
        await self._load()
        self._cluster.network.heal()
        healed = time.monotonic()
        with suppress(AssertionError):  # the checks will say what is missing
            await wait_until_async(self._agree, self._settings.settle_s, "the nodes to agree")
        return self._report(time.monotonic() - healed)

    async def _load(self) -> None:
        end = time.monotonic() + self._settings.time_limit_s
        disturbing = [asyncio.create_task(work) for work in (self._partition(), self._kill(end))]
        probed = self._cluster.nodes if self._settings.probe_rate else []
        observed = [asyncio.create_task(self._probe(node)) for node in probed]
        requests: list[asyncio.Task[None]] = []
        due = time.monotonic()
        while due < end:
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            requests.append(asyncio.create_task(self._request(len(requests))))
            due += 1 / self._settings.rate
        disturbing[0].cancel()
        await asyncio.gather(*requests, disturbing[1])
        if observed and self._settings.workload in SETS:
            with suppress(AssertionError):  # where links are cut, the last elements are seen once they heal
                await wait_until_async(self._all_observed, _OBSERVED_S, "the probes to see the last elements")
        for task in (*disturbing, *observed):
            task.cancel()
        await asyncio.gather(*disturbing, *observed, return_exceptions=True)

    # Clients

    async def _request(self, number: int) -> None:
        writes = self._random.random() < 0.5
        operation = Operation(self._random.choice(self._cluster.live), self._value(number) if writes else None, 0.0)
        self._history.append(operation)
        await self._perform(operation)

    def _value(self, number: int) -> int:
        if self._settings.workload == "g-counter":
            return self._random.randrange(5)
        return self._random.randrange(-5, 6) if self._settings.workload == "pn-counter" else number

    async def _perform(self, operation: Operation) -> None:
        type_, name = WRITES[self._settings.workload]
        body = {"type": "read"} if operation.value is None else {"type": type_, name: operation.value}
        operation.began = time.monotonic()
        try:
            reply = await asyncio.wait_for(self._cluster.ask(operation.node, body), self._settings.deadline_s)
        except TimeoutError:
            operation.error = "no reply"
            return
        except Refused as refused:
            operation.error, operation.excused = str(refused), operation.node not in self._cluster.live
            return
        operation.ended = time.monotonic()
        if operation.value is None:
            operation.result = reply["messages" if self._settings.workload == "broadcast" else "value"]

    async def _probe(self, node: str) -> None:
        await asyncio.sleep(self._random.random() / self._settings.probe_rate)
        while True:
            await asyncio.sleep(1 / self._settings.probe_rate)
            if node in self._cluster.live:
                probe = Operation(node, None, 0.0)
                await self._perform(probe)
                self._probes.append(probe)

    def _all_observed(self) -> bool:
        """Whether the last probe of every live node has seen all elements that were acknowledged."""
        written = {write.value for write in self._history if write.value is not None and write.acknowledged}
        last = {probe.node: probe.result for probe in self._probes if probe.acknowledged}
        return all(node in last and written.issubset(last[node]) for node in self._cluster.live)

    # Disturbances

    async def _partition(self) -> None:
        """Random halves and single nodes, in turn."""
        while self._settings.partition_s:
            await asyncio.sleep(self._settings.partition_s)
            nodes = self._random.sample(self._cluster.nodes, len(self._cluster.nodes))
            size = 1 if self._partitions % 2 else len(nodes) // 2
            self._cluster.network.cut(nodes[:size], nodes[size:])
            self._partitions += 1
            await asyncio.sleep(self._settings.partition_s)
            self._cluster.network.heal()

    async def _kill(self, end: float) -> None:
        while self._settings.kill_s and time.monotonic() + self._settings.kill_s < end:
            await asyncio.sleep(self._settings.kill_s)
            node = self._random.choice(self._cluster.nodes)
            await self._cluster.kill(node)
            self._kills += 1
            await asyncio.sleep(self._settings.kill_s / 2)
            await self._cluster.start(node)

    # The end

    async def _agree(self) -> bool:
        """Reads every node; whether all show the same, and all that was acknowledged."""
        reads = [Operation(node, None, 0.0) for node in self._cluster.nodes]
        await asyncio.gather(*map(self._perform, reads))
        self._probes += reads
        self._finals = {read.node: read.result for read in reads if read.acknowledged}
        return len(self._finals) == len(reads) and not self._data_problems(self._history)

    def _data_problems(self, history: Sequence[Operation]) -> list[str]:
        checked = counter_problems if self._settings.workload in COUNTERS else set_problems
        return checked(history, self._finals)

    def _report(self, settled_s: float) -> Report:
        everything = self._history + self._probes
        missing = [f"{node} gave no final read" for node in self._cluster.nodes if node not in self._finals]
        writes = [operation for operation in self._history if operation.value is not None]
        return Report(
            problems=[
                *self._cluster.problems,
                *availability_problems(everything),
                *self._data_problems(everything),
                *missing,
            ],
            operations=len(self._history),
            writes=len(writes),
            in_doubt=sum(not write.acknowledged for write in writes),
            messages=self._cluster.network.messages,
            partitions=self._partitions,
            kills=self._kills,
            settled_s=settled_s,
            stable_ms=stable_latencies_ms(everything) if self._settings.workload in SETS else [],
        )


async def run(settings: Settings, directory: Path) -> Report:
    """The report of a run, whose nodes leave their diagnostics in `directory`."""
    cluster = Cluster(
        settings.workload,
        settings.nodes,
        directory,
        faults=settings.faults,
        options=settings.options,
        seed=settings.seed,
    )
    async with cluster:
        report = await Bench(settings, cluster).run()
    words = [f"{node} said on stderr: {text}" for node, text in cluster.last_words().items()] if report.problems else []
    late = [problem for problem in cluster.problems if problem not in report.problems]
    report.problems.extend([*late, *words])
    return report


def main() -> None:
    """The command line: every setting and every fault is an option; what follows `--` goes to the nodes."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.workers.maelstrom.bench", epilog="After `--`: options of the nodes."
    )
    parser.add_argument("--workload", choices=sorted(WRITES), default=Settings.__dataclass_fields__["workload"].default)
    parser.add_argument("--latency", choices=["constant", "exponential"], default="constant")
    of_run = [item.name for item in fields(Settings) if item.name not in {"workload", "faults", "options"}]
    of_network = [item.name for item in fields(Faults) if item.name != "latency"]
    defaults, faults = Settings(), Faults()
    for owner, names in ((defaults, of_run), (faults, of_network)):
        for name in names:
            value = getattr(owner, name)
            parser.add_argument("--" + name.replace("_", "-"), type=type(value), default=value, help=f"default {value}")
    parser.add_argument("options", nargs="*")
    given = vars(parser.parse_args())
    settings = Settings(
        **{name: given[name] for name in ("workload", "options", *of_run)},
        faults=Faults(latency=given["latency"], **{name: given[name] for name in of_network}),
    )
    with tempfile.TemporaryDirectory() as directory:
        report = asyncio.run(run(settings, Path(directory)))
    print(*report.lines(), sep="\n")
    sys.exit(bool(report.problems))


if __name__ == "__main__":
    main()
