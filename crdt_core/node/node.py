"""A node: a replica among peers, as a machine of turns. Events in; one commit, then effects, out.

Everything that reaches a replica comes through here, in one order: operations, peers' deltas, inbox messages, rounds,
time. The machine does no I/O and reads no clock, so the worker, the simulator and a test bench run the same one.
The shell that drives it promises: one turn at a time, effects only after the commit is confirmed (`confirm`), and no
turn after a commit that failed. Between a turn and its confirmation, `confirmed` shows what was there before.

Within a turn, what peers sent is taken in first; then all callers' operations share one commit (group commit), so load
makes batches larger and not queues longer. Here are the turn, calls, peers' logs, and whom to listen to; `rounds` has
the exchanges with peers, `ingest` takes deltas and patches into the replica, `membership` knows who takes part, and
`stability` what all of them have seen.
"""

from __future__ import annotations

import contextlib
from collections import Counter
from typing import TYPE_CHECKING

from crdt_core.codec.canonical import decode_delta, decode_patch, encode_delta, encode_patch
from crdt_core.codec.header import Header, encode_header
from crdt_core.codec.messages import Admit, Answer, Ask, Compact, More, Push, Round, decode_message
from crdt_core.errors import (
    CallerError,
    ClaimRefused,
    InvalidArgument,
    Malformed,
    PatchTooNew,
    PeerError,
    TooMany,
    UnknownNode,
    WorldError,
    brief,
)
from crdt_core.lattice.clocks import HybridClock, VersionVector
from crdt_core.membership.changes import AdmitIncarnation, Membership, RemoveMember
from crdt_core.membership.replay import Replay
from crdt_core.node.events import (
    Call,
    Confirmed,
    DeltasRead,
    ImageAsked,
    ImageDropped,
    LinksRead,
    MessagesRead,
    PatchAsked,
    PatchOffered,
    Quarantined,
    ReplayAsked,
    Reply,
    RoundAsked,
    SendFailed,
    Turn,
)
from crdt_core.node.image import Images
from crdt_core.node.ingest import Ingest
from crdt_core.node.options import NodeOptions
from crdt_core.node.rounds import Rounds
from crdt_core.node.stability import Stability
from crdt_core.node.turn_context import TurnContext
from crdt_core.replica.committed_view import CommittedView
from crdt_core.replica.replica import Applied
from crdt_core.types.members import ABSENT, Standing

if TYPE_CHECKING:
    from collections.abc import Sequence

    from crdt_core.codec.messages import PeerMessage
    from crdt_core.lattice.clocks import ReplicaId
    from crdt_core.lattice.deltas import Delta, Patch
    from crdt_core.membership.identity import Sponsor
    from crdt_core.node.events import Event
    from crdt_core.node.transfers import Arriving
    from crdt_core.replica.replica import Replica
    from crdt_core.types.members import Members

__all__ = ["A_CALLER", "QUARANTINED_BYTES_MAX", "Node", "NodeOptions"]

A_CALLER = "a caller"
"""Who sent a stamp that came in a caller's patch; no node is called so."""

QUARANTINED_BYTES_MAX = 64 << 10
"""What is kept of a message that could not be understood: enough to see whose it is, too little to fill Redis."""

STRANGERS_SETTING = "limits.foreign_replicas_max"


class Node:
    """The machine of node `name`.

    `session` tells this run of the node from others, in the names of rounds. `sponsor`: whom it asks while the replica
    is no member yet. `counts` counts what happened, for metrics; `paused` are the peers that it does not listen to;
    `confirmed` is what a reader may be shown. `joins`: the replica is no member yet.
    """

    def __init__(
        self,
        name: str,
        replica: Replica,
        session: str,
        *,
        sponsor: Sponsor | None = None,
        options: NodeOptions | None = None,
        hlc: HybridClock | None = None,
    ) -> None:
        self.name = name
        self.replica = replica
        self.confirmed = CommittedView(replica.catalogue)
        self.options = options or NodeOptions()
        self.hlc = hlc or HybridClock()
        self.paused: frozenset[str] = frozenset()
        self.counts: Counter[str] = Counter()
        self._ingest = Ingest(replica, self.hlc, self.options, self.counts)
        self._rounds = Rounds(name, session, replica, self.hlc, self._ingest, options=self.options, counts=self.counts)
        self._images = Images(name, replica, self.hlc, self.options)
        self._blocked_since_ms: dict[str, int] = {}
        self._refused: dict[str, str] = {}
        self.membership = Membership(name, replica, sponsor)
        for member in (replica.id, *self.membership.peers.values()):
            replica.catalogue.replica_index.index(member)  # before anybody else can use the numbers up
        self.stability = Stability(replica, self.membership, self.options)
        self.joins = not self.membership.is_admitted
        self._checked: Members | None = None

    def turn(self, events: Sequence[Event], wall_ms: int, monotonic_ms: int) -> Turn:
        """Takes in `events`; what to commit, and what may happen then.

        `wall_ms` is the time of day, for the hybrid clock; `monotonic_ms` neither falls nor jumps: deadlines are in it.
        Raises `InvariantBroken` where the replica can no longer be trusted, and `Retired` where the fleet goes on
        without its id: then nothing of the turn may be committed.
        """
        context, replica = TurnContext(wall_ms, monotonic_ms), self.replica
        clock_before = VersionVector(replica.clock)
        if self.hlc.last.ms > wall_ms:
            self._ingest.set_clock_right(self.name, context)
        for event in events:
            if type(event) is Call:
                context.calls.append(event)
            else:
                self._take(event, context)
        if replica.members is not self._checked or replica.given_up:
            self.membership.check()
            self._checked = replica.members
        if any(self._rounds.under_way):
            self._rounds.advance(context)
        delta = self._write(context)
        commit = context.commit
        if self.joins and self.membership.is_admitted:
            self.joins = False
            commit.header["joining"] = b""
        commit.records = replica.take_changes()
        if delta is not None:
            commit.counter, commit.delta = delta.dot.counter, encode_delta(delta)
        if commit.header or replica.clock != clock_before or commit.records:
            header = Header(replica.clock, replica.stable, replica.catalogue.digest, self.hlc.last)
            commit.header.update(encode_header(header))
        for asked in context.images:
            self._make_image(asked, context)
        self.counts["turns"] += 1
        self.counts["commits"] += delta is not None
        return Turn(commit, context.effects)

    def confirm(self) -> Confirmed:
        """The commit of the last turn is durable; returns what may be told of the replica now, as it may be shown."""
        replica = self.replica
        catalogue = replica.catalogue
        catalogue.in_flight = {}
        clock, stable = VersionVector(replica.clock), VersionVector(replica.stable)
        return Confirmed(clock, stable, catalogue.digest, len(catalogue.tombstones), replica.members)

    @property
    def peers(self) -> tuple[str, ...]:
        """The other nodes that take part."""
        return tuple(self.membership.peers)

    def header(self) -> dict[str, bytes]:
        """The replica's own fields of the persisted header."""
        replica = self.replica
        return encode_header(Header(replica.clock, replica.stable, replica.digest, self.hlc.last))

    @property
    def arriving(self) -> tuple[Arriving, ...]:
        """How far each patch has come that is coming in in chunks; nothing of it shows before all of it is here."""
        return self._rounds.arriving

    # Events

    def _take(self, event: Event, context: TurnContext) -> None:
        match event:
            case DeltasRead():
                self._take_deltas(event, context)
            case MessagesRead():
                self._take_messages(event, context)
            case LinksRead():
                self.paused = event.paused
            case RoundAsked():
                self._take_round_asked(event, context)
            case PatchOffered():
                self._take_patch_offered(event, context)
            case PatchAsked():
                context.effects.append(Reply(event.token, encode_patch(self._ingest.patch(event.since))))
            case ReplayAsked():
                context.commit.header["former"] = b""
                context.calls.append(Call(Replay(event.former, event.deltas), event.token))
            case ImageAsked() | ImageDropped():
                context.images.append(event)
            case SendFailed():
                self._rounds.fail(event.peer, event.round)
            # a `Tick` says no more than that it is a turn

    def _write(self, context: TurnContext) -> Delta | None:
        """Runs all operations on what the turn has taken in, and settles what members are owed; all is one delta."""
        if not context.calls and not context.own and not self.membership.owes():
            return None
        now = self.hlc.tick(context.wall_ms)
        for operation in context.own:
            with contextlib.suppress(CallerError):
                operation.run(self.replica, now)
        for call in context.calls:
            try:
                context.effects.append(Reply(call.token, call.operation.run(self.replica, now)))
            except CallerError as error:
                context.effects.append(Reply(call.token, error=error))
        if self.replica.members is not self.membership.settled and self.membership.owes():
            self.membership.settle(now)
        return self.replica.commit(now)

    def _make_image(self, event: ImageAsked | ImageDropped, context: TurnContext) -> None:
        """Makes the next piece of an image: of the state, and with the digest, that this turn's commit persists."""
        if isinstance(event, ImageDropped):
            self._images.drop(event.title)
            return
        try:
            context.effects.append(Reply(event.token, self._images.next(event.title)))
        except WorldError as error:
            context.effects.append(Reply(event.token, error=error))

    # Peers' deltas

    def _take_deltas(self, event: DeltasRead, context: TurnContext) -> None:
        passed = 0
        if event.peer in self.peers and event.peer not in self.paused:
            for entry, content in event.entries:
                if not self._take_delta(event.peer, entry, content, context):
                    break
                passed += 1
        if passed == len(event.entries):
            self._blocked_since_ms.pop(event.peer, None)
        context.effects.append(Reply(event.token, passed))

    def _take_delta(self, peer: str, entry: str, content: bytes, context: TurnContext) -> bool:
        try:
            delta = decode_delta(content)
            known = self.replica.members.ids_of(peer)
            if delta.dot.replica in known and delta.dot.replica != self.membership.peers.get(peer):
                return False  # it was read while the peer went by another id, or this node took part itself
            _check_place(delta, self.membership.peers[peer], entry)
            outcome = self._ingest.apply(delta, peer, context)
        except Malformed as error:
            self._refuse_delta(peer, entry, content, error, context)
            return False
        if outcome is Applied.EARLY:
            gap = delta.dot.counter > self.replica.clock[delta.dot.replica] + 1
            self._repair(peer, context, delay_ms=0 if gap else self.options.repair_delay_ms)
            return False
        return True

    def _refuse_delta(self, peer: str, entry: str, content: bytes, error: Malformed, context: TurnContext) -> None:
        """Sets the entry aside, once; what it should have said is fetched from the peer's state.

        If the peer has nothing to say (the entry is not its own), it is asked again now and then, until it writes.
        """
        known = self._refused.get(peer) == entry
        if not known:
            self._refused[peer] = entry
            self._quarantine(f"log of {peer}", entry, content, error, context)
        self._repair(peer, context, delay_ms=self.options.refused_delay_ms if known else 0)

    def _repair(self, peer: str, context: TurnContext, delay_ms: int) -> None:
        """Asks `peer` for what its log does not give, unless that is under way or may still arrive by itself."""
        since_ms = self._blocked_since_ms.setdefault(peer, context.monotonic_ms)
        if context.monotonic_ms - since_ms < delay_ms or self._rounds.busy_with(peer):
            return
        self._blocked_since_ms[peer] = context.monotonic_ms
        self.counts["repairs"] += 1
        self._rounds.start([peer], context, pushes=False)

    # Messages

    def _take_messages(self, event: MessagesRead, context: TurnContext) -> None:
        for entry, content in event.entries:
            context.commit.acknowledged.append(entry)
            if content is not None:
                self._take_message(entry, content, context)

    def _take_message(self, entry: str, content: bytes, context: TurnContext) -> None:
        try:
            message = decode_message(content)
            match message:
                case Round():
                    self._take_round(message, context)
                case Compact():
                    context.own += [RemoveMember(node, ABSENT) for node in self.stability.take(message, context)]
                case Admit():
                    context.own.append(AdmitIncarnation(message.sender, message.replica, message.grpc, message.redis))
                case _:
                    self._take_peer_message(message, len(content), context)
        except PatchTooNew:
            self.counts["patches_refused"] += 1
        except PeerError as error:
            self.counts["claims_refused"] += isinstance(error, ClaimRefused)
            self._quarantine("inbox", entry, content, error, context)

    def _take_peer_message(self, message: PeerMessage, size: int, context: TurnContext) -> None:
        """Whoever ever took part may ask, and so learn how things stand; only members are listened to.

        A newcomer does not know yet who they are; they may know of it already, and are left to ask again. A stranger is
        answered whose question shows that it was added by a member which left before anybody here could hear of it:
        the answer tells it that the fleet goes on without that.
        """
        peer = message.sender
        known = self.membership.knows(peer) or self._was_left_behind(message)
        if not known and self.membership.is_admitted:
            raise Malformed("message", f"sender {brief(peer)} is no peer of {self.name}")
        if not known or peer in self.paused or self._is_out_of_place(message):
            self.counts["messages_dropped"] += 1
            return
        self._rounds.take(message, size, context)

    def _was_left_behind(self, message: PeerMessage) -> bool:
        """Whether it is a question of one that holds what the fleet has given up."""
        return isinstance(message, Ask | More) and bool(self.replica.members.given_up(message.clock))

    def _is_out_of_place(self, message: PeerMessage) -> bool:
        """Whether the sender would have to be a member to say that, and is not, or not under that id any more.

        It may speak under an id that is news here, if it has written under it, as only members do: else who was away
        while all others came back under new ids would never hear of them. What the fleet has given up comes from no
        member, though it may go by the name of one that was added anew.
        """
        if isinstance(message, Answer | Push) and message.sender in self.peers:
            patch = message.patch
            if self.replica.members.given_up(patch.clock):
                return True
            if patch.origin == self.membership.peers[message.sender]:
                return False
            return patch.origin in self.replica.members.facts or not patch.clock[patch.origin]
        return not isinstance(message, Ask | More) and message.sender not in self.peers

    def _quarantine(self, source: str, entry: str, content: bytes, error: PeerError, context: TurnContext) -> None:
        self.counts["quarantined"] += 1
        reason = str(error)
        if len(content) > QUARANTINED_BYTES_MAX:
            reason = f"{reason} (the first {QUARANTINED_BYTES_MAX} of {len(content)} bytes)"
        context.commit.quarantined.append(Quarantined(source, entry, content[:QUARANTINED_BYTES_MAX], reason))

    # Rounds

    def _take_round_asked(self, event: RoundAsked, context: TurnContext) -> None:
        unknown = [peer for peer in event.peers if peer not in self.peers]
        if unknown:
            context.effects.append(Reply(event.token, error=UnknownNode(unknown[0], list(self.peers))))
            return
        peers = [peer for peer in event.peers or self.peers if peer not in self.paused]
        self._rounds.start(peers, context, token=event.token)

    def _take_round(self, message: Round, context: TurnContext) -> None:
        """A job's round leaves out whoever it must not listen to, and whoever an exchange is under way with."""
        peers = [p for p in message.peers if p in self.peers and p not in self.paused and not self._rounds.busy_with(p)]
        self._rounds.start(peers, context, answer_to=message.answer_to)

    def _take_patch_offered(self, event: PatchOffered, context: TurnContext) -> None:
        """A caller's patch may be nonsense: that is the caller's error."""
        try:
            patch = decode_patch(event.patch)
            self._check_strangers(patch)
            self._check_leaving(patch)
            context.effects.append(Reply(event.token, self._ingest.join(patch, A_CALLER, context)))
        except (CallerError, PeerError) as error:
            context.effects.append(Reply(event.token, error=error))

    def _check_strangers(self, patch: Patch) -> None:
        """Raises `TooMany` where a caller's patch brings too many replica ids that are no node's.

        They lengthen every clock of the fleet for good. Only callers' patches are refused for it: nodes that refused
        each other's could no longer converge.
        """
        known = sum(map(self._is_stranger, self.replica.clock))
        new = sum(replica not in self.replica.clock for replica in patch.clock if self._is_stranger(replica))
        if new and known + new > self.options.strangers_max:
            raise TooMany("patch", known + new, self.options.strangers_max, "replica ids of no node", STRANGERS_SETTING)

    def _check_leaving(self, patch: Patch) -> None:
        """Raises `InvalidArgument` where a caller's patch has more of an id that leaves: it ends alike for all."""
        for replica, counter in self.replica.whole_clock.lacks(patch.clock).items():
            if self.replica.members.standing(replica) not in {None, Standing.ACTIVE}:
                raise InvalidArgument("patch", f"it claims {replica}:{counter}, and {replica} has left the fleet")

    def _is_stranger(self, replica: ReplicaId) -> bool:
        """Whether that is the id of no node that takes part, or once did."""
        return replica != self.replica.id and replica not in self.replica.members.facts


def _check_place(delta: Delta, replica: ReplicaId, entry: str) -> None:
    if f"{delta.dot.counter}-0" != entry:
        raise Malformed("delta", f"{delta.dot} stands at entry {entry}")
    if delta.dot.replica != replica:
        raise Malformed("delta", f"{delta.dot} stands in the log of {replica}")
