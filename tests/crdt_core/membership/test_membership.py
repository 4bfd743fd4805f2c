"""Membership: whom a node takes as peers, and what it records when a replica id leaves."""

from __future__ import annotations

import pytest

from crdt_core.errors import Retired
from crdt_core.membership.changes import RemoveMember, write_fact
from crdt_core.membership.decisions import Sponsor
from crdt_core.membership.membership import Membership
from crdt_core.replica.replica import Replica
from crdt_core.types.members import REMOVED_BY_HAND, Fact, Standing
from tests.crdt_core.histories import NOW


def seen_by(replica: Replica, name: str = "n1", sponsor: Sponsor | None = None) -> Membership:
    """What node `name` makes of the members that `replica` knows."""
    return Membership(name, replica, sponsor)


def test_the_founders_are_peers_until_something_changes() -> None:
    membership = seen_by(Replica("n1", founders=["n1", "n2", "n3"]))
    assert membership.is_admitted
    assert membership.peers == {"n2": "n2", "n3": "n3"}
    assert membership.logs_to_read == {("n2", "n2"), ("n3", "n3")}
    assert not membership.owes()
    assert [membership.knows(node) for node in ("n1", "n2", "n9")] == [False, True, False]


def test_a_node_that_is_not_admitted_knows_only_its_sponsor() -> None:
    assert seen_by(Replica("n4"), "n4").peers == {}
    joining = seen_by(Replica("n4"), "n4", Sponsor("n2", "n2.3"))
    assert not joining.is_admitted
    assert joining.peers == {"n2": "n2.3"}
    assert joining.logs_to_read == set()


def test_the_log_of_an_id_that_has_departed_is_not_read_even_before_the_node_hears_of_that() -> None:
    """It may say that this node was removed. The node ended, found itself a member, and began anew for ever."""
    replica = Replica("n1", founders=["n1", "n2", "n3"])
    membership = Membership("n1", replica, departed={"n3"})
    assert membership.peers == {"n2": "n2", "n3": "n3"}
    assert membership.logs_to_read == {("n2", "n2")}
    write_fact(replica, "n3.2", Fact(Standing.ACTIVE, "n3"))
    write_fact(replica, "n1", Fact(Standing.ACTIVE, "n1"))
    replica.commit(NOW)
    assert membership.logs_to_read == {("n3", "n3.2")}


def test_a_namesake_that_has_departed_does_not_retire_a_node_before_it_hears_of_that() -> None:
    """It ended when it read that addition, found itself a member, and began anew for ever (seed 1712096)."""
    replica = Replica("n5-a1", founders=["n1", "n2"])
    for id_, node in ("n1", "n1"), ("n2", "n2"), ("n5-a1", "n5"), ("n5-b2", "n5"):
        write_fact(replica, id_, Fact(Standing.ACTIVE, node))
    replica.commit(NOW)
    with pytest.raises(Retired, match="the members know n5 as n5-b2"):
        Membership("n5", replica).check()
    membership = Membership("n5", replica, departed={"n5-b2"})
    membership.check()
    assert membership.is_admitted
    assert membership.peers == {"n1": "n1", "n2": "n2"}
    write_fact(replica, "n5-b2", Fact(Standing.LEAVING, "n5", reason=REMOVED_BY_HAND))
    replica.commit(NOW)
    membership.check()
    assert membership.is_admitted


def test_a_member_closes_a_leaving_id_once() -> None:
    replica = Replica("n2", founders=["n1", "n2", "n3"])
    RemoveMember("n3").run(replica, NOW)
    replica.commit(NOW)
    membership = seen_by(replica, "n2")
    assert membership.owes()
    membership.settle(NOW)
    delta = replica.commit(NOW)
    assert delta is not None
    assert [(write.part, write.payload) for write in delta.writes] == [(b"n3/n2", True)]
    membership.settle(NOW)
    assert replica.commit(NOW) is None
    assert not membership.owes(), "sealing and folding are the duty of n1"
    membership.stability_moved()
    assert membership.owes()


def test_only_the_first_node_of_the_fleet_seals_and_folds() -> None:
    """And each only when it is stable; the closings go with the seal."""
    replica = Replica("n1", founders=["n1", "n3"])
    RemoveMember("n3").run(replica, NOW)
    replica.commit(NOW)
    membership = seen_by(replica)
    standings = []
    for _ in range(3):
        membership.settle(NOW)
        replica.commit(NOW)
        standings.append((replica.members.standing("n3"), dict(replica.members.closings)))
        replica.stabilise(replica.clock, 100)
    assert standings == [
        (Standing.LEAVING, {"n3": ("n1",)}),
        (Standing.SEALED, {"n3": ("n1",)}),
        (Standing.FOLDED, {}),
    ]


def test_a_replica_whose_id_leaves_is_retired() -> None:
    replica = Replica("n3", founders=["n1", "n3"])
    membership = seen_by(replica, "n3")
    membership.check()
    other = Replica("n1", founders=["n1", "n3"])
    RemoveMember("n3", "absent").run(other, NOW)
    other.commit(NOW)
    replica.join(other.patch(None, NOW))
    with pytest.raises(Retired, match=r"replica n3 has left the fleet \(absent\)"):
        membership.check()


def test_a_node_that_the_members_know_by_a_later_id_begins_anew() -> None:
    """Found by the simulator: two sponsors had recorded two ids of n1. It used the earlier, so nobody listened.

    As the first node of the fleet, it would have had to record that one of the two leaves, and did not see itself
    among the members.
    """
    replica = Replica("n1.2")
    for id_ in ("n1.2", "n1.2-d7ba"):
        write_fact(replica, id_, Fact(Standing.ACTIVE, "n1"))
    replica.commit(NOW)
    with pytest.raises(Retired, match=r"the members know n1 as n1\.2-d7ba"):
        Membership("n1", replica).check()
