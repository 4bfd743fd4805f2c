"""The turn context: collects the commit and the effects of one turn."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from crdt_core.node.events import Commit, Quarantined

if TYPE_CHECKING:
    from crdt_core.node.events import Call, Effect, ImageAsked, ImageDropped, Operation, RecordsDiffer

__all__ = ["QUARANTINED_BYTES_MAX", "TurnContext"]

QUARANTINED_BYTES_MAX = 64 << 10
"""How much is kept of something that could not be understood: enough to see whose it is, too little to fill Redis."""


@dataclass(slots=True)
class TurnContext:
    """The time of a turn, and what has come together so far. Every part of the node that takes part adds to it.

    `own` are operations that the node itself needs, `replays` repeat what a former id had not sent, and `calls` are
    those of callers. They run in this order, after everything that peers sent. `images` are pieces to be made at the
    end of the turn, and `differing` the records to be persisted again then.

    `wall_ms` is for stamps and for what people are shown. Deadlines are in `monotonic_ms`, as wall time may jump.
    """

    wall_ms: int
    monotonic_ms: int
    commit: Commit = field(default_factory=Commit)
    effects: list[Effect] = field(default_factory=list)
    own: list[Operation] = field(default_factory=list)
    replays: list[Call] = field(default_factory=list)
    calls: list[Call] = field(default_factory=list)
    images: list[ImageAsked | ImageDropped] = field(default_factory=list)
    differing: list[RecordsDiffer] = field(default_factory=list)

    def quarantine(self, source: str, entry: str, content: bytes, reason: str) -> None:
        """Set `content` aside, which stands at `entry` of `source`, for the `reason`."""
        if len(content) > QUARANTINED_BYTES_MAX:
            reason = f"{reason} (the first {QUARANTINED_BYTES_MAX} of {len(content)} bytes)"
        self.commit.quarantined.append(Quarantined(source, entry, content[:QUARANTINED_BYTES_MAX], reason))
