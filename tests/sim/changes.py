"""Nodes that are added and removed on purpose: an operator asks some member to do it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from crdt_core.membership.changes import AddMember, RemoveMember
from crdt_core.node.events import Call
from tests.sim.bootstrap import read_evidence
from tests.sim.shell import Host
from tests.sim.tail import Nobody

if TYPE_CHECKING:
    from crdt_core.node.events import Reply
    from tests.sim.world import World

__all__ = ["add_a_node", "remove_a_node", "settle_in"]

_NODES_MAX = 6
_MEMBERS_MIN = 2


def add_a_node(world: World, host: Host) -> bool:
    """Asks `host` to add a new node, or one that was removed."""
    out = [name for name, other in world.hosts.items() if other.out]
    if host.process is None or host.process.node.joins or (not out and len(world.hosts) >= _NODES_MAX):
        return False
    name = world.rng.choice(out) if out else f"n{len(world.hosts) + 1}"
    if name in world.hosts and not _knows_the_end(world, host, name):
        return False
    host.process.put(Call(AddMember(name, "", "", f"{world.rng.randrange(16**6):06x}"), _Added(world, name)))
    return True


def _knows_the_end(world: World, host: Host, name: str) -> bool:
    """Whether `host` knows all ids that `name` holds and any node has given up; `deltaic node add` asks the same."""
    clock = read_evidence(world.hosts[name]).clock
    ended = {id_ for other in world.hosts.values() for id_ in read_evidence(other).members.abandoned(clock)}
    return ended <= set(read_evidence(host).members.abandoned(clock))


def remove_a_node(world: World, host: Host) -> bool:
    """Asks `host` to remove another node; once a run, because nodes that remove each other never agree."""
    if world.removed or host.process is None or host.process.node.joins:
        return False
    peers = sorted(host.process.node.membership.peers)
    if len(peers) < _MEMBERS_MIN:
        return False
    world.removed = True
    host.process.put(Call(RemoveMember(world.rng.choice(peers)), Nobody()))
    return True


def settle_in(world: World, name: str) -> None:
    """Gives a node that was added a host, and starts it there."""
    host = world.hosts.setdefault(name, Host(world, name))
    host.out = False
    host.revive()


class _Added:
    """A token: the node starts once it is added."""

    deed = None

    def __init__(self, world: World, name: str) -> None:
        self._world = world
        self._name = name

    def answer(self, reply: Reply, _counter: int) -> None:
        """Starts the node, unless it is a member already."""
        if reply.error is None:
            settle_in(self._world, self._name)
