"""Patches on their way between two nodes, in as many messages as it takes.

A patch that fits into one message is one `Answer` or `Push`. A larger patch begins with `Chunk`s. After each chunk the
sender waits for the receiver's `More`. So at most one message is in flight, no turn gets long, and inboxes stay small.

    sender    Chunk 0          Chunk 1          Answer, after 2 chunks
    receiver           More 1           More 2                         joins

The receiver joins the patch as one, when the last message and all chunks of the same transfer are there. Before that
nothing of it counts. So a patch that is cut short, out of order, or mixed with another attempt claims nothing.

Here are the two ends of one transfer. `crdt_core.node.exchange` says when a transfer begins and ends.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, NamedTuple

from crdt_core.codec.messages import Answer, Chunk, Chunks, Push, encode_message

if TYPE_CHECKING:
    from crdt_core.lattice.clocks import HybridClock
    from crdt_core.lattice.deltas import Address, Patch, PatchPart
    from crdt_core.node.options import NodeOptions
    from crdt_core.replica.patch_walk import PatchWalk

__all__ = ["Arriving", "Incoming", "Outgoing", "whole_patch"]


class Arriving(NamedTuple):
    """How far a transfer to this node has come.

    `chunks` and `bytes` are here. `peer` has looked at `done` of its `of` parts; `of` grows where parts change
    meanwhile.
    """

    peer: str
    chunks: int
    bytes: int
    done: int
    of: int


@dataclass(slots=True)
class Outgoing:
    """The sending end. `form`: what the last message is. `sent`: how many chunks are out; `ended`: the patch is."""

    sender: str
    round: str
    transfer: str
    form: type[Answer | Push]
    walk: PatchWalk
    hlc: HybridClock
    sent: int = 0

    @property
    def ended(self) -> bool:
        """Whether the last message has been made."""
        return self.walk.ended

    def next(self, options: NodeOptions) -> Answer | Push | Chunk:
        """The next message: a chunk while the patch does not fit, then the last message."""
        room = options.chunk_bytes - len(encode_message(self._last(())))
        parts = tuple(self.walk.take(room, options.looks_per_chunk))
        if self.walk.ended:
            return self._last(parts)
        number, self.sent = self.sent, self.sent + 1
        done, of = self.walk.done, max(self.walk.of, self.walk.done)
        return Chunk(self.sender, self.round, self.transfer, number, done, of, parts)

    def continues_with(self, transfer: str, number: int) -> bool:
        """Whether chunk `number` of `transfer` is what comes next."""
        return (transfer, number) == (self.transfer, self.sent)

    def close(self) -> None:
        """End the walk; a closed transfer sends nothing more."""
        self.walk.close()

    def _last(self, parts: tuple[PatchPart, ...]) -> Answer | Push:
        patch = self.walk.patch(parts, self.hlc.last)
        after = Chunks(self.transfer, self.sent) if self.sent else None
        return self.form(self.sender, self.round, patch, after)


@dataclass(slots=True)
class Incoming:
    """The receiving end: the parts of the first `expected` chunks of `transfer`, and how far the sender has come."""

    transfer: str
    expected: int = 0
    bytes: int = 0
    done: int = 0
    of: int = 0
    parts: dict[Address, PatchPart] = field(default_factory=dict)

    def continues_with(self, transfer: str, number: int) -> bool:
        """Whether chunk `number` of `transfer` is what comes next."""
        return (transfer, number) == (self.transfer, self.expected)

    def take(self, chunk: Chunk, size: int) -> None:
        """Keep the next chunk, which came as `size` bytes. A part that comes again replaces the former."""
        self.parts.update((part[:3], part) for part in chunk.parts)
        self.expected += 1
        self.bytes += size
        self.done, self.of = chunk.done, chunk.of

    def progress(self, peer: str) -> Arriving:
        """How far this transfer from `peer` has come."""
        return Arriving(peer, self.expected, self.bytes, self.done, max(self.of, self.done))


def whole_patch(incoming: Incoming | None, last: Answer | Push) -> Patch | None:
    """The patch whose last message is `last`; `None` where chunks of it are missing.

    A patch that came in chunks is still to be checked (`check_patch`).
    """
    if last.after is None:
        return last.patch
    if incoming is None or last.after != (incoming.transfer, incoming.expected):
        return None
    incoming.parts.update((part[:3], part) for part in last.patch.parts)
    return replace(last.patch, parts=tuple(incoming.parts.values()))
