"""The simulated network: who reaches whose Redis, and what becomes of a message on its way.

A node reaches others through their Redis: it appends to an inbox, reads a log or a header. Nothing passes on the ways
that are `cut`. Messages take a random time, so they overtake each other. A message may be lost (the sender is told, or
not), arrive although the sender was told that it did not, arrive twice, or arrive cut short. On a `slow` way logs are
read late and everything else passes, so headers tell of commits whose deltas are still to come.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.sim.world import World

__all__ = ["Network"]

_SEND_TIMEOUT_MS = 200


class Network:
    """The ways between the hosts of `world`, each as (from, to). `damage`: the share of messages that are cut short."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.cut: set[tuple[str, str]] = set()
        self.slow: set[tuple[str, str]] = set()
        self.latency_ms = world.plan.latency_ms
        self.loss = world.plan.loss
        self.duplication = world.plan.duplication
        self.damage = 0.0

    def heal(self) -> None:
        """From now on every message arrives, once, and soon."""
        self.latency_ms = 1
        self.cut.clear()
        self.slow.clear()
        self.loss = self.duplication = self.damage = 0.0

    def delay_ms(self) -> int:
        """How long the next message takes."""
        rng, latency_ms = self._world.rng, self.latency_ms
        return rng.randint(0, latency_ms) + (rng.randint(0, 10 * latency_ms) if rng.random() < 0.1 else 0)

    def log_delay_ms(self, node: str, peer: str) -> int:
        """How long the next entries of the log of `peer` take to `node`."""
        return self.delay_ms() + (self._world.rng.randint(100, 1000) if (node, peer) in self.slow else 0)

    def reaches(self, node: str, peer: str) -> bool:
        """Whether `node` can use the Redis of `peer`, which may not exist yet."""
        host = self._world.hosts.get(peer)
        return host is not None and (node, peer) not in self.cut and not host.store.down

    def send(self, node: str, peer: str, content: bytes, fail: Callable[[], None]) -> None:
        """Carries `content` from `node` to the inbox of `peer`; `fail` is called if the sender learns of a failure."""
        world = self._world
        if world.rng.random() < self.loss:
            world.counts["network: lost"] += 1
            world.later(_SEND_TIMEOUT_MS, fail)
            if world.rng.random() < 0.5:
                return
        copies = 2 if world.rng.random() < self.duplication else 1
        world.counts["network: duplicated"] += copies - 1
        for _ in range(copies):
            world.later(self.delay_ms(), partial(self._arrive, node, peer, content, fail))

    def _arrive(self, node: str, peer: str, content: bytes, fail: Callable[[], None]) -> None:
        world = self._world
        if not self.reaches(node, peer):
            world.later(_SEND_TIMEOUT_MS, fail)
            return
        damaged = world.rng.random() < self.damage
        if damaged:
            world.counts["network: truncated"] += 1
            content = content[: world.rng.randrange(len(content))]
            world.damaged.add(content)
        world.note(peer, "is sent", len(content), "bytes by", node)
        world.hosts[peer].receive(content)
