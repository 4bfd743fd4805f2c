"""The rounds that a node takes part in: its own, and its answers to those of its peers.

The node promises: only messages of peers that it listens to come in, nothing is under way in the replica when they do,
and `advance` is called once per turn, after all that came in. In return, every round that was started ends, with each
peer finished or failed, and whoever waits for it hears of it once. Messages may be lost, doubled or late: a round that
is not under way any more is not moved by them, but what they carry is taken in all the same.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import orjson

from crdt_core.events import JobAnswer, Reply, Send
from crdt_core.exchange import Exchange
from crdt_core.messages import Answer, Ask, Done, Push

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Iterable

    from crdt_core.draft import Draft
    from crdt_core.intake import Intake
    from crdt_core.messages import Message
    from crdt_core.options import NodeOptions
    from crdt_core.replica import Replica

__all__ = ["Rounds"]


@dataclass(slots=True)
class _Ongoing:
    """An exchange under way and who waits for it: a caller, a job's key, or nobody (a repair)."""

    exchange: Exchange
    token: Any = None
    answer_to: str | None = None


class Rounds:
    """The rounds of node `name`, whose `replica` they speak for; `session` tells this run of the node from others."""

    def __init__(
        self,
        name: str,
        session: str,
        replica: Replica,
        intake: Intake,
        *,
        options: NodeOptions,
        counts: Counter[str],
    ) -> None:
        self._name = name
        self._session = session
        self._replica = replica
        self._intake = intake
        self._options = options
        self._counts = counts
        self._started = 0
        self._ongoing: dict[str, _Ongoing] = {}

    def start(
        self,
        peers: Iterable[str],
        draft: Draft,
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
        exchange = Exchange(name, draft.monotonic_ms + self._options.exchange_timeout_ms, pushes)
        self._ongoing[name] = _Ongoing(exchange, token, answer_to)
        for peer in exchange.start(peers):
            self._send(draft, peer, Ask(self._name, name, self._replica.whole_clock.copy()))

    def take(self, message: Ask | Answer | Push | Done, draft: Draft) -> None:
        """Takes in a peer's message. Raises what joining a patch raises."""
        peer = message.sender
        ongoing = self._ongoing.get(message.round)
        match message:
            case Ask():
                self._counts["patches_sent"] += 1
                self._send(draft, peer, Answer(self._name, message.round, self._intake.patch(message.clock)))
            case Answer():
                new = self._intake.join(message.patch, draft.wall_ms)
                if ongoing is not None:
                    ongoing.exchange.answered(peer, message.patch.clock, new)
            case Push():
                new = self._intake.join(message.patch, draft.wall_ms)
                self._send(draft, peer, Done(self._name, message.round, new))
            case Done():
                if ongoing is not None:
                    ongoing.exchange.pushed(peer, message.new)

    def fail(self, peer: str, name: str) -> None:
        """A message of round `name` did not reach `peer`."""
        ongoing = self._ongoing.get(name)
        if ongoing is not None:
            ongoing.exchange.fail(peer)

    def busy_with(self, peer: str) -> bool:
        """Whether `peer` owes an answer in a round of this node."""
        return any(peer in ongoing.exchange.busy_with for ongoing in self._ongoing.values())

    def advance(self, draft: Draft) -> None:
        """Gives up on whom time is up for, starts the second halves that are due, and ends what is finished."""
        for name, ongoing in list(self._ongoing.items()):
            exchange = ongoing.exchange
            exchange.expire(draft.monotonic_ms)
            for peer, clock in exchange.pushes_due(self._replica.whole_clock):
                self._send(draft, peer, Push(self._name, name, self._intake.patch(clock)))
            if exchange.finished:
                del self._ongoing[name]
                _finish(ongoing, draft)

    def _send(self, draft: Draft, peer: str, message: Message) -> None:
        self._counts["messages_sent"] += 1
        draft.effects.append(Send(peer, message))


def _finish(ongoing: _Ongoing, draft: Draft) -> None:
    result = ongoing.exchange.result()
    if ongoing.token is not None:
        draft.effects.append(Reply(ongoing.token, result))
    if ongoing.answer_to is not None:
        summary = {
            "peers_contacted": list(result.contacted),
            "peers_failed": list(result.failed),
            "messages_sent": result.messages_sent,
            "new_items": result.new_items,
        }
        draft.effects.append(JobAnswer(ongoing.answer_to, summary))
        draft.commit.header["round"] = orjson.dumps({"at_ms": draft.wall_ms, **summary})
