"""Compares the states of nodes: nodes that have seen exactly the same commits must hold the same state."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from crdt_core.lattice.clocks import VersionVector

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from workers.fleet.node_status import NodeStatus

__all__ = ["AGREE", "APART", "BEHIND", "MISMATCH", "Group", "fill_in_agreement", "group_by_clock"]

AGREE, BEHIND, APART, MISMATCH = "agree", "behind", "apart", "mismatch"
"""A node agrees if no node has seen more, and is behind otherwise. A fleet whose nodes have seen different commits is
apart. A mismatch is an alarm, for a node and for the fleet: equal clocks, different states."""


@dataclass(frozen=True, slots=True)
class Group:
    """Nodes with equal clocks. `digests` has the names of the nodes by the digest of their state."""

    clock: VersionVector
    digests: dict[str, list[str]]

    @property
    def nodes(self) -> list[str]:
        """The names of all nodes of the group."""
        return [name for names in self.digests.values() for name in names]

    @property
    def mismatch(self) -> bool:
        """Whether the states of these nodes differ."""
        return len(self.digests) > 1


def group_by_clock(nodes: Iterable[NodeStatus]) -> list[Group]:
    """Return the nodes whose clock could be read, in groups with equal clocks, the largest group first."""
    groups: dict[tuple[tuple[str, int], ...], Group] = {}
    for node in nodes:
        if node.clock is not None:
            group = groups.setdefault(tuple(sorted(node.clock.items())), Group(node.clock, {}))
            group.digests.setdefault(node.digest or "", []).append(node.name)
    return sorted(groups.values(), key=lambda group: -len(group.nodes))


def fill_in_agreement(nodes: Mapping[str, NodeStatus], groups: list[Group]) -> None:
    """Set `agreement` of each node that is in one of `groups`."""
    everything = VersionVector()
    for group in groups:
        everything.merge(group.clock)
    for group in groups:
        seen_all = AGREE if everything <= group.clock else BEHIND
        for name in group.nodes:
            nodes[name].agreement = MISMATCH if group.mismatch else seen_all
