"""The commands that make a commit or a whole state: complete, in order, and of a bounded size."""

from __future__ import annotations

from crdt_core.codec.records import Changes, Record
from crdt_core.lattice.clocks import Stamp
from crdt_core.node.events import Commit, Quarantined
from crdt_core.replica.replica import Replica
from crdt_core.types import EWFLAG, ORSET
from workers.storage.requests import (
    BATCH_COMMANDS,
    FIELDS_PER_COMMAND,
    batches,
    record_commands,
    replace_links,
    set_header,
    stream_commands,
    whole_state,
)
from workers.wire.keys import Keys

KEYS = Keys("n1")


def test_changes_of_a_hash_share_commands_up_to_a_number_of_fields() -> None:
    changes = Changes()
    many = 2 * FIELDS_PER_COMMAND + 1
    for number in range(many):
        changes.add(Record(b"obj:fruit", b"%d" % number, b"value"))
    changes.add(Record(b"state", b"gone", None))
    changes.add(Record(b"obj:gone", None, None))
    *sets, delete, unlink = record_commands(KEYS, changes)
    assert [(command[0], command[1], len(command)) for command in sets] == [
        ("HSET", b"deltaic:{n1}:obj:fruit", 2 + 2 * fields) for fields in (FIELDS_PER_COMMAND, FIELDS_PER_COMMAND, 1)
    ]
    written = [word for command in sets for word in command[2::2]]
    assert written == [b"%d" % number for number in range(many)]
    assert delete == ("HDEL", b"deltaic:{n1}:state", b"gone")
    assert unlink == ("UNLINK", b"deltaic:{n1}:obj:gone")


def test_a_commit_without_anything_for_the_streams_has_no_commands_for_them() -> None:
    assert stream_commands(KEYS, Commit(), 100) == []


def test_a_commit_appends_trims_acknowledges_and_sets_aside() -> None:
    commit = Commit(
        counter=7,
        delta=b"delta",
        trim=3,
        acknowledged=["1-0", "2-0"],
        quarantined=[Quarantined("inbox", "2-0", b"content", "no JSON")],
    )
    append, trim, acknowledge, delete, quarantine = stream_commands(KEYS, commit, 100)
    assert append == ("XADD", "deltaic:{n1}:log", "MAXLEN", "~", 100, "7-0", b"d", b"delta")
    assert trim == ("XTRIM", "deltaic:{n1}:log", "MINID", "4-0")
    assert acknowledge == ("XACK", "deltaic:{n1}:inbox", "worker", "1-0", "2-0")
    assert delete == ("XDEL", "deltaic:{n1}:inbox", "1-0", "2-0")
    assert quarantine[:2] == ("XADD", "deltaic:{n1}:quarantine")
    assert quarantine[-8:] == ("source", "inbox", "entry", "2-0", "reason", "no JSON", "content", b"content")


def test_the_header_and_the_links_are_set_by_field() -> None:
    assert set_header(KEYS, {"turn": b"7", "owner": b"token"}) == (
        "HSET", "deltaic:{n1}", "turn", b"7", "owner", b"token",
    )  # fmt: skip
    assert replace_links(KEYS, ["n3"]) == [
        ("UNLINK", "deltaic:{n1}:links"),
        ("HSET", "deltaic:{n1}:links", "n3", b"paused"),
    ]
    assert replace_links(KEYS, []) == [("UNLINK", "deltaic:{n1}:links")]


def test_batches_are_bounded_in_commands_and_in_bytes_and_keep_the_order() -> None:
    small = [("SET", b"%d" % number, b"x") for number in range(BATCH_COMMANDS + 1)]
    assert [len(batch) for batch in batches(small)] == [BATCH_COMMANDS, 1]
    large = [("SET", b"key", bytes(100_000)) for _ in range(5)]
    assert [len(batch) for batch in batches(large)] == [2, 2, 1]
    assert [len(batch) for batch in batches([("SET", b"key", bytes(1_000_000)), *large])] == [1, 2, 2, 1]
    assert [command for batch in batches([*small, *large]) for command in batch] == [*small, *large]
    assert list(batches([])) == []


def test_a_command_has_a_bounded_number_of_fields_and_of_bytes() -> None:
    """512 values of a megabyte once were one HSET."""
    changes = Changes(written={b"obj:s": [b"f", bytes(200_000)] * 3, b"obj:t": [b"f", b"v"] * (FIELDS_PER_COMMAND + 1)})
    sizes = [(command[1], len(command) // 2 - 1) for command in record_commands(KEYS, changes)]
    s, t = KEYS.record(b"obj:s"), KEYS.record(b"obj:t")
    assert sizes == [(s, 1), (s, 1), (s, 1), (t, FIELDS_PER_COMMAND), (t, 1)]


def test_a_whole_state_deletes_before_it_writes() -> None:
    replica = Replica("n1", founders=["n1"])
    replica.write(b"fruit", ORSET, b"apple", True)
    replica.write(b"open", EWFLAG, b"", True)
    replica.commit(Stamp(1, 0))
    present = [b"deltaic:{n1}:state", b"deltaic:{n1}:obj:gone"]
    commands = list(whole_state(KEYS, replica, present))
    deleted = [key for name, *keys in commands if name == "UNLINK" for key in keys]
    assert deleted == present
    names = [name for name, *_ in commands]
    assert names == sorted(names, key=["UNLINK", "HSET"].index)
    written = {command[1]: list(command[2::2]) for command in commands if command[0] == "HSET"}
    assert written[b"deltaic:{n1}:obj:fruit"] == [b"apple"]
    assert sorted(written[b"deltaic:{n1}:state"]) == [b"fruit", b"open"]
