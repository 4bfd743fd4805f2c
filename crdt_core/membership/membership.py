"""What a node does about the members of its fleet: whom it takes as peers, and what it owes when members change.

When a replica id leaves, every node *closes* it: from then on the node takes in no more commits of that id, and it
records that. The first node of the fleet, by name, also *seals* the id once all members have closed it, and *folds* it
once the seal is stable. Each node does its part in the turn in which it learns of the change.
`crdt_core.types.members` gives the reasons.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from crdt_core.errors import Retired
from crdt_core.lattice.replica_index import covered
from crdt_core.lattice.siblings import TOMBSTONE, unfold
from crdt_core.membership.changes import write_fact
from crdt_core.types import MEMBERS
from crdt_core.types.members import LOST, MEMBERS_KEY, NAMESAKE, Fact, Members, Standing, machine_of

if TYPE_CHECKING:
    from collections.abc import Collection

    from crdt_core.lattice.clocks import ReplicaId, Stamp
    from crdt_core.membership.decisions import Sponsor
    from crdt_core.replica.replica import Replica

__all__ = ["Membership"]


class Membership:
    """The members of the fleet, as node `name` knows them from `replica`.

    A node that is not a member yet knows no peers of its own; its only peer is then `sponsor`, if it has one. The ids
    in `departed` leave, or have left, although this replica may not have heard of that. So none of them takes the name
    of this node away from it.
    """

    def __init__(
        self, name: str, replica: Replica, sponsor: Sponsor | None = None, departed: Collection[ReplicaId] = ()
    ) -> None:
        self._name = name
        self._replica = replica
        self._sponsor = sponsor
        self._departed = departed
        self._followed: Members | None = None
        self._latest: ReplicaId | None = None
        self._peers: dict[str, ReplicaId] = {}
        self._logs_to_read: set[tuple[str, ReplicaId]] = set()
        self._admitted = False
        self.settled: Members | None = None

    @property
    def peers(self) -> dict[str, ReplicaId]:
        """The other members: node name to replica id."""
        self._follow()
        return self._peers

    @property
    def is_admitted(self) -> bool:
        """Whether this replica sees its own id among the members. Only then may it write."""
        self._follow()
        return self._admitted

    @property
    def logs_to_read(self) -> set[tuple[str, ReplicaId]]:
        """The peers whose logs the node reads, each with its replica id; none before the node is a member.

        The log of an id that has departed may say what no member will ever hear of: even that this node was removed.
        """
        self._follow()
        return self._logs_to_read

    def knows(self, node: str) -> bool:
        """Return whether `node` is another node that is or was a member."""
        return node != self._name and (node in self.peers or bool(self._replica.members.ids_of(node)))

    def check(self) -> None:
        """Raise `Retired` if this replica must not go on under its id.

        That is so if the id has left the fleet, if a later id has its name, or if the replica holds commits that the
        others have abandoned. The later id may be that of another machine (`crdt_core.membership.namesakes`), or one
        that another sponsor has recorded for this node, also under the name of its machine. The members listen to the
        latest id only.

        The last cannot happen to a node that the remaining members have heard of (`Members.abandoned`). It happens to
        a node that was added by a member which was removed before anybody else had heard of the addition. No member
        takes in anything of such a node, so it must not go on.
        """
        fact = self._replica.members.facts.get(self._replica.id)
        if fact is not None and fact.standing is not Standing.ACTIVE:
            raise Retired(self._replica.id, fact.reason or fact.standing.name.lower())
        self._follow()
        if fact is not None and self._latest is None:
            raise Retired(self._replica.id, "the members know its machine by another name")
        if fact is not None and self._latest != self._replica.id:
            raise Retired(self._replica.id, f"the members know {self._name} as {self._latest}")
        if self._replica.abandoned:
            ids = ", ".join(sorted(self._replica.abandoned))
            raise Retired(self._replica.id, f"it holds commits of {ids} that the others have abandoned")

    def owes(self) -> bool:
        """Return whether `settle` may have something to record.

        That can be so after news of the members, and after the stable frontier has moved.
        """
        members = self._replica.members
        if members is self.settled or not self.is_admitted:
            return False
        if len(members.facts) == len(members.active):
            self.settled = members
        return members is not self.settled

    def settle(self, now: Stamp) -> None:
        """Record what this node owes: it closes ids that leave; the first node of the fleet seals and folds ids."""
        members, replica = self._replica.members, self._replica
        for leaving in members.leaving:
            if replica.id not in members.closings.get(leaving, ()):
                write_fact(replica, f"{leaving}/{replica.id}", True)
        if self._name == next(iter(members.active)):
            self._settle_for_all(members, now)
        self.settled = members

    def stability_moved(self) -> None:
        """Note that the stable frontier has moved: facts that were not stable may be stable now."""
        self.settled = None

    def _settle_for_all(self, members: Members, now: Stamp) -> None:
        """Seal each id that all members have closed, and fold each id whose seal is stable.

        The closings of an id are removed once it is sealed. Two sponsors that do not hear of each other may have
        recorded two new ids of one node; the one that the node does not use leaves. So does that of a machine whose
        name another machine keeps, or that has gone on as a node of its own.
        """
        self._follow()
        replica, active = self._replica, members.active
        for id_, fact in members.facts.items():
            used = self._latest if fact.node == self._name else active.get(fact.node)
            if fact.standing is Standing.ACTIVE and used != id_:
                is_same = used is not None and machine_of(used, fact.node) == machine_of(id_, fact.node)
                reason = LOST if is_same else NAMESAKE
                write_fact(replica, id_, Fact(Standing.LEAVING, fact.node, reason=reason, at_ms=now.ms))
            if fact.standing is Standing.LEAVING and members.all_closed and self._is_stable_whole(id_):
                write_fact(replica, id_, dataclasses.replace(fact, standing=Standing.SEALED, final=replica.clock[id_]))
            elif fact.standing is Standing.SEALED and self._is_stable(id_):
                write_fact(replica, id_, dataclasses.replace(fact, standing=Standing.FOLDED))
            if fact.standing > Standing.LEAVING:
                for closer in members.closings.get(id_, ()):
                    write_fact(replica, f"{id_}/{closer}", TOMBSTONE)

    def _is_stable_whole(self, id_: ReplicaId) -> bool:
        """Return whether every member has every commit of `id_` that this replica has."""
        return self._replica.stable[id_] == self._replica.clock[id_]

    def _is_stable(self, part: str) -> bool:
        """Return whether every member has the fact `part`, and so everything that the author of the fact had seen."""
        replica_index = self._replica.catalogue.replica_index
        found = self._replica.catalogue.find(MEMBERS_KEY, MEMBERS.name)
        dense_clock = replica_index.dense_clock_of_known(self._replica.stable)
        return found is not None and all(covered(dot, dense_clock) for dot in unfold(found.get(part.encode())))

    def _follow(self) -> None:
        """Read the members again if they have changed."""
        members = self._replica.members
        if members is self._followed:
            return
        self._followed = members
        active = members.active
        self._latest = active.get(self._name)
        if self._latest in self._departed:
            staying = {id_: fact for id_, fact in members.facts.items() if id_ not in self._departed}
            self._latest = Members(staying, {}).active.get(self._name, self._latest)
        self._admitted = self._latest == self._replica.id
        if self._admitted:
            self._peers = {node: replica for node, replica in active.items() if node != self._name}
        elif self._sponsor is not None:
            self._peers = {self._sponsor.node: self._sponsor.replica}
        logs = self._peers.items() if self._admitted else ()
        self._logs_to_read = {(node, id_) for node, id_ in logs if id_ not in self._departed}
