"""Nodes that are added and removed on purpose: an operator asks some member to do it."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from crdt_core.membership.changes import AddMember, RemoveMember
from crdt_core.membership.evidence import OperatorOverride
from crdt_core.node.events import Call
from tests.sim.bootstrap import read_evidence
from tests.sim.host import Host
from tests.sim.starting import start
from tests.sim.tail import Nobody

if TYPE_CHECKING:
    from crdt_core.node.events import Reply
    from tests.sim.shell import Process
    from tests.sim.world import World

__all__ = ["add_a_node", "add_two_machines", "remove_a_node", "settle_in"]

_NODES_MAX = 6
_MEMBERS_MIN = 2


def add_a_node(world: World, host: Host) -> bool:
    """Asks `host` to add a new node, or one that was removed."""
    out = [name for name, other in world.hosts.items() if other.out and other.node == name]
    process = _serving(host)
    if process is None or (not out and len(world.hosts) >= _NODES_MAX):
        return False
    name = world.rng.choice(out) if out else f"n{len(world.hosts) + 1}"
    if name in world.hosts and not _knows_the_end(world, host, name):
        return False
    process.put(Call(_addition(world, name), _Added(world, name)))
    return True


def add_two_machines(world: World, host: Host) -> bool:
    """Asks `host` and another member to add a machine each, under one name, in a partition; once a run.

    Both machines start, as an operator vouches for them: what else could a partition be waited out with?
    """
    others = [other for other in world.hosts.values() if other is not host and _serving(other) is not None]
    name = f"n{len(world.hosts) + 1}"
    if _serving(host) is None or not others or len(world.hosts) + 2 > _NODES_MAX or world.twins:
        return False
    world.twins = True
    rest = [other for other in world.hosts if other != host.name]
    ways = {way for a in (host.name, name) for b in (*rest, f"{name}b") for way in ((a, b), (b, a))}
    world.network.cut |= ways
    world.later(world.rng.choice((300, 1000, 3000)), partial(world.network.cut.difference_update, ways))
    for machine, member in ((name, host), (f"{name}b", world.rng.choice(others))):
        process = _serving(member)
        assert process is not None
        process.put(Call(_addition(world, name, machine), _Added(world, machine, name)))
    return True


def _serving(host: Host) -> Process | None:
    """The process of a node that somebody can ask: a worker that has not joined yet opens no port."""
    return None if host.process is None or host.process.node.joins else host.process


def _addition(world: World, name: str, machine: str = "") -> AddMember:
    """The addition of a node, on a machine whose name is its address if that is another."""
    address = "" if machine in {"", name} else machine
    return AddMember(name, address, address, f"{next(world.additions):06x}")


def _knows_the_end(world: World, host: Host, name: str) -> bool:
    """Whether `host` knows all ids that `name` holds and any node has given up; `deltaic node add` asks the same."""
    clock = read_evidence(world.hosts[name]).clock
    ended = {id_ for other in world.hosts.values() for id_ in read_evidence(other).members.abandoned(clock)}
    return ended <= set(read_evidence(host).members.abandoned(clock))


def remove_a_node(world: World, host: Host) -> bool:
    """Asks `host` to remove another node; once a run, as nodes that remove each other both end.

    Nobody removes a node while another has a damaged state: it may be the only one that could give that back.
    """
    process = _serving(host)
    if world.removed or process is None or any(other.spoilt for other in world.hosts.values()):
        return False
    peers = sorted(process.node.membership.peers)
    if len(peers) < _MEMBERS_MIN:
        return False
    world.removed = True
    process.put(Call(RemoveMember(world.rng.choice(peers)), Nobody()))
    return True


def settle_in(world: World, name: str, node: str = "", replica: str = "") -> None:
    """Gives a node that was added a host, and starts it there; notes there under which id it was added."""
    host = world.hosts.setdefault(name, Host(world, name, node))
    if replica:
        host.store.added.add(replica.encode())
    host.out = False
    if node and host.process is None:
        start(host, OperatorOverride(trusting=True))
    else:
        host.revive()


class _Added:
    """A token: the node starts once it is added."""

    deed = None

    def __init__(self, world: World, name: str, node: str = "") -> None:
        self._world = world
        self._name = name
        self._node = node

    def answer(self, reply: Reply, _counter: int) -> None:
        """Starts the node, unless it is a member already."""
        if reply.error is None:
            settle_in(self._world, self._name, self._node, str(reply.result))
