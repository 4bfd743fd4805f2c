"""A soak: five nodes, a Valkey each, mixed load, and a fault every few seconds; then an audit of every call.

    python -m tests.soak --seconds 60 --seed 1

In the end all is healed. Then all nodes must agree; every Redis holds what its node has committed; every call is
accounted for (`tests.soak.ledger`); workers have ended only because they were killed; no thread of the soak itself has
died; nothing was quarantined but what has an explanation; memory and streams stayed within bounds. Otherwise the exit
code is 1, and the fleet's files stay. The seed makes the faults and calls alike, not their timing: real processes run
at their own pace.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import sys
import tempfile
import threading
import time
from collections import Counter
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from tests.fleet import Fleet
from tests.soak.faults import Faults
from tests.soak.ledger import Clients, Fate, Ledger
from tests.soak.stored import wait_until_whole
from tests.soak.threads import deaths_noted
from tests.soak.watch import Jobs, Keeper, Sampler
from tests.support import wait_until

if TYPE_CHECKING:
    from collections.abc import Sequence

NODES = 5
LOG_ENTRIES_MAX = 5000
GOSSIP = {"timeout_ms": 2000, "touched_max": 5000, "log_entries_max": LOG_ENTRIES_MAX, "chunk_bytes": 8192}
INBOX_ENTRIES_MAX = 1000
AUDIT_INTERVAL_S = 1
LIMITS = {"write_timeout_ms": 1500, "commit_timeout_ms": 1000, "inbox_entries_max": INBOX_ENTRIES_MAX}
FAULT_EVERY_S = 3.0
SETTLED_S = 120.0
GROWTH_MAX, SLACK_MB = 1.5, 24.0
EXPLAINED = ("has not made: it is at", "sender 'm")
"""Reasons of what may be set aside: a message that speaks of commits which a Redis that was set back had lost, or that
comes from a machine whose addition the node has not heard of, or which has been removed (`tests.soak.namesakes`)."""


class Soak:
    """One run on `fleet`; `violations` is what must not be."""

    def __init__(self, fleet: Fleet, seconds: float, seed: int) -> None:
        self.fleet = fleet
        self.seconds = seconds
        self.seed = seed
        self.stop = threading.Event()
        self.ledger = Ledger()
        self.faults = Faults(fleet, random.Random(seed), FAULT_EVERY_S, self.stop, self.ledger)
        self.keeper = Keeper(fleet, self.faults)
        self.sampler = Sampler(fleet)
        self.jobs = Jobs(fleet)
        self.violations: list[str] = []
        self.settled_s = 0.0

    def run(self) -> None:
        with deaths_noted(self.violations):
            self._run()
        self._audit()

    def _run(self) -> None:
        addresses = {name: node.address for name, node in self.fleet.nodes.items()}
        with self.jobs, self.keeper:
            with self.sampler, Clients(addresses, self.ledger, self.seed):
                faults = threading.Thread(target=self.faults.run)
                faults.start()
                time.sleep(self.seconds)
                self.stop.set()
                faults.join()
            began = time.monotonic()
            try:
                self._settle()
            except AssertionError as error:
                self.violations.append(f"the fleet does not settle: {error}")
            self.settled_s = time.monotonic() - began

    def _settle(self) -> None:
        self.fleet.heal()
        for node in self.fleet.nodes.values():
            wait_until(node.is_serving, SETTLED_S, f"{node.name} to serve")
        self.fleet.agree(timeout=SETTLED_S)
        wait_until(lambda: not self._tombstones(), SETTLED_S, "all removals to be forgotten")
        self.fleet.agree(timeout=SETTLED_S)
        for name in self.fleet.nodes:
            wait_until_whole(self.fleet.redis(name), name, SETTLED_S)

    def _tombstones(self) -> int:
        return sum(node.metrics()["markers"] for node in self.fleet.nodes.values())

    def _audit(self) -> None:
        self.violations += [*self.faults.failures, *self.keeper.violations]
        self.violations += [f"alarm: {alarm}" for alarm in dict.fromkeys(self.jobs.alarms)]
        if not self.violations:
            for node in self.fleet.nodes.values():
                self.violations += [f"{node.name}: {found}" for found in self.ledger.violations(node)]
        for name in self.fleet.nodes:
            for item in self.fleet.quarantined(name):
                if not any(reason in item["reason"] for reason in EXPLAINED):
                    self.violations.append(f"{name} has set aside, of {item['source']}: {item['reason']}")
        self._audit_sizes()

    def _audit_sizes(self) -> None:
        for what, bound in (("inbox entries", INBOX_ENTRIES_MAX), ("log entries", LOG_ENTRIES_MAX)):
            for name, sizes in self.sampler.sizes[what].items():
                if sizes.peak > 1.2 * bound:
                    self.violations.append(f"{name} had {sizes.peak:.0f} {what}")
        for what in ("worker MB", "Valkey MB"):
            for name, sizes in self.sampler.sizes[what].items():
                if sizes.end > GROWTH_MAX * sizes.begin + SLACK_MB:
                    self.violations.append(f"{what} of {name} grew from {sizes.begin:.0f} to {sizes.end:.0f}")

    def report(self) -> str:
        """The figures."""
        total, metrics = self.ledger.total, self._metrics()
        lines = [f"soak of {self.seconds:g} s, seed {self.seed}, {NODES} nodes; settled within {self.settled_s:.1f} s"]
        lines.append(f"calls      {sum(total.values())}: " + _listed({fate.value: total[fate] for fate in Fate}))
        kinds = sorted({kind for kind, _ in self.ledger.calls})
        lines += [f"  {kind:<8} " + _listed({f.value: self.ledger.calls[kind, f] for f in Fate}) for kind in kinds]
        lines.append(f"faults     {self.faults.counts.total()}: " + _listed(self.faults.counts))
        lines.append("  of these " + _listed(self.faults.notes))
        lines.append(
            f"restarts   {self.keeper.restarts}; new incarnations {self._logged('incarnation_chosen')}; "
            f"Redis given back what it had lost {self._logged('redis_refilled')} times"
        )
        lines.append("syncs      " + _listed({name: metrics[name] for name in SHOWN}) + " (since the last restarts)")
        lines.append("jobs       " + _listed(self.jobs.runs))
        for what, by_node in self.sampler.sizes.items():
            shown = "; ".join(f"{n} {s.begin:.0f} / {s.end:.0f} / {s.peak:.0f}" for n, s in sorted(by_node.items()))
            lines.append(f"{what:<14} begin / end / peak: {shown}")
        lines.append(f"quarantined, explained: {sum(len(self.fleet.quarantined(name)) for name in self.fleet.nodes)}")
        lost = sum("is lost" in violation for violation in self.violations)
        lines.append(f"violations {len(self.violations)}; lost: {lost}")
        return "\n".join([*lines, *self.violations[:40]])

    def _metrics(self) -> Counter[str]:
        return sum((node.metrics() for node in self.fleet.nodes.values() if node.is_serving()), Counter())

    def _logged(self, event: str) -> int:
        return sum(node.times_logged(event) for node in self.fleet.nodes.values())


SHOWN = ("deltas_applied", "patches_sent", "patches_joined", "chunks_received", "repairs")


def _listed(counts: dict[str, int] | Counter[str]) -> str:
    return ", ".join(f"{name} {count}" for name, count in sorted(counts.items()))


def soak(seconds: float, seed: int, directory: Path) -> Soak:
    """Runs one soak with its files in `directory`."""
    fleet = Fleet(
        directory,
        NODES,
        appendfsync="always",
        valkey_each=True,
        gossip=GOSSIP,
        limits=LIMITS,
        settings=f"[jobs]\naudit_interval_s = {AUDIT_INTERVAL_S}\n",
    )
    with ExitStack() as stack:
        before = os.environ.get("DELTAIC_FILE")
        stack.callback(_set_variable, "DELTAIC_FILE", before)
        _set_variable("DELTAIC_FILE", str(directory / "fleet.toml"))
        stack.enter_context(fleet)
        run = Soak(fleet, seconds, seed)
        run.run()
        print(run.report(), flush=True)
    return run


def _set_variable(name: str, value: str | None) -> None:
    if value is None:
        os.environ.pop(name, None)
    else:
        os.environ[name] = value


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description="Run a fleet through faults under load.")
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--seed", type=int, default=random.randrange(10**6))
    options = parser.parse_args(arguments)
    directory = Path(tempfile.mkdtemp(prefix="deltaic-soak-"))
    run = soak(options.seconds, options.seed, directory)
    if run.violations:
        print(f"seed {options.seed}; the fleet's files are in {directory}", file=sys.stderr)
        return 1
    shutil.rmtree(directory)
    return 0


if __name__ == "__main__":
    sys.exit(main())
