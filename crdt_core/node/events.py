"""What enters a node and what leaves it: the vocabulary of `crdt_core.node.node`, as plain values.

Events come from faces (calls), from peers' logs, from the inbox, and from the clock. A turn yields at most one commit,
and the effects that may happen once the store has confirmed the commit.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from crdt_core.codec.records import Changes

if TYPE_CHECKING:
    from collections.abc import Sequence

    from crdt_core.codec.messages import Message
    from crdt_core.codec.pieces import Pieces
    from crdt_core.lattice.clocks import ReplicaId, Stamp, VersionVector
    from crdt_core.lattice.deltas import Address, Delta, Patch
    from crdt_core.lattice.siblings import Payload
    from crdt_core.replica.proof import Shelf
    from crdt_core.replica.replica import Replica
    from crdt_core.types.members import Members

__all__ = [
    "Call",
    "Commit",
    "Confirmed",
    "DeltasRead",
    "Effect",
    "Event",
    "ImageAsked",
    "ImageDropped",
    "JobAnswer",
    "LinksRead",
    "MessagesRead",
    "Operation",
    "PatchAsked",
    "PatchOffered",
    "Quarantined",
    "RecordsDiffer",
    "ReplayAsked",
    "Reply",
    "RoundAsked",
    "RoundResult",
    "Send",
    "SendFailed",
    "StampAhead",
    "Tick",
    "Token",
    "Turn",
]

Token = Any
"""What the shell uses to find the caller again. The node only passes it on."""


class Operation(Protocol):
    """Something to do with a replica."""

    def run(self, replica: Replica, now: Stamp, /) -> Any:
        """Run on `replica` at hybrid time `now`, and return what the caller is told.

        Raises a `CallerError`; then nothing has changed.
        """


# Events


class Call(NamedTuple):
    """A caller wants `operation` run. The reply is its result."""

    operation: Operation
    token: Token


@dataclass(frozen=True, slots=True)
class DeltasRead:
    """Entries of `peer`'s log have been read, in order, as (entry id, content). The reply is how many were passed.

    An entry that builds on something missing is not passed, and no entry after it is: the reader reads them again,
    from the node's clock on.
    """

    peer: str
    entries: list[tuple[str, bytes]]
    token: Token


@dataclass(frozen=True, slots=True)
class MessagesRead:
    """Entries of the node's inbox have been read, as (entry id, content). The turn's commit acknowledges them.

    The content `None` means that the entry is gone from the inbox; the commit still acknowledges it.
    """

    entries: Sequence[tuple[str, bytes | None]]


@dataclass(frozen=True, slots=True)
class LinksRead:
    """From now on the node does not listen to the `paused` peers."""

    paused: frozenset[str]


@dataclass(frozen=True, slots=True)
class RoundAsked:
    """A caller wants a round with `peers`, or with all peers if there are none. The reply is a `RoundResult`."""

    peers: tuple[str, ...]
    token: Token


@dataclass(frozen=True, slots=True)
class PatchOffered:
    """A caller wants `patch` joined. The reply is how many of its writes were new."""

    patch: Patch
    token: Token


@dataclass(frozen=True, slots=True)
class PatchAsked:
    """A caller wants what a replica at clock `since` lacks, if it is not more than about `bytes_max` bytes.

    The reply is a `MadePatch` (`crdt_core.node.asked_patches`); it may take several turns.
    """

    since: VersionVector
    token: Token
    bytes_max: int


@dataclass(frozen=True, slots=True)
class ReplayAsked:
    """A piece of what the node's former id had not sent. It is written as new; the reply is how many writes that made.

    `later`: the former ids that are still to be replayed afterwards. `replayed`, `before` and `ends` are as in
    `crdt_core.membership.replay.Replay`.
    """

    former: ReplicaId
    deltas: tuple[Delta, ...]
    token: Token
    later: Sequence[ReplicaId] = ()
    replayed: int = 0
    before: dict[Address, Payload] = field(default_factory=dict)
    ends: bool = True


@dataclass(frozen=True, slots=True)
class ImageAsked:
    """A caller wants the next piece of the image that it calls `title`. The reply is an `ImagePiece`."""

    title: str
    token: Token


@dataclass(frozen=True, slots=True)
class ImageDropped:
    """Nobody waits for the image `title` any more."""

    title: str


@dataclass(frozen=True, slots=True)
class RecordsDiffer:
    """The store does not hold what memory says in `fields` of the hash `shelf`. The turn persists those again."""

    shelf: Shelf
    fields: Sequence[bytes]


@dataclass(frozen=True, slots=True)
class SendFailed:
    """A message of round `round` did not reach `peer`."""

    peer: str
    round: str


@dataclass(frozen=True, slots=True)
class Tick:
    """Time has passed."""


Event = (
    Call
    | DeltasRead
    | MessagesRead
    | LinksRead
    | RoundAsked
    | PatchOffered
    | PatchAsked
    | ReplayAsked
    | ImageAsked
    | ImageDropped
    | RecordsDiffer
    | SendFailed
    | Tick
)


# The commit


@dataclass(frozen=True, slots=True)
class Quarantined:
    """Bytes that the node could not understand or not write: from which stream and entry, and why."""

    source: str
    entry: str
    content: bytes
    reason: str


@dataclass(slots=True)
class Commit:
    """What one turn persists, all or nothing.

    `counter` and `delta` are set if the node itself wrote; the delta of a large call is in pieces. `header` holds the
    replica's own fields. `acknowledged` are entries of the inbox. The node's own log is not needed any more up to
    counter `trim`. `earlier` persists what slices before the turn have changed; it comes before `records`.
    """

    records: Changes = field(default_factory=Changes)
    counter: int = 0
    delta: bytes | Pieces | None = None
    header: dict[str, bytes] = field(default_factory=dict)
    acknowledged: list[str] = field(default_factory=list)
    quarantined: list[Quarantined] = field(default_factory=list)
    trim: int | None = None
    earlier: list[Changes] = field(default_factory=list)

    @property
    def empty(self) -> bool:
        """Whether there is nothing to persist."""
        return not (self.delta or self.header or self.records or self.earlier or self.acknowledged or self.quarantined)


# Effects


class Reply(NamedTuple):
    """The result for a caller, or the error to raise there."""

    token: Token
    result: Any = None
    error: Exception | None = None


@dataclass(frozen=True, slots=True)
class RoundResult:
    """What a round has done: whom it reached, how many messages it sent, how many writes were new on either side.

    `under_way`: the peers with which an exchange goes on; there are none once the round is over.
    """

    contacted: tuple[str, ...]
    failed: tuple[str, ...]
    under_way: tuple[str, ...]
    messages_sent: int
    new_items: int


@dataclass(frozen=True, slots=True)
class Send:
    """A message goes to the inbox of `peer`."""

    peer: str
    message: Message


@dataclass(frozen=True, slots=True)
class JobAnswer:
    """A job waits at `key` for `result`, which is ready for JSON."""

    key: str
    result: dict[str, Any]


@dataclass(frozen=True, slots=True)
class StampAhead:
    """A stamp of `source` (a peer, a caller, or the node itself) was `ahead_ms` ahead of wall time.

    `refused`: the hybrid clock did not follow the stamp. If the stamp was the node's own, the clock went back to wall
    time.
    """

    source: str
    ahead_ms: int
    refused: bool


Effect = Reply | Send | JobAnswer | StampAhead


@dataclass(frozen=True, slots=True)
class Confirmed:
    """What the replica was at its last confirmed commit: the only thing that may be told about it."""

    clock: VersionVector
    stable: VersionVector
    digest: int
    tombstones: int
    members: Members


@dataclass(frozen=True, slots=True)
class Turn:
    """A commit, and what may happen once the commit is confirmed."""

    commit: Commit
    effects: list[Effect]
