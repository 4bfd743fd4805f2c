"""The turn loop, without tasks and clocks: what a turn takes, what may leave when, and what each caller is told."""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crdt_core.codec.messages import Ask, encode_message
from crdt_core.commands import COMMANDS, Execute
from crdt_core.errors import DeltaicError, InvalidArgument, InvariantBroken, Overloaded, Stopping, StoreUnavailable
from crdt_core.lattice.clocks import VersionVector
from crdt_core.node.events import (
    Call,
    DeltasRead,
    LinksRead,
    MessagesRead,
    PatchAsked,
    ReplayAsked,
    Reply,
    RoundAsked,
    Send,
    SendFailed,
    Tick,
)
from crdt_core.node.node import Node
from crdt_core.node.options import NodeOptions
from crdt_core.replica.replica import Replica
from tests.crdt_core.writes import Count, Look, Refuse
from tests.invocations import value_of
from workers.turns.loop import TurnLoop
from workers.turns.weights import TURN_WEIGHT_MAX
from workers.wire.retry import Trouble

if TYPE_CHECKING:
    from collections.abc import Callable

    from crdt_core.node.events import Commit, Event
    from workers.turns.loop import Waiter

KEY = b"hits"
TIMEOUT_S = 10.0


class Shell:
    """A shell of the loop whose commits are confirmed when the test says so; `told` is what each caller heard."""

    def __init__(self, calls_waiting_max: int = 100, **options: int) -> None:
        self.trouble: Trouble | None = None
        self.woken = 0
        self.now_s = 0.0
        self.told: dict[str, list[tuple[Any, Exception | None]]] = {}
        self.sent: list[Any] = []
        made = NodeOptions(exchange_timeout_ms=60_000, **options)
        self.loop = TurnLoop(
            Node("n1", Replica("n1", founders=["n1", "n2"]), "s", options=made),
            self,
            self._wake,
            call_timeout_s=TIMEOUT_S,
            calls_waiting_max=calls_waiting_max,
        )

    def _wake(self) -> None:
        self.woken += 1

    def on_reply(self, name: str) -> Callable[[Any, Exception | None], None]:
        return lambda *said: self.told.setdefault(name, []).append(said)

    def submit(self, name: str, operation: Any) -> None:
        self.loop.submit(operation, self.on_reply(name), self.now_s)

    def ask(self, name: str, make: Callable[[Any], Event]) -> Waiter:
        return self.loop.ask(make, self.on_reply(name))

    def begin(self) -> Commit | None:
        return self.loop.begin(1_000_000, int(self.now_s * 1000))

    def release(self) -> None:
        for effect in self.loop.release():
            if isinstance(effect, Reply):
                effect.token.on_reply(effect.result, effect.error)
            else:
                self.sent.append(effect)

    def finish(self) -> None:
        self.loop.confirm()
        self.release()

    def turn(self) -> None:
        """A whole turn."""
        if self.begin() is not None:
            self.loop.confirm()
        self.release()

    def tell(self, replies: list[Reply]) -> None:
        for waiter, result, error in replies:
            waiter.on_reply(result, error)

    def errors(self, name: str) -> Exception | None:
        """The one error that a caller was told."""
        ((result, error),) = self.told[name]
        assert result is None
        return error


@pytest.fixture
def shell() -> Shell:
    return Shell()


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
    shell.loop.submit(Count(KEY), shell.on_reply("heavy"), shell.now_s, 10 * TURN_WEIGHT_MAX)
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
    shell.loop.submit(Count(KEY), shell.on_reply("heavy"), shell.now_s, TURN_WEIGHT_MAX)
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


# Patience -------------------------------------------------------------------------------------------------------------


def test_whoever_waits_too_long_is_told_why_and_whether_it_may_still_happen(shell: Shell) -> None:
    shell.submit("begun", Count(KEY, 1))
    shell.begin()
    shell.now_s = 1.0
    shell.submit("waiting", Count(KEY, 10))
    assert shell.loop.next_deadline_s == TIMEOUT_S
    assert shell.loop.give_up_late(9.9) == []
    shell.tell(shell.loop.give_up_late(10.0))
    assert shell.loop.next_deadline_s == 11.0
    shell.trouble = Trouble(0.5, "Redis refuses: OOM")
    shell.tell(shell.loop.give_up_late(11.0))
    begun, waiting = shell.errors("begun"), shell.errors("waiting")
    assert isinstance(begun, StoreUnavailable)
    assert isinstance(waiting, StoreUnavailable)
    assert "within 10 s (no answer for 10.0 s); it may still take effect" in str(begun)
    assert "within 10 s (Redis refuses: OOM); nothing was changed" in str(waiting)
    assert (begun.unchanged, waiting.unchanged) == (False, True)
    assert (shell.loop.next_deadline_s, shell.loop.calls_waiting) == (inf, 0)
    shell.finish()
    shell.turn()
    assert shell.loop.node.replica.value(KEY) == 1
    assert [len(said) for said in shell.told.values()] == [1, 1]


def flushing() -> Shell:
    """A shell with twenty keys, and a flush of them that waits for its turn."""
    shell = Shell(parts_per_turn=5)
    words = [word for number in range(20) for word in (b"key%d" % number, b"v")]
    shell.submit("fill", Execute([(COMMANDS[b"MSET"], words)], 1_000_000, 1))
    shell.turn()
    shell.submit("flush", Execute([(COMMANDS[b"FLUSHALL"], [])], 1_000_000, 1))
    return shell


def test_time_stands_still_for_the_caller_of_something_large_until_it_is_committed() -> None:
    """FLUSHALL of a million keys was told after ten seconds that Redis had not confirmed it, before Redis was asked."""
    shell = flushing()
    assert shell.begin() is None
    while shell.loop.node.large.prepare():
        shell.now_s += TIMEOUT_S
        shell.tell(shell.loop.give_up_late(shell.now_s))
    commit = shell.begin()
    assert commit is not None
    assert commit.earlier
    shell.now_s += 2 * TIMEOUT_S  # of many transactions, one after the other
    shell.tell(shell.loop.give_up_late(shell.now_s))
    assert "flush" not in shell.told
    shell.finish()
    ((_, error),) = shell.told["flush"]
    assert error is None


def test_the_caller_of_something_large_is_told_of_a_redis_that_does_not_answer() -> None:
    shell = flushing()
    shell.begin()
    while shell.loop.node.large.prepare():
        shell.now_s += TIMEOUT_S
    shell.begin()
    shell.trouble = Trouble(shell.now_s, "Redis does not answer")
    shell.tell(shell.loop.give_up_late(shell.now_s + TIMEOUT_S / 2))
    assert "flush" not in shell.told, "its time has begun to run with the commit"
    shell.now_s += TIMEOUT_S
    shell.tell(shell.loop.give_up_late(shell.now_s))
    assert "Redis does not answer" in str(shell.errors("flush"))


def test_time_stands_still_for_callers_behind_something_large_until_their_turn_begins() -> None:
    """If Redis took ten seconds for its slices, they were told in between that Redis had not confirmed them."""
    shell = flushing()
    shell.submit("behind", Count(b"another"))
    shell.begin()
    while shell.loop.node.large.prepare():
        pass
    shell.begin()
    shell.now_s += 2 * TIMEOUT_S
    shell.finish()
    shell.tell(shell.loop.give_up_late(shell.now_s))
    assert list(shell.told) == ["fill", "flush"]
    shell.begin()
    shell.tell(shell.loop.give_up_late(shell.now_s + TIMEOUT_S / 2))
    shell.finish()
    assert shell.told["behind"] == [(1, None)]


def test_callers_beside_something_large_are_told_of_a_redis_that_does_not_answer() -> None:
    """The time of all of them stood still until Redis was back, because the large call had not even begun."""
    shell = flushing()
    shell.submit("count", Count(b"another"))
    shell.loop.submit(Execute([(COMMANDS[b"SET"], [b"key", b"v"])], 1_000_000, 1), shell.on_reply("set"), 0)
    shell.now_s = 1.0
    shell.begin()
    shell.trouble = Trouble(shell.now_s, "Redis does not answer")
    shell.tell(shell.loop.give_up_late(shell.now_s + 2 * TIMEOUT_S))
    assert "Redis does not answer" in str(shell.errors("flush"))
    assert "Redis does not answer" in str(shell.errors("set"))


def test_who_asks_for_more_than_a_turn_waits_longer_and_who_must_be_answered_for_ever(shell: Shell) -> None:
    shell.loop.ask_in_time(
        lambda token: PatchAsked(VersionVector(), token, 1 << 20), shell.on_reply("in time"), shell.now_s, extra_s=5
    )
    shell.ask("for ever", lambda token: PatchAsked(VersionVector(), token, 1 << 20))
    assert shell.loop.next_deadline_s == 15
    shell.tell(shell.loop.give_up_late(10**6))
    assert "within 15 s (no turn has begun); nothing was changed" in str(shell.errors("in time"))
    shell.turn()
    assert list(shell.told) == ["in time", "for ever"]
    assert shell.told["for ever"][0][1] is None


def test_while_the_store_is_known_to_be_in_trouble_nobody_waits_in_vain(shell: Shell) -> None:
    shell.submit("a", Count(KEY))
    shell.begin()
    shell.trouble = Trouble(-1.0, "READONLY")
    shell.now_s = 9.0
    shell.submit("b", Count(KEY))
    shell.now_s = 9.5
    for refused in (lambda: shell.submit("c", Count(KEY)), lambda: _ask_in_time(shell)):
        with pytest.raises(StoreUnavailable, match=r"no commit for 1\d s \(READONLY\); nothing was changed") as error:
            refused()
        assert error.value.unchanged
    shell.ask("d", lambda token: Call(Count(KEY), token))
    shell.trouble = None
    shell.finish()
    shell.submit("e", Count(KEY))
    shell.turn()
    assert sorted(shell.told) == ["a", "b", "d", "e"]


def _ask_in_time(shell: Shell) -> None:
    shell.loop.ask_in_time(lambda token: PatchAsked(VersionVector(), token, 1 << 20), shell.on_reply("c"), shell.now_s)


def test_no_more_callers_wait_than_the_limit_says() -> None:
    shell = Shell(calls_waiting_max=2)
    shell.submit("a", Count(KEY))
    shell.begin()
    shell.submit("b", Count(KEY))
    for refused in (lambda: shell.submit("c", Count(KEY)), lambda: _ask_in_time(shell)):
        with pytest.raises(Overloaded, match=r"2 calls wait already \(setting limits\.calls_waiting_max\)"):
            refused()
    shell.finish()
    shell.submit("c", Count(KEY))
    shell.turn()
    assert shell.told == {"a": [(1, None)], "b": [(2, None)], "c": [(3, None)]}


# The end --------------------------------------------------------------------------------------------------------------


def test_a_loop_that_closes_takes_no_calls_and_is_over_when_what_waits_has_had_its_turn(shell: Shell) -> None:
    shell.submit("a", Count(KEY))
    shell.begin()
    shell.submit("b", Count(KEY))
    shell.loop.close()
    for refused in (
        lambda: shell.submit("c", Count(KEY)),
        lambda: shell.ask("c", lambda token: Call(Count(KEY), token)),
        lambda: _ask_in_time(shell),
        shell.loop.check_open,
    ):
        with pytest.raises(Stopping):
            refused()
    assert shell.loop.is_closing
    assert not shell.loop.is_over
    shell.finish()
    shell.turn()
    assert shell.loop.is_over
    assert sorted(shell.told) == ["a", "b"]


def test_an_idle_loop_that_closes_wakes_its_shell_and_is_over(shell: Shell) -> None:
    shell.loop.close()
    assert (shell.woken, shell.loop.is_over) == (1, True)


def test_whoever_waits_at_the_end_is_told_whether_it_may_still_happen(shell: Shell) -> None:
    shell.submit("begun", Count(KEY))
    shell.begin()
    shell.submit("waiting", Count(KEY))
    shell.tell(shell.loop.end())
    assert str(shell.errors("begun")).endswith("it may still take effect")
    assert str(shell.errors("waiting")).endswith("nothing was changed")
    assert shell.loop.end() == []
    assert shell.loop.calls_waiting == 0


# Anything may happen --------------------------------------------------------------------------------------------------


class Chance(Shell):
    """A shell to which anything happens; `ran` are the calls that have run, `promised` those said to have not."""

    def __init__(self) -> None:
        super().__init__(calls_waiting_max=5)
        self.ran: list[str] = []
        self.waiters: dict[str, Waiter] = {}
        self.entered: list[str] = []
        self.left: set[str] = set()
        self.commit: Commit | None = None

    def call(self) -> None:
        name = f"call {len(self.entered)}"
        try:
            self.submit(name, Noted(name, self.ran))
        except DeltaicError:
            return
        self.entered.append(name)

    def call_heavily(self) -> None:
        name = f"heavy call {len(self.entered)}"
        try:
            self.loop.submit(Noted(name, self.ran), self.on_reply(name), self.now_s, TURN_WEIGHT_MAX)
        except DeltaicError:
            return
        self.entered.append(name)

    def wait(self) -> None:
        name = f"wait {len(self.entered)}"
        try:
            self.waiters[name] = self.ask(name, lambda token: Call(Noted(name, self.ran), token))
        except Stopping:
            return
        self.entered.append(name)

    def go(self) -> None:
        if self.waiters:
            name, waiter = self.waiters.popitem()
            self.loop.leave(waiter)
            self.left.add(name)

    def tick(self) -> None:
        self.now_s += 4
        self.tell(self.loop.give_up_late(self.now_s))

    def fail(self) -> None:
        self.trouble = None if self.trouble else Trouble(self.now_s, "READONLY")

    def step(self) -> None:
        if self.commit is None:
            self.commit = self.begin()
            if self.commit is None:
                self.release()
        else:
            self.commit = None
            self.finish()

    def stop(self) -> None:
        self.loop.close()


class Noted:
    """An operation that notes that it ran."""

    def __init__(self, name: str, ran: list[str]) -> None:
        self._name = name
        self._ran = ran

    def run(self, replica: Replica, now: Any) -> int:
        self._ran.append(self._name)
        return Count(KEY).run(replica, now)


HAPPENS = (
    Chance.call,
    Chance.call_heavily,
    Chance.wait,
    Chance.go,
    Chance.tick,
    Chance.fail,
    Chance.step,
    Chance.step,
    Chance.step,
)


@settings(deadline=None)
@given(st.lists(st.sampled_from([*HAPPENS, Chance.stop]), max_size=80))
def test_every_caller_is_told_once_and_what_it_is_told_is_true(steps: list[Callable[[Chance], None]]) -> None:
    shell = Chance()
    for happens in steps:
        happens(shell)
    shell.tell(shell.loop.end())
    assert len(shell.ran) == len(set(shell.ran)), "nothing runs twice"
    for name in shell.entered:
        said = shell.told.get(name, [])
        assert len(said) == 1 or (not said and name in shell.left)
        for result, error in said:
            if result is not None or "may still take effect" in str(error):
                assert name in shell.ran
            else:
                assert "nothing was changed" in str(error)
                assert name not in shell.ran
