"""Bootstrap: how a process that starts gets the replica id under which it goes on, event by event.

The production code reads the evidence out of the replies of a store (`workers.storage.evidence`), decides, and says
what that decision means for the header and for the start (`crdt_core.membership.identity`). Here is the rest, as
`workers.worker.bootstrap` does it: ask all stores, have a running member write a new id down, and write the header.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from crdt_core.codec.header import Header, decode_header, encode_header
from crdt_core.codec.messages import Admit, encode_message
from crdt_core.errors import NotAMember
from crdt_core.lattice.clocks import VersionVector
from crdt_core.membership.decisions import ComeBack, Resume, Wait, start_of
from crdt_core.membership.evidence import all_told, departed, disowned, members_for
from crdt_core.membership.identity import decide
from crdt_core.types.members import MEMBERS_KEY, Members, machine_of
from tests.sim.addresses import address_of, host_of
from workers.storage.evidence import STARTING, evidence_of

if TYPE_CHECKING:
    from collections.abc import Callable, Container

    from crdt_core.membership.decisions import Join, Start
    from crdt_core.membership.evidence import NodeEvidence, OperatorOverride
    from tests.sim.host import Host

__all__ = ["Bootstrap", "disowned_by_peers", "evidence_of_others", "read_evidence"]

_AGAIN_MS = 100
_ASK_AGAIN_MS = 20
_ASKS_MAX = 10
_PATIENCE_MS = 1500


class Bootstrap:
    """The bootstrap of one process of `host`; `begun` is called with how the process starts, once that is decided."""

    def __init__(self, host: Host, owner: str, override: OperatorOverride, begun: Callable[[Start], None]) -> None:
        self._host = host
        self._world = host.world
        self._owner = owner
        self._override = override
        self._begun = begun
        self._silent: set[str] = set()
        self._departed: frozenset[str] = frozenset()
        self._began_ms = host.world.now_ms

    def decide(self) -> None:
        """Reads the evidence, decides, and does the next step."""
        host, world = self._host, self._world
        if host.store.watch().owner != self._owner:
            return
        if host.store.down:
            world.later(_AGAIN_MS, self.decide)
            return
        own, host.found_members = read_evidence(host), Members({}, {})
        others = evidence_of_others(host, self._silent)
        self._silent.clear()
        self._departed = departed(host.node, own, others)
        for record in (own, *others.values()):
            host.found_members = host.found_members if record is None else host.found_members.joined(record.members)
        patient = not world.resting and world.now_ms < self._began_ms + _PATIENCE_MS
        nonce = f"{world.rng.randrange(16**4):04x}"
        try:
            decision = decide(host.node, own, others, nonce=nonce, patient=patient, override=self._override)
        except NotAMember as error:
            world.note(host.name, "is no member:", error.reason)
            host.out = True
            return
        world.note(host.name, "decides to", decision)
        world.counts[f"starts: {type(decision).__name__.lower()}"] += 1
        host.waits_for = decision.override if isinstance(decision, Wait) else ""
        if isinstance(decision, Wait):
            if not world.resting:
                world.later(_AGAIN_MS, self.decide)
        elif isinstance(decision, ComeBack) and decision.sponsor is not None:
            sponsor = host_of(world, host.found_members, decision.sponsor.node)
            assert sponsor is not None
            self._ask(decision, sponsor.name)
        else:
            self._begin(own, decision)

    def _ask(self, decision: ComeBack, sponsor: str) -> None:
        """Asks the sponsor to write the new id down, and later looks whether it has."""
        address = self._host.name if decision.renamed else address_of(self._host)
        name = decision.renamed or self._host.node
        message = encode_message(Admit(name, decision.replica, address, address))
        self._world.network.send(self._host.name, sponsor, message, lambda: None)
        self._world.later(_ASK_AGAIN_MS, partial(self._look, decision, sponsor, _ASKS_MAX))

    def _look(self, decision: ComeBack, sponsor: str, asks: int) -> None:
        if self._host.store.watch().owner != self._owner or self._host.store.down:
            self.decide()
        elif (record := _reached(self._host, sponsor)) is not None and decision.replica in record.members.facts:
            self._begin(read_evidence(self._host), decision)
        elif asks:
            self._world.later(_ASK_AGAIN_MS, partial(self._look, decision, sponsor, asks - 1))
        else:
            self._silent.add(self._world.hosts[sponsor].node)
            self.decide()

    def _begin(self, own: NodeEvidence, decision: Resume | Join | ComeBack) -> None:
        """Writes into the node's own header under which id it goes on."""
        store, start = self._host.store, start_of(own, decision, self._departed)
        self._host.node = start.renamed or self._host.node
        self._world.counts["renamed"] += bool(start.renamed)
        if start.header is not None:
            self._world.counts["incarnations"] += not isinstance(decision, Resume)
            fields = {name.encode(): value for name, value in start.header.items()}
            store.begin(start.replica, fields, discard=start.discard)
            if start.discard:
                clean = encode_header(
                    Header(VersionVector(), VersionVector(), 0, decode_header(store.header).hlc, removals=0)
                )
                store.header.update({name.encode(): value for name, value in clean.items()})
        self._begun(start)


def evidence_of_others(host: Host, silent: Container[str] = ()) -> dict[str, NodeEvidence | None]:
    """What the stores of all other nodes say; the nodes in `silent` count as not running.

    A name is read again once another machine is found to keep it. What the first one said counts under its own name.
    """
    world, own = host.world, read_evidence(host)
    read: dict[tuple[str, Host | None], NodeEvidence | None] = {}

    def read_all_of(members: Members) -> dict[str, NodeEvidence | None]:
        names = [name for name in dict.fromkeys([*world.hosts, *members.active]) if name != host.node]
        places = {name: host_of(world, members, name) for name in names}
        for name, other in [place for place in places.items() if place not in read]:
            record = _reached(host, other.name) if other is not None and other is not host else None
            read[name, other] = replace(record, running=False) if record is not None and name in silent else record
        return {name: read[name, other] for name, other in places.items()}

    found: dict[str, NodeEvidence | None] = {}
    while True:
        known = len(read)
        found |= read_all_of(all_told((own, *read.values())))
        found |= read_all_of(members_for(own, read.values(), ()))
        if len(read) == known:
            former = [(name, record) for (name, _), record in read.items() if record and record is not found[name]]
            return {machine_of(record.replica, name): record for name, record in former if record.replica} | found


def disowned_by_peers(host: Host) -> str:
    """Why the fleet goes on without the node of `host` as it is, by what its peers have recorded; else nothing."""
    own, peers = read_evidence(host), host.process.node.peers if host.process is not None else ()
    return disowned(host.node, own, {name: found for name, found in evidence_of_others(host).items() if name in peers})


def _reached(host: Host, name: str) -> NodeEvidence | None:
    return read_evidence(host.world.hosts[name]) if host.world.network.reaches(host.name, name) else None


def read_evidence(host: Host) -> NodeEvidence:
    """The evidence that a node's store gives of its replica."""
    store, process = host.store, host.process
    owner = store.watch().owner.encode()
    header = {**store.header, b"owner": owner} if owner else store.header
    met = {**(process.met if process is not None else {}), STARTING.decode(): host.starting}
    replies = (
        header,
        store.hashes.get(b"obj:" + MEMBERS_KEY, {}),
        {peer.encode(): run_id.encode() for peer, run_id in met.items()},
        store.added,
        process.owner.encode() if process is not None else None,
        {"run_id": store.run_id.decode()},
    )
    return evidence_of(host.node, replies)
