"""Requests a second of a worker beside those of a raw Valkey of the same version and persistence, and of Deltaic 0.1.0.

All run all the time; rounds alternate, so that whatever else the machine does meets all. A first round, which fills
the keys and tells how many requests fill a round, is not counted.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from bench.figures import Figure
from bench.load import ELEMENT, RANDOM, Load, add_members, run

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from bench.load import Run
    from bench.options import Options
    from bench.processes import Process, Site

__all__ = ["THROUGHPUT", "SetSizes", "Throughput"]

PROBE_REQUESTS = 2000
SIDES = ("ours", "base", "other")
FILLING = 10  # random writes per key, after which (almost) every key is there


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
        ours, base = site.fleet(self.nodes, self.appendfsync)[0], site.baseline_fleet(self.nodes, self.appendfsync)[0]
        processes = (ours, base, site.server(appendfsync=self.appendfsync))
        if self.before is not None:
            for process in processes:
                run(process, self.before, FILLING * (self.before.spread or 1))
        runs = dict(zip(SIDES, alternate([(process, self.load) for process in processes], options), strict=True))
        samples = {side: rates(of_side) for side, of_side in runs.items()}
        yield Figure(name=self.name, what=self.what, unit="requests/s", **samples)
        if self.p99:
            samples = {side: [one.p99_ms for one in of_side] for side, of_side in runs.items()}
            yield Figure(name=f"{self.name}-p99", what=f"{self.what}: 99th percentile", unit="ms", **samples)


@dataclass(frozen=True, slots=True)
class SetSizes:
    """SADD into a small set and into a large one, and what the size costs ours beyond what it costs raw Valkey."""

    name: str = "sadd"
    what: str = "SADD, pipeline 16, into a set of a thousand and of a million"

    def measure(self, site: Site, options: Options) -> Iterator[Figure]:
        ours, raw = site.fleet()[0], site.server()
        sizes = {"small": 1000, "large": options.members}
        for process in (ours, raw):
            for key, size in sizes.items():
                options.progress(f"{process.name}: a set of {size}")
                add_members(process, key, size)
        pairs = [
            (process, Load(("SADD", key, ELEMENT), 16, spread=size))
            for key, size in sizes.items()
            for process in (ours, raw)
        ]
        small, raw_small, large, raw_large = map(rates, alternate(pairs, options))
        what = "SADD, pipeline 16, into a set of"
        yield Figure(name="sadd-small", what=f"{what} 1000", unit="requests/s", ours=small, other=raw_small)
        yield Figure(
            name="sadd-large", what=f"{what} {options.members}", unit="requests/s", ours=large, other=raw_large
        )
        yield Figure(
            name="sadd-drop",
            what="SADD: what is left of the rate in the large set",
            unit="share",
            ours=[of / full for of, full in zip(large, small, strict=True)],
            other=[of / full for of, full in zip(raw_large, raw_small, strict=True)],
        )


def alternate(loads: Sequence[tuple[Process, Load]], options: Options) -> list[list[Run]]:
    """The counted runs of each load, in the order given."""
    sized = [(process, load, _filling(process, load, options)) for process, load in loads]
    rounds = []
    for number in range(options.rounds):
        options.progress(f"round {number + 1} of {options.rounds}")
        rounds.append([run(process, load, requests) for process, load, requests in sized])
    return [list(runs) for runs in zip(*rounds, strict=True)]


def _filling(process: Process, load: Load, options: Options) -> int:
    """How many requests take about as long as a round should; makes some of them."""
    options.progress(f"warming {process.name} up")
    rate = run(process, load, PROBE_REQUESTS).rate
    rate = run(process, load, max(PROBE_REQUESTS, int(rate * options.seconds / 2))).rate
    return max(PROBE_REQUESTS, int(rate * options.seconds))


def rates(runs: Sequence[Run]) -> list[float]:
    """Requests a second of each."""
    return [one.rate for one in runs]


COUNTER, KEY = f"counter:{RANDOM}", f"key:{RANDOM}"
INCR, GET, SET = ("INCR", COUNTER), ("GET", KEY), ("SET", KEY, "xxx")

THROUGHPUT = (
    Throughput("incr-p1", "INCR, pipeline 1", Load(INCR), p99=True),
    Throughput("incr-p16", "INCR, pipeline 16", Load(INCR, 16)),
    Throughput("incr-wide-p16", "INCR of 200 000 keys, pipeline 16", Load(INCR, 16, spread=200_000)),
    Throughput("incr-hot-p16", "INCR of one hot key, pipeline 16", Load(("INCR", "hot"), 16, spread=None)),
    Throughput("get-p1", "GET, pipeline 1", Load(GET), before=Load(SET, 16)),
    Throughput("get-p16", "GET, pipeline 16", Load(GET, 16), before=Load(SET, 16)),
    Throughput("set-p1", "SET, pipeline 1", Load(SET)),
    Throughput("set-p16", "SET, pipeline 16", Load(SET, 16)),
    Throughput("sadd-new-p16", "SADD of new members, pipeline 16", Load(("SADD", f"set:{RANDOM}", ELEMENT), 16)),
    Throughput("hset-p16", "HSET of one field, pipeline 16", Load(("HSET", f"hash:{RANDOM}", "field", "xxx"), 16)),
    Throughput("incr-p16-always", "INCR, pipeline 16, appendfsync always", Load(INCR, 16), appendfsync="always"),
    Throughput("incr-p1-peer", "INCR, pipeline 1, one live peer on this machine", Load(INCR), nodes=2),
    Throughput("incr-p16-peer", "INCR, pipeline 16, one live peer on this machine", Load(INCR, 16), nodes=2),
)
