"""Which host is meant by the name of a node: two machines may have one name, and published addresses tell them apart.

A host whose node has another name publishes its own name as its address, as `workers.wire.peers` would read it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from crdt_core.types.members import Members
    from tests.sim.host import Host
    from tests.sim.shell import Process
    from tests.sim.world import World

__all__ = ["address_of", "host_of", "known_members"]


def address_of(host: Host) -> str:
    """The address that a host publishes; empty where the name of its node says it all."""
    return "" if host.name == host.node else host.name


def host_of(world: World, members: Members, node: str) -> Host | None:
    """The host at which one who knows `members` reaches `node`."""
    replica = members.active.get(node)
    address = members.facts[replica].redis if replica is not None else ""
    return world.hosts.get(address or node)


def known_members(process: Process) -> Members:
    """The members by which a process finds others: until it is one itself, also those that its start had found."""
    members = process.node.replica.members
    return process.host.found_members.joined(members) if process.node.joins else members
