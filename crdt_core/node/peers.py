"""The peers of a node: the other nodes that take part, and which of them the node listens to."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from crdt_core.membership.membership import Membership

__all__ = ["Peers"]


class Peers:
    """The peers as `membership` knows them. The node does not listen to those that are `paused`."""

    def __init__(self, membership: Membership) -> None:
        self._membership = membership
        self.paused: frozenset[str] = frozenset()

    @property
    def names(self) -> tuple[str, ...]:
        """The names of all peers."""
        return tuple(self._membership.peers)

    def hears(self, node: str) -> bool:
        """Whether `node` is a peer, and the node listens to it."""
        return node in self._membership.peers and node not in self.paused

    def heard(self, nodes: Iterable[str]) -> list[str]:
        """Those of `nodes` that are peers, and that the node listens to."""
        return [node for node in nodes if self.hears(node)]
