"""Bringing a world to rest, where the simulator stumbled over what the product does."""

from __future__ import annotations

from dataclasses import replace
from random import Random

import pytest

from crdt_core.membership.changes import AddMember, RemoveMember
from crdt_core.node.events import Call
from tests.sim import jobs
from tests.sim.plan import Plan
from tests.sim.rest import bring_to_rest, forget, vouched_for
from tests.sim.starting import start
from tests.sim.tail import Nobody
from tests.sim.violation import Violation
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


def test_a_machine_whose_addition_was_not_answered_is_added_again() -> None:
    """Its Redis did not say under which id it was added, so while its name was in dispute it could not start.

    `deltaic node add` takes note of that also for a node that is a member already, so an operator would repeat it.
    """
    world = World(1, plan=replace(CALM, nodes=("n1", "n2")))
    for host in world.hosts.values():
        start(host)
    world.pass_time(100)
    world.network.cut = {("n1", "n2"), ("n2", "n1")}
    for host, addition in (("n1", AddMember("n3", "", "", "a1")), ("n2", AddMember("n3", "n3b", "n3b", "b2"))):
        process = world.hosts[host].process
        assert process is not None
        process.put(Call(addition, Nobody()))
    world.pass_time(100)
    bring_to_rest(world)
    assert [name for name, host in world.hosts.items() if host.lives] == ["n1", "n2", "n3b"]


@pytest.mark.parametrize("seed", [1, 2, 4, 13])
def test_a_node_whose_removal_only_a_former_id_had_recorded_runs_again(seed: int) -> None:
    """It read its removal in the log of the former id, ended, found itself a member, and began anew for ever.

    Nobody else has that removal: n3 has lost its state since, and came back with that of n2. And n2 waited for n1 to
    close the former id. The same as in seed 961586.
    """
    world = World(seed, plan=CALM)
    for host in world.hosts.values():
        start(host)
    n1, n2, n3 = world.hosts.values()
    world.pass_time(100)
    jobs.gossip(world, n1)
    world.pass_time(50)
    world.network.cut = {("n2", "n3"), ("n2", "n1")}
    assert n3.process is not None
    n3.process.put(Call(RemoveMember("n1"), Nobody()))
    world.pass_time(50)
    assert n1.process is None
    n3.kill("with a damaged state")
    n3.store.hashes.clear()
    n3.spoilt = True
    world.pass_time(2000)
    n2.store.trim(n2.store.log[-1][0])
    bring_to_rest(world)
    found = {name: host.process.node.replica.id for name, host in world.hosts.items() if host.process is not None}
    assert found == {"n1": "n1", "n2": "n2", "n3": "n3.2"}


@pytest.mark.parametrize("delay_ms", [0, 1, 50])
def test_a_world_that_never_comes_to_rest_is_a_violation(delay_ms: int) -> None:
    """Such a seed ran for minutes, or for ever."""
    world = World(1, plan=CALM)
    for host in world.hosts.values():
        start(host)

    def again() -> None:
        world.later(delay_ms, again)

    world.later(0, again)
    with pytest.raises(Violation, match="a world without callers and faults comes to rest"):
        bring_to_rest(world)
    assert world.steps < 100_000, "that takes seconds"


def test_an_operator_vouches_that_a_machine_is_new_only_where_it_is() -> None:
    """A new node waited for ever for a displaced namesake, which waited for it to close an id (seed 1703938)."""
    host = World(1, plan=CALM).hosts["n1"]
    host.waits_for = "trusting"
    assert vouched_for(host).trusting
    start(host)
    host.world.pass_time(100)
    assert not vouched_for(host).trusting


def test_a_member_whose_machine_runs_under_another_name_is_removed() -> None:
    """A machine that was removed and added again had another id as well, under which nobody ran (seed 1740572)."""
    world = World(1, plan=CALM)
    for host in world.hosts.values():
        start(host)
    world.pass_time(100)
    process = world.hosts["n1"].process
    assert process is not None
    process.put(Call(AddMember("n4", "n3", "n3", "a1"), Nobody()))
    world.pass_time(100)
    bring_to_rest(world)
    assert [*process.node.replica.members.active] == ["n1", "n2", "n3"]
