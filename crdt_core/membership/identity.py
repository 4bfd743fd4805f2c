"""Under which id a node may go on when it starts: decided once, from what its Redis and those of its peers hold.

An id is used by one uninterrupted history only: a dot spent twice loses data silently. So a node resumes its id only
if it can know that its Redis has lost nothing: the server has not been restarted since the last commit, or every
member can be asked, and none has seen more of it than it has itself. Otherwise it comes back under a new id, which a
running member must have written down first (the *sponsor*; why, is said in `crdt_core.types.members`). This module
only chooses.

A node that was added by a member which was gone before anybody else had heard of it holds commits that the others
have given up, its own addition among them. It can agree with nobody, under whatever id, and does not go on unless it is
added anew; what it alone has written is then done again.

A backup is a state at a clock, which any node may take up as that of a new id of its own: what the fleet has done since
then comes from the sponsor, as to a replica that was away. Only a backup that holds commits which the fleet has given
up is of no use to a fleet that lives: it would bring dots that may mean something else by now.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from crdt_core.errors import HalfRestored, NotAMember
from crdt_core.lattice.clocks import VersionVector, check_replica_id
from crdt_core.types.members import ABSENT, REMOVED_BY_HAND, Members, Standing

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from crdt_core.lattice.clocks import ReplicaId

__all__ = [
    "ComeBack",
    "Decision",
    "Join",
    "NodeEvidence",
    "OperatorOverride",
    "Resume",
    "Sponsor",
    "Wait",
    "decide",
    "incarnation",
    "known_members",
    "next_incarnation",
]


@dataclass(frozen=True, slots=True)
class NodeEvidence:
    """What a node's Redis holds about its replica. `replica` is empty where there is none yet.

    `founders`: the fleet's nodes when it was made; none for one that joined. `joining`: its state is not complete yet.
    `former`: an id whose unsent writes are still to be replayed. `restored`: it comes out of a backup, whose id
    `replica` then is; `restoring`: it is only the beginning of one. `doubtful`: the server was restarted since the last
    commit, or is another one. `owned`: a worker has claimed it and not given it up. `running`: that one gives signs of
    life. `run_id`: of the server's process. `met`: per other node, the run id of its server when this life of the
    worker first read there.
    """

    replica: ReplicaId = ""
    clock: VersionVector = field(default_factory=VersionVector)
    members: Members = field(default_factory=lambda: Members({}, {}))
    founders: Sequence[str] = ()
    joining: bool = False
    former: ReplicaId = ""
    restored: bool = False
    restoring: bool = False
    doubtful: bool = False
    owned: bool = False
    run_id: str = ""
    met: Mapping[str, str] = field(default_factory=dict)
    running: bool = False


@dataclass(frozen=True, slots=True)
class Sponsor:
    """The member that a newcomer asks for its state."""

    node: str
    replica: ReplicaId


@dataclass(frozen=True, slots=True)
class Resume:
    """Go on as `replica`, of a fleet that was founded by `founders`."""

    replica: ReplicaId
    founders: Sequence[str]


@dataclass(frozen=True, slots=True)
class Join:
    """Fetch the state from `sponsor`, as `replica`, which it has written down already.

    `fresh`: what the node's Redis holds belongs to a former life, of which only unsent writes count.
    """

    replica: ReplicaId
    sponsor: Sponsor
    fresh: bool


@dataclass(frozen=True, slots=True)
class ComeBack:
    """Have `sponsor` write down the new id `replica`, then fetch what is missing from it.

    Without a sponsor there is nobody else, and the node writes itself down. `fresh` as in `Join`.
    """

    replica: ReplicaId
    sponsor: Sponsor | None
    reason: str
    fresh: bool


@dataclass(frozen=True, slots=True)
class Wait:
    """Ask again soon: nothing can be decided for this `reason`.

    `vouch`: which field of `OperatorOverride` would end the waiting; empty where none does.
    """

    reason: str
    vouch: str = ""


Decision = Resume | Join | ComeBack | Wait


@dataclass(frozen=True, slots=True)
class OperatorOverride:
    """What an operator vouches for.

    `trusting`: the node's Redis has lost nothing. `unsponsored`: no other member runs that could write the node down.
    """

    trusting: bool = False
    unsponsored: bool = False


def decide(
    name: str,
    own: NodeEvidence,
    others: Mapping[str, NodeEvidence | None],
    *,
    nonce: str,
    patient: bool = False,
    override: OperatorOverride = OperatorOverride(),
) -> Decision:
    """What node `name` is to do; `others`: the records of the fleet's other nodes, `None` where unreachable.

    `nonce` keeps ids apart where not everybody could be asked. `patient`: wait for the unreachable rather than go on
    without them. Raises `NotAMember` and `HalfRestored`.
    """
    if own.restoring:
        raise HalfRestored(name)
    everybody = (name, *others)
    members = known_members((own, *others.values()), everybody, own)
    if members.given_up(own.clock) and not own.restored:
        members = known_members(others.values(), everybody)
    case = _Case(name, own, others, members, nonce, override)
    if case.is_unheard_of and case.unreachable:
        return case.wait_to_be_heard_of()
    case.check_membership()
    if not own.replica:
        return case.with_nothing()
    if own.restored:
        return case.with_a_backup()
    if own.replica != case.active:
        return case.with_a_former_id()
    return case.with_its_id(patient=patient)


@dataclass(frozen=True, slots=True)
class _Case:
    """All that is known, and the choices in it."""

    name: str
    own: NodeEvidence
    others: Mapping[str, NodeEvidence | None]
    members: Members
    nonce: str
    override: OperatorOverride

    def check_membership(self) -> None:
        ids = self.members.ids_of(self.name)
        remedy = f"deltaic node add {self.name}"
        if self.is_unheard_of:
            raise NotAMember(self.name, "nobody who stays in the fleet has heard that it was added", remedy)
        if not ids:
            raise NotAMember(self.name, "it is not a member of this fleet", remedy)
        if self.active is None and self.members.facts[ids[-1]].reason == REMOVED_BY_HAND:
            raise NotAMember(self.name, "it was removed from this fleet", remedy)

    @property
    def is_unheard_of(self) -> bool:
        """Whether it was added by a member that was gone before any of those who stay had heard of it."""
        return bool(self._left_behind) and not self.members.ids_of(self.name)

    def wait_to_be_heard_of(self) -> Wait:
        """It may have been added anew by one that does not answer just now."""
        silent = ", ".join(self.unreachable)
        return Wait(f"nobody who answers has heard that it was added, and the Redis of {silent} does not answer")

    def with_nothing(self) -> Decision:
        """Its Redis is empty: the node is new, or has lost everything."""
        if self._seen:
            return self._come_back("its Redis has lost everything", fresh=True)
        if self.unreachable and not self.override.trusting:
            silent = ", ".join(self.unreachable)
            return Wait(f"it starts for the first time, and the Redis of {silent} does not answer", "trusting")
        if self.active == self.name and not self._has_changed:
            return Resume(self.name, tuple(self.members.active))
        return self.join(self.active or self.name, fresh=True)

    def with_a_former_id(self) -> Decision:
        """The fleet has written down that its id leaves: for an absence, or because it was lost."""
        former = self.members.facts.get(self.own.replica)
        fresh = bool(self._left_behind) or (former is not None and former.reason in {ABSENT, REMOVED_BY_HAND})
        if self.active is not None and fresh and not self._seen and not self.unreachable:
            return self.join(self.active, fresh=True)
        return self._come_back(f"its id {self.own.replica} has left the fleet", fresh=fresh)

    def with_a_backup(self) -> Decision:
        """It holds the state of a backup, of this node or another."""
        reason = "its state comes out of a backup"
        former = self.members.facts.get(self.own.replica)
        if former is not None and former.reason in {ABSENT, REMOVED_BY_HAND}:
            return self._come_back(f"{reason} of {self.own.replica}, which has left the fleet", fresh=True)
        given_up = self._given_up()
        if given_up and self._sponsor() is not None:
            what = ", ".join(given_up)
            return self._come_back(f"{reason} that holds commits which the fleet has given up, of {what}", fresh=True)
        return self._come_back(reason, fresh=False)

    def with_its_id(self, *, patient: bool) -> Decision:
        at, silent = self.own.clock[self.own.replica], ", ".join(self.unreachable)
        if what := ", ".join(self._left_behind):
            return self._come_back(f"it holds commits which the fleet has given up, of {what}", fresh=True)
        if self._seen > at:
            return self._come_back(f"its Redis lost commits: it is at {at}, others have seen {self._seen}", fresh=False)
        if not self.own.doubtful or self.override.trusting:
            return self._go_on()
        return self._in_doubt(silent, patient=patient)

    def _in_doubt(self, silent: str, *, patient: bool) -> Decision:
        """Its Redis was restarted: it may have lost commits, and others may know that or not."""
        if elders := ", ".join(self._elders):
            return self._come_back(f"its Redis was restarted, and {elders} may know what it lost", fresh=False)
        if patient and silent:
            reason = f"its Redis was restarted, and that of {silent} does not answer, which may have seen more"
            return Wait(reason, "trusting")
        if patient and (unsure := ", ".join(self._unsure)):
            return Wait(f"its Redis was restarted, and that of {unsure}, too: whether a worker lives there shows soon")
        if silent:
            return self._come_back(f"its Redis was restarted, and {silent} may have seen what it lost", fresh=False)
        return self._go_on()

    def _go_on(self) -> Decision:
        """Under its id, of which nothing was lost: by the state that it has, or by one that it has yet to fetch."""
        if self.own.joining:
            return self.join(self.own.replica, fresh=False)
        return Resume(self.own.replica, self.own.founders)

    def join(self, replica: ReplicaId, *, fresh: bool) -> Join | Wait:
        sponsor = self._sponsor()
        if sponsor is None:
            return Wait("it is to join the fleet, but no member runs that could give it the state")
        return Join(replica, sponsor, fresh)

    def _come_back(self, reason: str, *, fresh: bool) -> ComeBack | Wait:
        sponsor = self._sponsor()
        if sponsor is None and self.members.active.keys() - {self.name} and not self.override.unsponsored:
            waits = f"{reason}; it comes back under a new id, but no member runs that could write it down"
            return Wait(waits, "unsponsored")
        if sponsor is None and fresh and self.own.replica:
            return Wait(f"{reason}; what it holds gives way to the fleet's state, but no member runs that has it")
        known = [*self.members.ids_of(self.name), self.own.replica or self.name]
        return ComeBack(
            next_incarnation(self.name, known, self.nonce if self.unreachable else ""), sponsor, reason, fresh
        )

    @property
    def active(self) -> ReplicaId | None:
        return self.members.active.get(self.name)

    @property
    def _seen(self) -> int:
        """How many commits of its present id others have seen."""
        replica = self.active or self.members.ids_of(self.name)[-1]
        return max((record.clock[replica] for record in self.others.values() if record is not None), default=0)

    @property
    def unreachable(self) -> list[str]:
        """The other members whose Redis does not answer."""
        return [node for node in self.members.active if node != self.name and self.others.get(node) is None]

    @property
    def _elders(self) -> list[str]:
        """The running nodes that have read from an earlier process of its Redis.

        What they read there may be about to be committed: no header tells yet.
        """
        return [
            node
            for node, record in self.others.items()
            if record is not None and record.running and record.met.get(self.name, self.own.run_id) != self.own.run_id
        ]

    @property
    def _unsure(self) -> list[str]:
        """The nodes whose Redis may have lost commits, too: their workers, if they live, give them back soon."""
        records = self.others.items()
        return [node for node, record in records if record and record.owned and record.doubtful and not record.running]

    @property
    def _has_changed(self) -> bool:
        """Whether the fleet's members are others than its founders."""
        return any(record.members.facts for record in (self.own, *self.others.values()) if record is not None)

    @property
    def _left_behind(self) -> list[ReplicaId]:
        """The ids of which the node's own state holds more than where the others have written down that they end."""
        return [] if self.own.restored else self.members.given_up(self.own.clock)

    def _given_up(self) -> list[ReplicaId]:
        """The ids of which the state of a backup holds more than the others will ever take in."""
        told = known_members(self.others.values(), (self.name, *self.others))
        return [id_ for id_, counter in sorted(self.own.clock.items()) if counter > self._last_of(id_, told, counter)]

    def _last_of(self, replica: ReplicaId, told: Members, otherwise: int) -> int:
        """The last counter of `replica` that may still come in, by what the others have told; else `otherwise`.

        An id that leaves is closed by each member at what it has seen: whoever takes this node's place has yet to do
        so, unless it did so in its former life. And a running worker knows its own commits.
        """
        fact = told.facts.get(replica)
        if fact is None:
            return otherwise
        if fact.standing > Standing.LEAVING:
            return fact.final
        if fact.standing is Standing.LEAVING:
            closed = self.active is None or self.active in told.closings.get(replica, ())
            return max((r.clock[replica] for r in self.others.values() if r), default=0) if closed else otherwise
        owner = self.others.get(fact.node)
        return owner.clock[replica] if owner and owner.running and owner.replica == replica else otherwise

    def _sponsor(self) -> Sponsor | None:
        """The running member that has seen most; one that is about to come back itself is none."""
        found = [
            (sum(record.clock.values()), node)
            for node, record in self.others.items()
            if node != self.name and record is not None and record.running and not record.joining
            if record.replica and self.members.active.get(node) == record.replica
            if not self.members.given_up(record.clock)
        ]
        if not found:
            return None
        _, node = max(found)
        return Sponsor(node, self.members.active[node])


def known_members(
    records: Iterable[NodeEvidence | None], named: Iterable[str], own: NodeEvidence | None = None
) -> Members:
    """What all that answer know together; before anything has changed the founders, or else the nodes `named`.

    What only an id knows that leaves, or one that holds what the others have given up, nobody may ever hear: it does
    not count, unless that is what there is to go by (the record `own` of a node that decides, or no other one).
    """
    known = [record for record in records if record is not None]
    members = _joined(known)
    staying = [record for record in known if record is own or not _is_left_behind(record, members)]
    if staying:
        members = _joined(staying)
    if members.facts:
        return members
    founded = next((record.founders for record in known if record.founders), None)
    return Members.founders(founded if founded is not None else named)


def _joined(records: Iterable[NodeEvidence]) -> Members:
    members = Members({}, {})
    for record in records:
        members = members.joined(record.members)
    return members


def _is_left_behind(record: NodeEvidence, members: Members) -> bool:
    has_left = (members.standing(record.replica) or Standing.ACTIVE) is not Standing.ACTIVE
    return has_left or bool(members.given_up(record.clock))


def incarnation(replica: ReplicaId, node: str) -> int:
    """Which life of `node` the id names: 1 for the bare name.

    >>> incarnation("n1", "n1"), incarnation("n1.3", "n1"), incarnation("n1.3-c0de", "n1")
    (1, 3, 3)
    """
    number, _, _ = replica.removeprefix(node).removeprefix(".").partition("-")
    return int(number) if number.isdigit() else 1


def next_incarnation(node: str, known: Iterable[ReplicaId], nonce: str = "") -> ReplicaId:
    """An id of `node` after all that are `known`.

    Where not every member could be asked there may be ids that nobody here knows: `nonce` then keeps them apart.

    >>> next_incarnation("n1", ["n1", "n1.4"]), next_incarnation("n1", ["n1"], "c0de")
    ('n1.5', 'n1.2-c0de')
    """
    number = max((incarnation(replica, node) for replica in known), default=1) + 1
    return check_replica_id(f"{node}.{number}" + (f"-{nonce}" if nonce else ""))
