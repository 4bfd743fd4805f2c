"""Reads one peer's log, as `workers.replication.tail` does: the cursor is the replica's clock entry for the peer."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from crdt_core.node.events import DeltasRead, Reply

if TYPE_CHECKING:
    from tests.sim.shell import Process

__all__ = ["Nobody", "Tail"]

_RETRY_MS = 50


class Nobody:
    """A token: nobody waits for the reply."""

    deed = None

    def answer(self, _reply: Reply, _counter: int) -> None:
        """Takes the reply."""


class Tail:
    """Passes the deltas of `peer` to `process`, as long as the peer has the replica id `replica`.

    The tail itself is the token of what it passes.
    """

    def __init__(self, process: Process, peer: str, replica: str, batch: int) -> None:
        self._process = process
        self._world = process.world
        self._peer = peer
        self._replica = replica
        self._ended = False
        self._batch = batch
        self._reading = False
        self._passed_on = 0

    def notify(self) -> None:
        """The log has grown."""
        if not self._reading:
            self.read_soon()

    def read_soon(self, delay_ms: int = 0) -> None:
        """Reads after `delay_ms` and the network's own delay."""
        self._reading = True
        self._process.later(delay_ms + self._world.network.delay_ms(), self._read)

    def end(self) -> None:
        """Reads no more."""
        self._ended = True

    def _read(self) -> None:
        if self._ended:
            return
        name, peer = self._process.host.name, self._peer
        if peer in self._process.refresh_links() or not self._world.network.reaches(name, peer):
            self._retry()
            return
        self._process.met.setdefault(peer, self._world.hosts[peer].store.run_id.decode())
        cursor = self._process.node.replica.clock[self._replica]
        entries = self._world.hosts[peer].store.read_log(self._replica, cursor, self._batch)
        if entries:
            run_id = self._world.hosts[peer].store.run_id
            self._process.later(self._world.network.log_delay_ms(name, peer), partial(self._pass_on, entries, run_id))
        else:
            self._reading = False

    def _retry(self) -> None:
        """Reads again soon; a world that comes to rest wakes every tail itself."""
        if self._world.resting:
            self._reading = False
        else:
            self.read_soon(_RETRY_MS)

    def _pass_on(self, entries: list[tuple[str, bytes]], run_id: bytes) -> None:
        """Passes on what has arrived. If the peer's Redis has restarted, its answer was lost with the connection."""
        if (
            self._ended
            or run_id != self._world.hosts[self._peer].store.run_id
            or self._peer in self._process.refresh_links()
        ):
            self._retry()
            return
        self._passed_on = len(entries)
        self._process.put(DeltasRead(self._peer, entries, self))

    def answer(self, reply: Reply, _counter: int) -> None:
        """The node has passed as many entries as `reply` says; the tail reads the rest again."""
        self.read_soon(0 if reply.result == self._passed_on else _RETRY_MS)
