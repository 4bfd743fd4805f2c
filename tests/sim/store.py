"""A simulated Redis of one node: what `workers.storage` and `workers.replication` need of it, and its mishaps.

A commit is atomic and conditional, like MULTI/EXEC behind WATCH: it takes effect only if nobody has touched the header
since it was watched. The objects of a commit that was prepared in slices are staged: the commit is there, and is then
applied some records at a time, as `workers.storage.staging` does. The last commits can be lost again (`lose_last`), as
with `appendfsync everysec`; so each commit records how to undo it. The store knows nothing of replicas; it keeps bytes.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from itertools import chain
from typing import TYPE_CHECKING, NamedTuple

from tests.sim.violation import require

if TYPE_CHECKING:
    from collections.abc import Iterable

    from crdt_core.codec.records import Record
    from crdt_core.node.events import Commit

__all__ = ["Store", "Watched"]

_UNDO_MAX = 6

Hashes = dict[bytes, dict[bytes, bytes]]


class Watched(NamedTuple):
    """What WATCH and HMGET return: the owner, its last turn, and the version of the header."""

    owner: str
    turn: int
    version: int


@dataclass(slots=True)
class _Undo:
    """What a commit has overwritten, to undo it."""

    turn: int
    header: dict[bytes, bytes]
    fields: list[tuple[bytes, dict[bytes, bytes] | None]] = field(default_factory=list)
    log: list[tuple[int, bytes]] = field(default_factory=list)


class Store:
    """The Redis of one node. `down`: nobody reaches it."""

    def __init__(self) -> None:
        self.header: dict[bytes, bytes] = {}
        self.added: set[bytes] = set()
        self.hashes: Hashes = {}
        self.logs: dict[str, list[tuple[int, bytes]]] = {}
        self.run_id = b"1"
        self.inbox: dict[str, bytes] = {}
        self.links: frozenset[str] = frozenset()
        self.down = False
        self.quarantine: list[tuple[str, bytes, str]] = []
        self._owner = ""
        self._turn = 0
        self._version = 0
        self._mails = 0
        self._undo: deque[_Undo] = deque(maxlen=_UNDO_MAX)
        self.staged: deque[Record] = deque()
        """What is left to apply of a staged commit, which is the last one."""

    # Ownership and commits

    def claim(self, owner: str) -> Watched:
        """Makes `owner` the owner; no former owner can commit any more."""
        self._owner = owner
        self._version += 1
        return self.watch()

    def watch(self) -> Watched:
        """The header as it is, to commit on."""
        return Watched(self._owner, self._turn, self._version)

    def execute(self, commit: Commit, turn: int, watched: int) -> bool:
        """Executes `commit` as turn `turn` if the header has still the version `watched`; returns whether it did."""
        if watched != self._version:
            return False
        undo = _Undo(self._turn, dict(self.header), log=list(self.log))
        self.header[b"run_id"] = self.run_id
        self._undo.append(undo)
        self._turn, self._version = turn, self._version + 1
        self.staged.extend(chain.from_iterable((*commit.earlier, commit.records)))
        if not commit.earlier:
            self.apply(len(self.staged))
        self.header.update({name.encode(): value for name, value in commit.header.items()})
        if commit.delta is not None:
            self.append(commit.counter, bytes(commit.delta))
        if commit.trim:
            self.trim(commit.trim)
        for entry in commit.acknowledged:
            self.inbox.pop(entry, None)
        self.quarantine.extend((item.source, item.content, item.reason) for item in commit.quarantined)
        return True

    def apply(self, records: int) -> None:
        """Applies the next records of a staged commit."""
        for _ in range(min(records, len(self.staged))):
            self._replay(self.staged.popleft(), self._undo[-1])

    def finish(self) -> None:
        """Applies all that is left of a staged commit, as a process does that takes the node over."""
        self.apply(len(self.staged))

    def rewrite(self, hashes: Hashes, header: dict[bytes, bytes], turn: int) -> None:
        """Writes the whole state anew, as a live owner does whose Redis has lost commits."""
        self._undo.clear()
        self.staged.clear()
        self.hashes = hashes
        self.header = header
        self.header[b"run_id"] = self.run_id
        self._turn, self._version = turn, self._version + 1

    def sync(self) -> None:
        """Has everything on its disk: nothing of it can be lost any more."""
        self._undo.clear()

    def lose_last(self, commits: int) -> int:
        """Forgets the last commits, as after a crash; returns how many it could forget."""
        lost = min(commits, len(self._undo))
        if lost:
            self.staged.clear()
        for _ in range(lost):
            undo = self._undo.pop()
            for hash_, fields in reversed(undo.fields):
                if fields is None:
                    self.hashes.pop(hash_, None)
                else:
                    self.hashes[hash_] = fields
            self.header, self._turn = undo.header, undo.turn
            self.logs[self.replica] = undo.log
        self._version += 1
        return lost

    def _replay(self, record: Record, undo: _Undo) -> None:
        held = self.hashes.get(record.hash)
        undo.fields.append((record.hash, None if held is None else dict(held)))
        if record.field is None:
            self.hashes.pop(record.hash, None)
            return
        fields = self.hashes.setdefault(record.hash, {})
        if record.value is None:
            fields.pop(record.field, None)
        else:
            fields[record.field] = record.value
        if not fields:
            del self.hashes[record.hash]

    # The log

    @property
    def replica(self) -> str:
        """The replica id of the node."""
        return self.header.get(b"replica", b"").decode()

    @property
    def log(self) -> list[tuple[int, bytes]]:
        """The log of that id."""
        return self.logs.setdefault(self.replica, [])

    def begin(self, replica: str, fields: dict[bytes, bytes], *, discard: bool = False) -> None:
        """Notes that the node goes on as `replica`. The former log is dropped, or with `discard` the state instead."""
        self._undo.clear()
        self._version += 1
        if discard:
            self.hashes = {}
        else:
            self.logs.pop(self.replica, None)
        self.header.update({b"replica": replica.encode(), **fields})

    @property
    def is_another_process(self) -> bool:
        """Whether the server has restarted since the last commit."""
        return self.header.get(b"run_id", self.run_id) != self.run_id

    def restart(self) -> None:
        """The server restarts: it has another run id."""
        self.run_id = b"%d" % (int(self.run_id) + 1)

    def append(self, counter: int, delta: bytes) -> None:
        """Appends to the log; entry ids must grow."""
        require(not self.log or counter > self.log[-1][0], "a log's entries grow", str(counter))
        self.log.append((counter, delta))

    def read_log(self, replica: str, cursor: int, batch: int) -> list[tuple[str, bytes]]:
        """The next entries beyond `cursor` of the log of `replica`, as (entry id, content)."""
        log = self.logs.get(replica, [])
        return [(f"{counter}-0", delta) for counter, delta in log if counter > cursor][:batch]

    def trim(self, counter: int) -> None:
        """Drops the log's entries up to `counter`."""
        self.logs[self.replica] = [entry for entry in self.log if entry[0] > counter]

    # The inbox

    def post(self, content: bytes) -> None:
        """Appends a message to the inbox."""
        self._mails += 1
        self.inbox[f"{self._mails}-0"] = content

    def unread(self, handed_out: set[str], batch: int) -> list[tuple[str, bytes]]:
        """The next messages that were not handed out yet, in order."""
        waiting = (entry for entry in self.inbox if entry not in handed_out)
        return [(entry, self.inbox[entry]) for entry, _ in zip(waiting, range(batch), strict=False)]

    def drop_mail(self, entries: Iterable[str]) -> None:
        """Loses messages, as an inbox that has grown too long does."""
        for entry in entries:
            self.inbox.pop(entry, None)
