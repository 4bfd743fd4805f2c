"""Who does not tell what it has seen of a node's commits, and why."""

from __future__ import annotations

from crdt_core.lattice.clocks import VersionVector
from crdt_core.membership.evidence import NodeEvidence
from crdt_core.membership.silence import silent_nodes, why_silent
from crdt_core.types.members import LOST, NAMESAKE, Fact, Members, Standing

FOUNDERS = Members.founders(["n1", "n2", "n3"])
OWN, N2, N3 = (NodeEvidence(node, VersionVector(n1=7)) for node in ("n1", "n2", "n3"))


def fleet(closings: tuple[str, ...] = (), **facts: Fact) -> Members:
    """The founders, and these facts; `_` stands for `-` in the ids. `closings`: who has closed the ids that leave."""
    named = {id_.replace("_", "-"): fact for id_, fact in facts.items()}
    leaving = [id_ for id_, fact in named.items() if fact.standing is Standing.LEAVING]
    return Members({**FOUNDERS.facts, **named}, dict.fromkeys(leaving, closings))


def silent(others: dict[str, NodeEvidence | None], members: Members = FOUNDERS, own: NodeEvidence = OWN) -> list[str]:
    return silent_nodes("n1", own, others, members)


def test_nobody_is_silent_who_answers() -> None:
    assert silent({"n2": N2, "n3": N3}) == []
    assert silent({"n2": N2, "n3": NodeEvidence()}) == [], "an empty Redis has seen nothing"


def test_who_does_not_answer_or_has_discarded_its_state_is_silent() -> None:
    others = {"n2": NodeEvidence("n2.2", joining=True, formers=("n2",)), "n3": None}
    assert silent(others) == ["n2", "n3"]
    assert why_silent(["n2", "n3"], others) == "the Redis of n3 does not answer"
    assert why_silent(["n2"], others) == "n2 does not have the state that would tell"


def test_who_leaves_is_asked_until_every_member_has_closed_its_id() -> None:
    gone = Fact(Standing.LEAVING, "n4", reason=LOST)
    assert silent({"n2": N2, "n3": N3}, fleet(("n1", "n2"), n4=gone)) == ["n4"]
    assert silent({"n2": N2, "n3": N3}, fleet(("n1", "n2", "n3"), n4=gone)) == []
    assert silent({"n2": N2, "n3": NodeEvidence()}, fleet(("n1", "n2"), n4=gone)) == [], "n3 takes its state from one"


def test_whom_only_an_id_that_leaves_has_recorded_is_asked_until_every_member_has_closed_that() -> None:
    """A member that has not heard of the end yet may still read of the other in the log of the id that leaves."""
    gone = Fact(Standing.LEAVING, "n4", reason=LOST)
    n4 = NodeEvidence("n4", VersionVector(n1=7), Members({"n5-07": Fact(Standing.ACTIVE, "n5")}, {}))
    others: dict[str, NodeEvidence | None] = {"n2": N2, "n3": N3, "n4": n4}
    assert silent({**others, "n5": None}, fleet(("n1", "n2"), n4=gone)) == ["n5"]
    assert silent({**others, "n5": NodeEvidence("n5-07")}, fleet(("n1", "n2"), n4=gone)) == []
    assert silent({**others, "n5": None}, fleet(("n1", "n2", "n3"), n4=gone)) == []


def test_what_the_others_know_of_a_node_counts_whatever_an_id_that_leaves_has_heard_last() -> None:
    """n4 has taken in that n3 has ended, which nobody else may ever hear: n3 is a member, and is asked."""
    gone = Fact(Standing.LEAVING, "n4", reason=LOST)
    ended = Fact(Standing.SEALED, "n3", reason=LOST, final=7)
    n4 = NodeEvidence("n4", VersionVector(n1=7), Members({"n3": ended}, {}))
    assert silent({"n2": N2, "n3": None, "n4": n4}, fleet(n4=gone)) == ["n3"]


def test_another_machine_with_the_name_of_a_node_does_not_answer_for_it() -> None:
    both = fleet(n4_07=Fact(Standing.ACTIVE, "n4"), n4_4f=Fact(Standing.ACTIVE, "n4"))
    first, second = (NodeEvidence(id_, VersionVector(n1=7)) for id_ in ("n4-07", "n4-4f"))
    founders: dict[str, NodeEvidence | None] = {"n2": N2, "n3": N3}
    assert silent({**founders, "n4": second}, both) == ["n4-07"]
    assert silent({**founders, "n4": NodeEvidence()}, both) == ["n4-07"], "it is that of the machine with the name"
    assert silent({**founders, "n4": first}, both) == ["n4"]
    assert silent({**founders, "n4": second, "n4-07": first}, both) == []


def test_another_machine_with_the_own_name_is_asked_too() -> None:
    left = Fact(Standing.LEAVING, "n1", reason=NAMESAKE)
    others: dict[str, NodeEvidence | None] = {"n2": N2, "n3": N3}
    members = fleet(n1_07=left)
    assert silent(others, members) == ["n1-07"]
    assert silent(others, members, NodeEvidence("n1", formers=("n1-07",))) == []
    assert silent(others, members, NodeEvidence()) == [], "an empty Redis does not say which machine it is"
