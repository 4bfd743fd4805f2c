"""Whose states agree: nodes that have seen exactly the same commits must hold the same state."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from crdt_core.lattice.clocks import VersionVector

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from workers.fleet.node_view import NodeView

__all__ = ["AGREE", "APART", "BEHIND", "MISMATCH", "Group", "grouped", "judge"]

AGREE, BEHIND, APART, MISMATCH = "agree", "behind", "apart", "mismatch"
"""Of a node: nobody has seen more; some node has seen more. Of the fleet: views part. Of both: an alarm."""


@dataclass(frozen=True, slots=True)
class Group:
    """Nodes that have seen exactly the same commits: they must hold the same state."""

    clock: VersionVector
    digests: dict[str, list[str]]

    @property
    def nodes(self) -> list[str]:
        return [name for names in self.digests.values() for name in names]

    @property
    def mismatch(self) -> bool:
        """Whether states differ all the same."""
        return len(self.digests) > 1


def grouped(views: Iterable[NodeView]) -> list[Group]:
    """The readable nodes by what they have seen, the largest group first."""
    groups: dict[tuple[tuple[str, int], ...], Group] = {}
    for view in views:
        if view.clock is not None:
            group = groups.setdefault(tuple(sorted(view.clock.items())), Group(view.clock, {}))
            group.digests.setdefault(view.digest or "", []).append(view.name)
    return sorted(groups.values(), key=lambda group: -len(group.nodes))


def judge(views: Mapping[str, NodeView], groups: list[Group]) -> None:
    """Fills in each grouped node's agreement with the fleet."""
    everything = VersionVector()
    for group in groups:
        everything.merge(group.clock)
    for group in groups:
        seen_all = AGREE if everything <= group.clock else BEHIND
        for name in group.nodes:
            views[name].agreement = MISMATCH if group.mismatch else seen_all
