"""A node: a replica among peers, as a machine of turns. Events in; one commit, then effects, out.

Everything that reaches a replica comes through here, in one order: operations, peers' deltas, inbox messages, rounds,
time. The machine does no I/O and reads no clock. So the worker, the simulator and the Maelstrom process run the same
machine. The shell that drives the machine promises three things: one turn at a time; effects only after the commit is
confirmed (`confirm`); no turn after a commit that failed. Between a turn and its confirmation, `confirmed` shows the
state before the turn.

Within a turn the node first takes in what peers sent. Then all callers' operations share one commit (group commit), so
load makes batches larger and not queues longer. This module has the turn, calls and images. The rest is elsewhere:

    peer_logs         deltas of peers, and repairs
    inbox             messages, and who may send which
    rounds            exchanges with peers
    offered_patches   patches that callers bring
    asked_patches     patches that callers ask for
    large_calls       calls that are too large for one turn
    large_work        all large work between two turns: its slices, and what they leave behind
    ingest            deltas and patches into the replica
    stability         what all members have seen
    membership        who takes part (`crdt_core.membership`)
"""

from __future__ import annotations

import contextlib
from collections import Counter
from functools import partial
from typing import TYPE_CHECKING

from crdt_core.codec.deltas import encode_delta
from crdt_core.codec.header import Header, encode_header
from crdt_core.errors import CallerError, InvariantBroken, UnknownNode, WorldError
from crdt_core.lattice.clocks import HybridClock, VersionVector
from crdt_core.membership.incarnations import encode_formers
from crdt_core.membership.membership import Membership
from crdt_core.membership.replay import Replay
from crdt_core.node.asked_patches import AskedPatches
from crdt_core.node.events import (
    Call,
    Commit,
    Confirmed,
    DeltasRead,
    ImageAsked,
    ImageDropped,
    LinksRead,
    MessagesRead,
    PatchAsked,
    PatchOffered,
    RecordsDiffer,
    ReplayAsked,
    Reply,
    RoundAsked,
    SendFailed,
    Turn,
)
from crdt_core.node.image import Images
from crdt_core.node.inbox import Inbox
from crdt_core.node.ingest import Ingest
from crdt_core.node.large_calls import LargeCalls
from crdt_core.node.large_work import LargeWork
from crdt_core.node.offered_patches import OfferedPatches
from crdt_core.node.options import NodeOptions
from crdt_core.node.peer_logs import PeerLogs
from crdt_core.node.peers import Peers
from crdt_core.node.rounds import Rounds
from crdt_core.node.stability import Stability
from crdt_core.node.turn_context import TurnContext
from crdt_core.node.upgraded import FIELD as UPGRADED
from crdt_core.node.upgraded import Upgraded
from crdt_core.replica.committed_view import CommittedView
from crdt_core.replica.proof import record_of

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from crdt_core.lattice.clocks import ReplicaId
    from crdt_core.lattice.deltas import Delta
    from crdt_core.membership.decisions import Sponsor
    from crdt_core.node.events import Event
    from crdt_core.node.transfers import Arriving
    from crdt_core.replica.replica import Replica
    from crdt_core.types.members import Members

__all__ = ["Node"]


class Node:
    """The machine of node `name`.

    `session` tells this run of the node from others, in the names of rounds. While the replica is no member yet
    (`joins`), the node asks its `sponsor`. It does not read the logs of the ids in `departed`. `counts` counts what
    happened, for metrics. Readers may be shown the `confirmed` state.
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
        departed: Collection[ReplicaId] = (),
    ) -> None:
        self.name = name
        self.replica = replica
        self.confirmed = CommittedView(replica.catalogue)
        self.options = options or NodeOptions()
        self.hlc = hlc or HybridClock()
        self.counts: Counter[str] = Counter()
        self.membership = Membership(name, replica, sponsor, departed)
        for member in (replica.id, *self.membership.peers.values()):
            replica.catalogue.replica_index.index(member)  # before anybody else can use the numbers up
        self.stability = Stability(replica, self.membership, self.options)
        self.joins = not self.membership.is_admitted
        self._peers = Peers(self.membership)
        options, counts = self.options, self.counts
        self._ingest = Ingest(replica, self.hlc, options, counts)
        self._rounds = Rounds(name, session, replica, self.hlc, self._ingest, options=options, counts=counts)
        self._offered = OfferedPatches(replica, self._ingest, options)
        self._asked = AskedPatches(replica, self.hlc, options)
        self.patches_asked = self._asked.waiting
        """The patches that callers wait for: each turn makes a piece."""
        self._images = Images(name, replica, self.hlc, options)
        self._logs = PeerLogs(
            replica,
            self.membership,
            peers=self._peers,
            ingest=self._ingest,
            rounds=self._rounds,
            options=options,
            counts=counts,
        )
        self._inbox = Inbox(
            name,
            replica,
            self.membership,
            peers=self._peers,
            rounds=self._rounds,
            stability=self.stability,
            counts=counts,
        )
        self._under_way = (*self._rounds.under_way, *self._logs.under_way, *self._offered.under_way)
        self._calls = LargeCalls(replica, self.hlc, options)
        self.large = LargeWork(
            replica,
            self.confirmed,
            options,
            rounds=self._rounds,
            logs=self._logs,
            offered=self._offered,
            calls=self._calls,
        )
        """What is too large for one turn: a shell has it prepared before the next one."""
        self._checked: Members | None = None
        self.upgraded = Upgraded(replica, self.membership)

    def turn(self, events: Sequence[Event], wall_ms: int, monotonic_ms: int) -> Turn:
        """Take in `events`, and return what to commit, and what may happen then.

        `wall_ms` is the time of day, for the hybrid clock. `monotonic_ms` neither falls nor jumps; deadlines are in it.
        Raises `InvariantBroken` where the replica can no longer be trusted, and `Retired` where the fleet goes on
        without this replica id. After an error nothing of the turn may be committed.
        """
        context, replica = TurnContext(wall_ms, monotonic_ms), self.replica
        clock_before, members_before = VersionVector(replica.clock), replica.members
        if self.hlc.last.ms > wall_ms:
            self._ingest.set_clock_right(self.name, context)
        for event in events:
            if type(event) is Call:
                context.calls.append(event)
            else:
                self._take(event, context)
        if any(self._under_way):
            self.large.advance(context)
        if replica.members is not self._checked or replica.abandoned:
            self.membership.check()
            self._checked = replica.members
            self.upgraded.choose()
        delta = self._write(context, members_before)
        commit = context.commit
        if self.joins or self.upgraded.unkept is not None:
            self._note_news(commit)
        if replica.uncommitted:
            raise InvariantBroken(f"{self.name}: a turn ends with writes that no commit has")
        commit.records = self.large.take_last_slice(commit) if commit.earlier else replica.catalogue.take_changes()
        if context.differing or context.images or self.patches_asked:
            self._look_back(context)
        if delta is not None:
            commit.counter, commit.delta = delta.dot.counter, encode_delta(delta)
        if commit.header or replica.clock != clock_before or commit.records or commit.earlier:
            catalogue = replica.catalogue
            header = Header(replica.clock, replica.stable, catalogue.digest, self.hlc.last, catalogue.removals)
            commit.header.update(encode_header(header))
        self.counts["turns"] += 1
        self.counts["commits"] += delta is not None
        if commit.quarantined:
            self.counts["quarantined"] += len(commit.quarantined)
        return Turn(commit, context.effects)

    def _note_news(self, commit: Commit) -> None:
        """Have the commit persist that the node is admitted, and what its peers can read, where that is new."""
        if self.joins and self.membership.is_admitted:
            self.joins = False
            commit.header |= {"joining": b"", "unweighed": b""}
        if self.upgraded.unkept is not None:
            commit.header[UPGRADED] = self.upgraded.take_unkept()

    def end_large_call(self) -> Turn:
        """Take a turn that ends the large call, in place of `turn`: the call is prepared, and no patch or delta waits.

        The commit is all that the call has changed. The calls behind it have the next turn.
        """
        prepared, commit = self._calls.end(), Commit()
        commit.earlier = prepared.slices
        self.large.committing = commit
        if prepared.delta is not None:
            commit.counter, commit.delta = prepared.counter, prepared.delta
            commit.header.update(self.header())
        self.counts["turns"] += 1
        self.counts["commits"] += prepared.delta is not None
        return Turn(commit, [prepared.reply])

    def confirm(self) -> Confirmed:
        """The commit of the last turn is durable; returns what may be told of the replica now, as it may be shown."""
        replica = self.replica
        catalogue = replica.catalogue
        if self.large.committing is not None:
            self.large.discard()
        catalogue.in_flight, catalogue.keys_in_flight = {}, {}
        clock, stable = VersionVector(replica.clock), VersionVector(replica.stable)
        return Confirmed(clock, stable, catalogue.digest, catalogue.tombstones.size, replica.members)

    @property
    def peers(self) -> tuple[str, ...]:
        """The other nodes that take part."""
        return self._peers.names

    @property
    def paused(self) -> frozenset[str]:
        """The peers that the node does not listen to."""
        return self._peers.paused

    @property
    def exchanging(self) -> tuple[str, ...]:
        """The peers with which an exchange is under way, whoever started the round."""
        return self._rounds.exchanging

    @property
    def arriving(self) -> tuple[Arriving, ...]:
        """How far each patch has come that comes in in chunks. Nothing of it shows before all of it is here."""
        return self._rounds.arriving

    def header(self) -> dict[str, bytes]:
        """The replica's own fields of the persisted header."""
        replica = self.replica
        removals = replica.catalogue.removals
        return encode_header(Header(replica.clock, replica.stable, replica.digest, self.hlc.last, removals))

    def _take(self, event: Event, context: TurnContext) -> None:
        match event:
            case DeltasRead():
                self._logs.take(event, context)
            case MessagesRead():
                self._inbox.take(event, context)
            case LinksRead():
                self._peers.paused = event.paused
            case RoundAsked():
                self._take_round_asked(event, context)
            case PatchOffered():
                self._offered.take(event, context)
            case PatchAsked():
                self.patches_asked.append(event)
            case ReplayAsked():
                self._take_replay_asked(event, context)
            case ImageAsked() | ImageDropped():
                context.images.append(event)
            case RecordsDiffer():
                context.differing.append(event)
            case SendFailed():
                self._rounds.fail(event.peer, event.round, context)
            # a `Tick` only says that time has passed, and every turn looks at the time

    def _take_round_asked(self, event: RoundAsked, context: TurnContext) -> None:
        unknown = [peer for peer in event.peers if peer not in self.peers]
        if unknown:
            context.effects.append(Reply(event.token, error=UnknownNode(unknown[0], list(self.peers))))
            return
        self._rounds.start(self._peers.heard(event.peers or self.peers), context, token=event.token)

    def _take_replay_asked(self, event: ReplayAsked, context: TurnContext) -> None:
        """Replay a piece. The header says how far the replay has come, or that there is nothing more to replay.

        So the piece must run in this turn: it never waits behind a large call.
        """
        if event.ends:
            context.commit.header.update(former=encode_formers(event.later), replayed=b"")
        else:
            replayed = max([event.replayed, *(delta.dot.counter for delta in event.deltas)])
            context.commit.header["replayed"] = b"%d" % replayed
        set_aside = partial(context.quarantine, f"log of {event.former}")
        piece = Replay(event.former, event.deltas, event.replayed, event.before, event.ends, set_aside)
        context.replays.append(Call(piece, event.token))

    def _write(self, context: TurnContext, members_before: Members) -> Delta | None:
        """Run all operations on what the turn has taken in, and write what members are owed; all is one delta."""
        if self.large.calls or self.large.behind or self.replica.catalogue.size > self.options.parts_per_turn:
            context.calls = self._calls.take_small(context.calls, context.wall_ms)
        if context.replays:
            context.calls = [*context.replays, *context.calls]
        if not context.calls and not context.own and not self._owes(members_before):
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
        if self.replica.members is not self.membership.settled and self._owes(members_before):
            self.membership.settle(now)
        return self.replica.commit(now)

    def _owes(self, members_before: Members) -> bool:
        """Return whether something is to be recorded for the members now.

        News of this turn waits for the next one if the turn has put something large aside. That may hold commits of an
        id that leaves, and this node must take in no more of them once it has closed the id.
        """
        if not self.membership.owes():
            return False
        return not self.large.has_news or self.replica.members == members_before

    def _look_back(self, context: TurnContext) -> None:
        """Do what is about the state as the turn leaves it."""
        for differing in context.differing:
            self._persist_again(differing, context.commit)
        for asked in context.images:
            self._make_image(asked, context)
        self._asked.advance(context)

    def _persist_again(self, event: RecordsDiffer, commit: Commit) -> None:
        """Add records to the commit that the store has lost, or that somebody else has changed there."""
        for field in event.fields:
            record = record_of(self.replica.catalogue, event.shelf, field)
            if record is not None:
                commit.records.add(record)
                self.counts["records_persisted_again"] += 1

    def _make_image(self, event: ImageAsked | ImageDropped, context: TurnContext) -> None:
        """Make the next piece of an image: of the state, and with the digest, that this turn's commit persists."""
        if isinstance(event, ImageDropped):
            self._images.drop(event.title)
            return
        try:
            context.effects.append(Reply(event.token, self._images.next(event.title)))
        except WorldError as error:
            context.effects.append(Reply(event.token, error=error))
