"""The turn loop, without tasks and clocks: what a turn takes, and what may leave when."""

from __future__ import annotations

from typing import Any

import pytest

from crdt_core.codec.messages import Ask, encode_message
from crdt_core.errors import InvalidArgument, InvariantBroken
from crdt_core.lattice.clocks import VersionVector
from crdt_core.node.events import (
    Call,
    DeltasRead,
    LinksRead,
    MessagesRead,
    ReplayAsked,
    RoundAsked,
    Send,
    SendFailed,
    Tick,
)
from tests.crdt_core.writes import Count, Look, Refuse
from tests.invocations import value_of
from tests.workers.turns.shell import KEY, TIMEOUT_S, Shell
from workers.turns.loop import CallbackWaiter
from workers.turns.weights import TURN_WEIGHT_MAX

# What a turn takes ----------------------------------------------------------------------------------------------------


def test_all_that_waits_shares_a_turn_and_a_commit(shell: Shell) -> None:
    shell.submit("a", Count(KEY))
    shell.loop.put(Tick())
    shell.ask("b", lambda token: Call(Count(KEY), token))
    commit = shell.begin()
    assert commit is not None
    assert commit.counter == 1
    shell.finish()
    assert shell.told == {"a": [(1, None)], "b": [(2, None)]}
    assert shell.loop.node.replica.clock == {"n1": 1}


def test_what_arrives_during_a_commit_shares_the_next_one(shell: Shell) -> None:
    shell.submit("a", Count(KEY))
    shell.begin()
    shell.submit("b", Count(KEY))
    shell.submit("c", Count(KEY))
    shell.finish()
    assert list(shell.told) == ["a"]
    shell.turn()
    assert shell.told["c"] == [(3, None)]
    assert shell.loop.node.replica.clock == {"n1": 2}


def test_the_shell_is_woken_once_per_turn_that_becomes_due(shell: Shell) -> None:
    assert not shell.loop.is_due
    shell.submit("a", Count(KEY))
    shell.submit("b", Count(KEY))
    shell.loop.put(Tick())
    assert (shell.woken, shell.loop.is_due) == (1, True)
    shell.begin()
    assert not shell.loop.is_due
    shell.ask("c", lambda token: Call(Look(KEY), token))
    assert (shell.woken, shell.loop.is_due) == (2, True)


def test_a_call_whose_caller_left_before_its_turn_is_dropped(shell: Shell) -> None:
    """The caller has probably repeated it."""
    waiter = shell.ask("a", lambda token: Call(Count(KEY, 10), token))
    shell.submit("b", Count(KEY))
    shell.loop.leave(waiter)
    shell.turn()
    assert shell.told == {"b": [(1, None)]}
    shell.loop.leave(waiter)


def test_a_call_whose_caller_left_after_its_turn_began_takes_effect_and_is_told_to_nobody(shell: Shell) -> None:
    waiter = shell.ask("a", lambda token: Call(Count(KEY, 10), token))
    shell.begin()
    shell.loop.leave(waiter)
    shell.finish()
    assert shell.told == {}
    assert shell.loop.node.replica.value(KEY) == 10
    assert shell.loop.calls_waiting == 0


def test_messages_are_counted_until_their_turn(shell: Shell) -> None:
    ask = encode_message(Ask("n2", "r", VersionVector()))
    shell.loop.put(MessagesRead([("1-0", ask), ("2-0", ask)]))
    shell.loop.put(MessagesRead([("3-0", ask)]))
    assert shell.loop.messages_waiting == 3
    shell.begin()
    assert shell.loop.messages_waiting == 0


# How much a turn takes ------------------------------------------------------------------------------------------------


def test_a_turn_takes_a_bounded_number_of_calls_and_the_others_keep_their_places() -> None:
    """50 clients with 4096 pipelined increments each once shared one turn, of 2.8 s; nobody was answered meanwhile."""
    shell = Shell(calls_waiting_max=10_000)
    for number in range(5000):
        shell.submit(f"{number}", Count(KEY))
    shell.turn()
    assert 1000 < len(shell.told) < 3000
    assert shell.loop.is_due
    while shell.loop.is_due:
        shell.turn()
    assert [said for (said,) in shell.told.values()] == [(number, None) for number in range(1, 5001)]
    assert shell.loop.node.replica.clock == {"n1": 3}


def test_what_is_heavier_than_a_turn_has_a_turn_of_its_own(shell: Shell) -> None:
    shell.submit("light", Count(KEY))
    shell.loop.submit(Count(KEY), CallbackWaiter(shell.on_reply("heavy")), shell.now_s, 10 * TURN_WEIGHT_MAX)
    shell.submit("behind", Count(KEY))
    told = []
    while shell.loop.is_due:
        shell.turn()
        told.append(list(shell.told))
    assert told == [["light"], ["light", "heavy"], ["light", "heavy", "behind"]]


def test_nothing_overtakes_what_has_no_room_in_a_turn(shell: Shell) -> None:
    """Deltas of a peer that were read after its link was paused must not be taken in before the node has heard so."""
    shell.loop.put(MessagesRead([("1-0", b"x" * TURN_WEIGHT_MAX)]))
    shell.loop.put(LinksRead(frozenset({"n2"})))
    shell.ask("deltas", lambda token: DeltasRead("n2", [("1-0", b"")], token))
    shell.turn()
    assert (shell.loop.node.paused, shell.told, shell.loop.messages_waiting) == (frozenset(), {}, 0)
    shell.turn()
    assert (shell.loop.node.paused, shell.told) == ({"n2"}, {"deltas": [(0, None)]})
    assert not shell.loop.is_due


def test_callers_who_left_before_their_turn_leave_their_room_to_others(shell: Shell) -> None:
    waiter = shell.ask("a", lambda token: ReplayAsked("n1", (), token))
    shell.loop.submit(Count(KEY), CallbackWaiter(shell.on_reply("heavy")), shell.now_s, TURN_WEIGHT_MAX)
    shell.now_s = TIMEOUT_S
    shell.tell(shell.loop.give_up_late(shell.now_s))
    shell.loop.leave(waiter)
    assert shell.begin() is None
    shell.release()
    assert not shell.loop.is_due
    shell.submit("b", Count(KEY))
    shell.turn()
    assert shell.told["b"] == [(1, None)]


# What may leave -------------------------------------------------------------------------------------------------------


def test_nothing_leaves_and_nothing_shows_before_the_commit_is_confirmed(shell: Shell) -> None:
    shell.submit("a", Count(KEY))
    shell.loop.put(MessagesRead([("1-0", encode_message(Ask("n2", "r", VersionVector())))]))
    shell.begin()
    with pytest.raises(InvariantBroken, match="effects leave while their commit is under way"):
        shell.loop.release()
    with pytest.raises(InvariantBroken, match="a turn begins while a commit is under way"):
        shell.begin()
    assert value_of(shell.loop.node.confirmed, KEY) is None
    assert shell.loop.confirmed.clock == {}
    shell.loop.confirm()
    assert value_of(shell.loop.node.confirmed, KEY) == 1
    assert shell.loop.confirmed.clock == {"n1": 1}
    assert (shell.told, shell.sent) == ({}, [])
    shell.release()
    assert shell.told == {"a": [(1, None)]}
    assert [type(effect) for effect in shell.sent] == [Send]


def test_a_turn_with_nothing_to_persist_needs_no_commit(shell: Shell) -> None:
    shell.submit("a", Look(KEY))
    shell.submit("b", Refuse())
    assert shell.begin() is None
    shell.release()
    assert shell.told["a"] == [(None, None)]
    assert isinstance(shell.errors("b"), InvalidArgument)


def test_a_suspicion_has_the_next_turn_commit_and_only_that(shell: Shell) -> None:
    shell.loop.suspect()
    assert shell.loop.is_due
    commit = shell.begin()
    assert commit is not None
    assert commit.empty
    shell.finish()
    shell.loop.put(Tick())
    assert shell.begin() is None


def test_an_observer_that_fails_stops_neither_the_turns_nor_the_others(shell: Shell) -> None:
    """It once ended the turn loop, and so the worker."""
    seen: list[Any] = []

    def fail(_changed: object) -> None:
        raise ValueError("an observer's own mistake")

    shell.loop.observers += [fail, seen.append]
    for number in (1, 2):
        shell.submit(f"call {number}", Count(KEY))
        shell.turn()
    assert (len(seen), shell.told["call 2"]) == (2, [(2, None)])
    assert shell.loop.node.counts["observers_failed"] == 2


def test_a_broken_invariant_in_an_observer_is_not_contained(shell: Shell) -> None:
    def find_out(_changed: object) -> None:
        raise InvariantBroken("two histories")

    shell.loop.observers.append(find_out)
    shell.submit("call", Count(KEY))
    with pytest.raises(InvariantBroken):
        shell.turn()


def test_observers_see_what_changed_before_anybody_is_told_and_nothing_of_other_turns(shell: Shell) -> None:
    seen: list[tuple[set[bytes], bool, object]] = []

    def observe(changed: Any) -> None:
        seen.append(({key for key, _, _ in changed}, bool(shell.told), value_of(shell.loop.node.confirmed, KEY)))

    shell.loop.observers.append(observe)
    shell.submit("a", Count(KEY))
    shell.turn()
    shell.submit("b", Look(KEY))
    shell.turn()
    shell.loop.suspect()
    shell.turn()
    assert seen == [({KEY}, False, 1)]


def test_a_round_is_answered_in_a_later_turn(shell: Shell) -> None:
    shell.ask("a", lambda token: RoundAsked(("n2",), token))
    shell.turn()
    assert shell.told == {}
    assert shell.loop.calls_waiting == 1
    (sent,) = shell.sent
    shell.loop.put(SendFailed("n2", sent.message.round))
    shell.turn()
    ((result, error),) = shell.told["a"]
    assert (result.failed, error) == (("n2",), None)
    assert shell.loop.calls_waiting == 0
