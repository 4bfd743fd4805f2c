"""Learns from heartbeats whether all members can read what this version writes, and Deltaic 0.1.0 cannot.

A heartbeat says `"format": 1`; that of 0.1.0 says nothing. Until this worker has heard so of every member, the replica
is `cautious`: it writes no shares of fractions and no carried deadlines. A member of 0.1.0 would set aside what it
cannot read, and take nothing after it until it is upgraded. So a member that was never heard counts as one of 0.1.0,
from the turn on that makes it a member (`crdt_core.node.upgraded`). What was heard outlives the worker.
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
    """What the peers of `node` can read. The node is cautious until all of them have been heard."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._upgraded: set[str] = {*(node.upgraded.nodes or ())}
        self.decide()

    def note(self, peer: str, fields: Mapping[str, Any]) -> None:
        """Take in the fields of a heartbeat of `peer`."""
        format_ = fields.get("format")
        if type(format_) is int and format_ >= FORMAT:
            self._upgraded.add(peer)
        elif fields.get("serving"):
            self._upgraded.discard(peer)

    def decide(self) -> None:
        """Let the node be cautious unless all of its peers are known to be upgraded. Whoever has left is forgotten."""
        self._upgraded.intersection_update(self._node.peers)
        self._node.upgraded.note(frozenset(self._upgraded))
