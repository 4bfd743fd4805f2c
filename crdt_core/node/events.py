"""What enters a node and what leaves it: the vocabulary of `crdt_core.node.node`, plain values.

Events come from faces (calls), from peers' logs and the inbox, and from the clock. A turn yields at most one commit,
and the effects that may happen once the store has confirmed it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from crdt_core.codec.records import Changes

if TYPE_CHECKING:
    from collections.abc import Sequence

    from crdt_core.codec.messages import Message
    from crdt_core.commands.operations import Operation
    from crdt_core.lattice.clocks import ReplicaId, VersionVector
    from crdt_core.lattice.deltas import Delta
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
    "PatchAsked",
    "PatchOffered",
    "Quarantined",
    "ReplayAsked",
    "Reply",
    "RoundAsked",
    "Send",
    "SendFailed",
    "StampAhead",
    "Tick",
    "Turn",
]

Token = Any
"""Whatever the shell uses to find the caller again."""


class Call(NamedTuple):
    """A caller's operation; answered by `Reply`."""

    operation: Operation
    token: Token


@dataclass(frozen=True, slots=True)
class DeltasRead:
    """Entries of `peer`'s log, in order, as (entry id, content); answered by `Reply` with how many were passed.

    An entry that builds on something missing is not passed, nor is any after it: read again from the clock later.
    """

    peer: str
    entries: list[tuple[str, bytes]]
    token: Token


@dataclass(frozen=True, slots=True)
class MessagesRead:
    """Entries of the node's inbox as (entry id, content); acknowledged in the turn's commit.

    `None` for content: the entry is gone from the inbox, and only its acknowledgement is owed.
    """

    entries: Sequence[tuple[str, bytes | None]]


@dataclass(frozen=True, slots=True)
class LinksRead:
    """The peers that the node must not listen to now."""

    paused: frozenset[str]


@dataclass(frozen=True, slots=True)
class RoundAsked:
    """A caller's wish for an exchange with `peers` (none: all it listens to); a `RoundResult` is the reply."""

    peers: tuple[str, ...]
    token: Token


@dataclass(frozen=True, slots=True)
class PatchOffered:
    """A caller's patch, as JSON, to be joined; how many writes were new is the reply."""

    patch: bytes
    token: Token


@dataclass(frozen=True, slots=True)
class PatchAsked:
    """A caller's wish for the patch since a clock; its JSON is the reply."""

    since: VersionVector
    token: Token


@dataclass(frozen=True, slots=True)
class ReplayAsked:
    """What the former id of this node had not sent, to be written as new; how many writes that made is the reply."""

    former: ReplicaId
    deltas: tuple[Delta, ...]
    token: Token


@dataclass(frozen=True, slots=True)
class ImageAsked:
    """A caller's wish for the next piece of the image that it calls `title`; an `ImagePiece` is the reply."""

    title: str
    token: Token


@dataclass(frozen=True, slots=True)
class ImageDropped:
    """Nobody waits for that image any more."""

    title: str


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
    | SendFailed
    | Tick
)


@dataclass(frozen=True, slots=True)
class Quarantined:
    """Bytes that could not be understood: from which stream and entry, and why."""

    source: str
    entry: str
    content: bytes
    reason: str


@dataclass(slots=True)
class Commit:
    """What one turn persists, all or nothing.

    `counter` and `delta` are set if the node itself wrote; `header` holds the replica's own fields; `trim` is the
    counter below which the node's own log is not needed any more.
    """

    records: Changes = field(default_factory=Changes)
    counter: int = 0
    delta: bytes | None = None
    header: dict[str, bytes] = field(default_factory=dict)
    acknowledged: list[str] = field(default_factory=list)
    quarantined: list[Quarantined] = field(default_factory=list)
    trim: int | None = None

    @property
    def empty(self) -> bool:
        """Whether there is nothing to persist."""
        return not (self.delta or self.header or self.records or self.acknowledged or self.quarantined)


class Reply(NamedTuple):
    """The result for a caller, or the error to raise there."""

    token: Token
    result: Any = None
    error: Exception | None = None


@dataclass(frozen=True, slots=True)
class Send:
    """A message for the inbox of `peer`."""

    peer: str
    message: Message


@dataclass(frozen=True, slots=True)
class JobAnswer:
    """The result that a job waits for at `key`, JSON-ready."""

    key: str
    result: dict[str, Any]


@dataclass(frozen=True, slots=True)
class StampAhead:
    """What `source` (a peer, a caller, or the node itself) stamped is `ahead_ms` ahead of wall time.

    `refused`: the hybrid clock did not follow; of the node itself, it went back to wall time.
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
    """A commit, and what may happen once it is confirmed."""

    commit: Commit
    effects: list[Effect]
