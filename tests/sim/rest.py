"""Bringing a world to rest: all faults end, everybody hears from everybody, and forgets what can be forgotten."""

from __future__ import annotations

from typing import TYPE_CHECKING

from crdt_core.membership.changes import RemoveMember
from crdt_core.membership.evidence import OperatorOverride
from crdt_core.node.events import Call
from tests.sim import checks, jobs
from tests.sim.changes import settle_in
from tests.sim.starting import start
from tests.sim.tail import Nobody
from tests.sim.violation import require
from tests.sim.world import COMES_TO_REST

if TYPE_CHECKING:
    from tests.sim.host import Host
    from tests.sim.shell import Process
    from tests.sim.world import World

__all__ = ["bring_to_rest", "vouched_for"]

_STEPS_MAX = 60_000
"""Many times what any world takes that comes to rest; a few seconds."""
_DRAIN_MS = 20_000
_PASSES_MAX = 20
_STARTS_MAX = 6
_STARTS_IN_VAIN = 3
_START_MS = 1000
_LONG_MS = 10_000


def bring_to_rest(world: World) -> None:
    """Heals everything, and waits until nothing happens any more; then checks what must hold at rest."""
    world.resting = True
    world.steps_max = world.steps + _STEPS_MAX
    heal(world)
    drain(world)
    start_all(world)
    drain(world)
    tick(world)
    before = None
    for _ in range(_PASSES_MAX):
        start_all(world)
        for host in living(world):
            jobs.gossip(world, host)
            drain(world)
        forget(world)
        quiet = tick(world)
        joins = any(running(host).node.joins for host in living(world))  # it may have to look for another sponsor
        stands_still = before == (before := fingerprint(world))
        if stands_still and not remove_who_never_runs(world) and quiet and not joins:
            break
    require(quiet, COMES_TO_REST)
    checks.at_rest(world)


def fingerprint(world: World) -> str:
    """Something that changes as long as anything happens."""
    return repr([(host.name, host.store.header.get(b"clock"), host.store.hashes) for host in living(world)])


def start_all(world: World) -> None:
    """Starts every member that does not run. If those that are left wait for each other, the operator vouches for one.

    That may be so although some node runs: one that was removed, and could not hear of that yet.
    """
    for tried in range(_STARTS_MAX):
        for members in [running(host).node.replica.members for host in living(world)]:
            for name, replica in members.active.items():
                machine = members.facts[replica].redis or name
                if machine not in world.hosts or world.hosts[machine].out:
                    settle_in(world, machine, name, replica)
        waiting = [host for host in world.hosts.values() if not host.lives and not host.out]
        if not waiting:
            return
        vouches = tried >= _STARTS_IN_VAIN or (tried > 0 and not living(world))
        for host in waiting:
            override = vouched_for(host) if vouches else OperatorOverride()
            vouches = vouches and override == OperatorOverride()
            start(host, override)
            world.pass_time(_START_MS)


def vouched_for(host: Host) -> OperatorOverride:
    """What an operator may vouch for, so that `host` starts without waiting. Only a new machine has lost nothing."""
    is_new = not host.store.header and not {id_.decode() for id_ in host.store.added} & host.world.history.made().keys()
    return OperatorOverride(
        unsponsored=host.waits_for == "unsponsored", trusting=host.waits_for == "trusting" and is_new
    )


def remove_who_never_runs(world: World) -> bool:
    """Has the operator remove one member that never runs; returns whether there was one.

    Some end at each start: who could tell them that they were removed, or that another machine keeps their name, is not
    known to them. And a machine that was removed and added again goes on under the name of its addition, if some member
    had recorded another id for it meanwhile: nobody runs under that id.
    """
    for process in [running(host) for host in living(world) if not running(host).node.joins]:
        members = process.node.replica.members
        for name, replica in members.active.items():
            machine = world.hosts.get(members.facts[replica].redis or name)
            if name != process.host.node and machine is not None and (machine.out or machine.node != name):
                process.put(Call(RemoveMember(name), Nobody()))
                drain(world)
                return True
    return False


def living(world: World) -> list[Host]:
    """The hosts that have a process."""
    return [host for host in world.hosts.values() if host.lives]


def heal(world: World) -> None:
    """Every fault ends."""
    world.network.heal()
    for host in world.hosts.values():
        host.kill_at = host.mishap = ""
        host.skew_ms = 0
        host.store.down = False
        host.store.links = frozenset()
        for process in host.succeeded:
            process.resume()
            process.later(0, process.beat)
        if host.process is not None:
            host.process.resume()
            host.process.refresh_links()
            host.process.wake_tails()


def tick(world: World) -> bool:
    """Lets a long time pass, so that nobody waits for lost messages; returns whether all is quiet then."""
    world.now_ms += _LONG_MS
    for host in living(world):
        running(host).wake_tails()
        running(host).beat()
    return drain(world)


def drain(world: World) -> bool:
    """Takes the schedule until it is empty, but for no long time; returns whether it became empty.

    It does not where a node asks a peer again and again that does not know the node yet. A round with a third node
    mends that.
    """
    until_ms = world.now_ms + _DRAIN_MS
    while world.now_ms <= until_ms:
        if not world.step():
            return True
    return False


def forget(world: World) -> None:
    """Has all nodes compact until nothing changes any more.

    A compaction may seal an id. A node that holds more of that id than the fleet does ends when it hears of that.
    """
    before, left = -1, tombstones_left(world)
    while left != before:
        for host in living(world):
            for _ in range(passes(host) if host.lives else 0):
                jobs.compact(world, host)
            drain(world)
        before, left = left, tombstones_left(world)


def tombstones_left(world: World) -> int:
    """How many addresses hold tombstones, in all."""
    return sum(len(running(host).node.replica.catalogue.tombstones) for host in living(world))


def passes(host: Host) -> int:
    """How many compactions it takes to look at each tombstone once, after one that hears what is stable."""
    process = running(host)
    return 2 + len(process.node.replica.catalogue.tombstones) // process.setup.options.tombstones_per_compaction


def running(host: Host) -> Process:
    """The process of a host that has been healed."""
    assert host.process is not None
    return host.process
