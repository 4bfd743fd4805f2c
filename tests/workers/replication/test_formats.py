"""A node writes nothing that a member of 0.1.0 cannot read, as soon as it has heard of one."""

from __future__ import annotations

from crdt_core.node.node import Node
from crdt_core.replica.replica import Replica
from workers.replication.formats import FORMAT, Formats

OLD, NEW = {"serving": True}, {"serving": True, "format": FORMAT}


def test_a_node_is_cautious_while_a_member_runs_0_1_0() -> None:
    node = Node("n1", Replica("n1", founders=("n1", "n2", "n3")), "s")
    formats = Formats(node)
    assert not node.replica.cautious
    formats.note("n2", NEW)
    formats.note("n3", OLD)
    assert node.replica.cautious
    formats.note("n2", NEW)
    assert node.replica.cautious
    formats.note("n3", NEW)
    assert not node.replica.cautious


def test_who_is_no_member_or_does_not_serve_yet_does_not_count() -> None:
    node = Node("n1", Replica("n1", founders=("n1", "n2")), "s")
    formats = Formats(node)
    formats.note("n2", {"serving": False, "waits": "so"})
    formats.note("n9", OLD)
    assert not node.replica.cautious
