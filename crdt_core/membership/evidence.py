"""Evidence: what the Redis of each node says about its replica, and what follows from all of it for the membership.

A starting node reads the evidence of every node that it can reach (`NodeEvidence`). `crdt_core.membership.identity`
decides on it under which replica id the node may run. An operator who knows more can override a missing piece of
evidence (`OperatorOverride`).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from crdt_core.lattice.clocks import VersionVector
from crdt_core.membership.namesakes import displaced_machine
from crdt_core.types.members import Members, Standing

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from crdt_core.lattice.clocks import ReplicaId

__all__ = [
    "NodeEvidence",
    "OperatorOverride",
    "all_told",
    "combined_members",
    "departed",
    "disowned",
    "members_for",
]


@dataclass(frozen=True, slots=True)
class NodeEvidence:
    """What the Redis of one node says about its replica.

    - `replica`: the replica id, empty if there is no replica yet.
    - `clock`, `members`: what the replica has seen, and who it knows as members.
    - `founders`: the nodes that were members when the fleet was created; empty for a node that joined later.
    - `joining`: the replica is still fetching its state from a sponsor.
    - `formers`: the former replica ids of the node whose unsent writes are still to be replayed, the earliest first.
    - `replayed`: the counter up to which those of the first are replayed already.
    - `restored`: the state comes from a backup image, and `replica` is the id of that image.
    - `restoring`: a restore was interrupted, so only a part of a backup image is there.
    - `damaged`: how the state differs from what the node had confirmed; empty for a state that was not found damaged.
    - `doubtful`: the Redis server was restarted since the last commit, or is another server: it may have lost commits.
    - `owned`: a worker owns the replica, or ended without giving the ownership up.
    - `run_id`: the id of the Redis server's process.
    - `added`: the replica ids under which `deltaic node add` has added this machine.
    - `renamed`: the name under which this machine goes on, because another machine keeps this one; empty if none does.
    - `met`: per other node, the run id of its server when the present worker began to read what it sends.
    - `running`: the worker that owns the replica gives signs of life.
    - `starting`: the worker that owns the replica has come to own it from the present process of this Redis, and has
      read nothing from its peers yet. So it knows no more than this Redis holds.
    - `stable`: the stable frontier of the replica. It may have forgotten removals up to there.
    """

    replica: ReplicaId = ""
    clock: VersionVector = field(default_factory=VersionVector)
    members: Members = field(default_factory=lambda: Members({}, {}))
    founders: Sequence[str] = ()
    joining: bool = False
    formers: Sequence[ReplicaId] = ()
    replayed: int = 0
    restored: bool = False
    restoring: bool = False
    damaged: str = ""
    doubtful: bool = False
    owned: bool = False
    run_id: str = ""
    added: Sequence[ReplicaId] = ()
    renamed: str = ""
    met: Mapping[str, str] = field(default_factory=dict)
    running: bool = False
    starting: bool = False
    stable: VersionVector = field(default_factory=VersionVector)


@dataclass(frozen=True, slots=True)
class OperatorOverride:
    """What an operator vouches for, in place of evidence that is missing.

    `trusting`: the node's Redis has lost nothing. `unsponsored`: no other member runs that could sponsor the node.
    `accepting`: nobody has what the node's damaged state lacks.
    """

    trusting: bool = False
    unsponsored: bool = False
    accepting: bool = False


def combined_members(
    evidence: Iterable[NodeEvidence | None], nodes: Iterable[str], own: NodeEvidence | None = None
) -> Members:
    """Return what all nodes that answered know of the members together. A `None` stands for a node without an answer.

    Before the first change of members, the members are the founders. If nobody knows the founders, they are `nodes`.

    Some evidence is left out: that of a node whose replica id leaves, and that of a node which holds commits that the
    others have abandoned. Nobody else may ever hear of what only such a node knows. It counts only as `own`, the
    evidence of the node that decides, and if there is no other evidence.
    """
    answered = [one for one in evidence if one is not None]
    members = all_told(answered)
    staying = [one for one in answered if one is own or not _is_left_behind(one, members)]
    if staying:
        members = all_told(staying)
    if members.facts:
        return members
    founders = next((one.founders for one in answered if one.founders), None)
    return Members.founders(founders if founders is not None else nodes)


def members_for(own: NodeEvidence, others: Iterable[NodeEvidence | None], nodes: Iterable[str]) -> Members:
    """Return who the members are for the node that decides, whose evidence is `own`; the rest as `combined_members`.

    If it holds commits that the fleet has abandoned, only the others tell: what it knows may come from those commits.
    """
    others, nodes = list(others), list(nodes)
    members = combined_members((own, *others), nodes, own)
    if members.abandoned(own.clock) and not own.restored:
        members = combined_members(others, nodes)
    return members


def all_told(evidence: Iterable[NodeEvidence | None]) -> Members:
    """Return what all nodes that answered know together, also those that the fleet has left behind."""
    members = Members({}, {})
    for one in evidence:
        members = members if one is None else members.joined(one.members)
    return members


def departed(name: str, own: NodeEvidence, others: Mapping[str, NodeEvidence | None]) -> frozenset[ReplicaId]:
    """Return the replica ids that leave the fleet, or have left it, by all that is known when node `name` starts.

    `own` and `others` are as in `crdt_core.membership.identity.decide`.
    """
    members = combined_members((own, *others.values()), (name, *others), own)
    return frozenset(id_ for id_, fact in members.facts.items() if fact.standing is not Standing.ACTIVE)


def disowned(name: str, own: NodeEvidence, others: Mapping[str, NodeEvidence | None]) -> str:
    """Return why the fleet goes on without node `name` as it is, or an empty string if it does not.

    `own` and `others` are as in `crdt_core.membership.identity.decide`, which would not let the node resume its id.
    """
    members = combined_members((own, *others.values()), (name, *others), own)
    if ids := members.abandoned(own.clock):
        return f"it holds commits of {', '.join(ids)} that the others have abandoned"
    fact = members.facts.get(own.replica)
    if fact is not None and fact.standing is not Standing.ACTIVE:
        return f"its id {own.replica} has left the fleet ({fact.reason})"
    if own.replica and displaced_machine(members, name, [own.replica, *own.added]):
        return f"another machine keeps the name {name}"
    return ""


def _is_left_behind(evidence: NodeEvidence, members: Members) -> bool:
    has_left = (members.standing(evidence.replica) or Standing.ACTIVE) is not Standing.ACTIVE
    return has_left or bool(members.abandoned(evidence.clock))
