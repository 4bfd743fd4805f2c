"""What is drawn once per run: how many nodes, how they are set up, how many calls and faults there are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from crdt_core.node.options import NodeOptions

if TYPE_CHECKING:
    from random import Random

__all__ = ["EPOCH_MS", "NAMES", "Plan", "Setup"]

NAMES = ("n1", "n2", "n3", "n4", "n5")
PLENTY = 10**6
EPOCH_MS = 1_763_700_000_000
"""The wall time at which every run begins."""


@dataclass(frozen=True, slots=True)
class Setup:
    """How a process of a node is set up: drawn at each of its starts, as settings may change between them."""

    options: NodeOptions
    touched_max: int
    batch: int

    @classmethod
    def draw(cls, rng: Random) -> Setup:
        """Draws small limits mostly, because mistakes show at the limits."""
        options = NodeOptions(
            exchange_timeout_ms=rng.choice([40, 300, 5000]),
            repair_delay_ms=rng.choice([0, 30, 150]),
            refused_delay_ms=rng.choice([10, 100, 1000]),
            chunk_bytes=rng.choice([100, 1000, 1 << 20]),
            looks_per_chunk=rng.choice([3, 20_000]),
            tombstones_per_compaction=rng.choice([1, 3, 10_000]),
            log_entries_kept=rng.choice([0, 2, 100]),
            parts_per_slice=2,
        )
        return cls(options, touched_max=rng.choice([0, 3, 20, PLENTY]), batch=rng.choice([1, 3, 500]))


@dataclass(frozen=True, slots=True)
class Plan:
    """One run. Durations in ms of virtual time; `mix`: what callers do (`tests.sim.clients`)."""

    nodes: tuple[str, ...]
    latency_ms: int
    calls_every_ms: int
    faults_every_ms: int
    jobs_every_ms: int
    mix: str
    loss: float
    duplication: float

    @classmethod
    def draw(cls, rng: Random) -> Plan:
        """A plan; some runs are calm, most are not."""
        return cls(
            nodes=NAMES[: rng.choice([2, 3, 3, 4, 5])],
            latency_ms=rng.choice([0, 2, 20, 80]),
            calls_every_ms=rng.choice([5, 20, 60]),
            faults_every_ms=rng.choice([30, 100, 300, 1000]),
            jobs_every_ms=rng.choice([20, 60, 250, 1000]),
            mix=rng.choice(("everything", "everything", "churn", "counting", "setting")),
            loss=rng.choice([0, 0.02, 0.2]),
            duplication=rng.choice([0, 0.05, 0.2]),
        )
