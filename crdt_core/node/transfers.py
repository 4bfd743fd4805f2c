"""Patches on their way between this node and its peers, in as many messages as it takes.

A patch that fits into one message is one `Answer` or `Push`. Of a larger one come `Chunk`s first, each of which waits
for the receiver's `More`: at most one is in flight, neither side's turn gets long, and an inbox stays small.

    sender    Chunk 0          Chunk 1          Answer, after 2 chunks
    receiver           More 1           More 2                         joins

The receiver joins when the last message is there and all chunks of that very transfer are, as one patch. Until then
nothing of it counts, so one that is cut short, mixed with another attempt or out of order claims nothing. What does not
move for as long as an exchange waits is dropped on either side; a later round starts anew.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, NamedTuple

from crdt_core.codec.canonical import check_patch
from crdt_core.codec.messages import Answer, Chunk, Chunks, More, Push, encode_message
from crdt_core.replica.patch_walk import PatchWalk

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Mapping

    from crdt_core.lattice.clocks import HybridClock, VersionVector
    from crdt_core.lattice.deltas import Address, Patch, PatchPart
    from crdt_core.node.options import NodeOptions
    from crdt_core.replica.replica import Replica

__all__ = ["Arriving", "Transfers"]

_PER_PEER_MAX = 4

Place = tuple[str, str]
"""(peer, round): within a round, a patch goes either way at most once at a time."""


class Arriving(NamedTuple):
    """How far a transfer to this node has come: `chunks` and `bytes` are here; `peer` has looked at `done` parts `of`.

    `of` is what the peer knows: it grows where parts change meanwhile.
    """

    peer: str
    chunks: int
    bytes: int
    done: int
    of: int


@dataclass(slots=True)
class _Outgoing:
    """A patch that is being sent. `form`: what its last message is."""

    form: type[Answer | Push]
    transfer: str
    scan: PatchWalk
    deadline_ms: int
    sent: int = 0


@dataclass(slots=True)
class _Incoming:
    """A patch that is coming in: the parts of all chunks so far, which are those before `expected`."""

    transfer: str
    deadline_ms: int
    expected: int = 0
    bytes: int = 0
    done: int = 0
    of: int = 0
    parts: dict[Address, PatchPart] = field(default_factory=dict)


class Transfers:
    """The transfers of node `name`, to and from `replica`; `session` tells this run of the node from others."""

    def __init__(
        self,
        name: str,
        session: str,
        replica: Replica,
        hlc: HybridClock,
        *,
        options: NodeOptions,
        counts: Counter[str],
    ) -> None:
        self._name = name
        self._session = session
        self._replica = replica
        self._hlc = hlc
        self._options = options
        self._counts = counts
        self._started = 0
        self._outgoing: dict[Place, _Outgoing] = {}
        self._incoming: dict[Place, _Incoming] = {}
        self.under_way = (self._outgoing, self._incoming)
        """Tables: where both are empty, `expire` has nothing to do."""

    @property
    def arriving(self) -> tuple[Arriving, ...]:
        """How far each patch has come that is coming in in chunks."""
        return tuple(
            Arriving(peer, found.expected, found.bytes, found.done, max(found.of, found.done))
            for (peer, _), found in self._incoming.items()
        )

    # Sending

    def start(
        self, form: type[Answer | Push], place: Place, since: VersionVector, now_ms: int
    ) -> Answer | Push | Chunk | None:
        """The first message of what a replica at `since` lacks; `None` where that is under way, or too much else is."""
        if place in self._outgoing:
            return None
        self._started += 1
        transfer = f"{self._session}-{self._started}"
        outgoing = _Outgoing(form, transfer, PatchWalk(self._replica, since), self._deadline_ms(now_ms))
        message = self._next(place, outgoing)
        if outgoing.sent:
            if _crowded(self._outgoing, place):
                outgoing.scan.close()
                return None
            self._outgoing[place] = outgoing
        return message

    def go_on(self, message: More, now_ms: int) -> Answer | Push | Chunk | None:
        """The next message, if the receiver waits for that. A transfer of a former run of this node starts anew."""
        place = message.sender, message.round
        outgoing = self._outgoing.get(place)
        if outgoing is None and message.transfer.rpartition("-")[0] != self._session:
            return self.start(Answer, place, message.clock, now_ms)
        if outgoing is None or (message.transfer, message.number) != (outgoing.transfer, outgoing.sent):
            return None
        outgoing.deadline_ms = self._deadline_ms(now_ms)
        following = self._next(place, outgoing)
        if outgoing.scan.ended:
            del self._outgoing[place]
        return following

    def _next(self, place: Place, outgoing: _Outgoing) -> Answer | Push | Chunk:
        empty = self._last(place, outgoing, ())
        room = self._options.chunk_bytes - len(encode_message(empty))
        parts = tuple(outgoing.scan.take(room, self._options.looks_per_chunk))
        if outgoing.scan.ended:
            return self._last(place, outgoing, parts)
        number, scan = outgoing.sent, outgoing.scan
        outgoing.sent += 1
        self._counts["chunks_sent"] += 1
        return Chunk(self._name, place[1], outgoing.transfer, number, scan.done, max(scan.of, scan.done), parts)

    def _last(self, place: Place, outgoing: _Outgoing, parts: tuple[PatchPart, ...]) -> Answer | Push:
        patch = outgoing.scan.patch(parts, self._hlc.last)
        after = Chunks(outgoing.transfer, outgoing.sent) if outgoing.sent else None
        return outgoing.form(self._name, place[1], patch, after)

    # Receiving

    def take(self, message: Chunk, size: int, now_ms: int) -> More | None:
        """Takes in a chunk that came as `size` bytes: the request for the next; `None` if it is not the next itself."""
        place = message.sender, message.round
        incoming = self._incoming.get(place)
        if message.number == 0 and (incoming is None or incoming.transfer != message.transfer):
            if incoming is None and _crowded(self._incoming, place):
                return None
            incoming = self._incoming[place] = _Incoming(message.transfer, 0)
        if incoming is None or (message.transfer, message.number) != (incoming.transfer, incoming.expected):
            return None
        incoming.parts.update((part[:3], part) for part in message.parts)
        incoming.expected += 1
        incoming.bytes += size
        incoming.done, incoming.of = message.done, message.of
        incoming.deadline_ms = self._deadline_ms(now_ms)
        self._counts["chunks_received"] += 1
        clock = self._replica.whole_clock.copy()
        return More(self._name, message.round, message.transfer, incoming.expected, clock)

    def complete(self, message: Answer | Push) -> Patch | None:
        """The whole patch whose last message this is; `None` if not all of it has come. Raises `Malformed`."""
        if message.after is None:
            return message.patch
        place = message.sender, message.round
        incoming = self._incoming.get(place)
        if incoming is None or (incoming.transfer, incoming.expected) != message.after:
            self._counts["patches_incomplete"] += 1
            return None
        del self._incoming[place]
        incoming.parts.update((part[:3], part) for part in message.patch.parts)
        whole = replace(message.patch, parts=tuple(incoming.parts.values()))
        check_patch(whole)
        return whole

    # The end

    def drop(self, place: Place) -> None:
        """Forgets what is under way there."""
        outgoing = self._outgoing.pop(place, None)
        if outgoing is not None:
            outgoing.scan.close()
        self._incoming.pop(place, None)

    def expire(self, now_ms: int) -> None:
        """Forgets what has not moved for too long."""
        for under_way in (self._outgoing, self._incoming):
            for place in [place for place, found in under_way.items() if now_ms >= found.deadline_ms]:
                self._counts["transfers_expired"] += 1
                self.drop(place)

    def _deadline_ms(self, now_ms: int) -> int:
        return now_ms + self._options.exchange_timeout_ms


def _crowded(under_way: Mapping[Place, object], place: Place) -> bool:
    return sum(peer == place[0] for peer, _ in under_way) >= _PER_PEER_MAX
