"""Nodes with equal clocks form a group; in a group, states that differ are an alarm."""

from __future__ import annotations

from crdt_core.lattice.clocks import VersionVector
from workers.config.settings import NodeSettings
from workers.fleet.agreement import AGREE, BEHIND, MISMATCH, fill_in_agreement, group_by_clock
from workers.fleet.node_status import NodeStatus

SETTINGS = NodeSettings(grpc="h:1", redis="redis://h")


def node(name: str, clock: dict[str, int] | None, digest: str = "d") -> NodeStatus:
    return NodeStatus(name, SETTINGS, clock=None if clock is None else VersionVector(clock), digest=digest)


def agreements(*nodes: NodeStatus) -> list[str | None]:
    by_name = {found.name: found for found in nodes}
    fill_in_agreement(by_name, group_by_clock(nodes))
    return [found.agreement for found in nodes]


def test_nodes_that_have_seen_the_same_are_one_group_and_agree() -> None:
    nodes = node("n1", {"n1": 1, "n2": 2}), node("n2", {"n2": 2, "n1": 1})
    (group,) = group_by_clock(nodes)
    assert (group.nodes, group.mismatch, group.clock) == (["n1", "n2"], False, {"n1": 1, "n2": 2})
    assert agreements(*nodes) == [AGREE, AGREE]


def test_a_node_that_has_seen_less_is_behind_and_the_largest_group_comes_first() -> None:
    nodes = node("n1", {"n1": 1}), node("n2", {"n1": 2}), node("n3", {"n1": 2})
    assert [group.nodes for group in group_by_clock(nodes)] == [["n2", "n3"], ["n1"]]
    assert agreements(*nodes) == [BEHIND, AGREE, AGREE]


def test_nodes_that_each_lack_something_are_all_behind() -> None:
    assert agreements(node("n1", {"n1": 1}), node("n2", {"n2": 1})) == [BEHIND, BEHIND]


def test_equal_clocks_with_different_digests_are_an_alarm_for_their_group_only() -> None:
    nodes = node("n1", {"n1": 1}, "a"), node("n2", {"n1": 1}, "b"), node("n3", {"n1": 2}, "c")
    assert agreements(*nodes) == [MISMATCH, MISMATCH, AGREE]
    first, _ = group_by_clock(nodes)
    assert first.digests == {"a": ["n1"], "b": ["n2"]}


def test_a_node_that_cannot_be_read_is_in_no_group() -> None:
    assert agreements(node("n1", {"n1": 1}), node("n2", None)) == [AGREE, None]
    assert group_by_clock([node("n2", None)]) == []
