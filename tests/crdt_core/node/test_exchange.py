"""The machine of one exchange: its table is walked whole, so that no state and no event is left to chance."""

from __future__ import annotations

from itertools import product
from typing import Any

import pytest

from crdt_core.errors import InvariantBroken
from crdt_core.node.exchange import (
    ENDED,
    IGNORED,
    INCOMING,
    OUTGOING,
    OWES_ANSWER,
    OWN,
    TRANSITIONS,
    Action,
    Event,
    Exchange,
    State,
)

LIVE = [state for state in State if state not in ENDED]

CANNOT_HAPPEN: dict[Event, set[State]] = {
    Event.START: set(LIVE) - {State.IDLE},
    Event.ALL_ANSWERED_AND_BEHIND: set(LIVE) - {State.ANSWERED},
    Event.ALL_ANSWERED_AND_LEVEL: set(LIVE) - {State.ANSWERED},
    Event.LAST_SENT: set(LIVE) - OUTGOING,
    Event.CROWDED: set(LIVE) - OUTGOING,
    Event.MORE: set(LIVE) - OUTGOING,
    Event.NEXT_CHUNK: set(LIVE) - INCOMING,
    Event.REFUSED: set(LIVE) - INCOMING,
    Event.TIME_UP: {State.IDLE},
}
"""What the node itself does, or what takes a transfer that is under way, and so cannot come at another time."""

SENDING = {Action.SEND_ASK, Action.SEND_FIRST, Action.SEND_NEXT, Action.KEEP_AND_ASK_FOR_MORE, Action.CONFIRM}


class Transfer:
    """Stands for a transfer, and notes whether it was ended."""

    def __init__(self) -> None:
        self.closed = 0

    def close(self) -> None:
        self.closed += 1


def reach(state: State) -> list[Event]:
    """The shortest way from `IDLE` to `state`."""
    ways: dict[State, list[Event]] = {State.IDLE: []}
    waiting = [State.IDLE]
    while waiting:
        here = waiting.pop(0)
        for event, (following, _) in TRANSITIONS.get(here, {}).items():
            if following not in ways:
                ways[following] = [*ways[here], event]
                waiting.append(following)
    return ways[state]


def at(state: State) -> Exchange:
    exchange = Exchange("n2", "r")
    for event in reach(state):
        exchange.step(event)
    assert exchange.state is state
    return exchange


def test_every_pair_of_state_and_event_is_one_of_three() -> None:
    assert TRANSITIONS.keys() == set(LIVE)
    for state, event in product(LIVE, Event):
        moves = event in TRANSITIONS[state]
        is_ignored = event in IGNORED and state in IGNORED[event].states
        is_impossible = state in CANNOT_HAPPEN.get(event, ())
        assert moves + is_ignored + is_impossible == 1, f"{event.name} in {state.name}"


@pytest.mark.parametrize(("state", "event"), [(s, e) for s, e in product(LIVE, Event) if e in TRANSITIONS[s]])
def test_an_event_with_a_transition_moves_the_exchange_there(state: State, event: Event) -> None:
    exchange = at(state)
    action = exchange.step(event)
    assert (exchange.state, action) == TRANSITIONS[state][event]


@pytest.mark.parametrize(("event", "state"), [(e, s) for e, why in IGNORED.items() for s in State if s in why.states])
def test_an_event_that_is_ignored_changes_nothing_and_has_a_reason(event: Event, state: State) -> None:
    exchange = at(state)
    exchange.outgoing = outgoing = Transfer()  # type: ignore[assignment]
    assert exchange.step(event) is None
    assert exchange.state is state
    assert (exchange.outgoing, outgoing.closed) == (outgoing, 0)
    assert IGNORED[event].reason


@pytest.mark.parametrize(
    ("event", "state"), [(e, s) for e, states in CANNOT_HAPPEN.items() for s in State if s in states]
)
def test_an_event_that_cannot_happen_stops_the_node(event: Event, state: State) -> None:
    with pytest.raises(InvariantBroken, match=f"{event.name} in {state.name}"):
        at(state).step(event)


@pytest.mark.parametrize("state", State)
def test_every_state_is_reached(state: State) -> None:
    assert at(state).state is state


@pytest.mark.parametrize("state", LIVE[1:])
def test_every_exchange_ends_when_nobody_says_anything_any_more(state: State) -> None:
    """Time ends it; or, once all other peers are heard or given up, the round does, and then time."""
    exchange = at(state)
    if state is State.ANSWERED:
        exchange.step(Event.ALL_ANSWERED_AND_BEHIND)
    exchange.step(Event.TIME_UP)
    assert exchange.state is State.FAILED


@pytest.mark.parametrize("state", LIVE[1:])
def test_every_exchange_ends_when_the_peer_cannot_be_reached(state: State) -> None:
    exchange = at(state)
    assert exchange.step(Event.UNREACHABLE) is Action.NOTHING
    assert exchange.state is State.FAILED


def test_an_exchange_stays_on_the_side_on_which_it_began() -> None:
    """One of a round of this node ends as such: so the round learns how."""
    for state, transitions in TRANSITIONS.items():
        for event, (following, _) in transitions.items():
            if state is not State.IDLE and following not in ENDED:
                assert (state in OWN) == (following in OWN), f"{event.name} in {state.name}"
    assert [event for event, (state, _) in TRANSITIONS[State.IDLE].items() if state in OWN] == [Event.START]


def test_only_a_peer_that_owes_something_is_waited_for() -> None:
    assert OWES_ANSWER < OWN
    assert INCOMING.isdisjoint(OUTGOING)
    assert {state for state in LIVE if Event.TIME_UP not in TRANSITIONS[state]} == {State.IDLE, State.ANSWERED}


def test_after_every_message_that_is_sent_the_peer_owes_something_or_all_is_done() -> None:
    for transitions in TRANSITIONS.values():
        for following, action in transitions.values():
            if action in SENDING and following is not State.FINISHED:
                assert Event.TIME_UP in TRANSITIONS[following]


@pytest.mark.parametrize(
    ("state", "event"), [(s, e) for s in State if s in OUTGOING | INCOMING for e in TRANSITIONS[s]]
)
def test_a_transfer_that_has_no_place_in_the_next_state_ends(state: State, event: Event) -> None:
    """A walk that nobody ends would cost every change of the replica something for ever."""
    exchange = at(state)
    outgoing: Any = Transfer()
    incoming: Any = Transfer()
    exchange.outgoing = outgoing if state in OUTGOING else None
    exchange.incoming = incoming if state in INCOMING else None
    exchange.step(event)
    assert (exchange.outgoing is outgoing) == (state in OUTGOING and exchange.state in OUTGOING)
    assert outgoing.closed == (state in OUTGOING and exchange.state not in OUTGOING)
    assert (exchange.incoming is incoming) == (state in INCOMING and exchange.state in INCOMING)


def test_a_peer_may_be_silent_until_its_deadline() -> None:
    exchange = Exchange("n2", "r", deadline_ms=1000)
    assert not exchange.is_overdue(999)
    assert exchange.is_overdue(1000)
