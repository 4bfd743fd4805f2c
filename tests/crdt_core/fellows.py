"""Nodes that talk to each other in memory, reliably: for tests of membership."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from crdt_core.codec.deltas import decode_delta
from crdt_core.codec.messages import Compact, encode_message
from crdt_core.lattice.clocks import VersionVector
from crdt_core.node.events import Call, DeltasRead, LinksRead, MessagesRead, Reply, RoundAsked, Send, Tick
from crdt_core.node.node import Node
from crdt_core.node.options import NodeOptions
from crdt_core.replica.replica import Replica

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from crdt_core.lattice.clocks import ReplicaId
    from crdt_core.membership.decisions import Sponsor
    from crdt_core.node.events import Event, Operation, Quarantined

OPTIONS = NodeOptions(fence_after_ms=10_000)


class Fellows:
    """A fleet that `names` founded. Nodes that are `away` hear and say nothing."""

    def __init__(self, names: Sequence[str]) -> None:
        self.now_ms = 1_000_000
        self.nodes: dict[str, Node] = {}
        self.logs: dict[ReplicaId, list[tuple[str, bytes]]] = {}
        self.inboxes: dict[str, list[bytes]] = {}
        self.quarantined: dict[str, list[Quarantined]] = {}
        self.away: set[str] = set()
        for name in names:
            self.start(name, Replica(name, founders=names))

    def start(self, name: str, replica: Replica, sponsor: Sponsor | None = None) -> Node:
        """Starts a node, or another run of it."""
        self.nodes[name] = Node(name, replica, "s", sponsor=sponsor, options=OPTIONS)
        self.logs.setdefault(replica.id, [])
        self.inboxes[name] = []
        return self.nodes[name]

    def turn(self, name: str, *events: Event) -> list[Any]:
        """Takes one turn; returns the results of its replies."""
        node = self.nodes[name]
        turn = node.turn(events, self.now_ms, self.now_ms)
        self.now_ms += 1
        self.quarantined.setdefault(name, []).extend(turn.commit.quarantined)
        if turn.commit.delta is not None:
            self.logs[node.replica.id].append((f"{turn.commit.counter}-0", bytes(turn.commit.delta)))
        for effect in turn.effects:
            if isinstance(effect, Send) and effect.peer not in self.away and name not in self.away:
                self.inboxes[effect.peer].append(encode_message(effect.message))
        return [reply.error or reply.result for reply in turn.effects if isinstance(reply, Reply)]

    def do(self, name: str, *operations: Operation) -> list[Any]:
        """Runs operations in one turn; returns their results."""
        return self.turn(name, *(Call(operation, object()) for operation in operations))

    def value(self, name: str, key: bytes) -> Any:
        """The value that `name` shows under `key`; `None` where there is none."""
        return self.nodes[name].replica.value(key)

    def settle(self) -> None:
        """Lets all nodes that are not away hear of everything."""
        present = [name for name in self.nodes if name not in self.away]
        while True:
            before = [(dict(self.nodes[name].replica.clock_with_folded), len(self.inboxes[name])) for name in present]
            for name in present:
                self.turn(name, *self._heard(name, present), Tick())
            if before == [
                (dict(self.nodes[name].replica.clock_with_folded), len(self.inboxes[name])) for name in present
            ]:
                return

    def sync(self, name: str) -> None:
        """A round of `name` with all its peers."""
        self.turn(name, RoundAsked((), object()))
        self.settle()

    def compact(self, names: Iterable[str] | None = None, *, pass_ms: int = 0) -> None:
        """Tells nodes the published clocks of the others, and who is away."""
        for name in names or [name for name in self.nodes if name not in self.away]:
            others = [n for n in self.nodes if n != name and n not in self.away]
            clocks = {self.nodes[n].replica.id: VersionVector(self.nodes[n].replica.clock) for n in others}
            message = encode_message(Compact(clocks, tuple(sorted(self.away)), "k"))
            self.turn(name, MessagesRead([("1-0", message)]))
        self.now_ms += pass_ms

    def _heard(self, name: str, present: list[str]) -> list[Event]:
        node = self.nodes[name]
        events: list[Event] = [LinksRead(frozenset(self.away))]
        for peer, replica in node.membership.peers.items():
            if peer in present:
                log, known = self.logs.get(replica, ()), node.replica.clock[replica]
                new = [entry for entry in log if decode_delta(entry[1]).dot.counter > known]
                if new:
                    events.append(DeltasRead(peer, new, object()))
        messages, self.inboxes[name] = self.inboxes[name], []
        return [*events, MessagesRead([("1-0", message) for message in messages])]
