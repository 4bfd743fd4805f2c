"""Whom a node listens to: members, unless the link is paused."""

from __future__ import annotations

from crdt_core.lattice.clocks import Stamp
from crdt_core.membership.changes import AddMember
from crdt_core.membership.membership import Membership
from crdt_core.node.peers import Peers
from crdt_core.replica.replica import Replica


def peers_of(replica: Replica) -> Peers:
    return Peers(Membership("n1", replica))


def test_the_other_members_are_the_peers() -> None:
    peers = peers_of(Replica("n1", founders=["n1", "n2", "n3"]))
    assert peers.names == ("n2", "n3")
    assert [peers.hears(node) for node in ("n1", "n2", "n3", "n4")] == [False, True, True, False]


def test_a_paused_peer_is_a_peer_that_is_not_listened_to() -> None:
    peers = peers_of(Replica("n1", founders=["n1", "n2", "n3"]))
    peers.paused = frozenset({"n2"})
    assert peers.names == ("n2", "n3")
    assert not peers.hears("n2")
    assert peers.heard(["n3", "n2", "n4"]) == ["n3"]


def test_who_joins_is_a_peer_from_then_on() -> None:
    replica = Replica("n1", founders=["n1", "n2"])
    peers = peers_of(replica)
    assert not peers.hears("n3")
    AddMember("n3", "", "", "a1").run(replica, Stamp(1, 0))
    replica.commit(Stamp(1, 0))
    assert peers.hears("n3")
