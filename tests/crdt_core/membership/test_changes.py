"""Members come, go, and come back under new ids. What they wrote stays; their ids leave no trace in the clocks."""

from __future__ import annotations

import pytest

from crdt_core.codec.messages import Ask, Compact, Push, encode_message
from crdt_core.codec.patches import encode_patch
from crdt_core.commands.operations import AddToSet, AdjustCounter, Delete, GetCounter, GetSet, RemoveFromSet
from crdt_core.errors import InvalidArgument, Retired, UnknownNode
from crdt_core.lattice.clocks import VersionVector
from crdt_core.membership.changes import AddMember, AdmitIncarnation, RemoveMember, RetireFormer, write_fact
from crdt_core.membership.identity import Sponsor
from crdt_core.membership.replay import is_final
from crdt_core.node.events import DeltasRead, LinksRead, MessagesRead, PatchOffered
from crdt_core.replica.replica import Replica
from crdt_core.types.members import ABSENT, LOST, REMOVED_BY_HAND, Fact, Standing
from tests.crdt_core.fellows import OPTIONS, Fellows
from tests.crdt_core.histories import NOW

HITS = AdjustCounter(b"hits", 1)


@pytest.fixture
def fleet() -> Fellows:
    """Three nodes that have each counted once."""
    fleet = Fellows(["n1", "n2", "n3"])
    for name in fleet.nodes:
        fleet.do(name, HITS)
    fleet.settle()
    return fleet


def agree(fleet: Fellows, *names: str) -> None:
    replicas = [fleet.nodes[name].replica for name in names]
    assert len({tuple(sorted(replica.clock.items())) for replica in replicas}) == 1
    assert len({replica.digest for replica in replicas}) == 1


def fold(fleet: Fellows) -> None:
    for _ in range(3):
        fleet.compact()
        fleet.settle()


def test_a_removed_members_writes_stay_and_its_id_goes_from_every_clock(fleet):
    assert fleet.do("n1", RemoveMember("n3")) == ["n3"]
    fleet.away.add("n3")
    fleet.settle()
    fold(fleet)
    for name in ("n1", "n2"):
        replica = fleet.nodes[name].replica
        assert replica.members.standing("n3") is Standing.FOLDED
        assert replica.clock.keys() == replica.stable.keys() == {"n1", "n2"}
        assert replica.clock_with_folded["n3"] == 1
        assert not replica.members.closings
        assert fleet.do(name, GetCounter(b"hits")) == [(3, "pncounter")]
    agree(fleet, "n1", "n2")
    fleet.do("n1", Delete(b"hits"))
    fleet.do("n2", HITS)
    fleet.settle()
    assert fleet.do("n1", GetCounter(b"hits")) == [(1, "pncounter")]
    agree(fleet, "n1", "n2")


def test_a_removed_member_hears_of_it_and_stops(fleet):
    fleet.do("n1", RemoveMember("n3"))
    with pytest.raises(Retired, match="n3 has left the fleet"):
        fleet.settle()


def test_what_a_member_wrote_while_it_was_being_removed_ends_at_the_same_dot_everywhere(fleet):
    """When n1 removes n3, n2 has seen the latest commit of n3, and n1 has not."""
    fleet.do("n3", HITS)
    fleet.away = {"n1"}
    fleet.settle()
    fleet.away = {"n3"}
    fleet.do("n1", RemoveMember("n3"))
    fleet.settle()
    fleet.sync("n1")
    fold(fleet)
    assert [fleet.do(name, GetCounter(b"hits"))[0][0] for name in ("n1", "n2")] == [4, 4]
    assert fleet.nodes["n1"].replica.members.folded == {"n3": 2}
    agree(fleet, "n1", "n2")


def test_a_newcomer_takes_the_state_and_then_part(fleet):
    assert fleet.do("n1", AddMember("n4", "127.0.0.1:4", "redis://127.0.0.1:4")) == ["n4"]
    newcomer = fleet.start("n4", Replica("n4"), Sponsor("n1", "n1"))
    assert not newcomer.membership.is_admitted
    fleet.sync("n4")
    assert newcomer.membership.is_admitted
    assert newcomer.peers == ("n1", "n2", "n3")
    assert fleet.do("n4", HITS) == [4]
    fleet.settle()
    assert all("n4" in fleet.nodes[name].peers for name in ("n1", "n2", "n3"))
    assert fleet.do("n2", GetCounter(b"hits")) == [(4, "pncounter")]
    agree(fleet, "n1", "n2", "n3", "n4")


def test_a_newcomer_does_not_quarantine_the_messages_of_members_that_it_does_not_know_yet(fleet):
    """The other members' rounds include the newcomer as soon as it is added. By then it knows only its sponsor."""
    fleet.do("n1", AddMember("n4", "127.0.0.1:4", "redis://127.0.0.1:4"))
    newcomer = fleet.start("n4", Replica("n4"), Sponsor("n1", "n1"))
    question = encode_message(Ask("n2", "r", fleet.nodes["n2"].replica.clock))
    turn = newcomer.turn([MessagesRead([("1-0", question)])], 0, 0)
    assert not turn.commit.quarantined
    assert turn.commit.acknowledged == ["1-0"]
    assert newcomer.counts["messages_dropped"] == 1
    fleet.sync("n4")
    turn = newcomer.turn([MessagesRead([("2-0", question), ("3-0", question.replace(b'"n2"', b'"n9"', 1))])], 0, 0)
    (refused,) = turn.commit.quarantined
    assert refused.entry == "3-0"


def test_a_newcomer_that_is_not_there_yet_holds_stability_back(fleet):
    fleet.do("n2", AddToSet(b"s", b"x"))
    fleet.settle()
    fleet.do("n2", RemoveFromSet(b"s", b"x"))
    fleet.do("n1", AddMember("n4", "", ""))
    fleet.settle()
    fleet.compact()
    assert len(fleet.nodes["n1"].replica.catalogue.tombstones) == 1
    fleet.start("n4", Replica("n4"), Sponsor("n1", "n1"))
    fleet.sync("n4")
    fleet.compact()
    assert not fleet.nodes["n1"].replica.catalogue.tombstones


def test_a_node_that_lost_commits_comes_back_under_a_new_id_and_fetches_them(fleet):
    """n3 counted twice more, and its Redis lost both commits; n1 had seen the first."""
    lost = Replica("n3.2")
    lost.join(fleet.nodes["n3"].replica.patch(None, fleet.nodes["n3"].hlc.last))
    fleet.do("n3", HITS)
    fleet.settle()
    assert fleet.do("n1", AdmitIncarnation("n3", "n3.2")) == [True]
    fleet.start("n3", lost, Sponsor("n1", "n1"))
    fleet.sync("n3")
    assert fleet.do("n3", HITS) == [5]
    fleet.settle()
    fold(fleet)
    for name in ("n1", "n2", "n3"):
        assert fleet.do(name, GetCounter(b"hits")) == [(5, "pncounter")]
        assert fleet.nodes[name].replica.clock.keys() == {"n1", "n2", "n3.2"}
    agree(fleet, "n1", "n2", "n3")


def come_back(fleet: Fellows, node: str, new: str, sponsor: str) -> None:
    """Let `node` come back under the id `new`, which `sponsor` records. Its former log is lost."""
    fleet.do(sponsor, AdmitIncarnation(node, new))
    replica = Replica(new)
    replica.join(fleet.nodes[node].replica.patch(None, fleet.nodes[node].hlc.last))
    fleet.logs[fleet.nodes[node].replica.id].clear()
    fleet.start(node, replica, Sponsor(sponsor, fleet.nodes[sponsor].replica.id))
    fleet.sync(node)


def test_an_id_that_was_written_down_and_never_used_leaves_when_another_was(fleet):
    """Found by the simulator: two sponsors, cut off from each other, recorded two ids of n3, and n3 used one."""
    fleet.away = {"n1"}
    fleet.do("n1", AdmitIncarnation("n3", "n3.2"))
    come_back(fleet, "n3", "n3.3", "n2")
    fleet.away = set()
    for name in fleet.nodes:
        fleet.sync(name)
    fold(fleet)
    fold(fleet)
    for node in fleet.nodes.values():
        assert node.replica.members.standing("n3.2") is Standing.FOLDED
        assert node.replica.clock.keys() == {"n1", "n2", "n3.3"}


def test_a_node_that_was_away_while_all_others_came_back_under_new_ids_hears_of_them(fleet):
    """Found by the simulator: the node dropped the messages of the others, because it did not know their new ids."""
    fleet.away = {"n1"}
    come_back(fleet, "n3", "n3.2", "n2")
    come_back(fleet, "n2", "n2.2", "n3")
    fleet.do("n2", HITS)
    fleet.settle()
    fleet.away = set()
    fleet.sync("n1")
    assert fleet.do("n1", GetCounter(b"hits")) == [(4, "pncounter")]
    assert fleet.nodes["n1"].membership.peers == {"n2": "n2.2", "n3": "n3.2"}


def test_nobody_finds_anything_stable_while_it_joins(fleet):
    """Found by the simulator: a newcomer took its sponsor for the whole fleet, and forgot removals too early."""
    fleet.do("n1", HITS)
    joining = Replica("n3.2")
    joining.join(fleet.nodes["n1"].replica.patch(None, fleet.nodes["n1"].hlc.last))
    fleet.start("n3", joining, Sponsor("n1", "n1"))
    report = Compact({"n1": fleet.nodes["n1"].replica.clock.copy()}, (), "k")
    fleet.turn("n3", MessagesRead([("1-0", encode_message(report))]))
    assert not joining.stable


def test_a_log_read_under_the_former_id_of_a_peer_is_not_quarantined(fleet):
    """Found by the simulator: the log of a former id, read just before the news of the new id, was quarantined."""
    fleet.do("n3", HITS)
    former = DeltasRead("n3", fleet.logs["n3"][:], object())
    fleet.do("n1", AdmitIncarnation("n3", "n3.2"))
    assert fleet.turn("n1", former) == [0]
    assert fleet.nodes["n1"].counts["quarantined"] == 0


def test_a_member_that_reads_of_its_own_removal_reads_no_further(fleet):
    """Found by the simulator: the node failed at the next entry of the log, whose owner was no peer any more."""
    fleet.do("n3", RemoveMember("n1"))
    fleet.do("n3", HITS)
    with pytest.raises(Retired):
        fleet.turn("n1", DeltasRead("n3", fleet.logs["n3"][1:], object()))


def test_a_patch_between_one_who_has_folded_an_id_and_one_who_has_not_is_right(fleet):
    """n2 has not heard of the fold yet. Meanwhile n1 removes what n3 had written, and clears the set."""
    fleet.do("n3", AddToSet(b"s", b"x"), AddToSet(b"s", b"y"))
    fleet.settle()
    fleet.do("n1", RemoveMember("n3"))
    fleet.away = {"n3"}
    fleet.settle()
    fleet.compact()
    fleet.settle()
    fleet.compact()
    assert fleet.nodes["n1"].replica.members.standing("n3") is Standing.FOLDED
    assert fleet.nodes["n2"].replica.members.standing("n3") is Standing.SEALED
    fleet.do("n1", RemoveFromSet(b"s", b"x"))
    fleet.logs["n1"].clear()
    fleet.sync("n2")
    assert fleet.do("n2", GetSet(b"s")) == [([b"y"], "orset")]
    agree(fleet, "n1", "n2")
    fleet.do("n1", Delete(b"s"))
    fleet.settle()
    assert fleet.do("n2", GetSet(b"s")) == [([], "")]
    agree(fleet, "n1", "n2")


def test_an_asker_that_lacks_a_folded_id_gets_the_full_state(fleet):
    fleet.do("n1", RemoveMember("n3"))
    fleet.away = {"n3"}
    fleet.settle()
    fold(fleet)
    replica = fleet.nodes["n1"].replica
    assert replica.patch(VersionVector(), fleet.nodes["n1"].hlc.last).since is None
    old = VersionVector({**replica.clock, "n3": 1})
    assert replica.patch(old, fleet.nodes["n1"].hlc.last).since == old
    newcomer = Replica("n4")
    newcomer.join(replica.patch(VersionVector(), fleet.nodes["n1"].hlc.last))
    assert newcomer.value(b"hits") == 3
    assert newcomer.clock == replica.clock


def test_a_member_that_is_away_for_too_long_is_fenced_by_a_majority(fleet):
    fleet.away = {"n3"}
    fleet.compact(pass_ms=OPTIONS.fence_after_ms // 2)
    fleet.compact(pass_ms=OPTIONS.fence_after_ms)
    assert fleet.nodes["n1"].stability.absent_ms["n3"] >= OPTIONS.fence_after_ms // 2
    assert fleet.nodes["n1"].replica.members.standing("n3") is Standing.ACTIVE
    fleet.compact()
    fleet.settle()
    fact = fleet.nodes["n2"].replica.members.facts["n3"]
    assert (fact.standing, fact.reason) == (Standing.LEAVING, "absent")
    fold(fleet)
    assert fleet.nodes["n2"].replica.clock.keys() == {"n1", "n2"}


def test_the_time_that_a_member_has_been_away_survives_a_restart(fleet):
    fleet.nodes["n1"].stability.restore({"absent": b'{"n3":7}'})
    assert fleet.nodes["n1"].stability.absent_ms == {"n3": 7}


@pytest.mark.parametrize(
    "junk",
    [
        b"",
        b"{",
        b"\xff",
        b"null",
        b'["n3"]',
        b'{"n3":"7"}',
        b'{"n3":true}',
        b'{"n3":-1}',
        b'{"n3":1000000000000000000}',
    ],
)
def test_a_field_that_cannot_be_read_says_nothing_about_absences(fleet, junk):
    """Such a field once stopped the worker at its start, with a traceback."""
    fleet.away = {"n3"}
    fleet.nodes["n1"].stability.restore({"absent": junk})
    assert fleet.nodes["n1"].stability.absent_ms == {}
    fleet.compact()
    assert fleet.nodes["n1"].stability.absent_ms == {"n3": 0}


def test_a_minority_fences_nobody(fleet):
    fleet.away = {"n2", "n3"}
    for _ in range(3):
        fleet.compact(["n1"], pass_ms=OPTIONS.fence_after_ms)
    assert fleet.nodes["n1"].replica.members.active.keys() == {"n1", "n2", "n3"}


def test_a_fenced_members_dots_come_in_no_more(fleet):
    """n3 counted while it was fenced. No member may take that in as if nothing had happened since."""
    fleet.away = {"n3"}
    fleet.do("n1", RemoveMember("n3", "absent"))
    fleet.settle()
    fleet.do("n3", HITS)
    patch = fleet.nodes["n3"].replica.patch(fleet.nodes["n1"].replica.clock, fleet.nodes["n3"].hlc.last)
    fleet.inboxes["n1"].append(encode_message(Push("n3", "r", patch)))
    fleet.away = set()
    with pytest.raises(Retired):
        fleet.settle()
    assert fleet.nodes["n1"].replica.clock["n3"] == 1
    assert fleet.do("n1", GetCounter(b"hits")) == [(3, "pncounter")]


def test_a_callers_patch_does_not_lengthen_an_id_that_has_left(fleet):
    """Found by the simulator: the members closed the id at different counters, and folding it set a clock back."""
    fleet.do("n3", HITS)
    carried = encode_patch(fleet.nodes["n3"].replica.patch(None, fleet.nodes["n3"].hlc.last))
    fleet.away = {"n3"}
    fleet.do("n1", RemoveMember("n3"))
    fleet.settle()
    (error,) = fleet.turn("n2", PatchOffered(carried, object()))
    assert isinstance(error, InvalidArgument)
    assert fleet.nodes["n2"].replica.clock["n3"] == 1


# Added by a member that left before anybody else had heard of the addition


def leave_behind(fleet: Fellows) -> None:
    """n3 adds n4, and n4 counts once. Then n1 removes n3. Neither n1 nor n2 has heard of n4."""
    fleet.away = {"n1", "n2"}
    fleet.do("n3", AddMember("n4", "", ""))
    fleet.start("n4", Replica("n4"), Sponsor("n3", "n3"))
    fleet.sync("n4")
    assert fleet.do("n4", HITS) == [4]
    fleet.away = {"n3", "n4"}
    fleet.do("n1", RemoveMember("n3"))
    fleet.settle()


def end_n3(fleet: Fellows, until: Standing) -> None:
    """Let the fleet seal, or fold, n3 at what n1 and n2 have seen of it."""
    while fleet.nodes["n1"].replica.members.standing("n3") is not until:
        fleet.compact()
        fleet.settle()
    assert fleet.nodes["n1"].replica.members.facts["n3"].final == 1


@pytest.mark.parametrize("until", [Standing.SEALED, Standing.FOLDED])
def test_a_node_whose_addition_nobody_heard_of_is_told_when_it_asks_and_stops(fleet, until):
    """Found by the simulator, seed 20887: it served for ever, and its messages were quarantined as a stranger's."""
    leave_behind(fleet)
    end_n3(fleet, until)
    fleet.away = {"n3"}
    for name in ("n1", "n2"):
        fleet.logs[name].clear()
    fleet.settle()
    with pytest.raises(Retired, match="it holds commits of n3 that the others have abandoned"):
        fleet.sync("n4")
    fleet.away = {"n3", "n4"}
    fleet.settle()
    for name in ("n1", "n2"):
        assert not fleet.nodes[name].counts["quarantined"]
        assert "n4" not in fleet.nodes[name].peers
        assert fleet.do(name, GetCounter(b"hits")) == [(3, "pncounter")]
    agree(fleet, "n1", "n2")


@pytest.mark.parametrize("until", [Standing.SEALED, Standing.FOLDED])
def test_a_node_whose_addition_nobody_heard_of_reads_of_it_in_a_log_and_stops(fleet, until):
    """Without the check its clock would go backwards, to the counter at which the others have sealed n3."""
    leave_behind(fleet)
    end_n3(fleet, until)
    fleet.away = {"n3"}
    with pytest.raises(Retired, match="abandoned"):
        fleet.settle()


def test_a_node_whose_addition_nobody_heard_of_goes_on_while_the_others_may_still_hear_of_it(fleet):
    """n3 leaves, but its final counter is not recorded yet."""
    leave_behind(fleet)
    fleet.away = {"n3"}
    fleet.settle()
    fleet.sync("n4")
    assert fleet.nodes["n4"].replica.members.standing("n3") is Standing.LEAVING
    assert fleet.do("n4", HITS) == [5]


def test_a_member_that_anybody_has_heard_of_takes_part_in_the_end_of_who_added_it(fleet):
    """When n1 removes n3, only n2 has heard of n4."""
    fleet.away = {"n1"}
    fleet.do("n3", AddMember("n4", "", ""))
    fleet.start("n4", Replica("n4"), Sponsor("n3", "n3"))
    fleet.sync("n4")
    fleet.away = {"n2", "n3", "n4"}
    fleet.do("n1", RemoveMember("n3"))
    fleet.away = {"n3"}
    fleet.settle()
    fleet.sync("n1")
    fleet.do("n4", HITS)
    fleet.settle()
    fold(fleet)
    assert all(fleet.nodes[name].replica.clock.keys() == {"n1", "n2", "n4"} for name in ("n1", "n2", "n4"))
    agree(fleet, "n1", "n2", "n4")


def test_commits_that_the_fleet_has_abandoned_do_not_come_in_with_a_node_that_is_added_again(fleet):
    """n4 is added again under the id that it uses, while it still holds the commits of n3."""
    leave_behind(fleet)
    end_n3(fleet, Standing.SEALED)
    assert fleet.do("n1", AddMember("n4", "", "")) == ["n4"]
    n4 = fleet.nodes["n4"]
    patch = n4.replica.patch(VersionVector(n1=1, n2=1, n3=1), n4.hlc.last)
    fleet.turn("n1", LinksRead(frozenset({"n3"})))
    fleet.turn("n1", MessagesRead([("1-0", encode_message(Push("n4", "r", patch)))]))
    assert fleet.turn("n1", DeltasRead("n4", fleet.logs["n4"], object())) == [0]
    assert fleet.nodes["n1"].replica.clock_with_folded["n3"] == 1
    assert fleet.do("n1", GetCounter(b"hits")) == [(3, "pncounter")]
    fleet.away = {"n3"}
    with pytest.raises(Retired, match="abandoned"):
        fleet.settle()


def test_a_former_id_that_nobody_has_heard_of_gets_an_end_so_that_its_writes_can_be_replayed(fleet):
    """A member that left unheard had recorded n3.2. n3 comes back as n3.3, and once waited for ever for that end."""
    fleet.do("n1", AdmitIncarnation("n3", "n3.3"))
    fleet.start("n3", Replica("n3.3"), Sponsor("n1", "n1"))
    fleet.sync("n3")
    assert fleet.do("n3", RetireFormer("n3", "n3.2")) == [True]
    assert not is_final(fleet.nodes["n3"].replica, "n3.2")
    fleet.settle()
    assert is_final(fleet.nodes["n3"].replica, "n3.2")
    fold(fleet)
    assert all(node.replica.clock.keys() == {"n1", "n2", "n3.3"} for node in fleet.nodes.values())


# What each operation records, returns and refuses


@pytest.fixture
def replica() -> Replica:
    """n1, in a fleet that was created with n1, n2 and n3."""
    return Replica("n1", founders=["n1", "n2", "n3"])


def recorded(replica: Replica) -> dict[str, Fact]:
    """Commit, and return what is recorded of each replica id."""
    replica.commit(NOW)
    return dict(replica.members.facts)


def test_the_first_change_records_the_founders_too(replica: Replica) -> None:
    assert AddMember("n4", "127.0.0.1:4", "redis://127.0.0.1:4").run(replica, NOW) == "n4"
    facts = recorded(replica)
    assert {id_: fact.standing for id_, fact in facts.items()} == dict.fromkeys(
        ["n1", "n2", "n3", "n4"], Standing.ACTIVE
    )
    assert (facts["n4"].grpc, facts["n4"].redis) == ("127.0.0.1:4", "redis://127.0.0.1:4")


def test_a_member_cannot_be_added_twice(replica: Replica) -> None:
    with pytest.raises(InvalidArgument, match="n2 is a member already"):
        AddMember("n2", "", "").run(replica, NOW)
    with pytest.raises(InvalidArgument, match="replica id"):
        AddMember("n 4", "", "").run(replica, NOW)
    assert replica.commit(NOW) is None, "a refused change writes nothing"


def test_a_removed_node_leaves_and_is_added_again_under_another_id(replica: Replica) -> None:
    assert RemoveMember("n3").run(replica, NOW) == "n3"
    assert recorded(replica)["n3"] == Fact(Standing.LEAVING, "n3", reason=REMOVED_BY_HAND, at_ms=NOW.ms)
    with pytest.raises(UnknownNode, match="unknown node 'n3'; this fleet has n1, n2"):
        RemoveMember("n3").run(replica, NOW)
    assert AddMember("n3", "", "").run(replica, NOW) == "n3.2"
    assert recorded(replica)["n3.2"].standing is Standing.ACTIVE


def test_a_node_cannot_remove_itself(replica: Replica) -> None:
    with pytest.raises(InvalidArgument, match="n1 cannot remove itself"):
        RemoveMember("n1").run(replica, NOW)


def test_a_node_that_comes_back_is_admitted_once_and_its_former_id_leaves(replica: Replica) -> None:
    assert AdmitIncarnation("n3", "n3.2", "127.0.0.1:3", "redis://127.0.0.1:3").run(replica, NOW)
    facts = recorded(replica)
    assert facts["n3"] == Fact(Standing.LEAVING, "n3", reason=LOST, at_ms=NOW.ms)
    assert facts["n3.2"] == Fact(Standing.ACTIVE, "n3", grpc="127.0.0.1:3", redis="redis://127.0.0.1:3")
    assert AdmitIncarnation("n3", "n3.2").run(replica, NOW) is False
    assert replica.commit(NOW) is None


def test_a_stranger_and_a_node_that_was_removed_by_hand_are_not_admitted(replica: Replica) -> None:
    with pytest.raises(UnknownNode):
        AdmitIncarnation("n9", "n9.2").run(replica, NOW)
    RemoveMember("n2", ABSENT).run(replica, NOW)
    RemoveMember("n3").run(replica, NOW)
    replica.commit(NOW)
    assert AdmitIncarnation("n2", "n2.2").run(replica, NOW), "an absence is not a removal by hand"
    with pytest.raises(UnknownNode):
        AdmitIncarnation("n3", "n3.2").run(replica, NOW)


def test_a_former_id_is_retired_unless_something_is_recorded_of_it(replica: Replica) -> None:
    assert RetireFormer("n3", "n3.2").run(replica, NOW)
    assert recorded(replica)["n3.2"] == Fact(Standing.LEAVING, "n3", reason=ABSENT, at_ms=NOW.ms)
    assert RetireFormer("n3", "n3.2").run(replica, NOW) is False
    assert RetireFormer("n3", "n3").run(replica, NOW) is False


def test_the_former_id_of_another_node_is_left_to_that_node(replica: Replica) -> None:
    """The node was restored from a backup of the other node."""
    assert RetireFormer("n3", "n2.2").run(replica, NOW) is False
    assert RetireFormer("n3", "n33").run(replica, NOW) is False
    assert replica.commit(NOW) is None


def test_a_fact_is_written_and_removed_as_any_part(replica: Replica) -> None:
    write_fact(replica, "n3", Fact(Standing.LEAVING, "n3", reason=LOST))
    write_fact(replica, "n3/n1", True)
    replica.commit(NOW)
    assert replica.members.closings == {"n3": ("n1",)}
    write_fact(replica, "n3/n1", None)
    replica.commit(NOW)
    assert replica.members.closings == {}
