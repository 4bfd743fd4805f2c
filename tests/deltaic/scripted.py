"""Nodes made up by a test, and time that passes only where a plan pauses."""

from __future__ import annotations

from base64 import urlsafe_b64encode
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

from redis.exceptions import TryAgainError

from deltaic.calls import Calls, Exchange, Journey, Pause
from deltaic.options import ClientOptions
from deltaic.tokens import Token

if TYPE_CHECKING:
    from deltaic.calls import Plan
    from deltaic.failures import NodeFailed
    from deltaic.operations import Operation

__all__ = ["Scene", "ScriptedNode", "token_of"]

T = TypeVar("T")


def token_of(**clock: int) -> Token:
    """The token of one who has seen `clock`."""
    token = Token()
    for replica, counter in clock.items():
        token = token.merged(Token.parse(urlsafe_b64encode(b'{"%s":%d}' % (replica.encode(), counter))))
    return token


@dataclass
class ScriptedNode:
    """A node that has seen `clock`.

    `failure`: how it does not answer, after `takes_s`. `reply`: what it replies to commands.
    """

    clock: dict[str, int] = field(default_factory=dict)
    failure: NodeFailed | None = None
    reply: Any = b"fine"
    takes_s: float = 0.0

    def answer(self, command: tuple[bytes, ...]) -> Any:
        match command:
            case (b"DELTAIC.TOKEN",):
                return str(token_of(**self.clock)).encode()
            case (b"DELTAIC.AWAIT", token, _):
                reached = token_of(**self.clock).covers(Token.parse(token))
                return b"OK" if reached else TryAgainError("this node lacks 1 of the commits that the token names")
        return self.reply


class Scene:
    """A client of `nodes`, whose plans are played; `asked` lists the nodes and the names of the commands sent there."""

    def __init__(self, options: ClientOptions | None = None, **nodes: ScriptedNode) -> None:
        self.nodes = nodes
        self.now_s = 1000.0
        self.asked: list[tuple[str, str]] = []
        self.paused_s: list[float] = []
        self.awaits_ms: list[int] = []
        self.calls = Calls(tuple(nodes), options or ClientOptions(), lambda: self.now_s, lambda: 0.0)
        self.journey = self.calls.journey(Token())

    def play(self, operation: Operation[T], journey: Journey | None = None) -> T:
        """The result of the call, or what it raises."""
        plan: Plan[T] = self.calls.plan(operation, journey or self.journey)
        try:
            step = next(plan)
            while True:
                if isinstance(step, Pause):
                    assert step.seconds > 0
                    self.paused_s.append(step.seconds)
                    self.now_s += step.seconds
                    step = plan.send([])
                else:
                    self.now_s += self.nodes[step.node].takes_s
                    failure = self.nodes[step.node].failure
                    step = plan.throw(failure) if failure else plan.send(self._replies(step))
        except StopIteration as end:
            return end.value

    def _replies(self, exchange: Exchange) -> list[Any]:
        for command in exchange.commands:
            self.asked.append((exchange.node, command[0].decode()))
            if command[0] == b"DELTAIC.AWAIT":
                self.awaits_ms.append(int(command[2]))
        return [self.nodes[exchange.node].answer(command) for command in exchange.commands]
