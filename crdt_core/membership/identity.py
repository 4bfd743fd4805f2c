"""The decision under which replica id a starting node may run.

A replica id names one uninterrupted history, because a dot that is used twice loses data silently. So a node resumes
its id only if it can know that its Redis has lost nothing:

- the Redis server has not been restarted since the last commit, or
- every member can be asked, and none has seen more commits of the id than the node's own Redis holds. A node that
  leaves counts as a member here until all members have closed its id, as they take in what it knows until then. Nor may
  one have forgotten removals that the node's own Redis has lost: what they remove would be written upon.

Otherwise the node comes back under a new id. A running member, its *sponsor*, must first record the new id among the
members (`crdt_core.types.members` says why). This module only decides, by what follows from the evidence
(`crdt_core.membership.situation`); it reads and writes nothing.

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
from crdt_core.membership.evidence import OperatorOverride, combined_members, members_for
from crdt_core.membership.incarnations import next_incarnation
from crdt_core.membership.namesakes import ids_under_any_name, is_forgotten
from crdt_core.membership.situation import Situation
from crdt_core.types.members import ABSENT, NAMESAKE, REMOVED_BY_HAND, machine_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from crdt_core.lattice.clocks import ReplicaId
    from crdt_core.membership.decisions import Decision
    from crdt_core.membership.evidence import NodeEvidence

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
    members = members_for(own, others.values(), nodes)
    choice = _Choice(name, own, others, members, nonce, override)
    if choice.is_unheard_of and choice.unreachable:
        return choice.wait_to_be_heard_of()
    if choice.displaced:
        return choice.decide_as_namesake()
    choice.check_membership()
    return choice.decide_as_member(patient=patient)


@dataclass(frozen=True, slots=True)
class _Choice(Situation):
    """The decision in each case."""

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
        if self.was_removed_by_hand and self.active_id is not None and self.own.added:
            machines = {machine_of(id_, self.name) for id_ in self.own.added}
            if machine_of(self.active_id, self.name) not in machines:
                reason = "it was removed from this fleet, and another machine has its name"
                raise NotAMember(self.name, reason, "deltaic node add ANOTHER-NAME")

    def decide_as_namesake(self) -> Decision:
        """Decide for a node whose name another machine keeps, or for one that has gone on for that reason."""
        reason = f"another machine was added as {self.name} at the same time, and keeps the name"
        if is_forgotten(self.members, self.name):
            reason = f"no member that answers has recorded that the machine goes on as {self.name}"
        machine = self.displaced
        told = combined_members(self.others.values(), (self.name, *self.others))
        is_known = bool(ids_under_any_name(told, machine))
        has_written = bool(self.own.clock[self.own.replica] or self.own.formers)
        is_leaving = self.members.leaving and not self.abandoned
        may_be_heard_of = bool(self.unreachable or self.set_back or is_leaving)
        if not self.own.replica or not (is_known or may_be_heard_of):
            new = machine if has_written else "ANOTHER-NAME"
            reason = f"{reason}; call its section [nodes.{new}] in the fleet file"
            raise NotAMember(self.name, reason, f"deltaic node add {new}")
        if not is_known:
            return Wait(
                f"{reason}; no member that answers has recorded this machine, so none can record a new id for it"
            )
        if (sponsor := self.sponsor(machine=machine)) is None:
            return Wait(f"{reason}; it needs a new id, but no member runs that could record it")
        taken = [self.own.replica, *ids_under_any_name(self.members, machine)]
        new = next_incarnation(machine, taken, self.nonce if self.unreachable else "")
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
        if self.seen_by_others:
            return self._come_back("its Redis has lost everything", fresh=True)
        if self.silent and not self.override.trusting:
            return Wait(f"it starts for the first time, and {self.silence}", "trusting")
        if self.active_id == self.name and not self.has_changed:
            return Resume(self.name, tuple(self.members.active))
        return self._join(self.active_id or self.name, fresh=True)

    def _decide_with_former_id(self) -> Decision:
        """Decide for a node whose id leaves the fleet: the node was absent for too long, or had lost commits."""
        fact = self.members.facts.get(self.own.replica)
        has_not_heard = self.was_removed_by_hand or (fact is not None and fact.reason in _NOT_HEARD_OUT)
        fresh = bool(self.abandoned) or has_not_heard
        if self.active_id is not None and fresh and not self.seen_by_others and not self.unreachable:
            return self._join(self.active_id, fresh=True)
        return self._come_back(f"its id {self.own.replica} has left the fleet", fresh=fresh)

    def _decide_with_damage(self) -> Decision:
        """Decide for a node whose state is not what it had confirmed.

        What it knows of the members may be damaged, too: whoever does not answer may be one.
        """
        reason = f"its Redis does not hold what it had confirmed: {self.own.damaged}"
        if self.sponsor() is None and self.override.accepting:
            return ComeBack(self.next_id(), None, reason, fresh=False)
        if not self.members.active.keys() - {self.name} and None not in self.others.values():
            raise DamagedState(self.name, self.own.damaged)
        if self.sponsor() is None:
            return Wait(
                f"{reason}; it has to start from the fleet's state, but no member runs that has it", "accepting"
            )
        is_unused = not self.seen_by_others and not self.unreachable
        if self.active_id not in {None, self.own.replica} and is_unused:
            return self._join(self.active_id, fresh=True)
        return self._come_back(reason, fresh=True)

    def _decide_with_backup(self) -> Decision:
        """Decide for a node whose state comes from a backup image, made by this node or another."""
        reason = "its state comes from a backup"
        fact = self.members.facts.get(self.own.replica)
        if fact is not None and fact.reason in _NOT_HEARD_OUT:
            return self._come_back(f"{reason} of {self.own.replica}, which has left the fleet", fresh=True)
        abandoned = self.abandoned_in_backup()
        if abandoned and self.sponsor() is not None:
            ids = ", ".join(abandoned)
            return self._come_back(f"{reason} with commits of {ids} that the fleet has abandoned", fresh=True)
        return self._come_back(reason, fresh=False)

    def _decide_with_active_id(self, *, patient: bool) -> Decision:
        """Decide for a node whose id is the one under which it is a member."""
        at, seen = self.own.clock[self.own.replica], self.seen_by_others
        if ids := ", ".join(self.abandoned):
            return self._come_back(f"it holds commits of {ids} that the fleet has abandoned", fresh=True)
        if seen > at:
            return self._come_back(f"its Redis lost commits: it is at {at}, others have seen {seen}", fresh=False)
        if ahead := ", ".join(self.forgotten_unseen):
            reason = f"its Redis lost removals that it had taken in, and that {ahead} has forgotten since"
            return self._come_back(reason, fresh=False)
        if not self.own.doubtful or self.override.trusting:
            return self._go_on()
        return self._decide_in_doubt(patient=patient)

    def _decide_in_doubt(self, *, patient: bool) -> Decision:
        """Decide for a node whose Redis was restarted. It may have lost commits, and other nodes may know of them."""
        silent = ", ".join(self.silent)
        if witnesses := ", ".join(self.witnesses):
            return self._come_back(f"its Redis was restarted, and {witnesses} may know what it lost", fresh=False)
        if patient and silent:
            reason = f"its Redis was restarted and may have lost commits that others know, and {self.silence}"
            return Wait(reason, "trusting")
        if patient and (undecided := ", ".join(self.undecided)):
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
        sponsor = self.sponsor(replica)
        if sponsor is None:
            return Wait("it is to join the fleet, but no member runs that could give it the state")
        return Join(replica, sponsor, fresh)

    def _come_back(self, reason: str, *, fresh: bool) -> ComeBack | Wait:
        sponsor = self.sponsor()
        if sponsor is None and self.own.replica and (fresh or self.has_nothing):
            return Wait(f"{reason}; it has to start from the fleet's state, but no member runs that has it")
        if sponsor is None and self.members.active.keys() - {self.name} and not self.override.unsponsored:
            return Wait(f"{reason}; it needs a new id, but no member runs that could record it", "unsponsored")
        return ComeBack(self.next_id(), sponsor, reason, fresh)
