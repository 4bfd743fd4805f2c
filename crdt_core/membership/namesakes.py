"""Namesakes: machines that were added under one name, each on one side of a partition.

Their replica ids differ by the nonces of the additions (`crdt_core.membership.incarnations`), so both may write, and no
dot is used twice. When the sides hear of each other, two active ids have one name:

- The machine with the latest id keeps the name. All members compute the same one (`Members.active`).
- The id of the other machine leaves, and the machine goes on as a node of its own, whose name is that of its addition:
  `n6-4f2a91`. It joins like a newcomer, and repeats the writes that it had not sent. So nothing is lost on either side.

A machine that has not written anything yet ends instead, and says how it can be added under another name.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from crdt_core.types.members import NAMESAKE, REMOVED_BY_HAND, Standing, machine_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from crdt_core.lattice.clocks import ReplicaId
    from crdt_core.types.members import Members

__all__ = ["displaced_machine", "ids_of_machine", "ids_under_any_name", "is_forgotten", "namesakes"]


def displaced_machine(members: Members, node: str, own: Iterable[ReplicaId]) -> str:
    """Return the machine with the ids `own` if another machine keeps its name `node`; otherwise an empty string.

    The same holds for a machine that is recorded to have gone on as a node of its own, whoever has its former name.
    `own` are the ids that the machine has, and those under which it was added: if it was added on both sides of a
    partition, it is its own namesake, and keeps the name. A machine without a nonce keeps its name, too. It cannot be
    told from another one, because it was added by version 0.1.0.
    """
    mine = dict.fromkeys(machine_of(id_, node) for id_ in own)
    keeper = members.active.get(node)
    if keeper is not None and machine_of(keeper, node) in mine:
        return ""
    mine.pop(node, None)
    if not mine:
        return ""
    is_told = any(members.facts[id_].reason == NAMESAKE for id_ in own if id_ in members.facts)
    has_gone_on = any(members.ids_of(machine) for machine in mine)
    return next(iter(mine)) if is_told or has_gone_on or keeper is not None else ""


def ids_of_machine(members: Members, machine: str) -> list[ReplicaId]:
    """Return the ids that `machine` has had under a name that another machine keeps; the latest last."""
    return [
        id_
        for node in dict.fromkeys(fact.node for fact in members.facts.values())
        if node != machine
        for id_ in members.ids_of(node)
        if machine_of(id_, node) == machine
    ]


def ids_under_any_name(members: Members, machine: str) -> list[ReplicaId]:
    """Return all ids that `machine` has had: under a name that another machine keeps, and under its own."""
    return [*ids_of_machine(members, machine), *members.ids_of(machine)]


def is_forgotten(members: Members, machine: str) -> bool:
    """Return whether the members know `machine` only by ids that it had under another name, and it was not removed.

    A node of that name has gone on under it, but only a member that is gone, or does not answer, has recorded that.
    """
    formers = ids_of_machine(members, machine)
    is_known = bool(members.ids_of(machine) or not formers)
    return not is_known and members.facts[formers[-1]].reason != REMOVED_BY_HAND


def namesakes(members: Members) -> dict[str, list[ReplicaId]]:
    """Return, per name that several machines have, the ids of those that do not keep it and have not gone on yet.

    >>> from crdt_core.types.members import Fact, Members
    >>> ids = ("n6-4f2a91", "n6-07b3e8")
    >>> namesakes(Members({id_: Fact(Standing.ACTIVE, "n6") for id_ in ids}, {}))
    {'n6': ['n6-07b3e8']}
    """
    found: dict[str, list[ReplicaId]] = {}
    for id_, fact in sorted(members.facts.items()):
        keeper = members.active.get(fact.node, id_)
        is_another = fact.standing is Standing.ACTIVE and machine_of(keeper, fact.node) != machine_of(id_, fact.node)
        never_wrote = fact.standing > Standing.LEAVING and not fact.final
        if is_another or (fact.reason == NAMESAKE and not never_wrote):
            found.setdefault(fact.node, []).append(id_)
    return found
