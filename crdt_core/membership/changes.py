"""What a node does about the fleet's members: whom it takes for its peers, what it writes down, what it owes to
changes.

Changes are operations (a member is added, removed, or comes back under a new id); the rest is duty, done by every node
in the turn in which it learns: closing an id that leaves, and, by the first node of the fleet, sealing and folding it.
The reasons are with the facts, in `crdt_core.types.members`.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING

from crdt_core.errors import InvalidArgument, Retired, UnknownNode
from crdt_core.lattice.clocks import check_replica_id
from crdt_core.lattice.replica_index import covered
from crdt_core.lattice.siblings import TOMBSTONE, unfold
from crdt_core.membership.identity import next_incarnation
from crdt_core.types import MEMBERS
from crdt_core.types.members import ABSENT, LOST, MEMBERS_KEY, REMOVED_BY_HAND, Fact, Standing

if TYPE_CHECKING:
    from crdt_core.lattice.clocks import ReplicaId, Stamp
    from crdt_core.membership.identity import Sponsor
    from crdt_core.replica.replica import Replica
    from crdt_core.types.members import Members

__all__ = ["AddMember", "AdmitIncarnation", "Membership", "RemoveMember", "RetireFormer"]


class Membership:
    """The members as node `name` sees them from `replica`; `sponsor` is whom it asks as long as it is none itself.

    `settled`: the members, as they were when nothing was left to write down.
    """

    def __init__(self, name: str, replica: Replica, sponsor: Sponsor | None = None) -> None:
        self._name = name
        self._replica = replica
        self._sponsor = sponsor
        self._read: Members | None = None
        self._peers: dict[str, ReplicaId] = {}
        self._admitted = False
        self.settled: Members | None = None

    @property
    def peers(self) -> dict[str, ReplicaId]:
        """The other nodes that take part, each with the id under which it does."""
        self._follow()
        return self._peers

    @property
    def is_admitted(self) -> bool:
        """Whether this replica sees itself among the members: only then may it write."""
        self._follow()
        return self._admitted

    def knows(self, node: str) -> bool:
        """Whether `node` is another one that takes part, or once did."""
        return node != self._name and (node in self.peers or bool(self._replica.members.ids_of(node)))

    def check(self) -> None:
        """Raises `Retired` where this replica's id has left the fleet, or the fleet goes on without what it has.

        The latter befalls nobody whom those who stay have heard of (`Members.given_up`): it was added by one that was
        removed before anybody else had heard of it. Nobody takes anything of it in, so it must not go on.
        """
        fact = self._replica.members.facts.get(self._replica.id)
        if fact is not None and fact.standing is not Standing.ACTIVE:
            raise Retired(self._replica.id, fact.reason or fact.standing.name.lower())
        if self._replica.given_up:
            lost = ", ".join(sorted(self._replica.given_up))
            raise Retired(self._replica.id, f"it holds commits of {lost} that the others have given up")

    def owes(self) -> bool:
        """Whether there may be something to write down: something was heard of members, or has become stable."""
        members = self._replica.members
        if members is self.settled or not self.is_admitted:
            return False
        if len(members.facts) == len(members.active):
            self.settled = members
        return members is not self.settled

    def settle(self, now: Stamp) -> None:
        """Writes down what this node owes: closings, and if it is the first of the fleet, seals and folds."""
        members, replica = self._replica.members, self._replica
        for leaving in members.leaving:
            if replica.id not in members.closings.get(leaving, ()):
                _say(replica, f"{leaving}/{replica.id}", True)
        if self._name == next(iter(members.active)):
            self._settle_for_all(members, now)
        self.settled = members

    def stability_moved(self) -> None:
        """What was not stable may be so now."""
        self.settled = None

    def _settle_for_all(self, members: Members, now: Stamp) -> None:
        """Seals what all have closed and hold whole, folds what is sealed for all; closings have then had their day.

        Where two sponsors, apart, have each written down an id of one node, the one that is not used leaves.
        """
        replica = self._replica
        for id_, fact in members.facts.items():
            if fact.standing is Standing.ACTIVE and members.active[fact.node] != id_:
                _say(replica, id_, Fact(Standing.LEAVING, fact.node, reason=LOST, at_ms=now.ms))
            if fact.standing is Standing.LEAVING and members.all_closed and self._is_stable_whole(id_):
                _say(replica, id_, dataclasses.replace(fact, standing=Standing.SEALED, final=replica.clock[id_]))
            elif fact.standing is Standing.SEALED and self._is_stable(id_):
                _say(replica, id_, dataclasses.replace(fact, standing=Standing.FOLDED))
            if fact.standing > Standing.LEAVING:
                for closer in members.closings.get(id_, ()):
                    _say(replica, f"{id_}/{closer}", TOMBSTONE)

    def _is_stable_whole(self, id_: ReplicaId) -> bool:
        return self._replica.stable[id_] == self._replica.clock[id_]

    def _is_stable(self, part: str) -> bool:
        """Whether every member has the fact `part`, and so all that its author had seen."""
        replica_index = self._replica.catalogue.replica_index
        found = self._replica.catalogue.find(MEMBERS_KEY, MEMBERS.name)
        dense_clock = replica_index.dense_clock(self._replica.stable)
        return found is not None and all(covered(dot, dense_clock) for dot in unfold(found.parts.get(part.encode())))

    def _follow(self) -> None:
        members = self._replica.members
        if members is self._read:
            return
        self._read = members
        active = members.active
        self._admitted = active.get(self._name) == self._replica.id
        if self._admitted:
            self._peers = {node: replica for node, replica in active.items() if node != self._name}
        elif self._sponsor is not None:
            self._peers = {self._sponsor.node: self._sponsor.replica}


@dataclass(frozen=True, slots=True)
class AddMember:
    """Writes node `node` down as a member; yields the replica id under which it is to join.

    Raises `InvalidArgument` where it takes part already. An id that was ever used is not used again.
    """

    node: str
    grpc: str
    redis: str

    def run(self, replica: Replica, now: Stamp) -> ReplicaId:  # noqa: ARG002
        check_replica_id(self.node)
        if self.node in replica.members.active:
            raise InvalidArgument("node", f"{self.node} is a member already")
        known = replica.members.ids_of(self.node)
        new = next_incarnation(self.node, known) if known else self.node
        _write_founders(replica)
        _say(replica, new, Fact(Standing.ACTIVE, self.node, grpc=self.grpc, redis=self.redis))
        return new


@dataclass(frozen=True, slots=True)
class RemoveMember:
    """Writes down that node `node` leaves, for `reason`; yields its replica id. Raises `UnknownNode`."""

    node: str
    reason: str = REMOVED_BY_HAND

    def run(self, replica: Replica, now: Stamp) -> ReplicaId:
        active = replica.members.active
        if self.node not in active:
            raise UnknownNode(self.node, list(active))
        if active[self.node] == replica.id:
            raise InvalidArgument("node", f"{self.node} cannot remove itself; ask another member")
        _write_founders(replica)
        _retire(replica, self.node, self.reason, now)
        return active[self.node]


@dataclass(frozen=True, slots=True)
class AdmitIncarnation:
    """Writes down that node `node`, which was or is a member, comes back as `new`; yields whether that was news.

    Its former ids leave. Raises `UnknownNode` for a node that is none, or was removed.
    """

    node: str
    new: ReplicaId
    grpc: str = ""
    redis: str = ""

    def run(self, replica: Replica, now: Stamp) -> bool:
        members = replica.members
        ids = members.ids_of(self.node)
        if not ids or members.facts[ids[-1]].reason == REMOVED_BY_HAND:
            raise UnknownNode(self.node, list(members.active))
        if members.standing(self.new) is not None:
            return False
        _write_founders(replica)
        _retire(replica, self.node, LOST, now)
        _say(replica, check_replica_id(self.new), Fact(Standing.ACTIVE, self.node, grpc=self.grpc, redis=self.redis))
        return True


@dataclass(frozen=True, slots=True)
class RetireFormer:
    """Writes down that `former`, an id under which node `node` once wrote, leaves; yields whether that was news.

    A node that was left behind may come back from an id that nobody who stays has ever heard of. Its end has to become
    known like that of any other, before what it had not sent can be done again. The id of another node, out of whose
    backup this one comes, is left to that node.
    """

    node: str
    former: ReplicaId

    def run(self, replica: Replica, now: Stamp) -> bool:
        is_its_own = self.former == self.node or self.former.startswith(f"{self.node}.")
        if not is_its_own or replica.members.standing(self.former) is not None:
            return False
        _write_founders(replica)
        _say(replica, self.former, Fact(Standing.LEAVING, self.node, reason=ABSENT, at_ms=now.ms))
        return True


def _write_founders(replica: Replica) -> None:
    """Before the first change: who the members are so far."""
    if not replica.showing(MEMBERS_KEY):
        for id_, fact in replica.members.facts.items():
            _say(replica, id_, fact)


def _retire(replica: Replica, node: str, reason: str, now: Stamp) -> None:
    for id_, fact in replica.members.facts.items():
        if fact.node == node and fact.standing is Standing.ACTIVE:
            _say(replica, id_, Fact(Standing.LEAVING, node, reason=reason, at_ms=now.ms))


def _say(replica: Replica, part: str, payload: Fact | bool | None) -> None:
    replica.write(MEMBERS_KEY, MEMBERS, part.encode(), payload)
