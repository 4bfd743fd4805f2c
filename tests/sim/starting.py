"""How every process comes to life: it claims the store, decides on its id, loads the replica, and begins to listen."""

from __future__ import annotations

from typing import TYPE_CHECKING

from crdt_core.codec.messages import may_be_outdated
from crdt_core.errors import DamagedState
from crdt_core.lattice.clocks import HybridClock
from crdt_core.membership.evidence import OperatorOverride
from tests.sim import checks
from tests.sim.bootstrap import Bootstrap, evidence_of_others
from tests.sim.flight import ObservedNode
from tests.sim.persisted import load
from tests.sim.plan import Setup
from tests.sim.shell import Process
from tests.sim.violation import require
from workers.storage.evidence import starting_mark

if TYPE_CHECKING:
    from crdt_core.membership.decisions import Start
    from tests.sim.host import Host

__all__ = ["start"]

_NO_OVERRIDE = OperatorOverride()


def start(host: Host, override: OperatorOverride = _NO_OVERRIDE) -> None:
    """Starts a process on `host`: it claims the store, decides on its id, loads the replica, and begins to listen.

    From then on no former process of the host can commit, dead or alive.
    """
    host.starts += 1
    host.world.counts["restarts"] += host.starts > 1
    owner = f"{host.name}#{host.starts}"
    host.store.claim(owner)
    host.store.finish()
    host.starting = starting_mark(owner, host.store.run_id.decode())
    _decide(host, owner, override)


def _decide(host: Host, owner: str, override: OperatorOverride) -> None:
    """Has the process `owner` decide on its id, and then run. It decides anew where the state is damaged."""

    def run(decided: Start) -> None:
        try:
            _run(host, decided)
        except DamagedState as damaged:
            require(host.spoilt, "only a state that somebody has altered is found damaged", damaged.reason)
            host.world.note(host.name, "finds its state damaged:", damaged.reason)
            host.world.counts["damaged states found"] += 1
            host.store.header[b"damaged"] = damaged.reason.encode()
            _decide(host, owner, override)

    Bootstrap(host, owner, override, run).decide()


def _run(host: Host, decided: Start) -> None:
    world = host.world
    met = {name: found.run_id for name, found in evidence_of_others(host).items() if found is not None}
    host.store.drop_mail([entry for entry, content in host.store.inbox.items() if may_be_outdated(content)])
    host.starting = ""
    setup = Setup.draw(world.rng)
    replica, header = load(decided.replica, host.store, setup.touched_max, decided.founders)
    session = f"s{host.starts}"
    node = ObservedNode(
        host.node,
        replica,
        session,
        sponsor=decided.sponsor,
        options=setup.options,
        hlc=HybridClock(header.hlc),
        departed=decided.departed,
    )
    node.stability.restore(host.store.header)
    if host.process is not None:
        host.succeeded.append(host.process)
    host.process = Process(host, node, setup, decided)
    host.process.met.update(met)
    world.note(host.name, "starts as", replica.id, "at", dict(replica.clock_with_folded))
    checks.started(host.process)
    host.process.begin()
