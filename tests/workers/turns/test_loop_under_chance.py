"""Anything may happen to the turn loop: every caller is told once, and what it is told is true."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hypothesis import given, settings
from hypothesis import strategies as st

from crdt_core.errors import DeltaicError
from crdt_core.node.events import Call
from tests.crdt_core.writes import Count
from tests.workers.turns.shell import KEY, Shell
from workers.turns.loop import CallbackWaiter
from workers.turns.weights import TURN_WEIGHT_MAX
from workers.wire.retry import Trouble

if TYPE_CHECKING:
    from collections.abc import Callable

    from crdt_core.node.events import Commit
    from crdt_core.replica.replica import Replica
    from workers.turns.loop import Waiter


class Chance(Shell):
    """A shell to which anything happens; `ran` are the calls that have run."""

    def __init__(self) -> None:
        super().__init__(calls_waiting_max=5)
        self.ran: list[str] = []
        self.waiters: dict[str, Waiter] = {}
        self.entered: list[str] = []
        self.left: set[str] = set()
        self.commit: Commit | None = None

    def call(self) -> None:
        self._enter("call", lambda name: self.submit(name, Noted(name, self.ran)))

    def call_heavily(self) -> None:
        def submit(name: str) -> None:
            self.loop.submit(Noted(name, self.ran), CallbackWaiter(self.on_reply(name)), self.now_s, TURN_WEIGHT_MAX)

        self._enter("heavy call", submit)

    def wait(self) -> None:
        def ask(name: str) -> None:
            self.waiters[name] = self.ask(name, lambda token: Call(Noted(name, self.ran), token))

        self._enter("wait", ask)

    def _enter(self, kind: str, submit: Callable[[str], None]) -> None:
        """Have something of that kind wait, unless it is refused."""
        name = f"{kind} {len(self.entered)}"
        try:
            submit(name)
        except DeltaicError:
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
