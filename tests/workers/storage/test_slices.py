"""What lasts of the slices of a large commit is written in bounded lists, or, if it is little, as one."""

from __future__ import annotations

from crdt_core.codec.pieces import Pieces
from crdt_core.codec.records import Changes, Record
from crdt_core.node.events import Commit
from workers.storage.slices import batches_of, is_little, leave_out_what_goes
from workers.wire.keys import Keys

KEYS = Keys("n1")


async def test_what_a_later_slice_drops_is_left_out() -> None:
    removed = [Changes(removed={b"obj:set": [b"m%d" % number]}) for number in range(5)]
    commit = Commit(earlier=[Changes(written={b"state": [b"set", b"1"]}), *removed], records=Changes())
    commit.earlier.append(Changes(dropped={b"obj:set": None}))
    assert len(list(batches_of(KEYS, commit))) == 1
    await leave_out_what_goes(commit)
    assert [list(changes) for changes in (*commit.earlier, commit.records)] == [
        [Record(b"state", b"set", b"1")],
        [Record(b"obj:set", None, None)],
    ]


async def test_nothing_may_be_left() -> None:
    commit = Commit(earlier=[Changes()], records=Changes())
    await leave_out_what_goes(commit)
    assert not commit.earlier
    assert not commit.records


def test_only_what_goes_into_one_list_is_little() -> None:
    some = [Changes(written={b"obj:%d" % number: [b"x", bytes(1000)]}) for number in range(1000)]
    few, many = Commit(earlier=some[:10], records=Changes()), Commit(earlier=some, records=Changes())
    assert is_little(KEYS, few)
    assert not is_little(KEYS, many)
    large_delta = Commit(earlier=some[:10], records=Changes(), delta=Pieces([bytes(100_000)] * 3))
    assert not is_little(KEYS, large_delta)
    assert is_little(KEYS, Commit(earlier=some[:10], records=Changes(), delta=Pieces([b"small"])))
    written = [command for batch in batches_of(KEYS, many) for command in batch]
    assert [command[1] for command in written] == [KEYS.record(b"obj:%d" % number) for number in range(1000)]
