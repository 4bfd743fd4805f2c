"""What a node knows of what its peers can read outlives it."""

from __future__ import annotations

import pytest

from crdt_core.membership.changes import AddMember, RemoveMember
from crdt_core.node.events import Call, Tick
from crdt_core.node.node import Node
from crdt_core.node.upgraded import FIELD
from crdt_core.replica.replica import Replica

ALL = frozenset({"n2", "n3"})


def node_with(header: dict[str, bytes]) -> Node:
    """A node of three that has just started, with what it had persisted."""
    node = Node("n1", Replica("n1", founders=("n1", "n2", "n3")), "s")
    node.upgraded.restore(header)
    return node


def persisted(node: Node) -> bytes | None:
    return node.turn([Tick()], 1, 0).commit.header.get(FIELD)


def test_a_node_that_starts_while_a_peer_is_away_goes_on_with_what_it_knew_of_it() -> None:
    """It wrote fractions whole until that peer was back, and one of two concurrent INCRBYFLOAT was lost."""
    first = node_with({})
    assert first.replica.cautious
    first.upgraded.note(ALL)
    kept = persisted(first)
    assert kept == b'["n2","n3"]'
    again = node_with({FIELD: kept})
    assert again.upgraded.nodes == ALL
    assert not again.replica.cautious


def test_it_is_persisted_once() -> None:
    node = node_with({})
    for _ in range(2):
        node.upgraded.note(ALL)
    assert persisted(node) is not None
    node.upgraded.note(ALL)
    assert persisted(node) is None
    again = node_with({FIELD: b'["n2","n3"]'})
    again.upgraded.note(ALL)
    assert persisted(again) is None


def test_who_has_come_back_with_another_id_is_heard_anew() -> None:
    node = node_with({FIELD: b'["n2","n3-beef"]'})
    assert node.upgraded.nodes == {"n2"}
    assert node.replica.cautious


def test_who_has_left_is_no_longer_persisted() -> None:
    node = node_with({FIELD: b'["n2","n3"]'})
    node.turn([Call(RemoveMember("n3"), "token")], 1, 0)
    assert not node.replica.cautious
    node.upgraded.note(frozenset({"n2"}))
    assert persisted(node) == b'["n2"]'
    node.turn([Call(AddMember("n3", "", "", "0a"), "token")], 1, 0)
    node.turn([Tick()], 1, 0)
    assert node.replica.cautious


@pytest.mark.parametrize("kept", [b"", b"no JSON", b"7", b"{}", b"[7,null,[]]"])
def test_what_is_no_list_of_ids_says_nothing(kept: bytes) -> None:
    node = node_with({FIELD: kept})
    assert node.upgraded.nodes in (None, frozenset())
    node.upgraded.note(ALL)
    assert not node.replica.cautious


def test_where_nobody_listens_all_can_read_everything() -> None:
    node = Node("n1", Replica("n1", founders=("n1", "n2")), "s")
    assert not node.replica.cautious
    assert persisted(node) is None
