"""A shell of the turn loop, for its tests: no tasks, no clock, and commits that are confirmed when the test says so."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from crdt_core.lattice.clocks import VersionVector
from crdt_core.node.events import PatchAsked, Reply
from crdt_core.node.node import Node
from crdt_core.node.options import NodeOptions
from crdt_core.replica.replica import Replica
from workers.turns.loop import CallbackWaiter, TurnLoop

if TYPE_CHECKING:
    from collections.abc import Callable

    from crdt_core.node.events import Commit, Event
    from workers.turns.loop import Waiter
    from workers.wire.retry import Trouble

__all__ = ["KEY", "TIMEOUT_S", "Shell"]

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
        self.loop.submit(operation, CallbackWaiter(self.on_reply(name)), self.now_s)

    def ask(self, name: str, make: Callable[[Any], Event]) -> Waiter:
        return self.loop.ask(make, self.on_reply(name))

    def ask_in_time(self, name: str, extra_s: float = 0) -> Waiter:
        """Ask for a patch, and wait no longer than the timeout and `extra_s`."""
        return self.loop.ask_in_time(
            lambda token: PatchAsked(VersionVector(), token, 1 << 20), self.on_reply(name), self.now_s, extra_s=extra_s
        )

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
