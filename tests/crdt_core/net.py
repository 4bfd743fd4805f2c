"""Nodes and the messages between them, a turn at a time, so that a test can lose, double or hold back any message.

Nodes and messages are the production ones; the test plays the network and the clock. Messages travel as bytes, and
chunks are small, so that there are many.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import orjson

from crdt_core.codec.messages import encode_message
from crdt_core.codec.patches import decode_patch, encode_patch
from crdt_core.lattice.clocks import Stamp
from crdt_core.node.events import Call, DeltasRead, JobAnswer, MessagesRead, Reply, RoundAsked, Send, Tick
from crdt_core.node.node import Node
from crdt_core.node.options import NodeOptions
from crdt_core.replica.replica import Replica
from tests.invocations import command

if TYPE_CHECKING:
    from crdt_core.node.events import Event, Operation, RoundResult

__all__ = [
    "CHUNK_BYTES",
    "MANY",
    "NOW",
    "ROUND",
    "TIMEOUT_MS",
    "Flying",
    "Net",
    "filled",
    "member",
    "parts_of",
    "under_way",
]

CHUNK_BYTES = 2048
TIMEOUT_MS = 1000
OPTIONS = NodeOptions(exchange_timeout_ms=TIMEOUT_MS, chunk_bytes=CHUNK_BYTES)
NOW = Stamp(1, 0)
MANY = 1000
ROUND = "the caller of a round"


@dataclass(frozen=True)
class Flying:
    """A message on its way."""

    to: str
    content: bytes

    @property
    def kind(self) -> str:
        kind: str = orjson.loads(self.content)["kind"]
        return kind


class Net:
    """Nodes, the messages on their way (`flying`), and what the nodes have replied."""

    def __init__(self, *names: str, options: NodeOptions = OPTIONS) -> None:
        self.names = names
        self.options = options
        self.nodes = {name: self._node(name, Replica(name, founders=names), "first") for name in names}
        self.flying: list[Flying] = []
        self.sent: list[Flying] = []
        self.replies: list[Reply] = []
        self.answers: list[JobAnswer] = []
        self.quarantined: list[str] = []
        self.deltas: list[tuple[str, int, bytes]] = []
        self.headers: dict[str, dict[str, bytes]] = {name: {} for name in names}
        self.now_ms = 0

    def __getitem__(self, name: str) -> Node:
        return self.nodes[name]

    def _node(self, name: str, replica: Replica, session: str) -> Node:
        return Node(name, replica, session, options=self.options)

    def restart(self, name: str) -> None:
        """Starts another run of the node, which has only what was persisted."""
        before = self.nodes[name].replica
        replica = Replica(name, founders=self.names)
        replica.resume(decode_patch(encode_patch(before.patch(None, NOW))))
        replica.take_changes()
        self.nodes[name] = self._node(name, replica, "second")

    def turn(self, name: str, *events: Event) -> None:
        turn = self.nodes[name].turn(events, 1_000_000 + self.now_ms, self.now_ms)
        for effect in turn.effects:
            if isinstance(effect, Send):
                self.flying.append(Flying(effect.peer, encode_message(effect.message)))
                self.sent.append(self.flying[-1])
            elif isinstance(effect, Reply):
                self.replies.append(effect)
            else:
                self.answers.append(effect)
        self.headers[name].update(turn.commit.header)
        self.quarantined.extend(item.reason for item in turn.commit.quarantined)
        if turn.commit.delta is not None:
            self.deltas.append((name, turn.commit.counter, bytes(turn.commit.delta)))
        if self.nodes[name].large.joins:
            self.turn(name)

    def call(self, name: str, *operations: Operation) -> None:
        self.turn(name, *(Call(operation, None) for operation in operations))

    def pass_on(self, to: str, since: int = 0) -> None:
        """Passes all deltas from index `since` on to `to`, as its tails would."""
        for origin, counter, delta in self.deltas[since:]:
            if origin != to:
                self.turn(to, DeltasRead(origin, [(f"{counter}-0", delta)], None))

    def deliver(self, message: Flying) -> None:
        self.turn(message.to, MessagesRead([("1-0", message.content)]))

    def step(self) -> Flying:
        message = self.flying.pop(0)
        self.deliver(message)
        return message

    def run(self) -> None:
        while self.flying:
            self.step()

    def wait(self, ms: int) -> None:
        self.now_ms += ms
        for name in self.names:
            self.turn(name, Tick())

    def ask(self, name: str, *peers: str) -> None:
        self.turn(name, RoundAsked(peers, ROUND))

    @property
    def results(self) -> list[RoundResult]:
        """What the rounds that were asked for have done, in the order in which they ended."""
        return [reply.result for reply in self.replies if reply.token == ROUND]

    def result(self) -> RoundResult:
        """What the last round that ended did."""
        return self.results[-1]

    def state(self, name: str) -> tuple[dict[str, int], int]:
        replica = self.nodes[name].replica
        return dict(replica.clock), replica.digest

    def members(self, name: str, key: bytes) -> set[bytes]:
        return set(self.nodes[name].replica.value(key) or ())


def member(number: int) -> bytes:
    return b"member-%04d" % number


def filled(*names: str, count: int = MANY) -> Net:
    """A net in which only n2 has a set, of `count` members."""
    net = Net(*names)
    net.call("n2", *(command("SADD", b"set", member(number)) for number in range(count)))
    return net


def under_way(net: Net, messages: int) -> Net:
    """`net` after n1 has asked n2 and `messages` messages were delivered."""
    net.ask("n1", "n2")
    for _ in range(messages):
        net.step()
    return net


def parts_of(message: Flying) -> list[Any]:
    content = orjson.loads(message.content)
    parts: list[Any] = content["parts"] if message.kind == "chunk" else content["patch"]["parts"]
    return parts
