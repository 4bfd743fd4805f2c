"""Learns from heartbeats whether a member runs Deltaic 0.1.0, which cannot read all that this version can write.

A heartbeat says `"format": 1`; that of 0.1.0 says nothing. While a member is known to run 0.1.0, the replica is
`cautious`: it writes no shares of fractions and no carried deadlines. What such a member cannot read it would set
aside, and take nothing after it until it is upgraded. A member that was never heard of counts as upgraded: it may be
gone for long, and what it cannot read waits for it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from crdt_core.node.node import Node

__all__ = ["FORMAT", "Formats"]

FORMAT = 1
"""What a heartbeat of this version says in the field `format`."""


class Formats:
    """What the peers of `node` can read. The node is cautious until `decide` is called for the first time."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._old: set[str] = set()
        node.replica.cautious = bool(node.peers)

    def note(self, peer: str, fields: Mapping[str, Any]) -> None:
        """Take in the fields of a heartbeat of `peer`."""
        if fields.get("format", 0) >= FORMAT:
            self._old.discard(peer)
        elif fields.get("serving"):
            self._old.add(peer)

    def decide(self) -> None:
        """Let the node be cautious if, and only if, a peer is known to run 0.1.0."""
        self._node.replica.cautious = not self._old.isdisjoint(self._node.peers)
