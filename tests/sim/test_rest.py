"""Bringing a world to rest, where the simulator stumbled over what the product does."""

from __future__ import annotations

from dataclasses import replace
from random import Random

from tests.sim.plan import Plan
from tests.sim.rest import bring_to_rest, forget
from tests.sim.shell import start
from tests.sim.world import World

CALM = replace(Plan.draw(Random(0)), nodes=("n1", "n2", "n3"), latency_ms=2, loss=0.0, duplication=0.0)


def test_a_node_that_ends_while_tombstones_are_forgotten_is_left_out_from_then_on() -> None:
    """As a node does that nobody knows: it ends when it hears that a compaction has sealed the id that added it."""
    world = World(1, plan=CALM)
    for host in world.hosts.values():
        start(host)
    bring_to_rest(world)

    def end() -> None:
        world.hosts["n3"].kill("as it holds commits that the others have abandoned")
        world.hosts["n3"].out = True

    world.later(0, end)
    forget(world)
    assert [name for name, host in world.hosts.items() if host.lives] == ["n1", "n2"]
