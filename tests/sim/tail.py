"""Reads one peer's log, as `workers.replication.tail` does: the cursor is the replica's clock entry for the peer."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from crdt_core.node.events import DeltasRead, Reply
from tests.sim.addresses import host_of, known_members

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.sim.host import Host
    from tests.sim.shell import Process

__all__ = ["Nobody", "Tail", "Then"]

_RETRY_MS = 50


class Nobody:
    """A token: nobody waits for the reply."""

    deed = None

    def answer(self, _reply: Reply, _counter: int) -> None:
        """Takes the reply."""


class Then:
    """A token: `action` happens when the reply comes."""

    deed = None

    def __init__(self, action: Callable[[], object]) -> None:
        self._action = action

    def answer(self, _reply: Reply, _counter: int) -> None:
        """Takes the reply."""
        self._action()


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

    @property
    def _host(self) -> Host | None:
        """The host whose log this is, where it is known."""
        return host_of(self._world, known_members(self._process), self._peer)

    def _read(self) -> None:
        if self._ended:
            return
        name, peer = self._process.host.name, self._peer
        host = self._host
        if host is None or peer in self._process.refresh_links() or not self._world.network.reaches(name, host.name):
            self._retry()
            return
        self._process.met.setdefault(peer, host.store.run_id.decode())
        cursor = self._process.node.replica.clock[self._replica]
        entries = host.store.read_log(self._replica, cursor, self._batch)
        if entries:
            delay_ms = self._world.network.log_delay_ms(name, host.name)
            self._process.later(delay_ms, partial(self._pass_on, entries, host.store.run_id))
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
            or self._host is None
            or run_id != self._host.store.run_id
            or self._peer in self._process.refresh_links()
        ):
            self._retry()
            return
        self._passed_on = len(entries)
        self._process.put(DeltasRead(self._peer, entries, self))

    def answer(self, reply: Reply, _counter: int) -> None:
        """The node has passed as many entries as `reply` says; the tail reads the rest again."""
        if reply.result == self._passed_on:
            self.read_soon()
        else:
            self._retry()
