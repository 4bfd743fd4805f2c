"""Reads what has reached the inbox of a process's node, as `workers.replication.inbox` does."""

from __future__ import annotations

from typing import TYPE_CHECKING

from crdt_core.node.events import MessagesRead

if TYPE_CHECKING:
    from tests.sim.shell import Process

__all__ = ["Inbox"]

_RETRY_MS = 20
_BATCH = 64


class Inbox:
    """What `process` has read of its inbox."""

    def __init__(self, process: Process) -> None:
        self._process = process
        self._handed_out: set[str] = set()
        self._looking = False

    def look(self) -> None:
        """Reads soon, as something may have arrived."""
        if not self._looking:
            self._looking = True
            self._process.later(self._process.world.rng.randint(0, 2), self._read)

    def _read(self) -> None:
        self._looking = False
        store = self._process.host.store
        if store.down:
            self._process.later(_RETRY_MS, self.look)
            return
        entries = store.unread(self._handed_out, _BATCH)
        if entries:
            self._handed_out.update(entry for entry, _ in entries)
            self._process.refresh_links()
            self._process.put(MessagesRead(entries))
            self.look()
