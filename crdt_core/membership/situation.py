"""The situation of a starting node: all evidence about it, and what follows from that.

Who the members are, what other nodes have seen of this one, and who of them cannot tell. What the node does in a
situation is decided in `crdt_core.membership.identity`. Nothing is read or written here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from crdt_core.lattice.clocks import VersionVector
from crdt_core.membership.evidence import combined_members
from crdt_core.membership.incarnations import next_incarnation
from crdt_core.membership.namesakes import displaced_machine, is_forgotten, namesakes
from crdt_core.membership.silence import silent_nodes, why_silent
from crdt_core.membership.sponsors import choose_sponsor
from crdt_core.types.members import REMOVED_BY_HAND, Standing, machine_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from crdt_core.lattice.clocks import ReplicaId
    from crdt_core.membership.decisions import Sponsor
    from crdt_core.membership.evidence import NodeEvidence, OperatorOverride
    from crdt_core.types.members import Members

__all__ = ["Situation"]


@dataclass(frozen=True, slots=True)
class Situation:
    """The evidence for node `name`: its `own`, and that of the `others`, `None` for those that do not answer.

    `members` are those of the fleet according to all of it. `nonce` keeps new ids apart if not every member could be
    asked. `override` is what an operator vouches for.
    """

    name: str
    own: NodeEvidence
    others: Mapping[str, NodeEvidence | None]
    members: Members
    nonce: str
    override: OperatorOverride

    @property
    def active_id(self) -> ReplicaId | None:
        """The id under which the node is a member, or `None` if it is not one."""
        return self.members.active.get(self.name)

    @property
    def displaced(self) -> str:
        """The name under which the node has to go on, because another machine keeps its own; empty if none does.

        A node whose Redis is empty cannot tell which of two machines it is. So it must not take up the id of either. A
        node that has gone on already goes on under the name that it has.
        """
        if self.own.restored or self.was_removed_by_hand:
            return ""
        if self.own.replica and is_forgotten(self.members, self.name):
            return self.name
        own = [*([self.own.replica] if self.own.replica else ()), *self.own.added]
        if not own and self.name in namesakes(self.members):
            return self.name
        return displaced_machine(self.members, self.name, own)

    @property
    def was_removed_by_hand(self) -> bool:
        """Whether the id of the node was removed, or the machine was that had an id which nobody has recorded."""
        own, facts = self.own.replica, self.members.facts
        machine = machine_of(own, self.name)
        recorded = [id_ for id_ in self.members.ids_of(self.name) if machine_of(id_, self.name) == machine]
        fact = facts.get(own) or (facts[recorded[-1]] if own and recorded else None)
        return fact is not None and fact.reason == REMOVED_BY_HAND

    @property
    def is_unheard_of(self) -> bool:
        """Whether the node was added by a member that was gone before any remaining member heard of it."""
        return bool(self.abandoned) and not self.members.ids_of(self.name)

    @property
    def unreachable(self) -> list[str]:
        """The other members whose Redis does not answer."""
        return [node for node in self.members.active if node != self.name and self.others.get(node) is None]

    @property
    def has_changed(self) -> bool:
        """Whether the members have changed since the fleet was created."""
        return any(one.members.facts for one in (self.own, *self.others.values()) if one is not None)

    @property
    def has_nothing(self) -> bool:
        """Whether the node has not fetched any state since it began to join."""
        return self.own.joining and not self.own.clock and not self.own.founders

    @property
    def seen_by_others(self) -> int:
        """How many commits of the node's latest id the other nodes have seen."""
        replica = self.active_id or self.members.ids_of(self.name)[-1]
        return max((other.clock[replica] for other in self.others.values() if other is not None), default=0)

    @property
    def forgotten_unseen(self) -> list[str]:
        """The other members that have forgotten removals which this node's Redis does not hold, although it once did.

        A member forgets a removal once all members have taken it in. So this Redis has lost that.
        """
        seen, active = VersionVector({**self.own.clock, **self.members.folded}), self.members.active
        members = ((node, other) for node, other in self.others.items() if other and active.get(node) == other.replica)
        return [node for node, other in members if not other.stable <= seen]

    @property
    def set_back(self) -> list[str]:
        """The other nodes whose Redis may have lost what the worker that runs there is about to give back."""
        return [node for node, other in self.others.items() if other and other.running and other.doubtful]

    @property
    def silent(self) -> list[str]:
        """The other nodes that do not tell what they know of this node's commits, which a member may still hear of."""
        return silent_nodes(self.name, self.own, self.others, self.members)

    @property
    def silence(self) -> str:
        """Why the silent nodes do not tell what they know."""
        return why_silent(self.silent, self.others)

    @property
    def witnesses(self) -> list[str]:
        """The running nodes that have read from an earlier process of the node's Redis.

        They may be about to commit something that this Redis has lost. No header tells yet.
        """
        return [
            node
            for node, other in self.others.items()
            if other is not None and other.running and other.met.get(self.name, self.own.run_id) != self.own.run_id
        ]

    @property
    def undecided(self) -> list[str]:
        """The nodes whose Redis may have lost commits, too. If a worker runs there, it soon gives them back.

        A worker that is starting has nothing to give back. So nodes that all start at once do not wait for each other.
        """
        others = ((node, other) for node, other in self.others.items() if other and other.owned and other.doubtful)
        return [node for node, other in others if not other.running and not other.starting]

    @property
    def abandoned(self) -> list[ReplicaId]:
        """The replica ids of which the node holds commits that the fleet has abandoned; empty for a backup."""
        return [] if self.own.restored else self.members.abandoned(self.own.clock)

    def abandoned_in_backup(self) -> list[ReplicaId]:
        """The replica ids of which the backup holds commits that the other nodes will never take in."""
        told = combined_members(self.others.values(), (self.name, *self.others))
        return [id_ for id_, held in sorted(self.own.clock.items()) if held > self._last_possible(id_, told, held)]

    def sponsor(self, newcomer: ReplicaId = "", machine: str = "") -> Sponsor | None:
        return choose_sponsor(self.name, self.others, self.members, newcomer, machine)

    def next_id(self) -> ReplicaId:
        """Return an id of this machine that the node has never had."""
        known = self.members.ids_of(self.name)
        own = "" if self.own.restored or self.was_removed_by_hand else self.own.replica
        latest = own or self.active_id or (known[-1] if known else self.name)
        taken = [*known, self.own.replica or self.name]
        nonce = self.nonce if self.silent else ""
        return next_incarnation(self.name, taken, nonce, machine=machine_of(latest, self.name))

    def _last_possible(self, replica: ReplicaId, told: Members, held: int) -> int:
        """Return the last counter of `replica` that the other nodes may still take in, by what they have recorded.

        Returns `held` if nothing that they have recorded excludes it. `told` is what they know of the members. Each
        member closes a leaving id at what it has seen of it. The id may still grow until this node's next replica id
        has closed it, unless this node's current id already has. A running worker knows all commits of its own id.
        """
        fact = told.facts.get(replica)
        if fact is None:
            return held
        if fact.standing > Standing.LEAVING:
            return fact.final
        if fact.standing is Standing.LEAVING:
            closed = self.active_id is None or self.active_id in told.closings.get(replica, ())
            return max((o.clock[replica] for o in self.others.values() if o), default=0) if closed else held
        owner = self.others.get(fact.node)
        return owner.clock[replica] if owner and owner.running and owner.replica == replica else held
