"""A node writes nothing that a member of 0.1.0 cannot read, as soon as it has heard of one."""

from __future__ import annotations

import pytest

from crdt_core.membership.changes import AddMember, AdmitIncarnation, RemoveMember
from crdt_core.node.events import Call, Tick
from crdt_core.node.node import Node
from crdt_core.replica.replica import Replica
from workers.replication.formats import FORMAT, Formats

OLD, NEW = {"serving": True}, {"serving": True, "format": FORMAT}


def cautious(formats: Formats, node: Node, **beats: dict[str, object]) -> bool:
    for peer, fields in beats.items():
        formats.note(peer, fields)
    formats.decide()
    return node.replica.cautious


def test_a_node_is_cautious_until_every_member_says_what_it_reads() -> None:
    """One that was not heard yet counted as upgraded, and took in nothing after the first write beyond it."""
    node = Node("n1", Replica("n1", founders=("n1", "n2", "n3")), "s")
    formats = Formats(node)
    assert node.replica.cautious
    assert cautious(formats, node)
    assert cautious(formats, node, n2=NEW)
    assert not cautious(formats, node, n3=NEW)


def test_a_member_that_goes_back_to_0_1_0_makes_a_node_cautious_again() -> None:
    node = Node("n1", Replica("n1", founders=("n1", "n2", "n3")), "s")
    formats = Formats(node)
    assert not cautious(formats, node, n2=NEW, n3=NEW)
    assert cautious(formats, node, n3=OLD)
    assert not cautious(formats, node, n3=NEW)


def test_who_is_no_member_does_not_count_and_who_does_not_serve_yet_says_nothing_new() -> None:
    node = Node("n1", Replica("n1", founders=("n1", "n2")), "s")
    formats = Formats(node)
    assert cautious(formats, node, n2={"serving": False, "waits": "so"}, n9=NEW)
    assert not cautious(formats, node, n2=NEW, n9=OLD)
    assert not cautious(formats, node, n2={"serving": False, "waits": "so"})


def test_a_lone_node_is_never_cautious() -> None:
    node = Node("n1", Replica("n1", founders=("n1",)), "s")
    Formats(node)
    assert not node.replica.cautious


def test_a_member_that_a_turn_brings_has_not_said_yet_what_it_reads() -> None:
    """The node went on as if it had, until it listened again: up to two seconds."""
    node = Node("n1", Replica("n1", founders=("n1", "n2")), "s")
    formats = Formats(node)
    assert not cautious(formats, node, n2=NEW)
    node.turn([Call(AddMember("n3", "", "", "0a"), "token")], 1, 0)
    node.turn([Tick()], 1, 0)
    assert node.replica.cautious
    assert not cautious(formats, node, n3=NEW)


def test_a_member_that_was_removed_and_is_added_again_says_anew_what_it_reads() -> None:
    """It may come back as a node of 0.1.0; it counted as one that can read everything until it was heard."""
    node = Node("n1", Replica("n1", founders=("n1", "n2", "n3")), "s")
    formats = Formats(node)
    assert not cautious(formats, node, n2=NEW, n3=NEW)
    node.turn([Call(RemoveMember("n3"), "token")], 1, 0)
    assert not cautious(formats, node)
    node.turn([Call(AddMember("n3", "", "", "0a"), "token")], 1, 0)
    assert cautious(formats, node)


def test_a_node_that_comes_back_is_cautious_as_soon_as_it_is_a_member() -> None:
    """Before, its sponsor is its only peer. It carried a deadline to members of 0.1.0, which took in no more of it."""
    node = Node("n1", Replica("n1.2", founders=("n1", "n2", "n3")), "s")
    formats = Formats(node)
    assert not cautious(formats, node, n2=NEW)
    node.turn([Call(AdmitIncarnation("n1", "n1.2"), "token")], 1, 0)
    node.turn([Tick()], 1, 0)
    assert node.replica.cautious
    assert not cautious(formats, node, n2=NEW, n3=NEW)


@pytest.mark.parametrize("format_", ["1", None, [1], {}, True, 1.5])
def test_a_format_that_is_no_number_says_nothing(format_: object) -> None:
    """Whoever could write to the Redis of one node could end the workers of all others with it."""
    node = Node("n1", Replica("n1", founders=("n1", "n2")), "s")
    assert cautious(Formats(node), node, n2={"serving": True, "format": format_})
