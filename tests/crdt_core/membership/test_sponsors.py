"""Which member sponsors a node: one that runs, that knows the node, and that the others know."""

from __future__ import annotations

from dataclasses import replace

from crdt_core.lattice.clocks import VersionVector
from crdt_core.membership.decisions import Sponsor
from crdt_core.membership.evidence import NodeEvidence
from crdt_core.membership.sponsors import choose_sponsor
from crdt_core.types.members import REMOVED_BY_HAND, Fact, Members, Standing


def members(*nodes: str, left: str = "n3") -> Members:
    """These nodes, and one that leaves."""
    facts = {node: Fact(Standing.ACTIVE, node) for node in nodes}
    return Members({**facts, left: Fact(Standing.LEAVING, left, reason=REMOVED_BY_HAND)}, {})


def member(node: str, known: Members, **clock: int) -> NodeEvidence:
    return NodeEvidence(node, VersionVector(clock), known, running=True)


ALL = members("n1", "n2", "n4")
N3 = NodeEvidence("n3", VersionVector(n2=5, n3=21))
"""It leaves, and its worker does not run."""


def test_the_sponsor_is_the_member_that_has_seen_most() -> None:
    n2, n4 = member("n2", ALL, n2=5), member("n4", ALL, n2=5, n4=9)
    assert choose_sponsor("n1", {"n2": n2, "n3": N3, "n4": n4}, ALL) == Sponsor("n4", "n4")


def test_a_sponsor_has_recorded_the_newcomer_itself() -> None:
    """Found by the simulator: n4 had seen most. But n3, which had added n4, was removed, and n4 heard of nothing more.

    It took the newcomer for a stranger for ever. No member could close the id of n3 without the newcomer.
    """
    n2, n4 = member("n2", ALL, n2=5), member("n4", members("n2", "n4"), n2=5, n3=21, n4=9)
    assert choose_sponsor("n1", {"n2": n2, "n3": N3, "n4": n4}, ALL, "n1") == Sponsor("n2", "n2")


def test_a_sponsor_is_a_member_of_which_most_nodes_have_heard() -> None:
    """n5 has seen most, but only n3, which was removed, had heard of it: what n5 records may reach nobody."""
    known, wider = members("n1", "n2"), members("n1", "n2", "n5")
    n2, n5 = member("n2", known, n1=9, n2=9), member("n5", wider, n2=5, n3=21, n5=9)
    assert choose_sponsor("n1", {"n2": n2, "n3": N3, "n4": None, "n5": n5}, wider) == Sponsor("n2", "n2")


def test_a_node_that_is_down_joins_or_holds_abandoned_commits_is_none() -> None:
    n2 = member("n2", ALL, n2=5)
    gone = Members({**ALL.facts, "n3": Fact(Standing.SEALED, "n3", reason=REMOVED_BY_HAND, final=4)}, {})
    for unfit, known in (
        (replace(n2, running=False), ALL),
        (replace(n2, joining=True), ALL),
        (replace(n2, replica="n2.2"), ALL),
        (replace(n2, clock=VersionVector(n3=5)), gone),
    ):
        assert choose_sponsor("n1", {"n2": unfit, "n4": None}, known) is None
