"""The periodic jobs, as `workers.jobs` does them: they look at what nodes publish and put a message into an inbox."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from crdt_core.header import decode_header
from crdt_core.messages import Compact, Round, encode_message

if TYPE_CHECKING:
    from crdt_core.clocks import VersionVector
    from crdt_core.messages import Message
    from tests.sim.shell import Host
    from tests.sim.world import World

__all__ = ["compact", "gossip", "job"]


def job(world: World) -> None:
    """Some node's next job."""
    host = world.hosts[world.rng.choice(world.plan.nodes)]
    world.rng.choice((gossip, compact))(world, host)


def gossip(world: World, host: Host) -> None:
    """Has the node exchange what either side lacks with some of the peers that it reaches, at rest with all."""
    peers = _heard_peers(world, host)
    fanout = len(peers) if world.resting else min(len(peers), world.rng.choice((1, 2, 4)))
    _ask(world, host, Round("job", tuple(world.rng.sample(peers, fanout)), "answer"))


def compact(world: World, host: Host) -> None:
    """Reports to the node what its peers have published; late, as jobs are."""
    clocks = {peer: _published(world, peer) for peer in _heard_peers(world, host)}
    delay_ms = world.rng.choice((0, 10, 300)) if not world.resting else 0
    world.later(delay_ms, partial(_ask, world, host, Compact(clocks, "answer")))


def _heard_peers(world: World, host: Host) -> list[str]:
    return [
        peer
        for peer in world.hosts
        if peer != host.name and peer not in host.store.links and world.network.reaches(host.name, peer)
    ]


def _published(world: World, peer: str) -> VersionVector:
    return decode_header(world.hosts[peer].store.header).clock


def _ask(world: World, host: Host, message: Message) -> None:
    world.counts[f"jobs: {type(message).__name__.lower()}"] += 1
    if not host.store.down:
        host.receive(encode_message(message))
