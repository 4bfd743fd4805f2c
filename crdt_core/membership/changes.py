"""Changes of the members, as operations: a member is added, removed, or comes back under a new replica id.

Each operation writes facts about replica ids into the members' object. `crdt_core.types.members` describes the facts
and gives the reasons. What each node owes to such changes is in `crdt_core.membership.membership`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from crdt_core.errors import InvalidArgument, UnknownNode
from crdt_core.lattice.clocks import check_replica_id
from crdt_core.membership.incarnations import added_id
from crdt_core.membership.namesakes import ids_of_machine
from crdt_core.types import MEMBERS
from crdt_core.types.members import ABSENT, LOST, MEMBERS_KEY, NAMESAKE, REMOVED_BY_HAND, Fact, Standing, machine_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from crdt_core.lattice.clocks import ReplicaId, Stamp
    from crdt_core.replica.replica import Replica

__all__ = ["AddMember", "AdmitIncarnation", "RemoveMember", "RetireFormer", "write_fact"]


def write_fact(replica: Replica, part: str, payload: Fact | bool | None) -> None:
    """Write one fact into the members' object.

    `part` is a replica id and `payload` a `Fact` about it; or `part` is `<closed id>/<closing id>` and `payload` is
    `True`. A `payload` of `None` removes the part.
    """
    replica.write(MEMBERS_KEY, MEMBERS, part.encode(), payload)


@dataclass(frozen=True, slots=True)
class AddMember:
    """Add node `node` as a member. The result is the replica id under which the node has to join.

    A replica id that was ever used is not used again. `nonce` has some letters and digits that no other addition has:
    another member may be adding another machine under the same name. Raises `InvalidArgument` if the node is a member
    already, has an impossible name, or has the name of a machine that runs as another node.
    """

    node: str
    grpc: str
    redis: str
    nonce: str

    def run(self, replica: Replica, now: Stamp) -> ReplicaId:  # noqa: ARG002
        check_replica_id(self.node)
        if self.node in replica.members.active:
            raise InvalidArgument("node", f"{self.node} is a member already")
        for other, replica_id in replica.members.active.items():
            if machine_of(replica_id, other) == self.node:
                raise InvalidArgument("node", f"{self.node} is the machine that runs as {other}")
        new = added_id(self.node, replica.members.ids_of(self.node), self.nonce)
        _write_founders(replica)
        write_fact(replica, new, Fact(Standing.ACTIVE, self.node, grpc=self.grpc, redis=self.redis))
        return new


@dataclass(frozen=True, slots=True)
class RemoveMember:
    """Remove node `node` from the members, because of `reason`. The result is its replica id, which now leaves.

    Raises `UnknownNode` if the node is not a member, and `InvalidArgument` if the node is this one.
    """

    node: str
    reason: str = REMOVED_BY_HAND

    def run(self, replica: Replica, now: Stamp) -> ReplicaId:
        active = replica.members.active
        if self.node not in active:
            raise UnknownNode(self.node, list(active))
        if active[self.node] == replica.id:
            raise InvalidArgument("node", f"{self.node} cannot remove itself; ask another member")
        _write_founders(replica)
        removed = active[self.node]
        machine = machine_of(removed, self.node)
        _retire(replica, _ids_of(replica, self.node, machine), self.reason, now)
        return removed


@dataclass(frozen=True, slots=True)
class AdmitIncarnation:
    """Admit node `node`, which is or was a member, under the new replica id `new`. Its former ids leave.

    `node` may also be a machine whose name another machine keeps (`crdt_core.membership.namesakes`). The result is
    `False` if `new` was recorded before, and nothing changes then. Raises `UnknownNode` if the node was never a member,
    was removed by hand, or has gone on under another name since it asked.
    """

    node: str
    new: ReplicaId
    grpc: str = ""
    redis: str = ""

    def run(self, replica: Replica, now: Stamp) -> bool:
        members, machine = replica.members, machine_of(self.new, self.node)
        under_name = _ids_of(replica, self.node, machine) or members.ids_of(self.node)
        displaced = ids_of_machine(members, self.node)
        ids = under_name or displaced
        has_gone_on = machine != self.node and bool(members.ids_of(machine))
        if not ids or has_gone_on or members.facts[ids[-1]].reason == REMOVED_BY_HAND:
            raise UnknownNode(self.node, list(members.active))
        if members.standing(self.new) is not None:
            return False
        _write_founders(replica)
        _retire(replica, under_name, LOST, now)
        _retire(replica, displaced, NAMESAKE, now)
        admitted = Fact(Standing.ACTIVE, self.node, grpc=self.grpc, redis=self.redis)
        write_fact(replica, check_replica_id(self.new), admitted)
        return True


@dataclass(frozen=True, slots=True)
class RetireFormer:
    """Record that `former`, a replica id under which node `node` once wrote, leaves.

    The result is `False` if anything was recorded of `former` before, and nothing changes then. The same holds for an
    id of another node: a node that comes from another node's backup leaves that id alone.

    A node may come back from an id that no remaining member has ever heard of. The members must learn of the end of
    that id, like that of any other, before the writes that it had not sent can be replayed.
    """

    node: str
    former: ReplicaId

    def run(self, replica: Replica, now: Stamp) -> bool:
        is_its_own = self.former == self.node or self.former.startswith((f"{self.node}.", f"{self.node}-"))
        if not is_its_own or replica.members.standing(self.former) is not None:
            return False
        _write_founders(replica)
        write_fact(replica, self.former, Fact(Standing.LEAVING, self.node, reason=ABSENT, at_ms=now.ms))
        return True


def _write_founders(replica: Replica) -> None:
    """Record the founders as members, if this is the first change."""
    if not replica.showing(MEMBERS_KEY):
        for id_, fact in replica.members.facts.items():
            write_fact(replica, id_, fact)


def _ids_of(replica: Replica, node: str, machine: str) -> list[ReplicaId]:
    """Return the ids of `node` that `machine` has had, the latest last."""
    return [id_ for id_ in replica.members.ids_of(node) if machine_of(id_, node) == machine]


def _retire(replica: Replica, ids: Iterable[ReplicaId], reason: str, now: Stamp) -> None:
    """Record that those of `ids` that are active leave."""
    for id_ in ids:
        fact = replica.members.facts[id_]
        if fact.standing is Standing.ACTIVE:
            write_fact(replica, id_, Fact(Standing.LEAVING, fact.node, reason=reason, at_ms=now.ms))
