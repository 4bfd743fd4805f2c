"""The periodic jobs, as `workers.jobs.maintenance` does them: they look at what nodes publish and put a message into
an inbox.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from crdt_core.codec.messages import Compact, Round, encode_message
from crdt_core.types.members import Members
from tests.sim.bootstrap import read_evidence

if TYPE_CHECKING:
    from crdt_core.codec.messages import Message
    from tests.sim.shell import Host
    from tests.sim.world import World

__all__ = ["compact", "gossip", "job"]


def job(world: World) -> None:
    """Some node's next job."""
    host = world.any_host()
    world.rng.choice((gossip, compact))(world, host)


def gossip(world: World, host: Host) -> None:
    """Has the node exchange what either side lacks with some of the peers that it reaches, at rest with all."""
    peers = [p for p in _peers(host) if p not in host.store.links and world.network.reaches(host.name, p)]
    fanout = len(peers) if world.resting else min(len(peers), world.rng.choice((1, 2, 4)))
    _ask(world, host, Round("job", tuple(world.rng.sample(peers, fanout)), "answer"))


def compact(world: World, host: Host) -> None:
    """Reports to the node what its peers have published, and who is away; late, as jobs are."""
    records = {p: read_evidence(world.hosts[p]) if world.network.reaches(host.name, p) else None for p in _peers(host)}
    clocks = {record.replica: record.clock for record in records.values() if record and not record.joining}
    absent = tuple(peer for peer, record in records.items() if record is None or not record.running)
    delay_ms = world.rng.choice((0, 10, 300)) if not world.resting else 0
    world.later(delay_ms, partial(_ask, world, host, Compact(clocks, absent, "answer")))


def _peers(host: Host) -> list[str]:
    own = read_evidence(host)
    members = own.members if own.members.facts else Members.founders(own.founders)
    return [peer for peer in members.active if peer != host.name and peer in host.world.hosts]


def _ask(world: World, host: Host, message: Message) -> None:
    world.counts[f"jobs: {type(message).__name__.lower()}"] += 1
    if not host.store.down:
        host.receive(encode_message(message))
