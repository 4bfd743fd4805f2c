"""Sponsors: which running member records a node's new replica id, or gives a joining node its state."""

from __future__ import annotations

from typing import TYPE_CHECKING

from crdt_core.membership.decisions import Sponsor
from crdt_core.membership.namesakes import ids_under_any_name

if TYPE_CHECKING:
    from collections.abc import Mapping

    from crdt_core.lattice.clocks import ReplicaId
    from crdt_core.membership.evidence import NodeEvidence
    from crdt_core.types.members import Members

__all__ = ["choose_sponsor"]


def choose_sponsor(
    name: str,
    others: Mapping[str, NodeEvidence | None],
    members: Members,
    newcomer: ReplicaId = "",
    machine: str = "",
) -> Sponsor | None:
    """Return the running member that is fit most to be the sponsor of node `name`; `None` if none is fit at all.

    `others` is as in `crdt_core.membership.identity.decide`, and `members` is what all evidence says. Best is a member
    that has recorded the id `newcomer`, as it sends nothing to strangers; then one that most nodes know, as others may
    never hear of what a stranger records; then the one that has seen most. A node that has to come back itself cannot
    be a sponsor. Nor can one that has recorded no id of `machine`, if that is given: it refuses to record another.
    """
    answered = [other for other in others.values() if other is not None]
    candidates = [
        (
            _knows(other, newcomer),
            sum(_knows(one, other.replica) for one in answered),
            sum(other.clock.values()),
            node,
        )
        for node, other in others.items()
        if node != name and other is not None and other.running and not other.joining
        if other.replica and members.active.get(node) == other.replica
        if not members.abandoned(other.clock)
        if not machine or ids_under_any_name(other.members, machine)
    ]
    if not candidates:
        return None
    node = max(candidates)[-1]
    return Sponsor(node, members.active[node])


def _knows(evidence: NodeEvidence, replica: ReplicaId) -> bool:
    return replica in (evidence.members.facts or evidence.founders)
