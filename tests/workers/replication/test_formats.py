"""A node writes nothing that a member of 0.1.0 cannot read, as soon as it has heard of one."""

from __future__ import annotations

from crdt_core.node.node import Node
from crdt_core.replica.replica import Replica
from workers.replication.formats import FORMAT, Formats

OLD, NEW = {"serving": True}, {"serving": True, "format": FORMAT}


def cautious(formats: Formats, node: Node, **beats: dict[str, object]) -> bool:
    for peer, fields in beats.items():
        formats.note(peer, fields)
    formats.decide()
    return node.replica.cautious


def test_a_node_is_cautious_while_a_member_runs_0_1_0() -> None:
    node = Node("n1", Replica("n1", founders=("n1", "n2", "n3")), "s")
    formats = Formats(node)
    assert node.replica.cautious, "until it has listened"
    assert not cautious(formats, node)
    assert cautious(formats, node, n2=NEW, n3=OLD)
    assert cautious(formats, node, n2=NEW)
    assert not cautious(formats, node, n3=NEW)


def test_who_is_no_member_or_does_not_serve_yet_does_not_count() -> None:
    node = Node("n1", Replica("n1", founders=("n1", "n2")), "s")
    assert not cautious(Formats(node), node, n2={"serving": False, "waits": "so"}, n9=OLD)


def test_a_lone_node_is_never_cautious() -> None:
    node = Node("n1", Replica("n1", founders=("n1",)), "s")
    Formats(node)
    assert not node.replica.cautious
