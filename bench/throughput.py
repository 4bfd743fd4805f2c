"""Requests a second of a worker beside those of a raw Valkey of the same version and the same persistence.

Both run all the time; rounds alternate, so that whatever else the machine does meets both. A first round, which fills
the keys and tells how many requests fill a round, is not counted.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from bench.figures import Figure
from bench.load import RANDOM, Load, run

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bench.cases import Options
    from bench.load import Run
    from bench.processes import Process, Site

__all__ = ["THROUGHPUT", "Throughput", "alternate", "filling"]

PROBE_REQUESTS = 2000


@dataclass(frozen=True, slots=True)
class Throughput:
    """One kind of request; `before` makes what it reads. `nodes` of the fleet, all on this machine."""

    name: str
    what: str
    load: Load
    before: Load | None = None
    appendfsync: str | None = None
    nodes: int = 1
    p99: bool = False

    def measure(self, site: Site, options: Options) -> Iterator[Figure]:
        ours, raw = site.fleet(self.nodes, self.appendfsync)[0], site.server(appendfsync=self.appendfsync)
        if self.before is not None:
            for process in (ours, raw):
                run(process, self.before, options.keys * 10)
        runs = alternate({ours: self.load, raw: self.load}, options)
        yield Figure(self.name, self.what, "requests/s", [r.rate for r in runs[0]], [r.rate for r in runs[1]])
        if self.p99:
            what = f"{self.what}: 99th percentile"
            yield Figure(f"{self.name}-p99", what, "ms", [r.p99_ms for r in runs[0]], [r.p99_ms for r in runs[1]])


def alternate(loads: dict[Process, Load], options: Options) -> list[list[Run]]:
    """The counted runs of each load, in the order given."""
    sized = [(process, load, filling(process, load, options)) for process, load in loads.items()]
    rounds = []
    for number in range(options.rounds):
        options.progress(f"round {number + 1} of {options.rounds}")
        rounds.append([run(process, load, requests) for process, load, requests in sized])
    return [list(runs) for runs in zip(*rounds, strict=True)]


def filling(process: Process, load: Load, options: Options) -> int:
    """How many requests take about as long as a round should; makes some of them."""
    options.progress(f"warming {process.name} up")
    rate = run(process, load, PROBE_REQUESTS).rate
    rate = run(process, load, max(PROBE_REQUESTS, int(rate * options.seconds / 2))).rate
    return max(PROBE_REQUESTS, int(rate * options.seconds))


COUNTER, KEY = f"counter:{RANDOM}", f"key:{RANDOM}"
INCR, GET, SET = ("INCR", COUNTER), ("GET", KEY), ("SET", KEY, "xxx")

THROUGHPUT = (
    Throughput("incr-p1", "INCR, pipeline 1", Load(INCR), p99=True),
    Throughput("incr-p16", "INCR, pipeline 16", Load(INCR, 16)),
    Throughput("incr-hot-p16", "INCR of one hot key, pipeline 16", Load(("INCR", "hot"), 16, spread=None)),
    Throughput("get-p16", "GET, pipeline 16", Load(GET, 16), before=Load(SET, 16)),
    Throughput("set-p1", "SET, pipeline 1", Load(SET)),
    Throughput("set-p16", "SET, pipeline 16", Load(SET, 16)),
    Throughput(
        "incr-p16-always", "INCR, pipeline 16, appendfsync always on both", Load(INCR, 16), appendfsync="always"
    ),
    Throughput("incr-p1-peer", "INCR, pipeline 1, with one live peer on the same machine", Load(INCR), nodes=2),
    Throughput("incr-p16-peer", "INCR, pipeline 16, with one live peer on the same machine", Load(INCR, 16), nodes=2),
)
