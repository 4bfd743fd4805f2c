"""One exchange: what a node has under way with one peer in one round of anti-entropy, as a state machine.

A round belongs to the node that starts it, the *asker*. The asker asks each peer for the patch that it lacks. Once all
peers have answered or failed, the asker holds all that they know, and pushes to each peer what that peer lacks. So at
the end of a round the asker and all peers that answered know everything that any of them knew. A patch that is too
large for one message comes in chunks (`crdt_core.node.transfers`).

    asker     IDLE -> ASKED --------------> ANSWERED -> PUSHING -> PUSHED -> FINISHED
                        `--> RECEIVING -----^    `-------------------------^
              RECEIVING -> ASKED                      (the patch that came in chunks cannot be joined)
    answerer  IDLE -> ANSWERING -> FINISHED           (the answer, in chunks)
              IDLE -> TAKING ----> FINISHED           (the push, in chunks)
              ANSWERING -> TAKING or FINISHED         (the push begins, so the answer has arrived)
    both      any state but IDLE -> FAILED            (the time is up, or the peer cannot be reached)

The machine is data. `TRANSITIONS` says which state follows and what the node does then. `IGNORED` says which events
change nothing, and why: messages may be lost, doubled or late. A pair that is in neither cannot happen. An exchange
that has ended is forgotten, so a late message meets a new exchange in `IDLE`.

Style: h11 (Nathaniel J. Smith), whose connection states are tables.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum, auto
from typing import TYPE_CHECKING, NamedTuple

from crdt_core.errors import InvariantBroken
from crdt_core.lattice.clocks import VersionVector

if TYPE_CHECKING:
    from crdt_core.node.transfers import Incoming, Outgoing

__all__ = [
    "ENDED",
    "IGNORED",
    "INCOMING",
    "OUTGOING",
    "OWES_ANSWER",
    "OWN",
    "TRANSITIONS",
    "Action",
    "Event",
    "Exchange",
    "State",
]


class State(Enum):
    """How far an exchange has come."""

    IDLE = auto()
    """Nothing is under way."""
    ASKED = auto()
    """The asker has sent its `Ask`."""
    RECEIVING = auto()
    """The asker has some chunks of the answer, and has asked for the next."""
    ANSWERED = auto()
    """The asker has joined the answer, and waits for the other peers of the round."""
    PUSHING = auto()
    """The asker has sent some chunks of the push."""
    PUSHED = auto()
    """The asker has sent the whole push."""
    ANSWERING = auto()
    """The answerer has sent some chunks of the answer."""
    TAKING = auto()
    """Chunks come in of a push, or of an answer to a round that is over."""
    FINISHED = auto()
    """All has been done."""
    FAILED = auto()
    """The peer did not do its part in time, or cannot be reached."""


class Event(Enum):
    """What happens to an exchange."""

    START = auto()
    """This node starts a round with the peer."""
    ASK = auto()
    """The peer asks for what it lacks."""
    FIRST_CHUNK = auto()
    """The first chunk of a transfer arrives, and there is room for it."""
    NEXT_CHUNK = auto()
    """The next chunk of the transfer under way arrives."""
    ANSWER = auto()
    """An answer has arrived whole, and is joined."""
    PUSH = auto()
    """A push has arrived whole, and is joined."""
    REFUSED = auto()
    """The patch that came in chunks has arrived whole, and cannot be joined."""
    MORE = auto()
    """The peer asks for the next chunk of the transfer under way."""
    MORE_AFTER_RESTART = auto()
    """The peer asks for the next chunk of a transfer that a former run of this node began."""
    DONE = auto()
    """The peer has joined the push."""
    STRAY = auto()
    """A chunk, a request for one, or a last message arrives that does not continue the transfer under way."""
    ALL_ANSWERED_AND_BEHIND = auto()
    """All peers of the round have answered or failed. This one lacks something, and the round pushes."""
    ALL_ANSWERED_AND_LEVEL = auto()
    """All peers of the round have answered or failed. There is nothing to push to this one."""
    LAST_SENT = auto()
    """The last message of the patch has been sent."""
    CROWDED = auto()
    """As many large patches as a peer may have are on their way to it already."""
    UNREACHABLE = auto()
    """A message of the exchange did not reach the peer."""
    TIME_UP = auto()
    """Nothing has come from the peer for too long."""


class Action(Enum):
    """What the node does in a transition."""

    SEND_ASK = auto()
    SEND_FIRST = auto()
    """Begins to send a patch."""
    SEND_NEXT = auto()
    """Sends the next message of the patch."""
    KEEP_AND_ASK_FOR_MORE = auto()
    """Keeps the chunk, and asks for the next."""
    NOTE = auto()
    """Notes for the round what the peer has said: how many writes were new and, in an answer, the peer's clock."""
    CONFIRM = auto()
    """Tells the peer that its push is joined."""
    NOTHING = auto()


OWN = frozenset({State.ASKED, State.RECEIVING, State.ANSWERED, State.PUSHING, State.PUSHED})
"""The exchange is part of a round that this node started."""
OWES_ANSWER = frozenset({State.ASKED, State.RECEIVING})
"""The round waits for the peer's answer."""
INCOMING = frozenset({State.RECEIVING, State.TAKING})
"""Chunks come in."""
OUTGOING = frozenset({State.PUSHING, State.ANSWERING})
"""Chunks go out."""
ENDED = frozenset({State.FINISHED, State.FAILED})
"""Nothing more happens."""

_GIVEN_UP = (State.FAILED, Action.NOTHING)

TRANSITIONS: dict[State, dict[Event, tuple[State, Action]]] = {
    State.IDLE: {
        Event.START: (State.ASKED, Action.SEND_ASK),
        Event.ASK: (State.ANSWERING, Action.SEND_FIRST),
        Event.MORE_AFTER_RESTART: (State.ANSWERING, Action.SEND_FIRST),
        Event.FIRST_CHUNK: (State.TAKING, Action.KEEP_AND_ASK_FOR_MORE),
        Event.PUSH: (State.FINISHED, Action.CONFIRM),
    },
    State.ASKED: {
        Event.FIRST_CHUNK: (State.RECEIVING, Action.KEEP_AND_ASK_FOR_MORE),
        Event.ANSWER: (State.ANSWERED, Action.NOTE),
        Event.UNREACHABLE: _GIVEN_UP,
        Event.TIME_UP: _GIVEN_UP,
    },
    State.RECEIVING: {
        Event.FIRST_CHUNK: (State.RECEIVING, Action.KEEP_AND_ASK_FOR_MORE),
        Event.NEXT_CHUNK: (State.RECEIVING, Action.KEEP_AND_ASK_FOR_MORE),
        Event.ANSWER: (State.ANSWERED, Action.NOTE),
        Event.REFUSED: (State.ASKED, Action.NOTHING),
        Event.UNREACHABLE: _GIVEN_UP,
        Event.TIME_UP: _GIVEN_UP,
    },
    State.ANSWERED: {
        Event.ALL_ANSWERED_AND_BEHIND: (State.PUSHING, Action.SEND_FIRST),
        Event.ALL_ANSWERED_AND_LEVEL: (State.FINISHED, Action.NOTHING),
        Event.UNREACHABLE: _GIVEN_UP,
    },
    State.PUSHING: {
        Event.MORE: (State.PUSHING, Action.SEND_NEXT),
        Event.LAST_SENT: (State.PUSHED, Action.NOTHING),
        Event.CROWDED: _GIVEN_UP,
        Event.UNREACHABLE: _GIVEN_UP,
        Event.TIME_UP: _GIVEN_UP,
    },
    State.PUSHED: {
        Event.DONE: (State.FINISHED, Action.NOTE),
        Event.UNREACHABLE: _GIVEN_UP,
        Event.TIME_UP: _GIVEN_UP,
    },
    State.ANSWERING: {
        Event.MORE: (State.ANSWERING, Action.SEND_NEXT),
        Event.LAST_SENT: (State.FINISHED, Action.NOTHING),
        Event.CROWDED: _GIVEN_UP,
        # Who pushes has the whole answer: a doubled `Ask` has made this node answer again.
        Event.FIRST_CHUNK: (State.TAKING, Action.KEEP_AND_ASK_FOR_MORE),
        Event.PUSH: (State.FINISHED, Action.CONFIRM),
        Event.UNREACHABLE: _GIVEN_UP,
        Event.TIME_UP: _GIVEN_UP,
    },
    State.TAKING: {
        Event.FIRST_CHUNK: (State.TAKING, Action.KEEP_AND_ASK_FOR_MORE),
        Event.NEXT_CHUNK: (State.TAKING, Action.KEEP_AND_ASK_FOR_MORE),
        Event.ANSWER: (State.FINISHED, Action.NOTHING),
        Event.PUSH: (State.FINISHED, Action.CONFIRM),
        Event.REFUSED: _GIVEN_UP,
        Event.UNREACHABLE: _GIVEN_UP,
        Event.TIME_UP: _GIVEN_UP,
    },
}
"""Per state and event: the state that follows, and what the node does."""


class Ignored(NamedTuple):
    """Why an event changes nothing in some states."""

    states: frozenset[State]
    reason: str


_ALL = frozenset(TRANSITIONS)

IGNORED: dict[Event, Ignored] = {
    Event.ASK: Ignored(
        _ALL - {State.IDLE}, "The peer's `Ask` came twice, and the answer is on its way; or it names a round of ours."
    ),
    Event.FIRST_CHUNK: Ignored(
        frozenset({State.ANSWERED, State.PUSHING, State.PUSHED}),
        "The answer is joined already. A doubled `Ask` has made the peer answer again.",
    ),
    Event.ANSWER: Ignored(
        frozenset({State.IDLE, State.ANSWERED, State.PUSHING, State.PUSHED, State.ANSWERING}),
        "It came twice, or after the round was over. It is joined, and nobody waits for it.",
    ),
    Event.PUSH: Ignored(OWN, "A peer pushes in its own rounds only. The push is joined, and not confirmed."),
    Event.MORE_AFTER_RESTART: Ignored(
        _ALL - {State.IDLE}, "The request came twice, and the answer is on its way; or it names a round of ours."
    ),
    Event.DONE: Ignored(_ALL - {State.PUSHED}, "It came twice, or after the round was over."),
    Event.STRAY: Ignored(_ALL, "It came twice, or out of order, or it is from another attempt to send the patch."),
    Event.UNREACHABLE: Ignored(frozenset({State.IDLE}), "The exchange is over: nobody waits for the peer."),
    Event.TIME_UP: Ignored(
        frozenset({State.ANSWERED}), "The peer owes nothing. It waits for the others, whose time is limited."
    ),
}
"""Per event: in which states it changes nothing, and why."""


@dataclass(slots=True)
class Exchange:
    """The exchange with `peer` in round `round`. `deadline_ms` (monotonic): until then the peer may be silent.

    `clock`: the clock that came with the peer's answer. `outgoing`, `incoming`: the transfer under way.
    """

    peer: str
    round: str
    state: State = State.IDLE
    deadline_ms: int = 0
    clock: VersionVector = field(default_factory=VersionVector)
    outgoing: Outgoing | None = None
    incoming: Incoming | None = None

    def is_overdue(self, now_ms: int) -> bool:
        """Whether the time of a silent peer is up."""
        return now_ms >= self.deadline_ms

    def step(self, event: Event) -> Action | None:
        """Move to the next state, and return what the node has to do, `None` for an event that is ignored.

        A transfer that has no place in the next state ends. Raises `InvariantBroken` for an event that cannot happen.
        """
        following = TRANSITIONS[self.state].get(event)
        if following is None:
            if event not in IGNORED or self.state not in IGNORED[event].states:
                raise InvariantBroken(f"exchange with {self.peer} in {self.round}: {event.name} in {self.state.name}")
            return None
        self.state, action = following
        if self.outgoing is not None and self.state not in OUTGOING:
            self.outgoing.close()
            self.outgoing = None
        if self.state not in INCOMING:
            self.incoming = None
        return action
