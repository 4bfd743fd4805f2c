"""The rounds that a node takes part in: its own, and those of its peers.

All exchanges are in one table, keyed by (peer, round). Each is a state machine (`crdt_core.node.exchange`). This module
turns messages and time into events of the machine, does what the machine says, and tells whoever waits for a round.

The node promises three things: only messages of peers that it listens to come in; no write is open in the replica then;
and `advance` is called once per turn, after all that came in. In return, every round that was started ends, with each
peer finished or failed, and whoever waits for the round hears of it once.

A job hears of its round within `exchange_timeout_ms`, though a large patch may take longer. The job is told then which
peers are still under way, and the round goes on.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import orjson

from crdt_core.codec.messages import Answer, Ask, Chunk, Done, More, Push
from crdt_core.codec.patches import check_patch
from crdt_core.errors import PeerError
from crdt_core.node.events import JobAnswer, Reply, RoundResult, Send
from crdt_core.node.exchange import ENDED, INCOMING, OUTGOING, OWES_ANSWER, OWN, Action, Event, Exchange, State
from crdt_core.node.joins import PreparedJoin
from crdt_core.node.transfers import Incoming, Outgoing, whole_patch
from crdt_core.replica.patch_walk import PatchWalk

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Iterable

    from crdt_core.codec.messages import PeerMessage
    from crdt_core.lattice.clocks import HybridClock, VersionVector
    from crdt_core.lattice.deltas import Patch
    from crdt_core.node.ingest import Ingest
    from crdt_core.node.options import NodeOptions
    from crdt_core.node.transfers import Arriving
    from crdt_core.node.turn_context import TurnContext
    from crdt_core.replica.replica import Replica

__all__ = ["Rounds"]

_TRANSFERS_PER_PEER_MAX = 4
_AWAITED = frozenset({State.ASKED, State.RECEIVING, State.PUSHING, State.PUSHED})


@dataclass(slots=True)
class _Round:
    """A round of this node, and who waits for it: the caller `token`, the job that waits at `answer_to`, or nobody.

    `pushes`: whether the round has a second half. `ended`: how the exchange with each peer ended.
    """

    peers: tuple[str, ...]
    pushes: bool
    answer_by_ms: int
    token: Any = None
    answer_to: str | None = None
    job_is_told: bool = False
    messages_sent: int = 0
    new_items: int = 0
    ended: dict[str, State] = field(default_factory=dict)

    @property
    def is_over(self) -> bool:
        return len(self.ended) == len(self.peers)

    def result(self) -> RoundResult:
        contacted, failed = (
            tuple(peer for peer in self.peers if self.ended.get(peer) is end) for end in (State.FINISHED, State.FAILED)
        )
        under_way = tuple(peer for peer in self.peers if peer not in self.ended)
        return RoundResult(contacted, failed, under_way, self.messages_sent, self.new_items)


class Rounds:
    """The rounds of node `name`, which speaks for `replica`; `session` tells this run of the node from others."""

    def __init__(
        self,
        name: str,
        session: str,
        replica: Replica,
        hlc: HybridClock,
        ingest: Ingest,
        *,
        options: NodeOptions,
        counts: Counter[str],
    ) -> None:
        self._name = name
        self._session = session
        self._replica = replica
        self._hlc = hlc
        self._ingest = ingest
        self._options = options
        self._counts = counts
        self._exchanges: dict[tuple[str, str], Exchange] = {}
        self._rounds: dict[str, _Round] = {}
        self.joins: list[tuple[PreparedJoin, Answer | Push]] = []
        """The patches that former turns have put aside, each with the last message of it."""
        self._put_aside: list[tuple[PreparedJoin, Answer | Push]] = []
        self.under_way = (self.joins, self._put_aside, self._exchanges, self._rounds)
        """While all of these are empty, `advance` has nothing to do."""
        self._rounds_started = 0
        self._transfers_started = 0

    def start(
        self,
        peers: Iterable[str],
        context: TurnContext,
        *,
        token: Any = None,
        answer_to: str | None = None,
        pushes: bool = True,
    ) -> None:
        """Start a round with `peers`; its result goes to the caller `token` or the job that waits at `answer_to`.

        `pushes`: whether the node sends the peers what they lack in turn.
        """
        self._rounds_started += 1
        name = f"{self._name}-{self._session}-{self._rounds_started}"
        answer_by_ms = context.monotonic_ms + self._options.exchange_timeout_ms
        self._rounds[name] = started = _Round(tuple(dict.fromkeys(peers)), pushes, answer_by_ms, token, answer_to)
        for peer in started.peers:
            self._feed(Exchange(peer, name), Event.START, context)

    def take(self, message: PeerMessage, size: int, context: TurnContext) -> None:
        """Take in a peer's message that came as `size` bytes. Raises what joining a patch raises, and `Malformed`."""
        exchange = self._find(message.sender, message.round)
        match message:
            case Ask():
                self._feed(exchange, Event.ASK, context, clock=message.clock)
            case Answer() | Push():
                self._take_last(exchange, message, context)
            case Done():
                self._feed(exchange, Event.DONE, context, new=message.new)
            case Chunk():
                self._take_chunk(exchange, message, size, context)
            case More():
                self._feed(exchange, self._read_more(exchange, message), context, clock=message.clock)

    def fail(self, peer: str, name: str, context: TurnContext) -> None:
        """A message of round `name` did not reach `peer`."""
        self._feed(self._find(peer, name), Event.UNREACHABLE, context)

    @property
    def prepared(self) -> list[PreparedJoin]:
        """The large patches that the next turn takes in."""
        return [join for join, _ in self.joins]

    def advance(self, context: TurnContext) -> None:
        """Finish joins, give up on silent peers, begin second halves that are due, and end rounds that are over."""
        if self.joins:
            self._finish_joins(context)
        self.joins += self._put_aside
        self._put_aside.clear()
        for exchange in [found for found in self._exchanges.values() if found.is_overdue(context.monotonic_ms)]:
            if exchange.state in INCOMING or exchange.state in OUTGOING:
                self._counts["transfers_expired"] += 1
            self._feed(exchange, Event.TIME_UP, context)
        for name, round_ in list(self._rounds.items()):
            self._push_what_is_due(name, round_, context)
            if round_.is_over:
                del self._rounds[name]
                _finish(round_, context)
            elif context.monotonic_ms >= round_.answer_by_ms:
                _tell_job(round_, context)

    @property
    def arriving(self) -> tuple[Arriving, ...]:
        """How far each patch has come that comes in in chunks."""
        return tuple(
            exchange.incoming.progress(exchange.peer)
            for exchange in self._exchanges.values()
            if exchange.incoming is not None
        )

    @property
    def exchanging(self) -> tuple[str, ...]:
        """The peers with which an exchange is under way, once for each, whoever started the round."""
        return tuple(peer for peer, _ in self._exchanges)

    def awaits(self, peer: str) -> bool:
        """Whether `peer` owes something in a round of this node."""
        return any(found.peer == peer and found.state in _AWAITED for found in self._exchanges.values())

    # Messages become events

    def _take_last(self, exchange: Exchange, message: Answer | Push, context: TurnContext) -> None:
        """Join a patch if all of it is here, whatever the state of its exchange: what it says is true at any time."""
        try:
            patch = whole_patch(exchange.incoming, message)
            if patch is None:
                self._counts["patches_incomplete"] += 1
                self._feed(exchange, Event.STRAY, context)
                return
            if len(patch.parts) > self._options.parts_per_slice:
                self._put_patch_aside(exchange, message, patch, context)
                return
            check_patch(patch)
            new = self._ingest.join(patch, message.sender, context)
        except PeerError:
            if message.after is not None:
                self._feed(exchange, Event.REFUSED, context)
            raise
        self._feed(exchange, _arrival(message), context, clock=patch.clock, new=new)

    def _put_patch_aside(self, exchange: Exchange, message: Answer | Push, patch: Patch, context: TurnContext) -> None:
        """Have a large patch joined in slices before the next turn, if it can be joined at all."""
        self._ingest.check(patch)
        exchange.deadline_ms = context.monotonic_ms + self._options.exchange_timeout_ms
        self._put_aside.append((PreparedJoin(self._replica, patch, self._options.parts_per_slice), message))

    def _finish_joins(self, context: TurnContext) -> None:
        """Go on with the exchanges whose patches were put aside, and are joined by now; their slices are persisted."""
        for join, message in self.joins:
            join.end()
            exchange = self._find(message.sender, message.round)
            if join.error is None:
                context.commit.earlier += join.slices
                self._ingest.joined(join.patch, join.new, message.sender, context)
                self._feed(exchange, _arrival(message), context, clock=join.patch.clock, new=join.new)
            else:
                self._counts["patches_refused"] += 1
                if message.after is not None:
                    self._feed(exchange, Event.REFUSED, context)
        self.joins.clear()

    def _take_chunk(self, exchange: Exchange, chunk: Chunk, size: int, context: TurnContext) -> None:
        incoming = exchange.incoming
        if incoming is not None and incoming.continues_with(chunk.transfer, chunk.number):
            event = Event.NEXT_CHUNK
        elif chunk.number == 0 and (
            chunk.transfer != incoming.transfer if incoming else not self._is_crowded(exchange, INCOMING)
        ):
            event = Event.FIRST_CHUNK
        else:
            event = Event.STRAY
        self._feed(exchange, event, context, chunk=(chunk, size))

    def _read_more(self, exchange: Exchange, message: More) -> Event:
        if exchange.outgoing is None:
            is_of_this_run = message.transfer.rpartition("-")[0] == self._session
            return Event.STRAY if is_of_this_run else Event.MORE_AFTER_RESTART
        continues = exchange.outgoing.continues_with(message.transfer, message.number)
        return Event.MORE if continues else Event.STRAY

    def _push_what_is_due(self, name: str, round_: _Round, context: TurnContext) -> None:
        found = [self._exchanges[peer, name] for peer in round_.peers if peer not in round_.ended]
        if any(exchange.state in OWES_ANSWER for exchange in found):
            return
        for exchange in found:
            if exchange.state is State.ANSWERED:
                is_behind = round_.pushes and not self._replica.clock_with_folded <= exchange.clock
                event = Event.ALL_ANSWERED_AND_BEHIND if is_behind else Event.ALL_ANSWERED_AND_LEVEL
                self._feed(exchange, event, context, clock=exchange.clock)

    # The machine moves

    def _find(self, peer: str, name: str) -> Exchange:
        return self._exchanges.get((peer, name)) or Exchange(peer, name)

    def _feed(
        self,
        exchange: Exchange,
        event: Event,
        context: TurnContext,
        *,
        clock: VersionVector | None = None,
        new: int = 0,
        chunk: tuple[Chunk, int] | None = None,
    ) -> None:
        """Move the exchange, and do what its machine says.

        `clock` is the peer's, as the event tells it; `new`: how many writes were new, here or at the peer.
        """
        is_own, incoming = exchange.state in OWN, exchange.incoming
        action = exchange.step(event)
        if incoming is not None and exchange.incoming is None:
            self._replica.catalogue.discards.add(incoming.parts)
        self._keep(exchange, is_own=is_own)
        match action:
            case Action.SEND_ASK:
                self._send(context, exchange, Ask(self._name, exchange.round, self._replica.clock_with_folded.copy()))
            case Action.SEND_FIRST:
                assert clock is not None
                self._begin_sending(exchange, clock, context)
            case Action.SEND_NEXT:
                self._send_next(exchange, context)
            case Action.KEEP_AND_ASK_FOR_MORE:
                assert chunk is not None
                self._keep_chunk(exchange, *chunk, context)
            case Action.CONFIRM:
                self._send(context, exchange, Done(self._name, exchange.round, new))
            case Action.NOTE:
                exchange.clock = exchange.clock if clock is None else clock
                self._rounds[exchange.round].new_items += new

    def _keep(self, exchange: Exchange, *, is_own: bool) -> None:
        """Keep the exchange in the table as long as something is under way, and note how one of this node's ended."""
        place = exchange.peer, exchange.round
        if exchange.state in ENDED:
            self._exchanges.pop(place, None)
            if is_own:
                self._rounds[exchange.round].ended[exchange.peer] = exchange.state
        elif exchange.state is not State.IDLE:
            self._exchanges[place] = exchange

    def _begin_sending(self, exchange: Exchange, since: VersionVector, context: TurnContext) -> None:
        """Send the first message of what a replica at `since` lacks, unless too much is on its way to the peer."""
        self._transfers_started += 1
        transfer = f"{self._session}-{self._transfers_started}"
        form = Push if exchange.state is State.PUSHING else Answer
        walk = PatchWalk(self._replica, since)
        exchange.outgoing = Outgoing(self._name, exchange.round, transfer, form, walk, self._hlc)
        message = exchange.outgoing.next(self._options)
        if not exchange.outgoing.ended and self._is_crowded(exchange, OUTGOING):
            self._feed(exchange, Event.CROWDED, context)
            return
        if form is Answer:
            self._counts["patches_sent"] += 1
        self._send_of(exchange, message, context)

    def _send_next(self, exchange: Exchange, context: TurnContext) -> None:
        assert exchange.outgoing is not None
        self._send_of(exchange, exchange.outgoing.next(self._options), context)

    def _send_of(self, exchange: Exchange, message: Answer | Push | Chunk, context: TurnContext) -> None:
        """Send a message of the patch that goes out."""
        self._send(context, exchange, message)
        if isinstance(message, Chunk):
            self._counts["chunks_sent"] += 1
        else:
            self._feed(exchange, Event.LAST_SENT, context)

    def _keep_chunk(self, exchange: Exchange, chunk: Chunk, size: int, context: TurnContext) -> None:
        if exchange.incoming is None or exchange.incoming.transfer != chunk.transfer:
            if exchange.incoming is not None:
                self._replica.catalogue.discards.add(exchange.incoming.parts)
            exchange.incoming = Incoming(chunk.transfer)
        incoming = exchange.incoming
        incoming.take(chunk, size)
        self._counts["chunks_received"] += 1
        clock = self._replica.clock_with_folded.copy()
        self._send(context, exchange, More(self._name, exchange.round, chunk.transfer, incoming.expected, clock))

    def _is_crowded(self, exchange: Exchange, states: frozenset[State]) -> bool:
        """Whether as many other exchanges with the peer are in one of `states` as may be."""
        others = (found for found in self._exchanges.values() if found.peer == exchange.peer and found is not exchange)
        return sum(found.state in states for found in others) >= _TRANSFERS_PER_PEER_MAX

    def _send(self, context: TurnContext, exchange: Exchange, message: PeerMessage) -> None:
        """Send a message, after which the peer's time begins anew."""
        self._counts["messages_sent"] += 1
        if exchange.state in OWN:
            self._rounds[exchange.round].messages_sent += 1
        exchange.deadline_ms = context.monotonic_ms + self._options.exchange_timeout_ms
        context.effects.append(Send(exchange.peer, message))


def _arrival(message: Answer | Push) -> Event:
    return Event.PUSH if isinstance(message, Push) else Event.ANSWER


def _finish(round_: _Round, context: TurnContext) -> None:
    if round_.token is not None:
        context.effects.append(Reply(round_.token, round_.result()))
    if round_.answer_to is not None:
        _tell_job(round_, context)
        summary = {"at_ms": context.wall_ms, **_summary(round_.result())}
        context.commit.header["round"] = orjson.dumps(summary)


def _tell_job(round_: _Round, context: TurnContext) -> None:
    """Answer the job, if one waits, once."""
    if round_.answer_to is not None and not round_.job_is_told:
        round_.job_is_told = True
        context.effects.append(JobAnswer(round_.answer_to, _summary(round_.result())))


def _summary(result: RoundResult) -> dict[str, Any]:
    return {
        "peers_contacted": list(result.contacted),
        "peers_failed": list(result.failed),
        "peers_under_way": list(result.under_way),
        "messages_sent": result.messages_sent,
        "new_items": result.new_items,
    }
