"""The commands of a commit, as one buffer, are those that any commit is made of."""

from __future__ import annotations

import pytest

from crdt_core.codec.records import Changes, Record
from crdt_core.node.events import Commit, Quarantined
from workers.storage.commit_buffer import CommitBuffer
from workers.storage.requests import record_commands, set_header, stream_commands
from workers.wire.connection import pack
from workers.wire.keys import Keys

KEYS = Keys("n1", "n1.2")
HEADER = {"turn": b"7", "clock": b'{"n1.2":3}'}
GUARD = [("WATCH", KEYS.header), ("HMGET", KEYS.header, "owner", "turn")]


def changes(*records: Record) -> Changes:
    made = Changes()
    for record in records:
        made.add(record)
    return made


COMMITS = {
    "nothing but the header": Commit(),
    "one field": Commit(changes(Record(b"state", b"k", b"v")), 3, b"delta"),
    "two hashes": Commit(changes(Record(b"state", b"k", b"v"), Record(b"obj:s", b"m", b"v")), 3, b"delta"),
    "a removed field": Commit(changes(Record(b"state", b"k", None)), 3, b"delta"),
    "a dropped hash": Commit(changes(Record(b"obj:s", None, None)), 3, b"delta"),
    "many fields": Commit(changes(*(Record(b"state", b"%d" % n, b"v") for n in range(2000))), 3, b"delta"),
    "messages": Commit(acknowledged=["1-0", "2-0"], quarantined=[Quarantined("inbox", "2-0", b"x", "why")]),
    "a trimmed log": Commit(changes(Record(b"state", b"k", b"v")), 3, b"delta", trim=2),
}


@pytest.mark.parametrize("commit", COMMITS.values(), ids=COMMITS)
def test_a_buffer_is_the_transaction_and_the_guard_of_the_next_one(commit: Commit) -> None:
    commands = [
        ("MULTI",),
        *record_commands(KEYS, commit.records),
        *stream_commands(KEYS, commit, 100),
        set_header(KEYS, HEADER),
        ("EXEC",),
        *GUARD,
    ]
    assert CommitBuffer(KEYS, 100, GUARD).packed(commit, HEADER) == (b"".join(map(pack, commands)), len(commands))
