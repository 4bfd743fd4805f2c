"""Bootstrap: how a process that starts gets the replica id under which it goes on, event by event.

The production code decides (`crdt_core.membership.identity.decide`). Here is the rest, as `workers.worker.bootstrap`
does it: read the evidence in all stores, have a running member write a new id down, and note the id in the node's own
store.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

import orjson

from crdt_core.codec.header import Header, decode_header, encode_header
from crdt_core.codec.messages import Admit, encode_message
from crdt_core.codec.records import decode_part
from crdt_core.errors import NotAMember
from crdt_core.lattice.clocks import VersionVector
from crdt_core.lattice.replica_index import ReplicaIndex
from crdt_core.membership.evidence import NodeEvidence, OperatorOverride
from crdt_core.membership.identity import ComeBack, Decision, Resume, Sponsor, Wait, decide
from crdt_core.types import MEMBERS, View
from crdt_core.types.members import MEMBERS_KEY
from crdt_core.types.object import Object

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tests.sim.shell import Host

__all__ = ["Bootstrap", "read_evidence"]

_AGAIN_MS = 100
_ASK_AGAIN_MS = 20
_ASKS_MAX = 10
_PATIENCE_MS = 1500


class Bootstrap:
    """The bootstrap of one process of `host`; `begun` is called once the process has a replica id.

    Then `sponsor` is the member to ask for the state; `unsponsored` says that there is none, and that the node has to
    write itself down. The unsent writes of the id `former` are to be replayed.
    """

    def __init__(self, host: Host, owner: str, override: OperatorOverride, begun: Callable[[Bootstrap], None]) -> None:
        self.replica = ""
        self.founders: Sequence[str] = ()
        self.sponsor: Sponsor | None = None
        self.unsponsored = False
        self.former = ""
        self._host = host
        self._world = host.world
        self._owner = owner
        self._vouched = override
        self._begun = begun
        self._silent: set[str] = set()
        self._began_ms = host.world.now_ms

    def decide(self) -> None:
        """Reads the evidence, decides, and does the next step."""
        host, world = self._host, self._world
        if host.store.watch().owner != self._owner:
            return
        if host.store.down:
            world.later(_AGAIN_MS, self.decide)
            return
        others = {name: self._evidence(name) for name in world.hosts if name != host.name}
        self._silent.clear()
        own = read_evidence(host)
        patient = not world.resting and world.now_ms < self._began_ms + _PATIENCE_MS
        nonce = f"{world.rng.randrange(16**4):04x}"
        try:
            decision = decide(host.name, own, others, nonce=nonce, patient=patient, override=self._vouched)
        except NotAMember as error:
            world.note(host.name, "is no member:", error.reason)
            host.out = True
            return
        world.note(host.name, "decides to", decision)
        world.counts[f"starts: {type(decision).__name__.lower()}"] += 1
        if isinstance(decision, Wait):
            if not world.resting:
                world.later(_AGAIN_MS, self.decide)
        elif isinstance(decision, ComeBack) and decision.sponsor is not None:
            self._ask(decision, decision.sponsor.node)
        else:
            self._note(own, decision)

    def _evidence(self, name: str) -> NodeEvidence | None:
        if not self._world.network.reaches(self._host.name, name):
            return None
        record = read_evidence(self._world.hosts[name])
        return replace(record, running=False) if name in self._silent else record

    def _ask(self, decision: ComeBack, sponsor: str) -> None:
        """Asks the sponsor to write the new id down, and later looks whether it has."""
        message = encode_message(Admit(self._host.name, decision.replica, "", ""))
        self._world.network.send(self._host.name, sponsor, message, lambda: None)
        self._world.later(_ASK_AGAIN_MS, partial(self._look, decision, sponsor, _ASKS_MAX))

    def _look(self, decision: ComeBack, sponsor: str, asks: int) -> None:
        if self._host.store.watch().owner != self._owner or self._host.store.down:
            self.decide()
        elif (record := self._evidence(sponsor)) is not None and decision.replica in record.members.facts:
            self._note(read_evidence(self._host), decision)
        elif asks:
            self._world.later(_ASK_AGAIN_MS, partial(self._look, decision, sponsor, asks - 1))
        else:
            self._silent.add(sponsor)
            self.decide()

    def _note(self, own: NodeEvidence, decision: Decision) -> None:
        """Notes in the node's own header under which id it goes on."""
        assert not isinstance(decision, Wait)
        store = self._host.store
        self.replica = decision.replica
        if isinstance(decision, Resume):
            self.founders, self.former = decision.founders, own.former
            if own.replica != decision.replica:
                store.begin(decision.replica, {b"founders": orjson.dumps(list(decision.founders))})
        else:
            fresh, self.sponsor = decision.fresh, decision.sponsor
            self.unsponsored = decision.sponsor is None
            self.founders, self.former = own.founders, own.former
            if fresh:
                self.founders, self.former = (), own.former or own.replica
            if own.replica != decision.replica:
                self._world.counts["incarnations"] += 1
                fields = {b"joining": b"1", b"restored": b"", b"founders": orjson.dumps(list(self.founders))}
                store.begin(decision.replica, {**fields, b"former": self.former.encode()}, discard=fresh)
                if fresh:
                    clean = encode_header(Header(VersionVector(), VersionVector(), 0, decode_header(store.header).hlc))
                    store.header.update({name.encode(): value for name, value in clean.items()})
        self._begun(self)


def read_evidence(host: Host) -> NodeEvidence:
    """The evidence that a node's store gives of its replica."""
    store, process = host.store, host.process
    fields = store.header
    link, replica_index = Object(MEMBERS_KEY, MEMBERS), ReplicaIndex()
    for part, value in store.hashes.get(b"obj:" + MEMBERS_KEY, {}).items():
        link.adopt(part, decode_part(link, value, replica_index))
    return NodeEvidence(
        replica=fields.get(b"replica", b"").decode(),
        clock=decode_header(fields).clock,
        members=MEMBERS.value(View(link.parts, replica_index)),
        founders=tuple(orjson.loads(fields.get(b"founders", b"[]"))),
        joining=bool(fields.get(b"joining")),
        former=fields.get(b"former", b"").decode(),
        restored=bool(fields.get(b"restored")),
        doubtful=fields.get(b"run_id", b"") != store.run_id,
        owned=bool(store.watch().owner),
        run_id=store.run_id.decode(),
        met=process.met if process is not None else {},
        running=process is not None and process.owner == store.watch().owner,
    )
