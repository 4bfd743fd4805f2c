"""How deltas travel between Maelstrom nodes: in batches, over few links. Rounds repair what is lost.

A node sends a delta to its *routes* as soon as `batch_ms` have passed since the last batch there. With few nodes, the
routes are all peers. With many, one node is the hub: every node sends to the hub alone, and the hub passes deltas on to
all. That makes two hops and, per batch, one message per node. A hub that is cut off costs time, not data: rounds go to
random peers.

A delta that arrives before the deltas that it builds on waits for them here.
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
    """The links of node `name` among `nodes`. `send` is the network. `mailbox` must be set before anything arrives."""

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
        """Send this node's own delta on its way."""
        routes = self.peers if self._hub in {None, self._name} else [self._hub]
        for peer in routes:
            self._enqueue(str(peer), delta.decode())

    def release(self, effect: Effect) -> None:
        """Send a message of the replication to its peer."""
        if isinstance(effect, Send):
            self._send(effect.peer, {"type": MESSAGE, "message": encode_message(effect.message).decode()})

    def flush(self) -> None:
        """Send everything that waits for its batch."""
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
        """Keep the new deltas of a batch; the hub also passes them on. Raises `Malformed`."""
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
        """Pass a delta on, once, as the hub.

        A round may have brought its writes here before the delta came. The delta is news to the other nodes all the
        same.
        """
        if new or dot.counter > self._passed_on.get(dot.replica, 0):
            self._passed_on[dot.replica] = max(dot.counter, self._passed_on.get(dot.replica, 0))
            for peer in self.peers:
                if peer not in {sender, dot.replica}:
                    self._enqueue(peer, text)

    def take_message(self, entry: str, message: str) -> None:
        """Put a message of the replication into the mailbox."""
        assert self.mailbox is not None
        self.mailbox.put(MessagesRead([(entry, message.encode())]))
        self._arrived.set()  # deltas that wait for this message come into the same turn, behind it

    async def deliver(self) -> None:
        """Give the kept deltas to the node, in order and as far as it can apply them. Never ends."""
        assert self.mailbox is not None
        while True:
            await self._arrived.wait()
            self._arrived.clear()
            while await self._deliver_once(self.mailbox):
                pass

    async def _deliver_once(self, mailbox: Mailbox) -> bool:
        """Return whether the node applied anything."""
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
        """Exchange what either side lacks with `fanout` random peers, about every `interval_s`. Never ends.

        Nobody waits for a round, so a round whose messages are lost does not hold up the next. A node that knows
        nothing starts no round; the rounds of other nodes reach it.
        """
        assert self.mailbox is not None
        while self.peers:
            await asyncio.sleep(interval_s * random.uniform(0.75, 1.25))  # noqa: S311  no secret depends on it
            if self.mailbox.node.replica.clock:
                self.mailbox.put(RoundAsked(tuple(self.choose()), None))
            self._arrived.set()

    def choose(self) -> list[str]:
        """Return some random peers."""
        return random.sample(self.peers, min(self._fanout, len(self.peers)))
