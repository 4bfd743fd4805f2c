"""Bringing a world to rest: all faults end, everybody hears from everybody, and forgets what can be forgotten."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.sim import checks, jobs
from tests.sim.shell import start
from tests.sim.violation import require

if TYPE_CHECKING:
    from tests.sim.shell import Host, Process
    from tests.sim.world import World

__all__ = ["bring_to_rest"]

_ENTRIES_MAX = 20_000
_ROUNDS_MAX = 3
_LONG_MS = 10_000


def bring_to_rest(world: World) -> None:
    """Heals everything and waits until nothing happens any more; then everything must be as if nothing had been."""
    world.resting = True
    heal(world)
    drain(world)
    tick(world)
    for _ in range(_ROUNDS_MAX):
        for host in world.hosts.values():
            jobs.gossip(world, host)
            drain(world)
    tick(world)
    forget(world)
    checks.at_rest(world)


def heal(world: World) -> None:
    """Every fault ends; who is dead comes back."""
    world.network.heal()
    for host in world.hosts.values():
        host.kill_at = host.mishap = ""
        host.skew_ms = 0
        host.store.down = False
        host.store.links = frozenset()
        if host.process is None:
            start(host)
        else:
            host.process.resume()
            host.process.refresh_links()
            host.process.wake_tails()


def tick(world: World) -> None:
    """A long time passes, so that nobody waits for what was lost."""
    world.now_ms += _LONG_MS
    for host in world.hosts.values():
        running(host).beat()
    drain(world)


def drain(world: World) -> None:
    """Lets happen what is under way."""
    for _ in range(_ENTRIES_MAX):
        if not world.step():
            return
    require(False, "a world without callers and faults comes to rest")


def forget(world: World) -> None:
    """Compactions, until they change nothing any more."""
    before, left = -1, markers_left(world)
    while left != before:
        for host in world.hosts.values():
            for _ in range(passes(host)):
                jobs.compact(world, host)
            drain(world)
        before, left = left, markers_left(world)


def markers_left(world: World) -> int:
    """How many addresses hold removals, in all."""
    return sum(len(running(host).node.replica.catalogue.markers) for host in world.hosts.values())


def passes(host: Host) -> int:
    """How many compactions look at each marker of a node at least once, after the one that hears what is stable."""
    process = running(host)
    return 2 + len(process.node.replica.catalogue.markers) // process.setup.options.markers_per_compaction


def running(host: Host) -> Process:
    """The process of a host that has been healed."""
    assert host.process is not None
    return host.process
