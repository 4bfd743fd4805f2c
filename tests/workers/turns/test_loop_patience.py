"""How long a caller of the turn loop waits, and what it is told if that is too long or the loop ends."""

from __future__ import annotations

from math import inf

import pytest

from crdt_core.commands import COMMANDS, Execute
from crdt_core.errors import Overloaded, Stopping, StoreUnavailable
from crdt_core.lattice.clocks import VersionVector
from crdt_core.node.events import Call, PatchAsked
from tests.crdt_core.writes import Count
from tests.workers.turns.shell import KEY, TIMEOUT_S, Shell
from workers.turns.loop import CallbackWaiter
from workers.wire.retry import Trouble


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
    shell.loop.submit(
        Execute([(COMMANDS[b"SET"], [b"key", b"v"])], 1_000_000, 1), CallbackWaiter(shell.on_reply("set")), 0
    )
    shell.now_s = 1.0
    shell.begin()
    shell.trouble = Trouble(shell.now_s, "Redis does not answer")
    shell.tell(shell.loop.give_up_late(shell.now_s + 2 * TIMEOUT_S))
    assert "Redis does not answer" in str(shell.errors("flush"))
    assert "Redis does not answer" in str(shell.errors("set"))


def test_who_asks_for_more_than_a_turn_waits_longer_and_who_must_be_answered_for_ever(shell: Shell) -> None:
    shell.ask_in_time("in time", extra_s=5)
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
    for refused in (lambda: shell.submit("c", Count(KEY)), lambda: shell.ask_in_time("c")):
        with pytest.raises(StoreUnavailable, match=r"no commit for 1\d s \(READONLY\); nothing was changed") as error:
            refused()
        assert error.value.unchanged
    shell.ask("d", lambda token: Call(Count(KEY), token))
    shell.trouble = None
    shell.finish()
    shell.submit("e", Count(KEY))
    shell.turn()
    assert sorted(shell.told) == ["a", "b", "d", "e"]


def test_no_more_callers_wait_than_the_limit_says() -> None:
    shell = Shell(calls_waiting_max=2)
    shell.submit("a", Count(KEY))
    shell.begin()
    shell.submit("b", Count(KEY))
    for refused in (lambda: shell.submit("c", Count(KEY)), lambda: shell.ask_in_time("c")):
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
        lambda: shell.ask_in_time("c"),
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
