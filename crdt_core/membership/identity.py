"""The decision under which replica id a starting node may run.

A replica id names one uninterrupted history, because a dot that is used twice loses data silently. So a node resumes
its id only if it can know that its Redis has lost nothing:

- the Redis server has not been restarted since the last commit, or
- every member can be asked, and none has seen more commits of the id than the node's own Redis holds. A node that
  leaves counts as a member here until all members have closed its id, as they take in what it knows until then.

Otherwise the node comes back under a new id. A running member, its *sponsor*, must first record the new id among the
members (`crdt_core.types.members` says why). This module only decides; it reads and writes nothing.

Three cases need more than that:

*Commits that the fleet has abandoned.* A member may add a node and then be removed before any other member has heard of
the addition. The new node then holds commits that the others have abandoned, its own addition among them. It could
never agree with the others, whatever its id. So it does not run until it is added again. Then it starts from the
fleet's state, and replays what only it has written.

*Namesakes.* Where another machine keeps the name of the node (`crdt_core.membership.namesakes`), the node comes back
under the name of its own addition. It starts from the fleet's state, and replays what only it has written. If the
member that has recorded the new name is gone before another has heard of it, the node has it recorded again.

*Backup images.* An image is a state at a clock. Any node may take it up under a new id of its own, and fetch what has
happened since from its sponsor, like a replica that was away. An image with commits that the fleet has abandoned is the
exception: it would bring back dots that may mean something else by now. A running fleet has no use for it.

*Damaged states.* A state from which something was lost or altered claims at its clock what it does not have: no patch
would bring that back. So the node starts from a member's state, under a new id, and replays what only it has written.
If no other member exists, nothing can be brought back, and a person has to decide.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from crdt_core.errors import DamagedState, HalfRestored, NotAMember
from crdt_core.membership.decisions import ComeBack, Join, Resume, Wait
from crdt_core.membership.evidence import OperatorOverride, combined_members
from crdt_core.membership.incarnations import next_incarnation
from crdt_core.membership.namesakes import displaced_machine, ids_of_machine, is_forgotten, namesakes
from crdt_core.membership.silence import silent_nodes, why_silent
from crdt_core.membership.sponsors import choose_sponsor
from crdt_core.types.members import ABSENT, NAMESAKE, REMOVED_BY_HAND, Standing, machine_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from crdt_core.lattice.clocks import ReplicaId
    from crdt_core.membership.decisions import Decision, Sponsor
    from crdt_core.membership.evidence import NodeEvidence
    from crdt_core.types.members import Members

__all__ = ["decide"]


_NO_OVERRIDE = OperatorOverride()
_NOT_HEARD_OUT = frozenset({ABSENT, NAMESAKE})
"""The reasons of ids whose nodes had not heard that the fleet went on, so that their state must not come back. The same
holds for nodes that were removed by hand."""


def decide(
    name: str,
    own: NodeEvidence,
    others: Mapping[str, NodeEvidence | None],
    *,
    nonce: str,
    patient: bool = False,
    override: OperatorOverride = _NO_OVERRIDE,
) -> Decision:
    """Return what node `name` is to do when it starts.

    `own` is the evidence in the node's own Redis. `others` maps every other node to its evidence, or to `None` if its
    Redis does not answer. `nonce` keeps new ids apart if not every member could be asked. If `patient`, the node waits
    for members that do not answer; otherwise it goes on without them.

    Raises `NotAMember` if the node does not belong to the fleet, `HalfRestored` if a restore was interrupted, and
    `DamagedState` if the node's state is damaged, and all other nodes answer that there is no other member.
    """
    if own.restoring:
        raise HalfRestored(name)
    nodes = (name, *others)
    members = combined_members((own, *others.values()), nodes, own)
    if members.abandoned(own.clock) and not own.restored:
        members = combined_members(others.values(), nodes)
    situation = _Situation(name, own, others, members, nonce, override)
    if situation.is_unheard_of and situation.unreachable:
        return situation.wait_to_be_heard_of()
    if situation.displaced:
        return situation.decide_as_namesake()
    situation.check_membership()
    return situation.decide_as_member(patient=patient)


@dataclass(frozen=True, slots=True)
class _Situation:
    """All evidence, who the members are according to it, and the decision in each case."""

    name: str
    own: NodeEvidence
    others: Mapping[str, NodeEvidence | None]
    members: Members
    nonce: str
    override: OperatorOverride

    def check_membership(self) -> None:
        """Raise `NotAMember` if the node does not belong to the fleet."""
        ids = self.members.ids_of(self.name)
        remedy = f"deltaic node add {self.name}"
        if self.is_unheard_of:
            raise NotAMember(self.name, "no remaining member has heard that it was added", remedy)
        if not ids:
            raise NotAMember(self.name, "it is not a member of this fleet", remedy)
        if self.active_id is None and self.members.facts[ids[-1]].reason == REMOVED_BY_HAND:
            raise NotAMember(self.name, "it was removed from this fleet", remedy)
        if self._was_removed_by_hand and self.active_id is not None and self.own.added:
            machines = {machine_of(id_, self.name) for id_ in self.own.added}
            if machine_of(self.active_id, self.name) not in machines:
                reason = "it was removed from this fleet, and another machine has its name"
                raise NotAMember(self.name, reason, "deltaic node add ANOTHER-NAME")

    def decide_as_namesake(self) -> Decision:
        """Decide for a node whose name another machine keeps, or for one that has gone on for that reason."""
        reason = f"another machine was added as {self.name} at the same time, and keeps the name"
        if is_forgotten(self.members, self.name):
            reason = f"no member that answers has recorded that the machine goes on as {self.name}"
        sponsor, machine = self._sponsor(), self.displaced
        known = [*ids_of_machine(self.members, machine), *self.members.ids_of(machine)]
        has_written = bool(self.own.clock[self.own.replica] or self.own.formers)
        may_be_heard_of = bool(self.unreachable or (self.members.leaving and not self._abandoned))
        if not self.own.replica or not (known or may_be_heard_of):
            new = machine if has_written else "ANOTHER-NAME"
            reason = f"{reason}; call its section [nodes.{new}] in the fleet file"
            raise NotAMember(self.name, reason, f"deltaic node add {new}")
        if not known:
            return Wait(
                f"{reason}; no member that answers has recorded this machine, so none can record a new id for it"
            )
        if sponsor is None:
            return Wait(f"{reason}; it needs a new id, but no member runs that could record it")
        new = next_incarnation(machine, [self.own.replica, *known], self.nonce if self.unreachable else "")
        return ComeBack(new, sponsor, reason, fresh=True, renamed=machine if machine != self.name else "")

    def decide_as_member(self, *, patient: bool) -> Decision:
        """Decide for a member, by what its own Redis holds."""
        if not self.own.replica:
            return self._decide_when_empty()
        if self.own.damaged:
            return self._decide_with_damage()
        if self.own.restored:
            return self._decide_with_backup()
        if self.own.replica != self.active_id:
            return self._decide_with_former_id()
        return self._decide_with_active_id(patient=patient)

    def wait_to_be_heard_of(self) -> Wait:
        """Wait for the members that do not answer: one of them may have added the node again."""
        silent = ", ".join(self.unreachable)
        return Wait(f"no member that answers has heard that it was added, and the Redis of {silent} does not answer")

    def _decide_when_empty(self) -> Decision:
        """Decide for a node whose Redis is empty: the node is new, or its Redis has lost everything."""
        if self._seen_by_others:
            return self._come_back("its Redis has lost everything", fresh=True)
        if self._silent and not self.override.trusting:
            return Wait(f"it starts for the first time, and {self._silence}", "trusting")
        if self.active_id == self.name and not self._has_changed:
            return Resume(self.name, tuple(self.members.active))
        return self._join(self.active_id or self.name, fresh=True)

    def _decide_with_former_id(self) -> Decision:
        """Decide for a node whose id leaves the fleet: the node was absent for too long, or had lost commits."""
        fact = self.members.facts.get(self.own.replica)
        has_not_heard = self._was_removed_by_hand or (fact is not None and fact.reason in _NOT_HEARD_OUT)
        fresh = bool(self._abandoned) or has_not_heard
        if self.active_id is not None and fresh and not self._seen_by_others and not self.unreachable:
            return self._join(self.active_id, fresh=True)
        return self._come_back(f"its id {self.own.replica} has left the fleet", fresh=fresh)

    def _decide_with_damage(self) -> Decision:
        """Decide for a node whose state is not what it had confirmed.

        What it knows of the members may be damaged, too: whoever does not answer may be one.
        """
        reason = f"its Redis does not hold what it had confirmed: {self.own.damaged}"
        if self._sponsor() is None and self.override.accepting:
            return ComeBack(self._next_id(), None, reason, fresh=False)
        if not self.members.active.keys() - {self.name} and None not in self.others.values():
            raise DamagedState(self.name, self.own.damaged)
        if self._sponsor() is None:
            return Wait(
                f"{reason}; it has to start from the fleet's state, but no member runs that has it", "accepting"
            )
        is_unused = not self._seen_by_others and not self.unreachable
        if self.active_id not in {None, self.own.replica} and is_unused:
            return self._join(self.active_id, fresh=True)
        return self._come_back(reason, fresh=True)

    def _decide_with_backup(self) -> Decision:
        """Decide for a node whose state comes from a backup image, made by this node or another."""
        reason = "its state comes from a backup"
        fact = self.members.facts.get(self.own.replica)
        if fact is not None and fact.reason in _NOT_HEARD_OUT:
            return self._come_back(f"{reason} of {self.own.replica}, which has left the fleet", fresh=True)
        abandoned = self._abandoned_in_backup()
        if abandoned and self._sponsor() is not None:
            ids = ", ".join(abandoned)
            return self._come_back(f"{reason} with commits of {ids} that the fleet has abandoned", fresh=True)
        return self._come_back(reason, fresh=False)

    def _decide_with_active_id(self, *, patient: bool) -> Decision:
        """Decide for a node whose id is the one under which it is a member."""
        at, seen = self.own.clock[self.own.replica], self._seen_by_others
        if ids := ", ".join(self._abandoned):
            return self._come_back(f"it holds commits of {ids} that the fleet has abandoned", fresh=True)
        if seen > at:
            return self._come_back(f"its Redis lost commits: it is at {at}, others have seen {seen}", fresh=False)
        if not self.own.doubtful or self.override.trusting:
            return self._go_on()
        return self._decide_in_doubt(patient=patient)

    def _decide_in_doubt(self, *, patient: bool) -> Decision:
        """Decide for a node whose Redis was restarted. It may have lost commits, and other nodes may know of them."""
        silent = ", ".join(self._silent)
        if witnesses := ", ".join(self._witnesses):
            return self._come_back(f"its Redis was restarted, and {witnesses} may know what it lost", fresh=False)
        if patient and silent:
            reason = f"its Redis was restarted and may have lost commits that others know, and {self._silence}"
            return Wait(reason, "trusting")
        if patient and (undecided := ", ".join(self._undecided)):
            return Wait(f"its Redis and that of {undecided} were restarted; whether a worker runs there is known soon")
        if silent:
            return self._come_back(f"its Redis was restarted, and {silent} may have seen what it lost", fresh=False)
        return self._go_on()

    def _go_on(self) -> Decision:
        """Keep the id, of which nothing was lost. A node that was still joining fetches the rest of its state."""
        if self.own.joining:
            return self._join(self.own.replica, fresh=False)
        return Resume(self.own.replica, self.own.founders)

    def _join(self, replica: ReplicaId, *, fresh: bool) -> Join | Wait:
        sponsor = self._sponsor(replica)
        if sponsor is None:
            return Wait("it is to join the fleet, but no member runs that could give it the state")
        return Join(replica, sponsor, fresh)

    def _come_back(self, reason: str, *, fresh: bool) -> ComeBack | Wait:
        sponsor = self._sponsor()
        if sponsor is None and self.own.replica and (fresh or self._has_nothing):
            return Wait(f"{reason}; it has to start from the fleet's state, but no member runs that has it")
        if sponsor is None and self.members.active.keys() - {self.name} and not self.override.unsponsored:
            return Wait(f"{reason}; it needs a new id, but no member runs that could record it", "unsponsored")
        return ComeBack(self._next_id(), sponsor, reason, fresh)

    @property
    def _has_nothing(self) -> bool:
        """Whether the node has not fetched any state since it began to join."""
        return self.own.joining and not self.own.clock and not self.own.founders

    def _next_id(self) -> ReplicaId:
        """Return an id of this machine that the node has never had."""
        known = self.members.ids_of(self.name)
        own = "" if self.own.restored or self._was_removed_by_hand else self.own.replica
        latest = own or self.active_id or (known[-1] if known else self.name)
        taken = [*known, self.own.replica or self.name]
        nonce = self.nonce if self._silent else ""
        return next_incarnation(self.name, taken, nonce, machine=machine_of(latest, self.name))

    @property
    def displaced(self) -> str:
        """The name under which the node has to go on, because another machine keeps its own; empty if none does.

        A node whose Redis is empty cannot tell which of two machines it is. So it must not take up the id of either. A
        node that has gone on already goes on under the name that it has.
        """
        if self.own.restored or self._was_removed_by_hand:
            return ""
        if self.own.replica and is_forgotten(self.members, self.name):
            return self.name
        own = [*([self.own.replica] if self.own.replica else ()), *self.own.added]
        if not own and self.name in namesakes(self.members):
            return self.name
        return displaced_machine(self.members, self.name, own)

    @property
    def _was_removed_by_hand(self) -> bool:
        """Whether the id of the node was removed, or the machine was that had an id which nobody has recorded."""
        own, facts = self.own.replica, self.members.facts
        machine = machine_of(own, self.name)
        recorded = [id_ for id_ in self.members.ids_of(self.name) if machine_of(id_, self.name) == machine]
        fact = facts.get(own) or (facts[recorded[-1]] if own and recorded else None)
        return fact is not None and fact.reason == REMOVED_BY_HAND

    @property
    def active_id(self) -> ReplicaId | None:
        """The id under which the node is a member, or `None` if it is not one."""
        return self.members.active.get(self.name)

    @property
    def is_unheard_of(self) -> bool:
        """Whether the node was added by a member that was gone before any remaining member heard of it."""
        return bool(self._abandoned) and not self.members.ids_of(self.name)

    @property
    def unreachable(self) -> list[str]:
        """The other members whose Redis does not answer."""
        return [node for node in self.members.active if node != self.name and self.others.get(node) is None]

    @property
    def _silent(self) -> list[str]:
        return silent_nodes(self.name, self.own, self.others, self.members)

    @property
    def _silence(self) -> str:
        return why_silent(self._silent, self.others)

    @property
    def _seen_by_others(self) -> int:
        """How many commits of the node's latest id the other nodes have seen."""
        replica = self.active_id or self.members.ids_of(self.name)[-1]
        return max((other.clock[replica] for other in self.others.values() if other is not None), default=0)

    @property
    def _witnesses(self) -> list[str]:
        """The running nodes that have read from an earlier process of the node's Redis.

        They may be about to commit something that this Redis has lost. No header tells yet.
        """
        return [
            node
            for node, other in self.others.items()
            if other is not None and other.running and other.met.get(self.name, self.own.run_id) != self.own.run_id
        ]

    @property
    def _undecided(self) -> list[str]:
        """The nodes whose Redis may have lost commits, too. If a worker runs there, it soon gives them back.

        A worker that is starting has nothing to give back. So nodes that all start at once do not wait for each other.
        """
        others = ((node, other) for node, other in self.others.items() if other and other.owned and other.doubtful)
        return [node for node, other in others if not other.running and not other.starting]

    @property
    def _has_changed(self) -> bool:
        """Whether the members have changed since the fleet was created."""
        return any(one.members.facts for one in (self.own, *self.others.values()) if one is not None)

    @property
    def _abandoned(self) -> list[ReplicaId]:
        """The replica ids of which the node holds commits that the fleet has abandoned; empty for a backup."""
        return [] if self.own.restored else self.members.abandoned(self.own.clock)

    def _abandoned_in_backup(self) -> list[ReplicaId]:
        """The replica ids of which the backup holds commits that the other nodes will never take in."""
        told = combined_members(self.others.values(), (self.name, *self.others))
        return [id_ for id_, held in sorted(self.own.clock.items()) if held > self._last_possible(id_, told, held)]

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

    def _sponsor(self, newcomer: ReplicaId = "") -> Sponsor | None:
        return choose_sponsor(self.name, self.others, self.members, newcomer)
