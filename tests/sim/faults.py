"""Faults: a registry of what can go wrong. Each fault hits one node, and says whether it did; some last a while.

To add a fault, write a function and register it. A fault of a commit is only prepared here (`Host.mishap`,
`Host.kill_at`): it strikes, and is counted, at the next commit.
"""

from __future__ import annotations

import re
from functools import partial
from typing import TYPE_CHECKING

from crdt_core.node.events import DeltasRead
from tests.sim.addresses import host_of
from tests.sim.changes import add_a_node, add_two_machines, remove_a_node
from tests.sim.plan import PLENTY
from tests.sim.shell import KILL_POINTS
from tests.sim.starting import start
from tests.sim.tail import Nobody

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.sim.host import Host
    from tests.sim.world import World

__all__ = ["FAULTS", "strike"]

Fault = tuple[int, "Callable[[World, Host], bool]"]

_DOT = re.compile(rb'("[^":]+:)(\d+)(?=":)')
_SKEWS_MS = (-7_200_000, -70_000, -2_000, -50, 0, 0, 50, 700, 30_000, 70_000, 7_200_000)


def strike(world: World) -> None:
    """One fault hits one node."""
    host = world.any_host()
    (name,) = world.rng.choices(list(FAULTS), [weight for weight, _ in FAULTS.values()])
    world.note(host.name, "is struck:", name)
    if FAULTS[name][1](world, host):
        world.counts[f"fault: {name}"] += 1


def _while(world: World, end: Callable[[], None]) -> None:
    """Ends a lasting fault after a while."""
    world.later(world.rng.choice((20, 100, 500, 2000)), end)


def kill(world: World, host: Host) -> bool:
    """The process dies between two steps, and comes back later."""
    if host.process is None:
        return False
    host.kill("by fault")
    return True


def kill_at_a_point(world: World, host: Host) -> bool:
    """The process will die around its next commit."""
    host.kill_at = world.rng.choice(KILL_POINTS)
    return False


def spoil_a_commit(world: World, host: Host) -> bool:
    """The next commit's request or answer is lost, or the request comes late."""
    host.mishap = world.rng.choice(("request", "answer", "answer", "late"))
    return False


def stop_and_continue(world: World, host: Host) -> bool:
    """The process is stopped for a while."""
    process = host.process
    if process is None:
        return False
    process.stall()
    _while(world, process.resume)
    return True


def take_over(world: World, host: Host) -> bool:
    """A second process starts for the node; the first may be stopped, and go on later."""
    process = host.process
    if process is None or host.store.down or host.lost:
        return False
    if world.rng.random() < 0.7:
        process.stall()
        _while(world, process.resume)
    start(host)
    return True


def take_redis_away(world: World, host: Host) -> bool:
    """Nobody reaches the node's Redis for a while; it may be another process afterwards."""
    host.store.down = True
    if world.rng.random() < 0.5 and not _any_other_is_spoilt(world, host):
        host.store.restart()
    _while(world, partial(setattr, host.store, "down", False))
    return True


def lose_the_tail(world: World, host: Host) -> bool:
    """Redis comes back with an old state, while the worker lives and remembers the rest."""
    if host.process is None or host.store.down or _any_other_is_spoilt(world, host):
        return False
    host.store.restart()
    return host.lose()


def lose_everything_at_once(world: World, host: Host) -> bool:
    """Redis comes back with an old state, and the worker that would remember the rest is gone, too.

    This hits one node at a time: if all had to come back under new ids, nobody could record them.
    """
    others = [other for other in world.hosts.values() if other is not host]
    if host.store.down or host.spoilt or not all(other.out or _is_whole(other) for other in others):
        return False
    host.store.restart()
    lost = host.lose()
    host.kill("with its Redis")
    return lost


def delete_a_hash(world: World, host: Host) -> bool:
    """Somebody deletes a hash of the stored state, whether the process runs or not."""
    found = _hashes(world, host)
    if found:
        del host.store.hashes[world.rng.choice(found)]
        host.spoilt = True
    return bool(found)


def evict_keys(world: World, host: Host) -> bool:
    """Redis evicts some keys. Most of them are hashes of the state."""
    found = _hashes(world, host)
    for hash_ in found:
        if world.rng.random() < 0.5:
            del host.store.hashes[hash_]
            host.spoilt = True
    return host.spoilt and bool(found)


def alter_a_field(world: World, host: Host) -> bool:
    """Somebody writes another dot into a stored record, or deletes the record."""
    found = _hashes(world, host)
    if not found:
        return False
    name = world.rng.choice(found)
    fields = host.store.hashes[name]
    field = world.rng.choice(sorted(fields))
    if b"clears" in fields[field]:
        return False  # it could not be decoded
    altered = _DOT.sub(lambda dot: b"%b%d" % (dot[1], int(dot[2]) + 1), fields.pop(field), count=1)
    if world.rng.random() < 0.8:
        fields[field] = altered
    if not fields:
        del host.store.hashes[name]  # as Redis does
    host.spoilt = True
    return True


def _hashes(world: World, host: Host) -> list[bytes]:
    """The hashes of the stored state; none unless there are other nodes, and all could give this one its state back."""
    others = [other for other in world.hosts.values() if other is not host and not other.out]
    if host.lost or host.store.down or not others or not all(map(_is_whole, others)):
        return []
    return sorted(host.store.hashes)


def _is_whole(host: Host) -> bool:
    """Whether the node runs, has a state that it could give to others, and would have it after another start, too."""
    joins = host.process is None or host.process.node.joins
    return host.lives and not (joins or host.lost or host.spoilt or host.store.is_another_process)


def _any_other_is_spoilt(world: World, host: Host) -> bool:
    """Whether the node could not get the state from all others, as it must if it starts after its Redis did."""
    return any(other.spoilt for other in world.hosts.values() if other is not host)


def trim_the_log(world: World, host: Host) -> bool:
    """The log loses its oldest entries, even if somebody still needs them."""
    if not host.store.log:
        return False
    host.store.trim(world.rng.choice(host.store.log)[0])
    return True


def damage_the_log(world: World, host: Host) -> bool:
    """An entry of the log is cut short."""
    log = host.store.log
    if not log:
        return False
    index = world.rng.randrange(len(log))
    counter, delta = log[index]
    log[index] = counter, delta[: len(delta) // 2]
    world.damaged.add(log[index][1])
    return True


def cut_ways(world: World, host: Host) -> bool:
    """Some ways from the node or to it are cut for a while."""
    return _some_ways(world, host, world.network.cut, 0.6)


def slow_ways(world: World, host: Host) -> bool:
    """Logs are read late on some ways, for a while."""
    return _some_ways(world, host, world.network.slow, 0.5)


def _some_ways(world: World, host: Host, hit: set[tuple[str, str]], share: float) -> bool:
    """A `share` of the ways from and to the node is among those `hit` for a while."""
    ways = {
        pair
        for other in world.hosts
        for pair in ((host.name, other), (other, host.name))
        if other != host.name and world.rng.random() < share
    }
    hit |= ways
    _while(world, partial(hit.difference_update, ways))
    return True


def pause_links(world: World, host: Host) -> bool:
    """The node is told not to listen to some peers, for a while."""
    host.store.links = frozenset(peer for peer in world.hosts if peer != host.name and world.rng.random() < 0.5)
    _while(world, partial(setattr, host.store, "links", frozenset()))
    return True


def bad_weather(world: World, host: Host) -> bool:
    """Much is lost, doubled or damaged for a while."""
    network, plan = world.network, world.plan
    network.loss, network.duplication = world.rng.choice(((0.5, 0.0), (0.0, 0.5), (0.3, 0.3)))
    network.damage = world.rng.choice((0.0, 0.2))

    def clear_up() -> None:
        network.damage = 0.0
        network.loss, network.duplication = (0.0, 0.0) if world.resting else (plan.loss, plan.duplication)

    _while(world, clear_up)
    return True


def set_the_clock(world: World, host: Host) -> bool:
    """The wall clock jumps."""
    host.skew_ms = world.rng.choice(_SKEWS_MS)
    return True


def repeat_deltas(world: World, host: Host) -> bool:
    """Some of a peer's log arrives again, or too early."""
    if host.process is None:
        return False
    members, peers = host.process.node.replica.members, host.process.node.membership.peers
    logs = {peer: found for peer in peers if (found := host_of(world, members, peer)) is not None}
    if not logs:
        return False
    peer = world.rng.choice(sorted(logs))
    log = logs[peer].store.read_log(peers[peer], 0, PLENTY)
    if not log:
        return False
    first = world.rng.randrange(len(log))
    host.process.put(DeltasRead(peer, log[first : first + world.rng.randint(1, 4)], Nobody()))
    return True


def lose_mail(world: World, host: Host) -> bool:
    """The inbox loses its oldest messages."""
    waiting = list(host.store.inbox)
    host.store.drop_mail(waiting[: world.rng.randint(0, len(waiting))])
    return bool(waiting)


FAULTS: dict[str, Fault] = {
    "killed": (3, kill),
    "killed at a point": (6, kill_at_a_point),
    "commit spoilt": (6, spoil_a_commit),
    "stopped and continued": (2, stop_and_continue),
    "taken over": (2, take_over),
    "Redis away": (2, take_redis_away),
    "Redis lost its tail": (2, lose_the_tail),
    "machine lost its tail": (2, lose_everything_at_once),
    "stored hash deleted": (2, delete_a_hash),
    "stored field altered": (2, alter_a_field),
    "Redis evicts keys": (2, evict_keys),
    "log trimmed": (3, trim_the_log),
    "log damaged": (1, damage_the_log),
    "ways cut": (4, cut_ways),
    "ways slow": (6, slow_ways),
    "links paused": (3, pause_links),
    "bad weather": (2, bad_weather),
    "clock set": (3, set_the_clock),
    "deltas repeated": (5, repeat_deltas),
    "mail lost": (2, lose_mail),
    "node added": (1, add_a_node),
    "two machines added under one name": (1, add_two_machines),
    "node removed": (1, remove_a_node),
}
