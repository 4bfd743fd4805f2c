"""Two machines under one name: one keeps it, the other goes on under its own, and no write of either is lost."""

from __future__ import annotations

from dataclasses import replace

import pytest

from crdt_core.errors import InvalidArgument, NotAMember, Retired, UnknownNode
from crdt_core.lattice.clocks import Stamp, VersionVector
from crdt_core.membership.changes import AddMember, AdmitIncarnation, RemoveMember
from crdt_core.membership.decisions import ComeBack, Decision, Join, Resume, Sponsor, Wait, start_of
from crdt_core.membership.evidence import NodeEvidence, disowned
from crdt_core.membership.identity import decide
from crdt_core.membership.membership import Membership
from crdt_core.membership.namesakes import displaced_machine, ids_of_machine, namesakes
from crdt_core.node.events import ReplayAsked
from crdt_core.replica.replica import Replica
from crdt_core.types import PNCOUNTER
from crdt_core.types.counters import adjust
from crdt_core.types.members import LOST, NAMESAKE, REMOVED_BY_HAND, Fact, Members, Standing
from tests.crdt_core.fellows import Fellows
from tests.invocations import command

NOW = Stamp(1, 0)
FIRST, SECOND = "n3-07b3e8", "n3-4f2a91"
"""The ids of two machines that were added as n3; the second is later in the order, and so keeps the name."""


def active(node: str) -> Fact:
    return Fact(Standing.ACTIVE, node)


def ended(standing: Standing, reason: str, final: int = 0) -> Fact:
    return Fact(standing, "n3", reason=reason, final=final)


def fleet(**facts: Fact) -> Members:
    """n1, n2, and these facts; `_` stands for `-` and `__` for `.` in the ids."""
    named = {id_.replace("__", ".").replace("_", "-"): fact for id_, fact in facts.items()}
    return Members({"n1": active("n1"), "n2": active("n2"), **named}, {})


BOTH = fleet(n3_07b3e8=active("n3"), n3_4f2a91=active("n3"))


def test_of_two_machines_one_keeps_the_name_everywhere_the_same() -> None:
    assert BOTH.active["n3"] == SECOND
    assert displaced_machine(BOTH, "n3", [FIRST]) == FIRST
    assert displaced_machine(BOTH, "n3", [SECOND]) == ""
    assert namesakes(BOTH) == {"n3": [FIRST]}


def test_a_machine_that_was_added_twice_is_no_namesake_of_itself() -> None:
    assert displaced_machine(BOTH, "n3", [FIRST, SECOND]) == ""


def test_a_machine_keeps_its_name_through_all_its_ids() -> None:
    later = fleet(n3_07b3e8=ended(Standing.LEAVING, LOST), n3_07b3e8__2=active("n3"))
    assert displaced_machine(later, "n3", [FIRST]) == ""
    assert namesakes(later) == {}


def test_a_machine_without_a_nonce_keeps_its_name() -> None:
    """It was added by version 0.1.0, or is a founder."""
    assert displaced_machine(fleet(n3=active("n3"), n3_4f2a91=active("n3")), "n3", ["n3"]) == ""


@pytest.mark.parametrize("standing", [Standing.ACTIVE, Standing.LEAVING])
def test_a_machine_whose_own_name_was_added_goes_on_under_that_name(standing: Standing) -> None:
    """It took the id of that addition, under which it never ran, for another machine, and changed its name again."""
    added = Fact(standing, FIRST, reason=LOST if standing else "")
    members = Members({f"{FIRST}-5eed": added, f"{FIRST}.2": active(FIRST), SECOND: active("n3")}, {})
    assert displaced_machine(members, FIRST, [f"{FIRST}.2", f"{FIRST}-5eed"]) == ""


def test_who_has_been_told_goes_on_by_itself_even_when_the_other_is_gone() -> None:
    gone = fleet(n3_07b3e8=ended(Standing.LEAVING, NAMESAKE), n3_4f2a91=ended(Standing.LEAVING, REMOVED_BY_HAND))
    assert displaced_machine(gone, "n3", [FIRST]) == FIRST


def test_a_dispute_ends_when_the_machine_has_gone_on_or_had_written_nothing() -> None:
    folded = ended(Standing.FOLDED, NAMESAKE, 7)
    kept = active("n3")
    assert namesakes(fleet(n3_07b3e8=folded, n3_4f2a91=kept)) == {"n3": [FIRST]}
    assert namesakes(fleet(n3_07b3e8=replace(folded, reason=LOST), n3_4f2a91=kept)) == {}
    assert namesakes(fleet(n3_07b3e8=replace(folded, final=0), n3_4f2a91=kept)) == {}


# What is recorded


def knowing(members: Members) -> Replica:
    replica = Replica("n1", founders=["n1", "n2"])
    AddMember("n3", "", "", "07b3e8").run(replica, NOW)
    replica.commit(NOW)
    other = Replica("n2", founders=["n1", "n2"])
    AddMember("n3", "", "", "4f2a91").run(other, NOW)
    delta = other.commit(NOW)
    assert delta is not None
    replica.apply(delta)
    assert replica.members == members
    return replica


def test_additions_on_both_sides_of_a_partition_are_two_facts() -> None:
    knowing(BOTH)


def test_a_machine_is_admitted_under_its_own_name_and_its_former_id_leaves() -> None:
    replica = knowing(BOTH)
    assert AdmitIncarnation(FIRST, f"{FIRST}.2", "h:3", "redis://h").run(replica, NOW)
    replica.commit(NOW)
    assert replica.members.active == {"n1": "n1", "n2": "n2", "n3": SECOND, FIRST: f"{FIRST}.2"}
    left = replica.members.facts[FIRST]
    assert (left.standing, left.reason, left.node) == (Standing.LEAVING, NAMESAKE, "n3")
    assert ids_of_machine(replica.members, FIRST) == [FIRST]


def test_a_machine_that_comes_back_or_is_removed_leaves_its_namesake_alone() -> None:
    replica = knowing(BOTH)
    assert AdmitIncarnation("n3", f"{SECOND}.2").run(replica, NOW)
    replica.commit(NOW)
    assert replica.members.standing(FIRST) is Standing.ACTIVE
    assert RemoveMember("n3").run(replica, NOW) == f"{SECOND}.2"
    replica.commit(NOW)
    assert replica.members.active["n3"] == FIRST


def test_the_first_node_of_the_fleet_records_that_the_other_id_leaves() -> None:
    replica = knowing(BOTH)
    membership = Membership("n1", replica)
    membership.settle(NOW)
    replica.commit(NOW)
    assert replica.members.facts[FIRST].reason == NAMESAKE


def test_a_machine_that_hears_that_another_keeps_its_name_begins_anew() -> None:
    replica = Replica(FIRST)
    replica.join(knowing(BOTH).patch(None, NOW))
    with pytest.raises(Retired, match=f"the members know n3 as {SECOND}"):
        Membership("n3", replica).check()
    other = Replica(SECOND)
    other.join(knowing(BOTH).patch(None, NOW))
    Membership("n3", other).check()


# An id that is recorded too late: the machine had asked for it under its former name, before it went on

LATE = f"{FIRST}.2-c0de"


def gone_on(*, is_late: bool) -> Replica:
    """What n1 knows after the machine has gone on, and with `is_late`, after n4 has recorded the other id."""
    replica = knowing(BOTH)
    other = Replica("n4")
    other.join(replica.patch(None, NOW))
    AdmitIncarnation(FIRST, f"{FIRST}.2").run(replica, NOW)
    replica.commit(NOW)
    if is_late:
        AdmitIncarnation("n3", LATE).run(other, NOW)
        delta = other.commit(NOW)
        assert delta is not None
        replica.apply(delta)
    return replica


def test_an_id_under_the_former_name_of_a_machine_that_has_gone_on_is_not_recorded_any_more() -> None:
    """It took the name from the machine that kept it, nobody ran under it, and all others waited for it for ever."""
    with pytest.raises(UnknownNode):
        AdmitIncarnation("n3", LATE).run(gone_on(is_late=False), NOW)


def test_an_id_that_another_member_has_recorded_too_late_leaves_and_displaces_nobody() -> None:
    """Found by the simulator, seed 982179."""
    replica = gone_on(is_late=True)
    assert replica.members.standing(LATE) is Standing.ACTIVE
    assert replica.members.active == {"n1": "n1", "n2": "n2", "n3": SECOND, FIRST: f"{FIRST}.2"}
    Membership("n1", replica).settle(NOW)
    replica.commit(NOW)
    assert {id_ for id_, fact in replica.members.facts.items() if fact.standing is Standing.ACTIVE} == {
        *("n1", "n2", SECOND),
        f"{FIRST}.2",
    }


def test_a_machine_that_runs_under_the_late_id_begins_anew_under_its_own_name_whoever_keeps_the_other() -> None:
    replica = Replica(LATE)
    replica.join(gone_on(is_late=True).patch(None, NOW))
    with pytest.raises(Retired):
        Membership("n3", replica).check()
    assert displaced_machine(replica.members, "n3", [LATE]) == FIRST
    RemoveMember("n3").run(replica, NOW)
    replica.commit(NOW)
    assert "n3" not in replica.members.active
    with pytest.raises(Retired, match="the members know its machine by another name"):
        Membership("n3", replica).check()
    assert displaced_machine(replica.members, "n3", [LATE]) == FIRST


def test_a_machine_that_runs_as_one_node_is_not_added_as_another() -> None:
    """The members would take it for one that has gone on under that name."""
    with pytest.raises(InvalidArgument, match=f"{SECOND} is the machine that runs as n3"):
        AddMember(SECOND, "", "", "5eed").run(knowing(BOTH), NOW)
    assert AddMember(FIRST, "", "", "5eed").run(knowing(BOTH), NOW) == f"{FIRST}-5eed"


# What a machine decides


N1 = NodeEvidence("n1", VersionVector(n1=5), members=BOTH, founders=("n1", "n2"), running=True)
OWN = NodeEvidence(FIRST, VersionVector({"n1": 4, FIRST: 3}), members=BOTH, added=(FIRST,))


def choose(own: NodeEvidence, *, members: Members = BOTH, n1: NodeEvidence = N1) -> Decision:
    return decide("n3", own, {"n1": replace(n1, members=members), "n2": replace(n1, replica="n2")}, nonce="c0de")


def test_the_other_machine_goes_on_under_the_name_of_its_addition_from_the_fleets_state() -> None:
    decision = choose(OWN)
    assert isinstance(decision, ComeBack)
    assert (decision.replica, decision.renamed, decision.sponsor) == (f"{FIRST}.2", FIRST, Sponsor("n2", "n2"))
    start = start_of(OWN, decision)
    assert (start.renamed, start.formers, start.discard) == (FIRST, (FIRST,), True)
    assert start.header is not None
    assert start.header["joining"] == b"1"
    assert disowned("n3", OWN, {"n1": N1}) == "another machine keeps the name n3"


def test_it_takes_no_id_that_was_recorded_for_it_before() -> None:
    """It was killed before it had noted that in its header."""
    members = BOTH.joined(Members({f"{FIRST}.2": active(FIRST)}, {}))
    decision = choose(OWN, members=members)
    assert isinstance(decision, ComeBack)
    assert decision.replica == f"{FIRST}.3-c0de", "with a nonce, as a member of that name does not answer"


def test_it_waits_where_nobody_runs_who_could_record_its_id() -> None:
    assert isinstance(choose(OWN, n1=replace(N1, running=False)), Wait)


def test_the_machine_that_keeps_the_name_goes_on_as_before() -> None:
    own = replace(OWN, replica=SECOND, clock=VersionVector({SECOND: 3}), added=(SECOND,))
    assert choose(own) == Resume(SECOND, ())
    assert disowned("n3", own, {"n1": N1}) == ""


def test_a_machine_that_was_added_twice_goes_on_as_itself() -> None:
    decision = choose(replace(OWN, added=(FIRST, SECOND)))
    assert isinstance(decision, ComeBack)
    assert (decision.replica, decision.renamed) == (f"{FIRST}.2", "")


@pytest.mark.parametrize("added", [(FIRST,), ()], ids=["it knows which it is", "its Redis has lost everything"])
def test_an_empty_machine_does_not_take_the_id_of_its_namesake(added: tuple[str, ...]) -> None:
    """It took the name away from the machine that had it, which took it back, and so on."""
    with pytest.raises(NotAMember, match="another machine was added as n3 at the same time, and keeps the name"):
        choose(NodeEvidence(added=added))


def test_a_machine_without_writes_ends_once_nobody_can_hear_of_its_addition_any_more() -> None:
    """Found by the simulator: its adder was removed before any member had heard of it. No member recorded a new id.

    It asked one member after the other for ever. Where the adder still leaves, a member may hear of the addition: it
    waits for that, and asks nobody.
    """
    only_second = Members({id_: fact for id_, fact in BOTH.facts.items() if id_ != FIRST}, {})
    began = NodeEvidence(FIRST, joining=True, added=(FIRST,))
    n1, n2 = (NodeEvidence(name, members=only_second, running=True) for name in ("n1", "n2"))
    with pytest.raises(NotAMember, match="another machine was added as n3 at the same time, and keeps the name"):
        decide("n3", began, {"n1": n1, "n2": n2}, nonce="c0de")
    leaving = only_second.joined(Members({"n4": replace(ended(Standing.LEAVING, REMOVED_BY_HAND), node="n4")}, {}))
    decision = decide("n3", began, {"n1": replace(n1, members=leaving), "n2": n2}, nonce="c0de")
    assert isinstance(decision, Wait)
    assert "no member that answers has recorded this machine" in decision.reason
    assert isinstance(decide("n3", began, {"n1": n1, "n2": None}, nonce="c0de"), Wait), "n2 may have heard of it"
    assert isinstance(decide("n3", began, {"n1": replace(n1, members=BOTH), "n2": n2}, nonce="c0de"), ComeBack)


def test_a_machine_with_writes_of_which_nobody_can_hear_any_more_ends_until_its_own_name_is_added() -> None:
    """Found by the simulator: its adder was removed before any member had heard of it, and sealed. It asked for ever.

    No member records a new id of a machine that it does not know. Once it knows it, that also repeats its writes.
    """
    gone = replace(ended(Standing.SEALED, REMOVED_BY_HAND, 4), node="n4")
    heard = Members({"n1": active("n1"), "n2": active("n2"), SECOND: active("n3"), "n4": gone}, {})
    left = replace(gone, standing=Standing.LEAVING, final=0)
    wrote = NodeEvidence(FIRST, VersionVector({"n4": 5, FIRST: 3}), Members({"n4": left}, {}), added=(FIRST,))
    n1, n2 = (NodeEvidence(name, members=heard, running=True) for name in ("n1", "n2"))
    also_leaving = heard.joined(Members({"n5": replace(left, node="n5")}, {}))
    for members in (heard, also_leaving):
        with pytest.raises(NotAMember, match=f"another machine was added as n3 .*deltaic node add {FIRST}`"):
            decide("n3", wrote, {"n1": replace(n1, members=members), "n2": n2}, nonce="c0de")
    assert isinstance(decide("n3", wrote, {"n1": n1, "n2": None}, nonce="c0de"), Wait), "n2 may have heard of it"

    replica = Replica("n1", founders=["n1", "n2"])
    AddMember(FIRST, "", "", "5eed").run(replica, NOW)
    replica.commit(NOW)
    known = heard.joined(replica.members)
    decision = decide("n3", wrote, {"n1": replace(n1, members=known), "n2": n2}, nonce="c0de")
    assert isinstance(decision, ComeBack)
    assert (decision.renamed, start_of(wrote, decision).formers) == (FIRST, (FIRST,))
    assert AdmitIncarnation(FIRST, decision.replica).run(replica, NOW)


def test_a_machine_asks_only_a_member_that_has_recorded_it() -> None:
    """Found by the simulator: only a member that was removed had recorded it. It asked the others for ever.

    What the machine itself knows of its addition counts for nothing: no member hears that from it.
    """
    second_alone = Members({id_: fact for id_, fact in BOTH.facts.items() if id_ != FIRST}, {})
    left = replace(ended(Standing.LEAVING, REMOVED_BY_HAND), node="n4")
    leaving = second_alone.joined(Members({"n4": left}, {}))
    n1, n2 = (NodeEvidence(name, members=leaving, running=True) for name in ("n1", "n2"))
    n4 = NodeEvidence("n4", members=BOTH.joined(Members({"n4": replace(left, standing=Standing.ACTIVE)}, {})))
    decision = decide("n3", OWN, {"n1": n1, "n2": n2, "n4": n4}, nonce="c0de")
    assert isinstance(decision, Wait), "n1 or n2 may still hear of it, as n4 still leaves"
    assert "no member that answers has recorded this machine" in decision.reason
    others = {"n1": replace(n1, members=BOTH), "n2": n2, "n4": n4}
    assert isinstance(decision := decide("n3", OWN, others, nonce="c0de"), ComeBack)
    assert decision.sponsor == Sponsor("n1", "n1"), "and not n2, which would be the other choice"
    others["n1"] = replace(n1, members=BOTH, running=False)
    assert isinstance(decide("n3", OWN, others, nonce="c0de"), Wait)


def test_a_machine_waits_for_a_member_whose_worker_may_give_back_that_it_has_recorded_it() -> None:
    second_alone = Members({id_: fact for id_, fact in BOTH.facts.items() if id_ != FIRST}, {})
    n1, n2 = (NodeEvidence(name, members=second_alone, running=True) for name in ("n1", "n2"))
    with pytest.raises(NotAMember):
        decide("n3", OWN, {"n1": n1, "n2": n2}, nonce="c0de")
    assert isinstance(decide("n3", OWN, {"n1": replace(n1, doubtful=True), "n2": n2}, nonce="c0de"), Wait)


def test_a_machine_that_was_removed_does_not_take_the_id_of_its_namesake() -> None:
    """Found by the simulator: it joined under that id, as if it had been added again, and both used the same dots."""
    removed = fleet(n3_07b3e8=ended(Standing.LEAVING, REMOVED_BY_HAND), n3_4f2a91=active("n3"))
    with pytest.raises(NotAMember, match="it was removed from this fleet, and another machine has its name"):
        choose(OWN, members=removed)
    decision = choose(replace(OWN, added=(FIRST, SECOND)), members=removed)
    assert isinstance(decision, Join | ComeBack), "it has been added again"


def test_an_empty_machine_that_keeps_the_name_joins() -> None:
    assert choose(NodeEvidence(added=(SECOND,))) == Join(SECOND, Sponsor("n2", "n2"), fresh=True)


@pytest.mark.parametrize(
    "heard",
    [fleet(n3_07b3e8=active("n3")), BOTH, fleet(n3_07b3e8=ended(Standing.FOLDED, NAMESAKE, 3))],
    ids=["one machine", "both machines", "its former id"],
)
def test_a_machine_whose_new_name_nobody_knows_any_more_has_it_recorded_again(heard: Members) -> None:
    """Found by the simulator: the member that had recorded the name was removed before another had heard of it.

    The machine ended, as if it was no member, and nobody else could use its former id. So that never closed the id of
    the removed member, and the machine's unsent writes waited for ever.
    """
    moved = NodeEvidence(f"{FIRST}.2", joining=True, formers=(FIRST,), added=(FIRST,))
    n1 = NodeEvidence("n1", VersionVector(n1=5), members=heard, running=True)
    peers = {"n1": n1, "n2": replace(n1, replica="n2")}
    decision = decide(FIRST, moved, {**peers, "n3": NodeEvidence(SECOND, joining=True)}, nonce="c0de")
    assert isinstance(decision, ComeBack)
    assert (decision.replica, decision.sponsor, decision.renamed) == (f"{FIRST}.3", Sponsor("n2", "n2"), "")
    assert start_of(moved, decision).formers == (FIRST,)
    removed = Members({**heard.facts, FIRST: ended(Standing.LEAVING, REMOVED_BY_HAND)}, {})
    with pytest.raises(NotAMember, match="it is not a member of this fleet"):
        decide(FIRST, moved, {name: replace(peer, members=removed) for name, peer in peers.items()}, nonce="c0de")


# A fleet in which both have written


def test_what_the_other_machine_had_not_sent_is_written_again_and_counts_once() -> None:
    """n1 and n2 add n3 apart. Both machines count; the first goes on counting after its id has been folded."""
    fleet = Fellows(["n1", "n2"])
    hits = command("DELTAIC.COUNTER.ADD", b"hits", 1)
    fleet.away = {"n2"}
    (first,) = fleet.do("n1", AddMember("n3", "", "", "07b3e8"))
    fleet.do("n2", AddMember("n3", "", "", "4f2a91"))
    machine = Replica(first)
    machine.join(fleet.nodes["n1"].replica.patch(None, NOW))
    for _ in range(3):
        machine.write(b"hits", PNCOUNTER, *adjust(machine.view(b"hits", PNCOUNTER), first.encode(), 1))
        last = machine.commit(NOW)
        assert last is not None
        if machine.clock[first] < 3:
            fleet.nodes["n1"].replica.apply(last)
    assert last is not None
    fleet.away = set()
    fleet.start("n3", Replica(SECOND), Sponsor("n2", "n2"))
    fleet.sync("n3")
    fleet.do("n3", hits)
    fleet.settle()
    fleet.do("n2", AdmitIncarnation(first, f"{first}.2"))
    fleet.start(first, Replica(f"{first}.2"), Sponsor("n2", "n2"))
    fleet.sync(first)
    fleet.do("n1", command("DEL", b"hits"))
    fleet.sync("n1")
    for _ in range(4):
        fleet.compact()
        fleet.settle()
    assert fleet.nodes["n1"].replica.members.facts[first].standing is Standing.FOLDED
    fleet.turn(first, ReplayAsked(first, (last,), object()))
    fleet.settle()
    assert [fleet.value(name, b"hits") for name in fleet.nodes] == [1] * 4
    assert fleet.nodes["n1"].replica.members.facts[first].reason == LOST
