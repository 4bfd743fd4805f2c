"""Members come, go, and come back under new ids; what they wrote stays, and their ids leave no trace in the clocks."""

from __future__ import annotations

import pytest

from crdt_core.codec.messages import Ask, Compact, Push, encode_message
from crdt_core.errors import InvalidArgument, Retired, UnknownNode
from crdt_core.lattice.clocks import VersionVector
from crdt_core.membership.changes import AddMember, AdmitIncarnation, RemoveMember, RetireFormer
from crdt_core.membership.decisions import Join, Sponsor
from crdt_core.membership.evidence import NodeEvidence
from crdt_core.membership.identity import decide
from crdt_core.membership.replay import is_final
from crdt_core.node.events import DeltasRead, LinksRead, MessagesRead, PatchOffered
from crdt_core.replica.replica import Replica
from crdt_core.types.members import Standing
from tests.crdt_core.fellows import OPTIONS, Fellows
from tests.invocations import command

HITS = command("DELTAIC.COUNTER.ADD", b"hits", 1)


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
        assert fleet.value(name, b"hits") == 3
    agree(fleet, "n1", "n2")
    fleet.do("n1", command("DEL", b"hits"))
    fleet.do("n2", HITS)
    fleet.settle()
    assert fleet.value("n1", b"hits") == 1
    agree(fleet, "n1", "n2")


def test_a_removed_member_hears_of_it_and_stops(fleet):
    fleet.do("n1", RemoveMember("n3"))
    with pytest.raises(Retired, match="n3 has left the fleet"):
        fleet.settle()


def test_what_a_member_wrote_while_it_was_being_removed_ends_at_the_same_dot_everywhere(fleet):
    """n2 had heard of n3's latest commit when n3 was removed at n1, which had not."""
    fleet.do("n3", HITS)
    fleet.away = {"n1"}
    fleet.settle()
    fleet.away = {"n3"}
    fleet.do("n1", RemoveMember("n3"))
    fleet.settle()
    fleet.sync("n1")
    fold(fleet)
    assert [fleet.value(name, b"hits") for name in ("n1", "n2")] == [4, 4]
    assert fleet.nodes["n1"].replica.members.folded == {"n3": 2}
    agree(fleet, "n1", "n2")


def test_a_newcomer_takes_the_state_and_then_part(fleet):
    assert fleet.do("n1", AddMember("n4", "127.0.0.1:4", "redis://127.0.0.1:4", "a1")) == ["n4-a1"]
    newcomer = fleet.start("n4", Replica("n4-a1"), Sponsor("n1", "n1"))
    assert not newcomer.membership.is_admitted
    fleet.sync("n4")
    assert newcomer.membership.is_admitted
    assert newcomer.peers == ("n1", "n2", "n3")
    assert fleet.do("n4", HITS) == [4]
    fleet.settle()
    assert all("n4" in fleet.nodes[name].peers for name in ("n1", "n2", "n3"))
    assert fleet.value("n2", b"hits") == 4
    agree(fleet, "n1", "n2", "n3", "n4")


def test_a_newcomer_does_not_take_a_members_question_for_nonsense(fleet):
    """The others' rounds include it from the moment it is recorded; it knows nobody but its sponsor by then."""
    fleet.do("n1", AddMember("n4", "127.0.0.1:4", "redis://127.0.0.1:4", "a1"))
    newcomer = fleet.start("n4", Replica("n4-a1"), Sponsor("n1", "n1"))
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
    fleet.do("n2", command("SADD", b"s", b"x"))
    fleet.settle()
    fleet.do("n2", command("SREM", b"s", b"x"))
    fleet.do("n1", AddMember("n4", "", "", "a1"))
    fleet.settle()
    fleet.compact()
    assert len(fleet.nodes["n1"].replica.catalogue.tombstones) == 1
    fleet.start("n4", Replica("n4-a1"), Sponsor("n1", "n1"))
    fleet.sync("n4")
    fleet.compact()
    assert not fleet.nodes["n1"].replica.catalogue.tombstones


def test_what_an_id_that_leaves_wrote_last_meets_the_removals_that_it_had_not_seen():
    """Found by the simulator: with equal clocks, members showed different counts, and a set from which one had removed.

    n1 adds something, which only n4 hears, while n2 removes the like: a winning tombstone, and a reset of n1's share.
    n3 forgot both once all members had them, before it knew that n4 had closed n1's id: what n1 had added came later.
    """
    fleet = Fellows(["n1", "n2", "n3", "n4"])
    adding = command("DELTAIC.SET.ADD", b"bans", "x", "KIND", "remove-wins-set")
    fleet.do("n1", HITS, adding)
    fleet.settle()
    fleet.away = {"n2", "n3"}
    fleet.do("n1", HITS, adding)
    fleet.settle()
    fleet.away = {"n1"}
    fleet.do("n2", command("DEL", b"hits"), command("DELTAIC.SET.REMOVE", b"bans", "x"))
    fleet.settle()
    fleet.away = {"n1", "n4"}
    fleet.do("n2", RemoveMember("n1"))
    fleet.settle()
    fleet.away = {"n1"}
    fleet.compact(["n3"])
    for _ in range(2):
        fleet.sync("n2")
        fleet.sync("n3")
    agree(fleet, "n2", "n3", "n4")
    fold(fleet)
    assert [fleet.value(name, b"hits") for name in ("n2", "n3", "n4")] == [1, 1, 1]
    assert not fleet.value("n3", b"bans")
    assert b"bans" not in fleet.nodes["n3"].replica.catalogue.heads, "the removal is forgotten in the end"
    agree(fleet, "n2", "n3", "n4")


def test_nobody_is_added_or_removed_twice_nor_removes_itself(fleet):
    fleet.do("n1", AddMember("n4", "", "", "a1"))
    (error,) = fleet.do("n1", AddMember("n4", "", "", "a1"))
    assert isinstance(error, InvalidArgument)
    (error,) = fleet.do("n1", RemoveMember("n1"))
    assert isinstance(error, InvalidArgument)
    fleet.do("n1", RemoveMember("n4"))
    (error,) = fleet.do("n1", RemoveMember("n4"))
    assert isinstance(error, UnknownNode)
    assert fleet.do("n1", AddMember("n4", "", "", "b2")) == ["n4-b2.2"]


def test_a_node_that_lost_commits_comes_back_under_a_new_id_and_fetches_them(fleet):
    """n3 counted twice more, and its Redis forgot both; n1 had seen the first."""
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
        assert fleet.value(name, b"hits") == 5
        assert fleet.nodes[name].replica.clock.keys() == {"n1", "n2", "n3.2"}
    agree(fleet, "n1", "n2", "n3")


def come_back(fleet: Fellows, node: str, new: str, sponsor: str) -> None:
    """`node` begins again under the id `new`, which `sponsor` records; its former log goes."""
    fleet.do(sponsor, AdmitIncarnation(node, new))
    replica = Replica(new)
    replica.join(fleet.nodes[node].replica.patch(None, fleet.nodes[node].hlc.last))
    fleet.logs[fleet.nodes[node].replica.id].clear()
    fleet.start(node, replica, Sponsor(sponsor, fleet.nodes[sponsor].replica.id))
    fleet.sync(node)


def test_an_id_that_was_written_down_and_never_used_leaves_when_another_was(fleet):
    """Found by the simulator: two sponsors that did not hear of each other recorded two ids of n3, which used one."""
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


def test_who_was_away_while_all_others_came_back_under_new_ids_hears_of_them(fleet):
    """Found by the simulator: it dropped what they said, as it did not know their ids, and knew nobody else."""
    fleet.away = {"n1"}
    come_back(fleet, "n3", "n3.2", "n2")
    come_back(fleet, "n2", "n2.2", "n3")
    fleet.do("n2", HITS)
    fleet.settle()
    fleet.away = set()
    fleet.sync("n1")
    assert fleet.value("n1", b"hits") == 4
    assert fleet.nodes["n1"].membership.peers == {"n2": "n2.2", "n3": "n3.2"}


def test_nobody_finds_anything_stable_while_it_joins(fleet):
    """Found by the simulator: a newcomer took its sponsor for the whole fleet, and forgot what others still needed."""
    fleet.do("n1", HITS)
    joining = Replica("n3.2")
    joining.join(fleet.nodes["n1"].replica.patch(None, fleet.nodes["n1"].hlc.last))
    fleet.start("n3", joining, Sponsor("n1", "n1"))
    report = Compact({"n1": fleet.nodes["n1"].replica.clock.copy()}, (), "k")
    fleet.turn("n3", MessagesRead([("1-0", encode_message(report))]))
    assert not joining.stable


def test_what_was_read_while_a_peer_went_by_another_id_is_no_nonsense(fleet):
    """Found by the simulator: the log of a former id, read just before the new one was heard of, was set aside."""
    fleet.do("n3", HITS)
    former = DeltasRead("n3", fleet.logs["n3"][:], object())
    fleet.do("n1", AdmitIncarnation("n3", "n3.2"))
    assert fleet.turn("n1", former) == [0]
    assert fleet.nodes["n1"].counts["quarantined"] == 0


def test_a_member_that_reads_of_its_own_removal_reads_no_further(fleet):
    """Found by the simulator: at the next entry of the same log, whose owner was no peer any more, it fell over."""
    fleet.do("n3", RemoveMember("n1"))
    fleet.do("n3", HITS)
    with pytest.raises(Retired):
        fleet.turn("n1", DeltasRead("n3", fleet.logs["n3"][1:], object()))


def test_a_patch_between_one_who_has_folded_an_id_and_one_who_has_not_is_right(fleet):
    """n2 has heard nothing since before the fold; n1 meanwhile removed what n3 had written, and cleared."""
    fleet.do("n3", command("SADD", b"s", b"x"), command("SADD", b"s", b"y"))
    fleet.settle()
    fleet.do("n1", RemoveMember("n3"))
    fleet.away = {"n3"}
    fleet.settle()
    fleet.compact()
    fleet.settle()
    fleet.compact()
    assert fleet.nodes["n1"].replica.members.standing("n3") is Standing.FOLDED
    assert fleet.nodes["n2"].replica.members.standing("n3") is Standing.SEALED
    fleet.do("n1", command("SREM", b"s", b"x"))
    fleet.logs["n1"].clear()
    fleet.sync("n2")
    assert fleet.value("n2", b"s") == [b"y"]
    agree(fleet, "n1", "n2")
    fleet.do("n1", command("DEL", b"s"))
    fleet.settle()
    assert fleet.value("n2", b"s") is None
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
    newcomer = Replica("n4-a1")
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


def test_how_long_who_was_away_is_taken_up_at_a_restart(fleet):
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
def test_a_field_that_was_not_written_here_says_nothing_of_who_was_away(fleet, junk):
    """It stopped the worker with a traceback when it started."""
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
    """It counted while it was away, and nobody may take that in as if nothing had happened since."""
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
    assert fleet.value("n1", b"hits") == 3


def test_a_callers_patch_does_not_lengthen_an_id_that_has_left(fleet):
    """Every member would have ended it elsewhere: a clock ran backwards when it was folded. Found by the simulator."""
    fleet.do("n3", HITS)
    carried = fleet.nodes["n3"].replica.patch(None, fleet.nodes["n3"].hlc.last)
    fleet.away = {"n3"}
    fleet.do("n1", RemoveMember("n3"))
    fleet.settle()
    (error,) = fleet.turn("n2", PatchOffered(carried, object()))
    assert isinstance(error, InvalidArgument)
    assert fleet.nodes["n2"].replica.clock["n3"] == 1


# Added by one that left before anybody else had heard of it


def leave_behind(fleet: Fellows) -> None:
    """n3 adds n4, which counts once, and is removed, while n1 and n2 hear of neither."""
    fleet.away = {"n1", "n2"}
    fleet.do("n3", AddMember("n4", "", "", "a1"))
    fleet.start("n4", Replica("n4-a1"), Sponsor("n3", "n3"))
    fleet.sync("n4")
    assert fleet.do("n4", HITS) == [4]
    fleet.away = {"n3", "n4"}
    fleet.do("n1", RemoveMember("n3"))
    fleet.settle()


def end_n3(fleet: Fellows, until: Standing) -> None:
    """n3 is sealed, or folded, at what n1 and n2 have of it."""
    while fleet.nodes["n1"].replica.members.standing("n3") is not until:
        fleet.compact()
        fleet.settle()
    assert fleet.nodes["n1"].replica.members.facts["n3"].final == 1


@pytest.mark.parametrize("until", [Standing.SEALED, Standing.FOLDED])
def test_one_that_was_added_unheard_is_told_when_it_asks_and_stops(fleet, until):
    """It served for ever, and its questions were set aside as a stranger's. Found by the simulator, seed 20887."""
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
        assert fleet.value(name, b"hits") == 3
    agree(fleet, "n1", "n2")


@pytest.mark.parametrize("until", [Standing.SEALED, Standing.FOLDED])
def test_one_that_was_added_unheard_reads_of_it_in_a_log_and_stops(fleet, until):
    """Its clock would have run backwards, to where the others had ended the id."""
    leave_behind(fleet)
    end_n3(fleet, until)
    fleet.away = {"n3"}
    with pytest.raises(Retired, match="have abandoned"):
        fleet.settle()


def test_one_that_was_added_unheard_goes_on_as_long_as_the_others_may_still_hear_of_it(fleet):
    """n3 leaves, but where it ends is not recorded yet."""
    leave_behind(fleet)
    fleet.away = {"n3"}
    fleet.settle()
    fleet.sync("n4")
    assert fleet.nodes["n4"].replica.members.standing("n3") is Standing.LEAVING
    assert fleet.do("n4", HITS) == [5]


def test_a_member_that_anybody_has_heard_of_takes_part_in_the_end_of_who_added_it(fleet):
    """n2 alone had heard of n4 when n1, which had not, removed n3."""
    fleet.away = {"n1"}
    fleet.do("n3", AddMember("n4", "", "", "a1"))
    fleet.start("n4", Replica("n4-a1"), Sponsor("n3", "n3"))
    fleet.sync("n4")
    fleet.away = {"n2", "n3", "n4"}
    fleet.do("n1", RemoveMember("n3"))
    fleet.away = {"n3"}
    fleet.settle()
    fleet.sync("n1")
    fleet.do("n4", HITS)
    fleet.settle()
    fold(fleet)
    assert all(fleet.nodes[name].replica.clock.keys() == {"n1", "n2", "n4-a1"} for name in ("n1", "n2", "n4"))
    agree(fleet, "n1", "n2", "n4")


def test_what_the_fleet_has_given_up_does_not_come_in_by_one_that_was_added_anew(fleet):
    """n4 is added again, under the id that it goes by, while it still believes what n3 had said."""
    leave_behind(fleet)
    end_n3(fleet, Standing.SEALED)
    assert fleet.do("n1", AddMember("n4", "", "", "a1")) == ["n4-a1"]
    n4 = fleet.nodes["n4"]
    patch = n4.replica.patch(VersionVector(n1=1, n2=1, n3=1), n4.hlc.last)
    fleet.turn("n1", LinksRead(frozenset({"n3"})))
    fleet.turn("n1", MessagesRead([("1-0", encode_message(Push("n4", "r", patch)))]))
    assert fleet.turn("n1", DeltasRead("n4", fleet.logs["n4-a1"], object())) == [0]
    assert fleet.nodes["n1"].replica.clock_with_folded["n3"] == 1
    assert fleet.value("n1", b"hits") == 3
    fleet.away = {"n3"}
    with pytest.raises(Retired, match="have abandoned"):
        fleet.settle()


def test_a_former_id_that_nobody_has_heard_of_gets_an_end_so_that_its_writes_can_be_done_again(fleet):
    """n3.2 was recorded by one that left unheard; n3.3 comes back in its place, and waited for its end for ever."""
    fleet.do("n1", AdmitIncarnation("n3", "n3.3"))
    fleet.start("n3", Replica("n3.3"), Sponsor("n1", "n1"))
    fleet.sync("n3")
    assert fleet.do("n3", RetireFormer("n3", "n3"), RetireFormer("n3", "n9")) == [False, False]
    assert fleet.do("n3", RetireFormer("n3", "n3.2")) == [True]
    assert not is_final(fleet.nodes["n3"].replica, "n3.2")
    fleet.settle()
    assert is_final(fleet.nodes["n3"].replica, "n3.2")
    fold(fleet)
    assert all(node.replica.clock.keys() == {"n1", "n2", "n3.3"} for node in fleet.nodes.values())


@pytest.mark.parametrize(
    ("by_n1", "by_n3"), [("n4", "n2"), ("n3", "n1")], ids=["neighbours of each other", "each other"]
)
def test_two_members_that_remove_each_other_or_their_neighbours_while_apart_lose_nothing(
    by_n1: str, by_n3: str
) -> None:
    """n1 and n2 are on one side, n3 and n4 on the other. Both removals hold, and the ids end at one dot everywhere.

    What a removed node had told anybody who stays counts. The removed nodes end when they hear of it.
    """
    fleet = Fellows(["n1", "n2", "n3", "n4"])
    sides = {"n1": ("n1", "n2"), "n3": ("n3", "n4")}
    for remover, removed in (("n1", by_n1), ("n3", by_n3)):
        fleet.away = fleet.nodes.keys() - {*sides[remover]}
        for name in sides[remover]:
            fleet.do(name, HITS)
        fleet.settle()
        fleet.do(remover, RemoveMember(removed))
        fleet.settle()
    staying = sorted(fleet.nodes.keys() - {by_n1, by_n3})
    for removed in (by_n1, by_n3):
        fleet.away = fleet.nodes.keys() - {*staying, removed}
        fleet.settle()
        with pytest.raises(Retired, match="removed"):
            fleet.sync(removed)
    fleet.away = {by_n1, by_n3}
    fleet.settle()
    for name in staying:
        fleet.sync(name)
    fold(fleet)
    agree(fleet, *staying)
    for name in staying:
        replica = fleet.nodes[name].replica
        assert list(replica.members.active) == staying
        assert {replica.members.standing(removed) for removed in (by_n1, by_n3)} == {Standing.FOLDED}
        assert fleet.value(name, b"hits") == 4


def test_two_members_of_a_fleet_of_two_that_remove_each_other_go_on_alone_until_one_is_emptied_and_added() -> None:
    fleet = Fellows(["n1", "n2"])
    fleet.away = {"n1", "n2"}
    for remover, removed in (("n1", "n2"), ("n2", "n1")):
        fleet.do(remover, RemoveMember(removed))
    fleet.away = set()
    fleet.settle()
    assert [list(node.replica.members.active) for node in fleet.nodes.values()] == [["n1"], ["n2"]]
    (new,) = fleet.do("n1", AddMember("n2", "", "", "4f2a91"))
    n1 = fleet.nodes["n1"].replica
    founder = NodeEvidence("n1", n1.clock, n1.members, ("n1", "n2"), running=True)
    assert decide("n2", NodeEvidence(added=(new,)), {"n1": founder}, nonce="c0de") == Join(
        new, Sponsor("n1", "n1"), fresh=True
    )
