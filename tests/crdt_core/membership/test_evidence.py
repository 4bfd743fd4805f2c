"""Evidence: what the nodes that answer know of the members together, and whose word does not count."""

from __future__ import annotations

from dataclasses import replace

from crdt_core.lattice.clocks import VersionVector
from crdt_core.membership.evidence import NodeEvidence, OperatorOverride, combined_members, departed, disowned
from crdt_core.types.members import LOST, REMOVED_BY_HAND, Fact, Members, Standing

FOUNDERS = ("n1", "n2")


def active(node: str) -> Fact:
    return Fact(Standing.ACTIVE, node)


def knowing(replica: str, clock: VersionVector | None = None, **facts: Fact) -> NodeEvidence:
    """The evidence of a replica that knows these facts."""
    return NodeEvidence(replica, clock or VersionVector(), Members(facts, {}))


def test_a_redis_that_holds_no_replica_says_nothing() -> None:
    nothing = NodeEvidence()
    assert (nothing.replica, nothing.clock, nothing.members.facts) == ("", {}, {})
    assert not any((nothing.joining, nothing.restored, nothing.restoring, nothing.doubtful, nothing.running))
    assert OperatorOverride() == OperatorOverride(trusting=False, unsponsored=False)


def test_before_the_first_change_the_members_are_the_founders() -> None:
    founded = NodeEvidence("n1", founders=FOUNDERS)
    assert combined_members([NodeEvidence(), founded, None], ["n1", "n2", "n9"]).active == {"n1": "n1", "n2": "n2"}


def test_if_nobody_knows_the_founders_they_are_the_nodes_of_the_fleet_file() -> None:
    assert combined_members([NodeEvidence(), None], ["n1", "n9"]).active == {"n1": "n1", "n9": "n9"}
    assert combined_members([], ["n1"]).active == {"n1": "n1"}


def test_what_the_nodes_know_is_joined() -> None:
    one = knowing("n1", n1=active("n1"), n2=active("n2"), n3=active("n3"))
    other = knowing("n2", n1=active("n1"), n2=active("n2"), n3=Fact(Standing.LEAVING, "n3", reason=LOST))
    assert combined_members([one, None, other], ()).active == {"n1": "n1", "n2": "n2"}


def test_the_ids_that_have_departed_are_those_of_which_any_member_knows_it() -> None:
    own = knowing("n1", n1=active("n1"), n2=active("n2"), n3=active("n3"))
    left = {"n3": Fact(Standing.LEAVING, "n3", reason=LOST), "n4": Fact(Standing.FOLDED, "n4", reason=LOST)}
    n2 = knowing("n2", n1=active("n1"), n2=active("n2"), **left)
    n3 = knowing("n3", n1=Fact(Standing.LEAVING, "n1", reason=REMOVED_BY_HAND), n3=active("n3"))
    assert departed("n1", own, {"n2": n2, "n3": n3, "n5": None}) == {"n3", "n4"}, "n3 speaks for nobody"
    assert departed("n1", own, {"n2": None}) == set()


def test_a_node_that_leaves_speaks_for_nobody() -> None:
    """Nobody else may ever hear of n4, which only n3 has added."""
    n1 = knowing("n1", n1=active("n1"), n3=Fact(Standing.LEAVING, "n3", reason=REMOVED_BY_HAND))
    n3 = knowing("n3", n1=active("n1"), n3=active("n3"), n4=active("n4"))
    assert combined_members([n1, n3], ()).active == {"n1": "n1"}
    assert combined_members([n1, n3], (), own=n3).active == {"n1": "n1", "n4": "n4"}, "its own word counts for itself"


def test_a_node_that_holds_commits_that_the_others_have_given_up_speaks_for_nobody() -> None:
    sealed = Fact(Standing.SEALED, "n3", reason=REMOVED_BY_HAND, final=4)
    n1 = knowing("n1", n1=active("n1"), n3=sealed)
    n4 = knowing("n4", VersionVector(n3=5), n1=active("n1"), n3=active("n3"), n4=active("n4"))
    assert combined_members([n1, n4], ()).active == {"n1": "n1"}
    assert combined_members([n1, replace(n4, clock=VersionVector(n3=4))], ()).active == {"n1": "n1", "n4": "n4"}


def test_if_only_such_nodes_answer_their_word_is_what_there_is() -> None:
    n3 = knowing("n3", n1=active("n1"), n3=Fact(Standing.LEAVING, "n3", reason=LOST))
    assert combined_members([n3, None], ()).active == {"n1": "n1"}


def test_a_node_whose_id_has_left_is_told_though_answers_to_it_reach_another_machine_of_its_name() -> None:
    """Found by the simulator: n3 was removed, and its namesake had its address. It served until its id was sealed."""
    left = Fact(Standing.LEAVING, "n3", reason=REMOVED_BY_HAND)
    n1 = knowing("n1", **{"n1": active("n1"), "n3-4f2a91": left, "n3-07b3e8.2": active("n3-07b3e8")})
    own = knowing("n3-4f2a91", **{"n1": active("n1"), "n3-4f2a91": active("n3")})
    assert disowned("n3", own, {"n1": n1}) == "its id n3-4f2a91 has left the fleet (removed)"
    assert disowned("n3", own, {"n1": None}) == ""
