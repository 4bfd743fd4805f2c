"""How one call goes: which node is asked next, which token it awaits there, and whether it may be repeated.

There is no I/O here. `Calls.plan` is a generator: it yields an `Exchange` (send these commands to that node) or a
`Pause`, and is sent the replies. Where an exchange fails, the driver throws `NodeFailed` into the generator. So the
blocking and the asyncio client differ only in how they carry an exchange out.

The rules:

- A session stays at the first node of the caller's list that answers. A node that failed is left alone for a while.
- Before a session uses a node that may lack what the session has seen, the node must get there: `DELTAIC.AWAIT`.
- What has surely changed nothing is repeated at the next node: the connection was refused, or the node says so.
- A read is repeated in any case. A write that was sent and not answered is repeated only if it is idempotent.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from redis.exceptions import ResponseError

from deltaic.backoff import Backoff
from deltaic.errors import CallerError, NodesBehind, NoNodeAnswers, OutcomeUnknown
from deltaic.failures import NodeFailed, is_try_again, reply_failure
from deltaic.progress import Progress

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from deltaic.operations import Operation
    from deltaic.options import ClientOptions
    from deltaic.tokens import Token

__all__ = ["Calls", "Exchange", "Journey", "Pause", "Plan"]

T = TypeVar("T")

_TOKEN = b"DELTAIC.TOKEN"
_AWAIT = b"DELTAIC.AWAIT"
_PAUSE_MAX_S = 0.25
"""A pause ends early enough to notice a node that another caller has found to answer again."""
_PROBE_MS = 1
"""How long a node is waited for where the session can go on elsewhere."""


@dataclass(frozen=True, slots=True)
class Exchange:
    """Send `commands` to `node`; read one reply to each, error replies among them."""

    node: str
    commands: tuple[tuple[bytes, ...], ...]


@dataclass(frozen=True, slots=True)
class Pause:
    """Wait for `seconds`."""

    seconds: float


Plan = Generator[Exchange | Pause, list[Any], T]


class Journey:
    """One session on its way from node to node.

    `progress`: what it has seen. `behind`: the nodes that were found to lack some of it. `node`: the node of its last
    call, `None` before the first.
    """

    def __init__(self, token: Token, behind: Backoff) -> None:
        self.progress = Progress(token)
        self.behind = behind
        self.node: str | None = None


class Calls:
    """Plans the calls of one client to `nodes`, which stand in the order of the caller's preference.

    `clock` yields seconds that never run backwards; `chance` yields numbers from 0 to 1.
    """

    def __init__(
        self,
        nodes: Sequence[str],
        options: ClientOptions,
        clock: Callable[[], float],
        chance: Callable[[], float],
    ) -> None:
        self._nodes = tuple(nodes)
        self._options = options
        self._clock = clock
        self._chance = chance
        self._down = Backoff(options.backoff_max_s, chance)

    def journey(self, token: Token) -> Journey:
        """Return the beginning of a session that has seen `token`."""
        return Journey(token, Backoff(self._options.backoff_max_s, self._chance))

    def plan(self, operation: Operation[T], journey: Journey) -> Plan[T]:
        """Return the plan of one call, whose result is that of `operation`.

        Raises `Refused`, `NoNodeAnswers`, `NodesBehind`, `OutcomeUnknown`.
        """
        give_up_s = self._clock() + self._options.deadline_s
        reasons: dict[str, str] = {}
        while True:
            node = yield from self._choose(operation, journey, give_up_s, reasons)
            try:
                if not journey.progress.is_met_by(node):
                    yield from self._catch_up(node, journey)
                reply = yield from self._ask(node, operation, journey)
            except _NodeBehind as lag:
                reasons[node] = str(lag)
                self._down.succeeded(node)
                journey.behind.failed(node, self._clock())
            except NodeFailed as failure:
                reasons[node] = failure.reason
                self._down.failed(node, self._clock())
                journey.progress.lost_sight_of(node)
                if failure.may_have_acted and not operation.is_repeatable:
                    raise OutcomeUnknown(node, operation.name, failure.reason) from failure
            else:
                return operation.decode(reply)

    def _choose(
        self, operation: Operation[T], journey: Journey, give_up_s: float, reasons: Mapping[str, str]
    ) -> Plan[str]:
        """Choose the node for the next attempt, after a pause where all have failed just now.

        Past the deadline, only nodes that this call has not tried yet are left.
        """
        while True:
            now_s = self._clock()
            is_late = now_s >= give_up_s
            for node in self._nodes:
                if is_late and node in reasons:
                    continue
                if self._down.is_due(node, now_s) and journey.behind.is_due(node, now_s):
                    self._down.claim(node, now_s)
                    return node
            if is_late:
                is_behind = any(journey.behind.has_failed(node) for node in reasons)
                raise (NodesBehind if is_behind else NoNodeAnswers)(operation.name, reasons)
            first_due_s = min(max(self._down.until_s(node), journey.behind.until_s(node)) for node in self._nodes)
            yield Pause(min(first_due_s - now_s, give_up_s - now_s, _PAUSE_MAX_S))

    def _catch_up(self, node: str, journey: Journey) -> Plan[None]:
        """Wait until `node` has seen what the session has.

        Where another node that answers has seen it already, `node` is only asked: the session goes on at the other one,
        and asks again later.
        """
        wanted = journey.progress.token
        elsewhere = any(
            other != node and not self._down.has_failed(other) and journey.progress.is_met_by(other)
            for other in self._nodes
        )
        ms = _PROBE_MS if elsewhere else max(_PROBE_MS, int(self._options.await_timeout_s * 1000))
        try:
            (reply,) = yield Exchange(node, ((_AWAIT, str(wanted).encode(), b"%d" % ms),))
        except NodeFailed as failure:
            raise NodeFailed(failure.reason, may_have_acted=False) from failure
        if is_try_again(reply):
            raise _NodeBehind(str(reply))
        self._check(node, _AWAIT.decode(), reply)
        journey.progress.reached(node, wanted)

    def _ask(self, node: str, operation: Operation[T], journey: Journey) -> Plan[Any]:
        """Send the command, and take the node's token along with the reply.

        Once the reply is good, the command is done: a token that is missing says nothing of what became of it.
        """
        reply, token = yield Exchange(node, (operation.command, (_TOKEN,)))
        self._check(node, operation.name, reply)
        try:
            self._check(node, _TOKEN.decode(), token)
            journey.progress.saw(node, token)
        except (NodeFailed, CallerError) as failure:
            reason = f"it replied, but gave no token: {failure}"
            raise NodeFailed(reason, may_have_acted=operation.writes) from failure
        journey.behind.succeeded(node)
        journey.node = node
        return reply

    def _check(self, node: str, command: str, reply: Any) -> None:
        """Raise what an error reply means; any other reply, and a refusal, show that `node` is well."""
        failure = reply_failure(node, command, reply) if isinstance(reply, ResponseError) else None
        if not isinstance(failure, NodeFailed):
            self._down.succeeded(node)
        if failure is not None:
            raise failure


class _NodeBehind(Exception):
    """A node lacks commits that the session has seen; the message says how many."""
