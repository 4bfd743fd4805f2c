"""The periodic jobs, as `workers.jobs.maintenance` does them: they look at what nodes publish and put a message into
an inbox.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from crdt_core.codec.messages import Compact, Round, encode_message
from crdt_core.types.members import Members
from tests.sim.addresses import host_of
from tests.sim.bootstrap import read_evidence

if TYPE_CHECKING:
    from crdt_core.codec.messages import Message
    from tests.sim.host import Host
    from tests.sim.world import World

__all__ = ["compact", "gossip", "job"]


def job(world: World) -> None:
    """Some node's next job."""
    host = world.any_host()
    world.rng.choice((gossip, compact))(world, host)


def gossip(world: World, host: Host) -> None:
    """Has the node exchange what either side lacks with some of the peers that it reaches, at rest with all."""
    peers = [
        peer
        for peer, other in _peers(host).items()
        if peer not in host.store.links and world.network.reaches(host.name, other.name)
    ]
    fanout = len(peers) if world.resting else min(len(peers), world.rng.choice((1, 2, 4)))
    _ask(world, host, Round("job", tuple(world.rng.sample(peers, fanout)), "answer"))


def compact(world: World, host: Host) -> None:
    """Reports to the node what its peers have published, and who is away; late, as jobs are."""
    records = {
        peer: read_evidence(other) if world.network.reaches(host.name, other.name) else None
        for peer, other in _peers(host).items()
    }
    clocks = {record.replica: record.clock for record in records.values() if record and not record.joining}
    absent = tuple(peer for peer, record in records.items() if record is None or not record.running)
    delay_ms = world.rng.choice((0, 10, 300)) if not world.resting else 0
    world.later(delay_ms, partial(_ask, world, host, Compact(clocks, absent, "answer")))


def _peers(host: Host) -> dict[str, Host]:
    own = read_evidence(host)
    members = own.members if own.members.facts else Members.founders(own.founders)
    found = {peer: host_of(host.world, members, peer) for peer in members.active if peer != host.node}
    return {peer: other for peer, other in found.items() if other is not None}


def _ask(world: World, host: Host, message: Message) -> None:
    world.counts[f"jobs: {type(message).__name__.lower()}"] += 1
    if not host.store.down:
        host.receive(encode_message(message))
