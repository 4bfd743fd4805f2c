"""Patches that callers ask for: made some parts in each turn, by the walk that makes the patches of peers.

A patch of a million keys takes seconds. So no turn looks at more than a bounded number of parts, the replica goes on
changing meanwhile, and the patch is of the clock at which the walk ends (`crdt_core.replica.patch_walk`). One patch is
made at a time: while it is, every change of the replica costs more.
"""

from __future__ import annotations

from dataclasses import dataclass
from heapq import merge
from typing import TYPE_CHECKING

from crdt_core.codec.patches import encode_patch_of, part_order
from crdt_core.errors import TooMany
from crdt_core.node.events import Reply
from crdt_core.replica.patch_walk import PatchWalk

if TYPE_CHECKING:
    from crdt_core.codec.patches import EncodedPart
    from crdt_core.lattice.clocks import HybridClock
    from crdt_core.lattice.deltas import Address, Patch
    from crdt_core.node.events import PatchAsked
    from crdt_core.node.options import NodeOptions
    from crdt_core.node.turn_context import TurnContext
    from crdt_core.replica.replica import Replica

__all__ = ["AskedPatches", "MadePatch"]


_LOOKS_PER_PATCH = 200
"""Every patch counts for so many parts at least: its beginning and its end cost something, too."""


@dataclass(slots=True)
class MadePatch:
    """A patch whose parts are encoded: `outline` is without them; they have `size` bytes in all.

    Each of `pieces` is in order. `latest` names the piece that counts for each part, as a part may be listed again.
    """

    outline: Patch
    pieces: list[list[EncodedPart]]
    latest: dict[Address, int]
    size: int

    def take_json(self) -> bytes:
        """Return the patch as canonical JSON, and free its parts. A large one takes long; any thread may do it."""
        numbered = [[(part_order(part), number, part) for part in piece] for number, piece in enumerate(self.pieces)]
        parts = (part for _, number, part in merge(*numbered) if self.latest[part[:3]] == number)
        json = encode_patch_of(self.outline, parts)
        for some, piece in zip(numbered, self.pieces, strict=True):
            some.clear()
            piece.clear()
        while self.latest:
            self.latest.popitem()
        return json


class AskedPatches:
    """Makes the patches of `replica` that callers have asked for; `waiting` has the callers in their order."""

    def __init__(self, replica: Replica, hlc: HybridClock, options: NodeOptions) -> None:
        self.waiting: list[PatchAsked] = []
        self._replica = replica
        self._hlc = hlc
        self._options = options
        self._walk: PatchWalk | None = None
        self._pieces: list[list[EncodedPart]] = []
        self._latest: dict[Address, int] = {}
        self._bytes = 0

    def advance(self, context: TurnContext) -> None:
        """Look at some more parts, and reply to those whose patches are made.

        The replica has no open writes, and its changes are taken (`take_changes`).
        """
        looks = self._options.looks_per_chunk
        while self.waiting and looks > 0:
            asked = self.waiting[0]
            if self._walk is None:
                self._walk = PatchWalk(self._replica, asked.since)
            walk, before = self._walk, self._walk.done
            self._keep(walk.take(self._options.chunk_bytes, looks))
            looks -= max(walk.done - before, _LOOKS_PER_PATCH)
            if walk.ended:
                made = MadePatch(walk.patch((), self._hlc.last), self._pieces, self._latest, self._bytes)
                context.effects.append(Reply(asked.token, made))
            elif self._bytes > asked.bytes_max:
                error = TooMany("answer", self._bytes, asked.bytes_max, "bytes", "limits.message_bytes_max")
                context.effects.append(Reply(asked.token, error=error))
            else:
                return
            self._forget()

    def _keep(self, parts: list[EncodedPart]) -> None:
        for part in parts:
            self._latest[part[:3]] = len(self._pieces)
            self._bytes += len(part.json) + 1
        self._pieces.append(sorted(parts, key=part_order))

    def _forget(self) -> None:
        assert self._walk is not None
        self._walk.close()
        self.waiting.pop(0)
        self._walk, self._pieces, self._latest, self._bytes = None, [], {}, 0
