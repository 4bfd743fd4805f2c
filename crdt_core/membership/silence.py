"""Which nodes do not tell what they have seen of a node's commits, although a member may still hear of it.

A node whose Redis may have lost commits uses their dots again if it resumes its id while anybody has seen them
(`crdt_core.membership.identity`). So everybody has to tell whom a member may hear: the members, and the nodes whose ids
leave, until every member has closed those ids.

A node tells nothing if it does not answer, or has discarded the state of that id: its log may still hold what builds on
the commits. Of several machines with one name (`crdt_core.membership.namesakes`), none answers for another.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from crdt_core.membership.evidence import all_told
from crdt_core.types.members import Standing, machine_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from crdt_core.lattice.clocks import ReplicaId
    from crdt_core.membership.evidence import NodeEvidence
    from crdt_core.types.members import Members

__all__ = ["silent_nodes", "why_silent"]


def silent_nodes(
    name: str, own: NodeEvidence, others: Mapping[str, NodeEvidence | None], members: Members
) -> list[str]:
    """Return the other nodes that do not tell what they know of the commits of node `name`; sorted.

    `own` and `others` are as in `crdt_core.membership.identity.decide`, and `members` is what all evidence says. A node
    whose Redis is empty need not have closed the ids that leave, be it this one or another: it takes its state, and so
    what it takes in, from a member that has. A machine that does not keep its name is called by its own.
    """
    evidence = {**others, name: own}
    empty = {node for node, found in evidence.items() if found is not None and not found.replica}
    closers = {id_ for node, id_ in members.active.items() if node not in empty}
    closed = {id_ for id_ in members.leaving if closers <= {*members.closings.get(id_, ())}}
    leaving = members.leaving.keys() - closed
    told = all_told(found for found in others.values() if found is not None and found.replica in leaving)
    facts = {**told.facts, **members.facts}
    return sorted(
        {
            _label(fact.node, id_, members)
            for id_, fact in facts.items()
            if fact.standing <= Standing.LEAVING and id_ not in closed
            if not (fact.node == name and _is_own(name, own, id_)) and not _tells(fact.node, id_, others, members)
        }
    )


def why_silent(silent: Sequence[str], others: Mapping[str, NodeEvidence | None]) -> str:
    """Return why the nodes `silent` do not tell what they know."""
    mute = [node for node in silent if others.get(node) is None]
    if mute:
        return f"the Redis of {', '.join(mute)} does not answer"
    return f"{', '.join(silent)} does not have the state that would tell"


def _is_own(name: str, own: NodeEvidence, replica: ReplicaId) -> bool:
    """Return whether `replica`, an id of node `name`, is one of this machine, as far as its Redis tells."""
    machines = {machine_of(id_, name) for id_ in (own.replica, *own.formers, *own.added)}
    return not own.replica or machine_of(replica, name) in machines


def _label(node: str, replica: ReplicaId, members: Members) -> str:
    """Return `node`, or the name of its machine that has the id `replica` if another one keeps the name."""
    machine = machine_of(replica, node)
    return node if machine == machine_of(members.active.get(node, replica), node) else machine


def _tells(node: str, replica: ReplicaId, others: Mapping[str, NodeEvidence | None], members: Members) -> bool:
    """Return whether the machine with the id `replica` of `node` answers, and its clock covers what that id has seen.

    An empty Redis is that of the machine that keeps the name.
    """
    machine = machine_of(replica, node)
    told = ((name, others.get(name)) for name in (node, machine))
    return any(
        other is not None
        and replica not in other.formers
        and machine_of(other.replica or members.active.get(name, replica), name) == machine
        for name, other in told
    )
