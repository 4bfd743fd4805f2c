"""What may strike: nothing from which nobody could bring the data back."""

from __future__ import annotations

from dataclasses import replace
from random import Random

import pytest

from crdt_core.codec.records import STATE, Record
from crdt_core.node.events import Commit
from tests.sim.changes import add_two_machines, remove_a_node
from tests.sim.faults import FAULTS
from tests.sim.losses import proofread
from tests.sim.plan import Plan
from tests.sim.starting import start
from tests.sim.world import World


def test_the_only_state_that_is_left_is_not_damaged() -> None:
    """All other nodes were removed, so nobody could give the state back, and the world came to rest without a node."""
    world = World(1, plan=replace(Plan.draw(Random(0)), nodes=("n1", "n2"), latency_ms=2, loss=0.0))
    for host in world.hosts.values():
        start(host)
    host = world.hosts["n1"]
    host.store.hashes[b"obj:fruit"] = {b"apple": b'{"n1:1":true}'}
    world.hosts["n2"].out = True
    for name in ("stored hash deleted", "stored field altered", "Redis evicts keys"):
        _, strike = FAULTS[name]
        assert not strike(world, host)
    assert host.store.hashes
    world.hosts["n2"].out = False
    assert FAULTS["stored hash deleted"][1](world, host)


def test_a_node_does_not_lose_its_tail_while_another_has_a_damaged_state() -> None:
    """Each then waited for the other to give it the state, and the world came to rest without a node."""
    world = World(1, plan=replace(Plan.draw(Random(0)), nodes=("n1", "n2"), latency_ms=2, loss=0.0))
    for host in world.hosts.values():
        start(host)
    _, strike = FAULTS["machine lost its tail"]
    world.hosts["n2"].spoilt = True
    strike(world, world.hosts["n1"])
    assert world.hosts["n1"].lives
    world.hosts["n2"].spoilt = False
    strike(world, world.hosts["n1"])
    assert not world.hosts["n1"].lives


@pytest.mark.parametrize("name", ["Redis away", "Redis lost its tail"])
def test_a_redis_does_not_restart_while_another_node_has_a_damaged_state_nor_the_other_way_round(name: str) -> None:
    """A node that starts after its Redis did needs the state of the others, and the world came to rest without one."""
    world = World(1, plan=replace(Plan.draw(Random(0)), nodes=("n1", "n2"), latency_ms=2, loss=0.0))
    for host in world.hosts.values():
        start(host)
    n1, n2 = world.hosts["n1"], world.hosts["n2"]
    assert n1.store.execute(Commit(records=[Record(STATE, b"fruit", b"apple")]), 9, n1.store.watch().version)
    assert n2.store.execute(Commit(records=[Record(STATE, b"fruit", b"apple")]), 9, n2.store.watch().version)
    n2.spoilt = True
    for _ in range(20):
        FAULTS[name][1](world, n1)
        n1.store.down = False
    assert n1.store.run_id == b"1"
    n2.spoilt = False
    while n1.store.run_id == b"1":
        FAULTS[name][1](world, n1)
        n1.store.down = False
    assert not FAULTS["stored hash deleted"][1](world, n2)


def test_nobody_removes_a_node_while_another_has_a_damaged_state() -> None:
    """It was the only one that could give the state back, and the world came to rest without a node."""
    world = World(1, plan=replace(Plan.draw(Random(0)), nodes=("n1", "n2", "n3"), latency_ms=2, loss=0.0))
    for host in world.hosts.values():
        start(host)
    world.hosts["n1"].spoilt = True
    assert not remove_a_node(world, world.hosts["n1"])
    assert not remove_a_node(world, world.hosts["n2"])
    world.hosts["n1"].spoilt = False
    assert remove_a_node(world, world.hosts["n1"])


def test_a_hash_goes_with_its_last_field() -> None:
    """Redis has no empty hashes; one that stayed had no field that could be altered next."""
    world = World(1, plan=replace(Plan.draw(Random(0)), nodes=("n1", "n2"), latency_ms=2, loss=0.0))
    for host in world.hosts.values():
        start(host)
    host = world.hosts["n1"]
    host.store.hashes.clear()
    _, strike = FAULTS["stored field altered"]
    for number in range(100):
        host.store.hashes[b"obj:fruit%d" % number] = {b"apple": b'{"n1:1":true}'}
        assert strike(world, host)
        host.spoilt = False
    assert all(host.store.hashes.values())
    assert len(host.store.hashes) < 100


def test_damage_that_was_mended_does_not_come_back_with_a_lost_tail() -> None:
    """The store undid the mending, and the simulator took what the next process found for a mistake of the product."""
    world = World(1, plan=replace(Plan.draw(Random(0)), nodes=("n1", "n2"), latency_ms=2, loss=0.0))
    for host in world.hosts.values():
        start(host)
    host = world.hosts["n1"]
    host.spoilt = True
    mending = Commit(records=[Record(STATE, b"fruit", b"mended")])
    assert host.store.execute(mending, 9, host.store.watch().version)
    host.found_whole()
    assert not host.spoilt
    assert not host.lose()
    assert host.store.hashes[STATE] == {b"fruit": b"mended"}


def test_a_process_that_another_has_replaced_does_not_find_its_store_whole() -> None:
    """It remembered the state from before, and that agreed with what the damage had left."""
    world = World(1, plan=replace(Plan.draw(Random(0)), nodes=("n1", "n2"), latency_ms=2, loss=0.0))
    for host in world.hosts.values():
        start(host)
    host = world.hosts["n1"]
    replaced = host.process
    start(host)
    host.spoilt = True
    assert replaced is not None
    proofread(replaced)
    assert host.spoilt
    assert host.process is not None
    proofread(host.process)
    assert not host.spoilt


def test_nobody_asks_a_node_that_joins_to_add_a_machine() -> None:
    """It spent a dot before it had joined. In the end an id that no member had recorded stayed in every clock."""
    world = World(1, plan=replace(Plan.draw(Random(0)), nodes=("n1", "n2"), latency_ms=2, loss=0.0))
    for host in world.hosts.values():
        start(host)
    for joining, serving in (("n2", "n1"), ("n1", "n2")):
        process = world.hosts[joining].process
        assert process is not None
        process.node.joins = True
        assert not add_two_machines(world, world.hosts[joining])
        assert not add_two_machines(world, world.hosts[serving])
        process.node.joins = False
    assert add_two_machines(world, world.hosts["n1"])
