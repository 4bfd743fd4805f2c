"""The rounds that a node takes part in: its own, and its answers to those of its peers.

The node promises: only messages of peers that it listens to come in, nothing is under way in the replica when they do,
and `advance` is called once per turn, after all that came in. In return, every round that was started ends, with each
peer finished or failed, and whoever waits for it hears of it once. Messages may be lost, doubled or late: a round that
is not under way any more is not moved by them, but what they carry is taken in all the same.

A job hears of its round in time, though a large patch may take longer: then it is told who is still being exchanged
with, and the round goes on for itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import orjson

from crdt_core.codec.messages import Answer, Ask, Chunk, Done, More, Push
from crdt_core.node.events import JobAnswer, Reply, Send
from crdt_core.node.exchange import Exchange
from crdt_core.node.transfers import Transfers

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Iterable

    from crdt_core.codec.messages import Message, PeerMessage
    from crdt_core.lattice.clocks import HybridClock, VersionVector
    from crdt_core.node.exchange import RoundResult
    from crdt_core.node.ingest import Ingest
    from crdt_core.node.options import NodeOptions
    from crdt_core.node.transfers import Arriving
    from crdt_core.node.turn_context import TurnContext
    from crdt_core.replica.replica import Replica

__all__ = ["Rounds"]


@dataclass(slots=True)
class _Ongoing:
    """An exchange under way, and who waits for it: a caller, a job's key until `answer_by_ms`, or nobody (a repair)."""

    exchange: Exchange
    answer_by_ms: int
    token: Any = None
    answer_to: str | None = None
    answered: bool = False


class Rounds:
    """The rounds of node `name`, whose `replica` they speak for; `session` tells this run of the node from others."""

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
        self._ingest = ingest
        self._transfers = Transfers(name, session, replica, hlc, options=options, counts=counts)
        self._options = options
        self._counts = counts
        self._started = 0
        self._ongoing: dict[str, _Ongoing] = {}
        self.under_way = (self._ongoing, *self._transfers.under_way)
        """Tables: where all are empty, `advance` has nothing to do."""

    def start(
        self,
        peers: Iterable[str],
        context: TurnContext,
        *,
        token: Any = None,
        answer_to: str | None = None,
        pushes: bool = True,
    ) -> None:
        """Starts a round with `peers`; its result goes to the caller `token` or the job that waits at `answer_to`.

        `pushes`: whether what the peers lack is sent to them in turn.
        """
        self._started += 1
        name = f"{self._name}-{self._session}-{self._started}"
        timeout_ms = self._options.exchange_timeout_ms
        exchange = Exchange(name, timeout_ms, pushes)
        self._ongoing[name] = _Ongoing(exchange, context.monotonic_ms + timeout_ms, token, answer_to)
        for peer in exchange.start(peers, context.monotonic_ms):
            self._send(context, peer, Ask(self._name, name, self._replica.whole_clock.copy()))

    def take(self, message: PeerMessage, size: int, context: TurnContext) -> None:
        """Takes in a peer's message that came as `size` bytes. Raises what joining a patch raises, and `Malformed`."""
        match message:
            case Ask():
                self._start_sending(Answer, message.sender, message.round, message.clock, context)
            case Answer() | Push():
                self._take_patch(message, context)
            case Done():
                if (ongoing := self._ongoing.get(message.round)) is not None:
                    ongoing.exchange.pushed(message.sender, message.new)
            case Chunk():
                self._go_on(message, self._transfers.take(message, size, context.monotonic_ms), context)
            case More():
                self._go_on(message, self._transfers.go_on(message, context.monotonic_ms), context)

    def _take_patch(self, message: Answer | Push, context: TurnContext) -> None:
        patch = self._transfers.complete(message)
        if patch is None:
            return
        new = self._ingest.join(patch, message.sender, context)
        if isinstance(message, Push):
            self._send(context, message.sender, Done(self._name, message.round, new))
        elif (ongoing := self._ongoing.get(message.round)) is not None:
            ongoing.exchange.answered(message.sender, patch.clock, new)

    def _go_on(self, message: Chunk | More, following: Message | None, context: TurnContext) -> None:
        if following is None:
            return
        self._send(context, message.sender, following)
        if (ongoing := self._ongoing.get(message.round)) is not None:
            ongoing.exchange.moved(message.sender, context.monotonic_ms)

    def _start_sending(
        self, form: type[Answer | Push], peer: str, name: str, since: VersionVector, context: TurnContext
    ) -> None:
        first = self._transfers.start(form, (peer, name), since, context.monotonic_ms)
        if first is not None:
            self._counts["patches_sent"] += form is Answer
            self._send(context, peer, first)

    def fail(self, peer: str, name: str) -> None:
        """A message of round `name` did not reach `peer`."""
        self._transfers.drop((peer, name))
        if (ongoing := self._ongoing.get(name)) is not None:
            ongoing.exchange.fail(peer)

    @property
    def arriving(self) -> tuple[Arriving, ...]:
        """How far each patch has come that is coming in in chunks."""
        return self._transfers.arriving

    def busy_with(self, peer: str) -> bool:
        """Whether `peer` owes an answer in a round of this node."""
        return any(peer in ongoing.exchange.busy_with for ongoing in self._ongoing.values())

    def advance(self, context: TurnContext) -> None:
        """Gives up on whom time is up for, starts the second halves that are due, and ends what is finished."""
        self._transfers.expire(context.monotonic_ms)
        for name, ongoing in list(self._ongoing.items()):
            exchange = ongoing.exchange
            exchange.expire(context.monotonic_ms)
            for peer, clock in exchange.pushes_due(self._replica.whole_clock, context.monotonic_ms):
                self._start_sending(Push, peer, name, clock, context)
            if exchange.finished:
                del self._ongoing[name]
                _finish(ongoing, context)
            elif context.monotonic_ms >= ongoing.answer_by_ms:
                _tell_job(ongoing, context)

    def _send(self, context: TurnContext, peer: str, message: Message) -> None:
        self._counts["messages_sent"] += 1
        context.effects.append(Send(peer, message))


def _finish(ongoing: _Ongoing, context: TurnContext) -> None:
    if ongoing.token is not None:
        context.effects.append(Reply(ongoing.token, ongoing.exchange.result()))
    if ongoing.answer_to is not None:
        _tell_job(ongoing, context)
        context.commit.header["round"] = orjson.dumps({"at_ms": context.wall_ms, **_summary(ongoing.exchange.result())})


def _tell_job(ongoing: _Ongoing, context: TurnContext) -> None:
    """Answers the job, if one waits, once."""
    if ongoing.answer_to is not None and not ongoing.answered:
        ongoing.answered = True
        context.effects.append(JobAnswer(ongoing.answer_to, _summary(ongoing.exchange.result())))


def _summary(result: RoundResult) -> dict[str, Any]:
    return {
        "peers_contacted": list(result.contacted),
        "peers_failed": list(result.failed),
        "peers_under_way": list(result.under_way),
        "messages_sent": result.messages_sent,
        "new_items": result.new_items,
    }
