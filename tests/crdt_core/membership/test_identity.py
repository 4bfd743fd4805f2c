"""Under which replica id a node may run, case by case: never under one of which anybody may have seen more."""

from __future__ import annotations

from dataclasses import replace
from unittest.mock import ANY

import pytest

from crdt_core.errors import DamagedState, HalfRestored, NotAMember
from crdt_core.lattice.clocks import VersionVector
from crdt_core.membership.decisions import ComeBack, Decision, Join, Resume, Sponsor, Wait, start_of
from crdt_core.membership.evidence import NodeEvidence, OperatorOverride
from crdt_core.membership.identity import decide
from crdt_core.types.members import ABSENT, LOST, NAMESAKE, REMOVED_BY_HAND, Fact, Members, Standing

FOUNDERS = ("n1", "n2", "n3")
NOTHING = NodeEvidence()


def evidence(node: str, *, n1: int = 0, **more: int) -> NodeEvidence:
    """Return the evidence of the founder `node`, which runs and has this clock."""
    clock = VersionVector({id_: counter for id_, counter in {"n1": n1, **more}.items() if counter})
    return NodeEvidence(node, clock, founders=FOUNDERS, running=True)


def choose(
    own: NodeEvidence, *, n2: NodeEvidence | None, n3: NodeEvidence | None, patient: bool = False, **override: bool
) -> Decision:
    return decide("n1", own, {"n2": n2, "n3": n3}, nonce="c0de", patient=patient, override=OperatorOverride(**override))


def with_members(own: NodeEvidence, *facts: Fact, ids: tuple[str, ...]) -> NodeEvidence:
    return replace(own, members=Members(dict(zip(ids, facts, strict=True)), {}))


def active(node: str) -> Fact:
    return Fact(Standing.ACTIVE, node)


def leaving(node: str, reason: str) -> Fact:
    return Fact(Standing.LEAVING, node, reason=reason)


N2, N3 = evidence("n2", n1=5), evidence("n3", n1=7)
OWN = evidence("n1", n1=7)


def test_a_fleet_that_starts_for_the_first_time_is_founded() -> None:
    assert choose(NOTHING, n2=NOTHING, n3=NOTHING) == Resume("n1", FOUNDERS)
    assert choose(NOTHING, n2=evidence("n2"), n3=NOTHING) == Resume("n1", FOUNDERS)


def test_nobody_founds_a_fleet_whose_other_nodes_do_not_answer_unless_an_operator_vouches() -> None:
    assert isinstance(choose(NOTHING, n2=None, n3=NOTHING), Wait)
    assert choose(NOTHING, n2=None, n3=NOTHING, trusting=True) == Resume("n1", FOUNDERS)


def test_a_node_goes_on_where_it_was() -> None:
    assert choose(OWN, n2=N2, n3=N3) == Resume("n1", FOUNDERS)
    assert choose(OWN, n2=None, n3=None) == Resume("n1", FOUNDERS)
    assert choose(replace(OWN, doubtful=True), n2=N2, n3=N3) == Resume("n1", FOUNDERS)


def test_a_redis_of_which_others_have_seen_more_than_it_holds_has_lost_commits() -> None:
    decision = choose(evidence("n1", n1=6), n2=N2, n3=N3)
    assert decision == ComeBack("n1.2", Sponsor("n3", "n3"), decision.reason, fresh=False)
    assert "it is at 6, others have seen 7" in decision.reason


def test_a_redis_that_has_lost_a_removal_which_others_have_forgotten_comes_back() -> None:
    """It resumed its id, and counted upon what n2 had deleted. With equal clocks, members showed different counts.

    All Redis had been restarted. That of n1 had lost nothing of its own, but the commit that took the removal in.
    """
    doubtful, n2 = replace(OWN, doubtful=True), evidence("n2", n1=7, n2=4)
    n3 = replace(N3, stable=VersionVector(n1=7, n2=4))
    decision = choose(doubtful, n2=n2, n3=n3)
    assert decision == ComeBack("n1.2", Sponsor("n2", "n2"), decision.reason, fresh=False)
    assert "lost removals that it had taken in, and that n3 has forgotten since" in decision.reason
    assert choose(doubtful, n2=n2, n3=n3, trusting=True) == decision, "the others know better"
    assert choose(replace(doubtful, clock=VersionVector(n1=7, n2=4)), n2=n2, n3=n3) == Resume("n1", FOUNDERS)


def test_the_frontier_of_a_node_that_has_left_and_ids_that_are_folded_here_say_nothing_of_lost_removals() -> None:
    own, n2 = removing_n3(replace(OWN, doubtful=True), "n1", "n2"), removing_n3(N2, "n1", "n2")
    gone = replace(N3, stable=VersionVector(n1=7, n3=99))
    assert choose(own, n2=n2, n3=gone) == Resume("n1", FOUNDERS)
    folded = Members({"n1": active("n1"), "n2": active("n2"), "n3": Fact(Standing.FOLDED, "n3", final=4)}, {})
    own, n2 = (replace(one, members=folded) for one in (own, replace(n2, stable=VersionVector(n1=5, n3=4))))
    assert choose(own, n2=n2, n3=NOTHING) == Resume("n1", FOUNDERS)


def test_an_empty_redis_whose_node_others_have_seen_has_lost_everything() -> None:
    assert choose(NOTHING, n2=N2, n3=NOTHING) == ComeBack(
        "n1.2", Sponsor("n2", "n2"), "its Redis has lost everything", fresh=True
    )


def test_new_ids_have_a_nonce_if_not_every_member_could_be_asked() -> None:
    decision = choose(evidence("n1", n1=6), n2=None, n3=N3)
    assert isinstance(decision, ComeBack)
    assert decision.replica == "n1.2-c0de"


def test_a_restarted_redis_is_not_trusted_while_somebody_cannot_be_asked() -> None:
    doubtful = replace(OWN, doubtful=True)
    assert isinstance(choose(doubtful, n2=None, n3=N3, patient=True), Wait)
    decision = choose(doubtful, n2=None, n3=N3)
    assert isinstance(decision, ComeBack)
    assert not decision.fresh
    assert isinstance(choose(doubtful, n2=None, n3=None), Wait)
    assert choose(doubtful, n2=None, n3=None, trusting=True) == Resume("n1", FOUNDERS)


def removing_n3(own: NodeEvidence, *closers: str) -> NodeEvidence:
    """Return the evidence `own`, which also says that n3 was removed by hand, and that `closers` have closed it."""
    facts = {"n1": active("n1"), "n2": active("n2"), "n3": leaving("n3", REMOVED_BY_HAND)}
    return replace(own, members=Members(facts, {"n3": closers} if closers else {}))


def test_a_restarted_redis_is_not_trusted_while_a_node_that_leaves_cannot_be_asked() -> None:
    """Found by the simulator: n3 was removed, and no member had closed it. It was not asked, and it had seen more.

    Members still took in what n3 knew, so they could hear of the commit that was lost, under a dot that was used again.
    """
    doubtful, n2 = replace(OWN, doubtful=True), removing_n3(N2, "n2")
    decision = choose(doubtful, n2=n2, n3=None, patient=True)
    assert isinstance(decision, Wait)
    assert "the Redis of n3 does not answer" in decision.reason
    decision = choose(doubtful, n2=n2, n3=None)
    assert isinstance(decision, ComeBack)
    assert decision.replica == "n1.2-c0de", "n3 may have recorded another id of n1"
    assert choose(doubtful, n2=n2, n3=replace(N3, running=False)) == Resume("n1", FOUNDERS)


def test_nobody_waits_for_a_node_that_leaves_once_every_member_has_closed_it() -> None:
    own, n2 = removing_n3(replace(OWN, doubtful=True), "n1"), removing_n3(N2, "n2")
    assert choose(own, n2=n2, n3=None, patient=True) == Resume("n1", FOUNDERS)


def test_a_node_that_has_discarded_its_state_does_not_tell_what_its_former_id_had_seen() -> None:
    """Found by the simulator: the clock of n3 was empty, but its former log still held what builds on a lost commit.

    n1 had not heard of the removal. It used the dot again, and read that log.
    """
    doubtful = replace(OWN, doubtful=True)
    facts = (active("n1"), active("n2"), leaving("n3", REMOVED_BY_HAND), active("n3"))
    n2 = with_members(N2, *facts, ids=("n1", "n2", "n3", "n3.2"))
    anew = NodeEvidence("n3.2", joining=True, formers=("n3",), running=True)
    decision = choose(doubtful, n2=n2, n3=anew, patient=True)
    assert isinstance(decision, Wait)
    assert "n3 does not have the state" in decision.reason
    assert isinstance(choose(doubtful, n2=n2, n3=anew), ComeBack)
    kept = replace(anew, clock=VersionVector(n1=7, n3=4), formers=())
    assert choose(doubtful, n2=n2, n3=kept) == Resume("n1", FOUNDERS)


@pytest.mark.parametrize("standing", [Standing.ACTIVE, Standing.LEAVING])
@pytest.mark.parametrize("keeper", [NodeEvidence("n3-4f", VersionVector(n1=7), running=True), NOTHING])
def test_of_two_machines_with_one_name_one_does_not_tell_what_the_other_has_seen(
    standing: Standing, keeper: NodeEvidence
) -> None:
    """Found by the simulator (seed 983422): the first n3 had read what n1 lost, and n1 used the dot again."""
    doubtful = replace(OWN, doubtful=True)
    facts = (active("n1"), active("n2"), Fact(standing, "n3", reason=NAMESAKE if standing else ""), active("n3"))
    n2 = with_members(N2, *facts, ids=("n1", "n2", "n3-07", "n3-4f"))
    assert isinstance(choose(doubtful, n2=n2, n3=keeper, patient=True), Wait)
    assert isinstance(choose(doubtful, n2=n2, n3=keeper), ComeBack)
    first = NodeEvidence("n3-07", VersionVector(n1=7))
    others = {"n2": n2, "n3": keeper, "n3-07": first}
    assert decide("n1", doubtful, others, nonce="") == Resume("n1", FOUNDERS)
    others["n3-07"] = replace(first, clock=VersionVector(n1=8))
    assert isinstance(decide("n1", doubtful, others, nonce="", patient=True), ComeBack)


def test_of_two_machines_the_one_that_has_the_name_is_asked_whatever_the_file_says() -> None:
    """The address in the fleet file, which prevails, may be that of the other machine."""
    n2 = with_members(N2, *map(active, ("n1", "n2", "n3")), ids=("n1", "n2", "n3-4f"))
    doubtful = replace(OWN, doubtful=True)
    assert isinstance(choose(doubtful, n2=n2, n3=NodeEvidence("n3-07", VersionVector(n1=7))), ComeBack)
    assert choose(doubtful, n2=n2, n3=NodeEvidence("n3-4f", VersionVector(n1=7))) == Resume("n1", FOUNDERS)


def test_a_node_that_has_discarded_its_state_does_not_tell_either_if_its_new_id_is_lost() -> None:
    """Found by the simulator: n1 had recorded n2.2, and lost that commit. So n2 did not leave, as far as anybody knew.

    n1 took the empty clock for all that n2 had seen, and used the dot again that the former log of n2 builds on.
    """
    doubtful = replace(OWN, doubtful=True)
    n2 = NodeEvidence("n2.2", joining=True, formers=("n2",))
    decision = choose(doubtful, n2=n2, n3=N3, patient=True)
    assert isinstance(decision, Wait)
    assert "n2 does not have the state" in decision.reason
    decision = choose(doubtful, n2=n2, n3=N3)
    assert isinstance(decision, ComeBack)
    assert decision.replica == "n1.2-c0de"


def test_an_empty_redis_waits_for_a_node_that_leaves_until_the_other_members_have_closed_it() -> None:
    """A node that starts from the state of a member that has closed an id takes nothing of that id either."""
    unseen = evidence("n2")
    decision = choose(NOTHING, n2=removing_n3(unseen), n3=None)
    assert isinstance(decision, Wait)
    assert decision.override == "trusting"
    joins = Join("n1", Sponsor("n2", "n2"), fresh=True)
    assert choose(NOTHING, n2=removing_n3(unseen), n3=None, trusting=True) == joins
    assert choose(NOTHING, n2=removing_n3(unseen, "n2"), n3=None) == joins


def test_newcomers_do_not_wait_for_each_other_to_close_an_id_that_leaves() -> None:
    """Found by the simulator: n1 and n3 were added, and n4 had discarded its state. Both waited for each other.

    A member whose Redis is empty takes its state from one that has closed the id, so it takes in nothing of that id.
    """
    ids = ("n1", "n2", "n3", "n4", "n4.2")
    facts = dict(zip(ids, (*map(active, ids[:3]), leaving("n4", LOST), active("n4")), strict=True))
    n2 = replace(evidence("n2"), members=Members(facts, {"n4": ("n2", "n4.2")}))
    n4 = NodeEvidence("n4.2", joining=True, formers=("n4",), running=True)
    others = {"n2": n2, "n3": NOTHING, "n4": n4}
    assert decide("n1", NOTHING, others, nonce="c0de") == Join("n1", Sponsor("n2", "n2"), fresh=True)
    for undecided in (None, NodeEvidence("n3", joining=True)):  # it may be taking in the state of before
        assert isinstance(decide("n1", NOTHING, {**others, "n3": undecided}, nonce="c0de"), Wait)


def test_what_a_running_node_has_read_may_be_about_to_be_committed() -> None:
    """Found by the simulator: no header told of the commit yet, so the node kept its id and used the dot again."""
    doubtful = replace(OWN, doubtful=True, run_id="new")
    elder = replace(N2, met={"n1": "old"})
    decision = choose(doubtful, n2=elder, n3=N3)
    assert isinstance(decision, ComeBack)
    assert "n2 may know what it lost" in decision.reason
    for younger in (replace(N2, met={"n1": "new"}), replace(N2, met={}), replace(elder, running=False)):
        assert choose(doubtful, n2=younger, n3=N3) == Resume("n1", FOUNDERS)


def test_a_node_whose_redis_was_restarted_too_is_given_time_to_show_that_it_lives() -> None:
    """Found by the simulator: a header was behind its worker, which gave the lost commits back a moment later."""
    doubtful = replace(OWN, doubtful=True, run_id="new")
    set_back = replace(N2, doubtful=True, owned=True, running=False)
    assert isinstance(choose(doubtful, n2=set_back, n3=N3, patient=True), Wait)
    assert choose(doubtful, n2=set_back, n3=N3) == Resume("n1", FOUNDERS)
    assert choose(doubtful, n2=replace(set_back, owned=False), n3=N3, patient=True) == Resume("n1", FOUNDERS)


def test_nodes_that_all_start_in_doubt_do_not_wait_for_each_other() -> None:
    """After every restart of `make fleet`, five starting workers waited ten seconds for what none of them had."""
    doubtful = replace(OWN, doubtful=True, run_id="new")
    starting = replace(N2, doubtful=True, owned=True, running=False, starting=True)
    assert choose(doubtful, n2=starting, n3=N3, patient=True) == Resume("n1", FOUNDERS)
    ahead = choose(doubtful, n2=replace(starting, clock=VersionVector(n1=9)), n3=N3, patient=True)
    assert isinstance(ahead, ComeBack)


def test_a_node_that_comes_back_itself_is_no_sponsor() -> None:
    lost = evidence("n1", n1=6)
    assert isinstance(choose(lost, n2=replace(N2, running=False), n3=replace(N3, joining=True)), Wait)
    decision = choose(lost, n2=replace(N2, running=False), n3=replace(N3, joining=True), unsponsored=True)
    assert decision == ComeBack("n1.2", None, decision.reason, fresh=False)


def test_a_lone_node_needs_no_sponsor() -> None:
    own = NodeEvidence("n1", VersionVector(n1=3), founders=("n1",), restored=True, doubtful=True)
    decision = decide("n1", own, {}, nonce="c0de")
    assert decision == ComeBack("n1.2", None, "its state comes from a backup", fresh=False)


def test_a_newcomer_joins_under_the_id_that_was_recorded() -> None:
    ids = ("n1", "n2", "n3")
    announced = with_members(N2, active("n1"), active("n2"), active("n3"), ids=ids)
    assert choose(NOTHING, n2=replace(announced, clock=VersionVector()), n3=NOTHING) == Join(
        "n1", Sponsor("n2", "n2"), fresh=True
    )


def test_a_node_that_was_killed_while_it_joined_joins_on() -> None:
    own = NodeEvidence("n1.2", VersionVector(), joining=True)
    facts = (leaving("n1", LOST), active("n1"), active("n2"), active("n3"))
    n2 = with_members(N2, *facts, ids=("n1", "n1.2", "n2", "n3"))
    assert choose(own, n2=n2, n3=N3) == Join("n1.2", Sponsor("n2", "n2"), fresh=False)


def test_a_node_that_was_killed_while_it_joined_is_no_fleet_of_its_own_whatever_an_operator_vouches() -> None:
    """Found by the simulator (seed 200473): it recorded itself in a state without members, which no member may do.

    So it never ran, and the member that had the state could not find out what the node may have seen.
    """
    own = NodeEvidence("n1.2", VersionVector(), joining=True)
    facts = (leaving("n1", LOST), active("n1"), active("n2"), active("n3"))
    n2 = replace(with_members(N2, *facts, ids=("n1", "n1.2", "n2", "n3")), running=False)
    for began in (own, replace(own, replica="n1.3")):
        assert isinstance(choose(began, n2=n2, n3=replace(N3, running=False), unsponsored=True), Wait)
    whole = replace(own, replica="n1.3", clock=VersionVector(n1=3), founders=FOUNDERS)
    assert isinstance(choose(whole, n2=n2, n3=replace(N3, running=False), unsponsored=True), ComeBack)


def test_a_node_that_has_no_state_asks_for_no_word_of_an_operator_that_would_not_help_it() -> None:
    """Found by the simulator (seed 980306): the operator vouched for it again and again, and not for another node.

    That one had the whole state, so the word would have brought it up, and the others with it.
    """
    facts = (leaving("n1", LOST), active("n1"), active("n2"), active("n3"))
    n2 = with_members(N2, *facts, ids=("n1", "n1.2", "n2", "n3"))
    others = {"n2": replace(n2, running=False), "n3": replace(N3, running=False)}
    for began in (NodeEvidence("n1.3", joining=True), replace(OWN, replica="n1")):
        decision = choose(began, **others)
        assert isinstance(decision, Wait)
        vouched = choose(began, **others, unsponsored=True)
        assert (decision.override == "unsponsored") == isinstance(vouched, ComeBack)


def test_a_node_that_lost_commits_of_the_id_under_which_it_joined_takes_another() -> None:
    """Found by the simulator: a Redis was set back to the time of joining, and the node joined under the same id."""
    own = NodeEvidence("n1.2", VersionVector(), joining=True)
    facts = (leaving("n1", LOST), active("n1"), active("n2"), active("n3"))
    n2 = with_members(evidence("n2", n1=5, **{"n1.2": 3}), *facts, ids=("n1", "n1.2", "n2", "n3"))
    decision = choose(own, n2=n2, n3=N3)
    assert decision == ComeBack("n1.3", Sponsor("n2", "n2"), decision.reason, fresh=False)


def test_what_only_a_removed_node_has_recorded_does_not_count() -> None:
    """Found by the simulator: n1 joined for ever under an id that n3 had recorded while n2 removed n3."""
    own = NodeEvidence("n1.2", VersionVector(), joining=True)
    n2 = with_members(N2, active("n1"), active("n2"), leaving("n3", REMOVED_BY_HAND), ids=FOUNDERS)
    facts = (leaving("n1", LOST), active("n1"), active("n2"), active("n3"))
    n3 = with_members(replace(N3, running=False), *facts, ids=("n1", "n1.2", "n2", "n3"))
    decision = choose(own, n2=n2, n3=n3)
    assert decision == ComeBack("n1.3", Sponsor("n2", "n2"), decision.reason, fresh=False)


def test_a_stranger_and_a_removed_node_do_not_run() -> None:
    with pytest.raises(NotAMember, match="deltaic node add n9"):
        decide("n9", NOTHING, {"n1": OWN, "n2": N2}, nonce="")
    removed = with_members(N2, leaving("n1", REMOVED_BY_HAND), active("n2"), active("n3"), ids=FOUNDERS)
    with pytest.raises(NotAMember, match="was removed"):
        choose(OWN, n2=removed, n3=N3)


def test_a_fenced_node_comes_back_with_nothing_but_its_unsent_writes() -> None:
    fenced = with_members(N2, leaving("n1", ABSENT), active("n2"), active("n3"), ids=FOUNDERS)
    decision = choose(OWN, n2=fenced, n3=N3)
    assert decision == ComeBack("n1.2", Sponsor("n3", "n3"), decision.reason, fresh=True)


def test_a_fenced_node_does_not_give_up_its_state_for_none() -> None:
    fenced = with_members(N2, leaving("n1", ABSENT), active("n2"), active("n3"), ids=FOUNDERS)
    away, gone = replace(fenced, running=False), replace(N3, running=False)
    assert isinstance(choose(OWN, n2=away, n3=gone, unsponsored=True), Wait)


def test_a_node_that_was_admitted_under_a_new_id_but_did_not_note_it_takes_another() -> None:
    """It was killed in between. A life that this Redis has lost may have used the new id."""
    facts = (leaving("n1", LOST), active("n1"), active("n2"), active("n3"))
    n2 = with_members(N2, *facts, ids=("n1", "n1.2", "n2", "n3"))
    decision = choose(OWN, n2=n2, n3=N3)
    assert isinstance(decision, ComeBack)
    assert (decision.replica, decision.fresh) == ("n1.3", False)


def restored(replica: str = "n1", **clock: int) -> NodeEvidence:
    """Return what a node's Redis holds after a restore."""
    return NodeEvidence(replica, VersionVector(clock), founders=FOUNDERS, restored=True, doubtful=True)


def test_a_backup_of_any_node_is_taken_up_under_a_new_id() -> None:
    decision = choose(restored(n1=7, n2=3), n2=evidence("n2", n1=9, n2=5), n3=N3)
    assert decision == ComeBack("n1.2", Sponsor("n2", "n2"), decision.reason, fresh=False)
    of_n2 = choose(restored("n2", n1=7, n2=3), n2=evidence("n2", n1=9, n2=5), n3=N3)
    assert of_n2 == decision


def test_a_backup_waits_for_a_sponsor_unless_an_operator_vouches_that_nobody_runs() -> None:
    assert isinstance(choose(restored(n1=7), n2=NOTHING, n3=NOTHING), Wait)
    decision = choose(restored(n1=7), n2=NOTHING, n3=NOTHING, unsponsored=True)
    assert decision == ComeBack("n1.2", None, decision.reason, fresh=False)


def test_a_part_of_a_backup_is_no_replica() -> None:
    with pytest.raises(HalfRestored, match="deltaic restore"):
        choose(NodeEvidence(restoring=True), n2=N2, n3=N3)


def since_gone(n1: Fact, closers: tuple[str, ...] = ()) -> NodeEvidence:
    """Return the evidence of n2 after node n1 has come back as n1.2."""
    facts = dict(zip(("n1", "n1.2", "n2", "n3"), (n1, active("n1"), active("n2"), active("n3")), strict=True))
    return replace(N2, clock=VersionVector({"n1": 5, "n1.2": 1}), members=Members(facts, {"n1": closers}))


@pytest.mark.parametrize(
    ("n2", "fresh"),
    [
        (since_gone(leaving("n1", LOST)), False),
        (since_gone(leaving("n1", LOST), closers=("n2", "n3")), False),
        (since_gone(leaving("n1", LOST), closers=("n1.2", "n2")), True),
        (since_gone(Fact(Standing.SEALED, "n1", reason=LOST, final=5)), True),
        (since_gone(Fact(Standing.FOLDED, "n1", reason=LOST, final=5)), True),
        (since_gone(leaving("n1", ABSENT)), True),
    ],
)
def test_a_backup_with_commits_that_the_fleet_has_abandoned_brings_nothing_to_it(n2: NodeEvidence, fresh: bool) -> None:
    """The backup holds 7 commits of n1; the fleet has heard of 5, and went on with n1.2.

    Until n1.2 has closed n1, the fleet waits for the node that takes the place of n1.2.
    """
    n3 = replace(n2, replica="n3")
    decision = choose(restored(n1=7), n2=n2, n3=n3)
    assert isinstance(decision, ComeBack)
    assert (decision.replica, decision.fresh) == ("n1.3", fresh)
    known = choose(restored(n1=5), n2=n2, n3=n3)
    assert isinstance(known, ComeBack)
    assert known.fresh is (n2.members.facts["n1"].reason == ABSENT)


def test_commits_that_the_fleet_has_abandoned_are_taken_up_if_no_member_runs() -> None:
    n2 = replace(since_gone(Fact(Standing.SEALED, "n1", reason=LOST, final=5)), running=False)
    decision = choose(restored(n1=7), n2=n2, n3=NOTHING, unsponsored=True)
    assert isinstance(decision, ComeBack)
    assert not decision.fresh


def test_a_running_node_knows_its_own_commits_better_than_a_backup() -> None:
    """n2 was backed up at 7 and set back to 5. It runs on, so its next commits are not those in the backup."""
    n2 = evidence("n2", n2=5)
    decision = choose(restored("n2", n2=7), n2=n2, n3=N3)
    assert isinstance(decision, ComeBack)
    assert decision.fresh
    asleep = choose(restored("n2", n2=7), n2=replace(n2, running=False), n3=N3)
    assert isinstance(asleep, ComeBack)
    assert not asleep.fresh


# Added by a member that left before anybody else had heard of the addition


GONE = Fact(Standing.SEALED, "n3", reason=REMOVED_BY_HAND, final=4)
UNHEARD = ("n2", "n3", "n4")


def added_by_n3(id_: str = "n1") -> NodeEvidence:
    """Return what the Redis of n1 holds, after n3 has added n1 with its 21st commit."""
    own = NodeEvidence(id_, VersionVector({"n2": 5, "n3": 21, "n4": 1, id_: 6}))
    return with_members(own, *map(active, ("n2", "n3", "n4")), active("n1"), ids=(*UNHEARD, id_))


def staying(node: str, n3: Fact = GONE, *known: Fact, ids: tuple[str, ...] = ()) -> NodeEvidence:
    """Return the evidence of a remaining node after n3 has gone. `known`: its facts about n1."""
    seen = NodeEvidence(node, VersionVector(n2=9, n3=4, n4=2), running=True)
    return with_members(seen, active("n2"), n3, active("n4"), *known, ids=(*UNHEARD, *ids))


def choose_unheard(
    own: NodeEvidence, *, n2: NodeEvidence | None, n4: NodeEvidence | None, n3: NodeEvidence | None = None
) -> Decision:
    return decide("n1", own, {"n2": n2, "n3": n3, "n4": n4}, nonce="c0de")


@pytest.mark.parametrize("end", [GONE, replace(GONE, standing=Standing.FOLDED)])
def test_a_node_whose_addition_no_remaining_member_heard_of_does_not_run(end: Fact) -> None:
    """Found by the simulator, seed 20887: the node served for ever, and nobody took in what it wrote."""
    with pytest.raises(NotAMember, match=r"no remaining member has heard.*deltaic node add n1"):
        choose_unheard(added_by_n3(), n2=staying("n2", end), n4=staying("n4", end))


def test_a_node_whose_addition_nobody_heard_of_waits_for_members_that_may_have_added_it_again() -> None:
    decision = choose_unheard(added_by_n3(), n2=staying("n2"), n4=None)
    assert isinstance(decision, Wait)
    assert "the Redis of n4 does not answer" in decision.reason


def test_a_node_whose_addition_nobody_heard_of_goes_on_until_its_adder_is_sealed_without_it() -> None:
    """The others may still hear of its addition, or have heard of it: nobody has heard everything."""
    going_on = Resume("n1", ())
    leaves = staying("n2", leaving("n3", REMOVED_BY_HAND))
    assert choose_unheard(added_by_n3(), n2=leaves, n4=None) == going_on
    assert choose_unheard(added_by_n3(), n2=None, n4=None) == going_on
    heard = staying("n2", replace(GONE, final=21), active("n1"), ids=("n1",))
    assert choose_unheard(added_by_n3(), n2=heard, n4=staying("n4", replace(GONE, final=21))) == going_on


def test_a_node_that_is_added_again_comes_back_with_nothing_but_its_unsent_writes() -> None:
    n2 = staying("n2", GONE, active("n1"), ids=("n1",))
    decision = choose_unheard(added_by_n3(), n2=n2, n4=staying("n4"))
    assert decision == ComeBack("n1.2", Sponsor("n4", "n4"), decision.reason, fresh=True)
    assert "commits of n3 that the fleet has abandoned" in decision.reason
    assert isinstance(choose_unheard(added_by_n3(), n2=replace(n2, running=False), n4=None), Wait)


def test_a_node_whose_addition_nobody_heard_of_joins_under_another_id_that_was_recorded() -> None:
    facts = (Fact(Standing.FOLDED, "n1", reason=REMOVED_BY_HAND), active("n1"))
    n2 = staying("n2", GONE, *facts, ids=("n1", "n1.3"))
    n4 = staying("n4")
    assert choose_unheard(added_by_n3("n1.2"), n2=n2, n4=n4) == Join("n1.3", Sponsor("n2", "n2"), fresh=True)


def test_a_removed_node_whose_second_addition_nobody_heard_of_does_not_run() -> None:
    n2 = staying("n2", GONE, Fact(Standing.FOLDED, "n1", reason=REMOVED_BY_HAND), ids=("n1",))
    with pytest.raises(NotAMember, match="was removed"):
        choose_unheard(added_by_n3("n1.2"), n2=n2, n4=staying("n4"))


def test_a_node_that_came_back_unheard_before_it_was_added_again_goes_on_as_the_machine_that_was_added() -> None:
    """Found by the simulator: nobody has recorded n1.2. It asked for n1.3 for ever."""
    removed = leaving("n1", REMOVED_BY_HAND)
    own = replace(NodeEvidence("n1.2", VersionVector({"n1": 6, "n1.2": 2}), formers=("n1",)), added=("n1-5eed.2",))
    n2, n4 = (staying(name, GONE, removed, active("n1"), ids=("n1", "n1-5eed.2")) for name in ("n2", "n4"))
    assert choose_unheard(own, n2=n2, n4=n4) == Join("n1-5eed.2", Sponsor("n4", "n4"), fresh=True)
    seen = replace(n2, clock=VersionVector({**n2.clock, "n1-5eed.2": 1}))
    decision = choose_unheard(own, n2=seen, n4=n4)
    assert decision == ComeBack("n1-5eed.3", Sponsor("n2", "n2"), "its id n1.2 has left the fleet", fresh=True)
    with pytest.raises(NotAMember, match="it was removed from this fleet, and another machine has its name"):
        choose_unheard(replace(own, added=("n1-c0de.2",)), n2=n2, n4=n4)


def test_a_node_whose_addition_nobody_heard_of_speaks_for_nobody_and_sponsors_nobody() -> None:
    """n5, which n3 added like n1, knows n1. The remaining members do not, though they have added n5 again."""
    n5 = replace(added_by_n3(), replica="n5", running=True, clock=VersionVector(n2=90, n3=21, n5=70))
    n5 = replace(n5, members=n5.members.joined(Members({"n5": active("n5")}, {})))
    others = {"n2": staying("n2"), "n3": None, "n4": staying("n4", GONE, active("n5"), ids=("n5",)), "n5": n5}
    with pytest.raises(NotAMember, match="no remaining member"):
        decide("n1", added_by_n3(), others, nonce="c0de")
    with pytest.raises(NotAMember, match="it is not a member"):
        decide("n1", NOTHING, others, nonce="c0de")
    n2 = staying("n2", GONE, active("n1"), ids=("n1",))
    decision = decide("n1", added_by_n3(), {**others, "n2": n2}, nonce="c0de")
    assert decision == ComeBack("n1.2", Sponsor("n4", "n4"), decision.reason, fresh=True)


def test_a_removed_node_with_more_commits_than_the_others_have_joins_under_the_id_of_its_addition() -> None:
    facts = (replace(GONE, node="n1"), active("n1"), active("n2"), active("n3"))
    n2 = with_members(N2, *facts, ids=("n1", "n1.2", "n2", "n3"))
    decision = choose(OWN, n2=replace(n2, clock=VersionVector(n1=4, n2=1)), n3=replace(N3, clock=VersionVector()))
    assert decision == Join("n1.2", Sponsor("n2", "n2"), fresh=True)


DAMAGED = replace(OWN, damaged="a set is gone")


def test_a_damaged_state_is_left_for_that_of_a_member_under_a_new_id() -> None:
    decision = choose(DAMAGED, n2=N2, n3=N3)
    assert decision == ComeBack("n1.2", Sponsor("n3", "n3"), decision.reason, fresh=True)
    assert "a set is gone" in decision.reason
    start = start_of(DAMAGED, decision)
    assert (start.discard, start.formers) == (True, ("n1",))
    assert start.header is not None
    assert (start.header["damaged"], start.header["unweighed"]) == (b"", b"")


def test_an_id_that_was_recorded_before_a_damaged_node_was_killed_is_used() -> None:
    members = {"n1": leaving("n1", LOST), "n1.2": active("n1"), "n2": active("n2"), "n3": active("n3")}
    n2, n3 = (with_members(one, *members.values(), ids=tuple(members)) for one in (N2, N3))
    assert choose(DAMAGED, n2=n2, n3=n3) == Join("n1.2", Sponsor("n3", "n3"), fresh=True)
    joining = replace(DAMAGED, replica="n1.2", joining=True)
    assert choose(joining, n2=n2, n3=n3) == ComeBack("n1.3", Sponsor("n3", "n3"), ANY, fresh=True)


def test_a_damaged_node_waits_for_a_member_that_has_the_state() -> None:
    for n2, n3 in ((None, None), (replace(N2, running=False), None)):
        decision = choose(DAMAGED, n2=n2, n3=n3, unsponsored=True)
        assert isinstance(decision, Wait)
        assert (decision.override, "a set is gone" in decision.reason) == ("accepting", True)


def test_an_operator_may_accept_a_damaged_state_that_nobody_can_replace() -> None:
    decision = choose(DAMAGED, n2=None, n3=None, accepting=True)
    assert isinstance(decision, ComeBack)
    assert (decision.replica, decision.sponsor, decision.fresh) == ("n1.2-c0de", None, False)
    start = start_of(DAMAGED, decision)
    assert start.header is not None
    assert (start.discard, start.header["damaged"], start.header["unweighed"]) == (False, b"", b"1")
    replaced = choose(DAMAGED, n2=N2, n3=None, accepting=True)
    assert isinstance(replaced, ComeBack)
    assert (replaced.sponsor, replaced.fresh) == (Sponsor("n2", "n2"), True)


def test_a_damaged_node_that_has_lost_its_members_waits_for_nodes_that_do_not_answer() -> None:
    """Found by the simulator (seed 981455): the worker ended, although the other node had the state."""
    lost = with_members(DAMAGED, active("n1"), ids=("n1",))
    decision = decide("n1", lost, {"n2": None}, nonce="c0de")
    assert isinstance(decision, Wait)
    assert decision.override == "accepting"
    n2 = with_members(N2, active("n1"), active("n2"), ids=("n1", "n2"))
    assert isinstance(decide("n1", lost, {"n2": n2}, nonce="c0de"), ComeBack)


def test_a_damaged_node_that_is_alone_does_not_run() -> None:
    alone = replace(DAMAGED, founders=("n1",))
    with pytest.raises(DamagedState, match="a set is gone; restore a backup"):
        decide("n1", alone, {}, nonce="c0de")
