"""How deltas travel between Maelstrom nodes: at once, in batches, over few links; and rounds that repair what is lost.

A delta goes to the node's *routes* as soon as `batch_ms` have passed since the last batch there. With few nodes, the
routes are all peers. With many, one node is the hub: everyone sends to the hub alone, which passes on to all. That is
two hops and, per batch, one message per node; a hub that is cut off costs time, not data: rounds go to random peers.

A delta that arrives before what it builds on is kept until that has come.
"""

from __future__ import annotations

import asyncio
import random
from functools import partial
from typing import TYPE_CHECKING, Any

from crdt_core.codec.deltas import decode_delta
from crdt_core.codec.messages import encode_message
from crdt_core.errors import Malformed
from crdt_core.node.events import DeltasRead, MessagesRead, RoundAsked, Send

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from crdt_core.lattice.clocks import Dot
    from crdt_core.node.events import Effect
    from workers.turns.mailbox import Mailbox

__all__ = ["DELTAS", "MESSAGE", "Peering"]

DELTAS = "deltaic_deltas"
MESSAGE = "deltaic_message"

_DIRECT_NODES_MAX = 5
_KEPT_MAX = 10_000


class Peering:
    """The links of node `name` among `nodes`; `send` is the network. Needs its `mailbox` before anything arrives."""

    def __init__(
        self,
        name: str,
        nodes: Sequence[str],
        send: Callable[[str, dict[str, Any]], None],
        *,
        batch_ms: int,
        fanout: int,
    ) -> None:
        self.peers = [node for node in nodes if node != name]
        self.mailbox: Mailbox | None = None
        self._name = name
        self._send = send
        self._batch_s = batch_ms / 1000
        self._fanout = fanout
        self._hub = min(nodes) if len(nodes) > _DIRECT_NODES_MAX else None
        self._unsent: dict[str, list[str]] = {}
        self._next_batch_at: dict[str, float] = {}
        self._kept: dict[str, dict[int, bytes]] = {peer: {} for peer in self.peers}
        self._passed_on: dict[str, int] = {}
        self._arrived = asyncio.Event()

    # Out

    def publish(self, delta: bytes) -> None:
        """Passes this node's own delta on."""
        routes = self.peers if self._hub in {None, self._name} else [self._hub]
        for peer in routes:
            self._enqueue(str(peer), delta.decode())

    def release(self, effect: Effect) -> None:
        """Passes on a message of the replication."""
        if isinstance(effect, Send):
            self._send(effect.peer, {"type": MESSAGE, "message": encode_message(effect.message).decode()})

    def flush(self) -> None:
        """Sends everything that waits for its batch."""
        for peer in list(self._unsent):
            self._send_batch(peer)

    def _enqueue(self, peer: str, delta: str) -> None:
        waiting = self._unsent.get(peer)
        if waiting is not None:
            waiting.append(delta)
            return
        self._unsent[peer] = [delta]
        loop = asyncio.get_running_loop()
        loop.call_at(max(loop.time(), self._next_batch_at.get(peer, 0.0)), self._send_batch, peer)

    def _send_batch(self, peer: str) -> None:
        deltas = self._unsent.pop(peer, None)
        if deltas:
            self._next_batch_at[peer] = asyncio.get_running_loop().time() + self._batch_s
            self._send(peer, {"type": DELTAS, "deltas": deltas})

    # In

    def take_deltas(self, sender: str, deltas: Sequence[Any]) -> None:
        """Keeps what is new of a batch, and passes it on as the hub. Raises `Malformed`."""
        for text in deltas:
            if not isinstance(text, str):
                raise Malformed("delta", "not a string")
            dot = decode_delta(text.encode()).dot
            new = self._is_new(dot)
            if new:
                self._kept[dot.replica][dot.counter] = text.encode()
            if self._hub == self._name and dot.replica in self._kept:
                self._pass_on(dot, text, sender, new=new)
        self._arrived.set()

    def _pass_on(self, dot: Dot, text: str, sender: str, *, new: bool) -> None:
        """As the hub, once. What a round has brought here before its delta came is news to the others all the same."""
        if new or dot.counter > self._passed_on.get(dot.replica, 0):
            self._passed_on[dot.replica] = max(dot.counter, self._passed_on.get(dot.replica, 0))
            for peer in self.peers:
                if peer not in {sender, dot.replica}:
                    self._enqueue(peer, text)

    def take_message(self, entry: str, message: str) -> None:
        """Takes in a message of the replication."""
        assert self.mailbox is not None
        self.mailbox.put(MessagesRead([(entry, message.encode())]))
        self._arrived.set()  # what waits for what it brings comes into the same turn, behind it

    async def deliver(self) -> None:
        """Hands over, for ever, what was kept, in order, as far as it can be applied."""
        assert self.mailbox is not None
        while True:
            await self._arrived.wait()
            self._arrived.clear()
            while await self._deliver_once(self.mailbox):
                pass

    async def _deliver_once(self, mailbox: Mailbox) -> bool:
        """Whether anything was applied."""
        progress = 0
        for peer, kept in self._kept.items():
            counter = mailbox.node.replica.clock[peer] + 1
            for stale in [known for known in kept if known < counter]:
                del kept[stale]
            entries = []
            while counter in kept:
                entries.append((f"{counter}-0", kept[counter]))
                counter += 1
            if entries:
                progress += await mailbox.ask(partial(DeltasRead, peer, entries))
        return bool(progress)

    def _is_new(self, dot: Dot) -> bool:
        assert self.mailbox is not None
        kept = self._kept.get(dot.replica)
        if kept is None or dot.counter in kept or len(kept) >= _KEPT_MAX:
            return False
        return not self.mailbox.node.replica.clock.covers(dot)

    # Rounds

    async def rounds(self, interval_s: float) -> None:
        """Exchanges, for ever, with `fanout` random peers every `interval_s` or so what either side lacks.

        Nobody waits for a round: one whose messages are lost does not hold up the next. A node that knows nothing says
        nothing; the rounds of those that do know something reach it.
        """
        assert self.mailbox is not None
        while self.peers:
            await asyncio.sleep(interval_s * random.uniform(0.75, 1.25))  # noqa: S311  no secret depends on it
            if self.mailbox.node.replica.clock:
                self.mailbox.put(RoundAsked(tuple(self.choose()), None))
            self._arrived.set()

    def choose(self) -> list[str]:
        """Some random peers."""
        return random.sample(self.peers, min(self._fanout, len(self.peers)))
