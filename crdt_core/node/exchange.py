"""One round of anti-entropy, seen from the node that started it: first it pulls, then it pushes.

It asks every peer for what it lacks itself; when all have answered (or time is up) it holds all that they know, and
pushes to each what that peer's clock lacks. So when the round is done, this node and all peers that answered know
everything that any of them knew. It does no I/O: the node sends what `start` and `pushes_due` say.

    asked --answer--> answered --(all answered)--> pushed --done--> finished
                                     `--(peer lacks nothing)--------^
    any state --(time up, sending failed)--> failed

Time is up for a peer when nothing has come from it for `timeout_ms`: a patch may come in many messages.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from crdt_core.lattice.clocks import VersionVector

__all__ = ["Exchange", "PeerState", "RoundResult"]


class PeerState(Enum):
    """How far the exchange with one peer has come."""

    ASKED = "asked"
    ANSWERED = "answered"
    PUSHED = "pushed"
    FINISHED = "finished"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class RoundResult:
    """What a round did: whom it reached, how many messages it sent, how many writes were new on either side.

    `under_way`: the peers that are being exchanged with still, where it tells of itself before it ends.
    """

    contacted: tuple[str, ...]
    failed: tuple[str, ...]
    under_way: tuple[str, ...]
    messages_sent: int
    new_items: int


@dataclass(slots=True)
class Exchange:
    """A round under way. `pushes`: whether it has a second half. Times are monotonic."""

    round: str
    timeout_ms: int
    pushes: bool = True
    states: dict[str, PeerState] = field(default_factory=dict)
    deadlines_ms: dict[str, int] = field(default_factory=dict)
    clocks: dict[str, VersionVector] = field(default_factory=dict)
    messages_sent: int = 0
    new_items: int = 0

    def start(self, peers: Iterable[str], now_ms: int) -> list[str]:
        """The peers to ask."""
        self.states = dict.fromkeys(peers, PeerState.ASKED)
        self.deadlines_ms = dict.fromkeys(self.states, now_ms + self.timeout_ms)
        self.messages_sent += len(self.states)
        return list(self.states)

    def moved(self, peer: str, now_ms: int) -> None:
        """`peer` has sent some of what it owes, or has had some of what it gets, and was sent a message in turn."""
        if self.states.get(peer) in {PeerState.ASKED, PeerState.PUSHED}:
            self.deadlines_ms[peer] = now_ms + self.timeout_ms
            self.messages_sent += 1

    def answered(self, peer: str, clock: VersionVector, new: int) -> None:
        """`peer` has answered with a patch of `clock` that brought `new` writes."""
        if self.states.get(peer) is PeerState.ASKED:
            self.states[peer] = PeerState.ANSWERED
            self.clocks[peer] = clock
            self.new_items += new

    def pushes_due(self, own: VersionVector, now_ms: int) -> Iterator[tuple[str, VersionVector]]:
        """Once all have answered: the peers to push to, each with its clock."""
        if PeerState.ASKED in self.states.values():
            return
        for peer, state in self.states.items():
            if state is not PeerState.ANSWERED:
                continue
            if self.pushes and not own <= self.clocks[peer]:
                self.states[peer] = PeerState.PUSHED
                self.deadlines_ms[peer] = now_ms + self.timeout_ms
                self.messages_sent += 1
                yield peer, self.clocks[peer]
            else:
                self.states[peer] = PeerState.FINISHED

    def pushed(self, peer: str, new: int) -> None:
        """`peer` has joined the push, which brought it `new` writes."""
        if self.states.get(peer) is PeerState.PUSHED:
            self.states[peer] = PeerState.FINISHED
            self.new_items += new

    def fail(self, peer: str) -> None:
        """`peer` cannot be reached, or did not answer in time."""
        if self.states.get(peer) in {PeerState.ASKED, PeerState.ANSWERED, PeerState.PUSHED}:
            self.states[peer] = PeerState.FAILED

    def expire(self, now_ms: int) -> None:
        """Past its deadline, whoever still owes an answer has failed."""
        for peer in self.busy_with:
            if now_ms >= self.deadlines_ms[peer]:
                self.fail(peer)

    @property
    def busy_with(self) -> list[str]:
        """The peers that owe an answer."""
        return [peer for peer, state in self.states.items() if state in {PeerState.ASKED, PeerState.PUSHED}]

    @property
    def finished(self) -> bool:
        """Whether nothing more will happen."""
        return all(state in {PeerState.FINISHED, PeerState.FAILED} for state in self.states.values())

    def result(self) -> RoundResult:
        """What it has done."""
        finished, failed = self._all_in(PeerState.FINISHED), self._all_in(PeerState.FAILED)
        under_way = tuple(peer for peer in self.states if peer not in {*finished, *failed})
        return RoundResult(finished, failed, under_way, self.messages_sent, self.new_items)

    def _all_in(self, wanted: PeerState) -> tuple[str, ...]:
        return tuple(peer for peer, state in self.states.items() if state is wanted)
