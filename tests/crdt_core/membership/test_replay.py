"""What a node did while the fleet went on without it is done again under its new id: once, and as a guest."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from crdt_core.codec.deltas import decode_delta
from crdt_core.commands import Execute
from crdt_core.membership.changes import AdmitIncarnation, RemoveMember
from crdt_core.membership.decisions import Sponsor
from crdt_core.membership.replay import GAVE_WAY, is_final, to_replay
from crdt_core.node.events import ReplayAsked
from crdt_core.replica.replica import Replica
from crdt_core.types.members import ABSENT, REMOVED_BY_HAND
from tests.crdt_core.fellows import Fellows
from tests.invocations import command, lookup

if TYPE_CHECKING:
    from crdt_core.lattice.deltas import Address
    from crdt_core.lattice.siblings import Payload

HITS = command("DELTAIC.COUNTER.ADD", b"hits", 1)


@pytest.fixture
def fleet() -> Fellows:
    """n3 has counted 5, and is away now."""
    fleet = Fellows(["n1", "n2", "n3"])
    fleet.do("n3", command("DELTAIC.COUNTER.ADD", b"hits", 5))
    fleet.do(
        "n2",
        command("SADD", b"s", b"old"),
        command("DELTAIC.REGISTER.SET", b"r", b"old"),
        command("DELTAIC.REGISTER.SET", b"t", b"old", "TIMESTAMP", 10),
    )
    fleet.settle()
    fleet.away = {"n3"}
    return fleet


def fence(fleet: Fellows) -> None:
    fleet.do("n1", RemoveMember("n3", ABSENT))
    for _ in range(4):
        fleet.settle()
        fleet.compact()


def come_back(fleet: Fellows) -> int:
    """n3 comes back as n3.2; how many writes it made anew."""
    unsent = tuple(decode_delta(content) for _, content in fleet.logs["n3"])
    fleet.away = set()
    fleet.do("n1", AdmitIncarnation("n3", "n3.2"))
    node = fleet.start("n3", Replica("n3.2"), Sponsor("n1", "n1"))
    fleet.sync("n3")
    assert is_final(node.replica, "n3")
    (made,) = fleet.turn("n3", ReplayAsked("n3", unsent, object()))
    fleet.settle()
    assert len({fleet.nodes[name].replica.digest for name in fleet.nodes}) == 1
    return int(made)


def commands(*lines: str) -> Execute:
    """Redis's commands, at second 1000."""
    split = [line.encode().split() for line in lines]
    return Execute([(lookup(words[0], words[1:]), words[1:]) for words in split], 1_000_000, 0)


def test_strings_and_hashes_count_once_more_and_keep_their_values(fleet):
    fleet.do("n1", commands("SET c 100", "HSET h f 10"))
    fleet.away = set()
    fleet.settle()
    fleet.away = {"n3"}
    fleet.do("n3", commands("INCRBY c 2", "HINCRBY h f 3", "SET k v EX 60", "HSET h g new"))
    fleet.do("n3", commands("INCRBY c 1"))
    fence(fleet)
    fleet.do("n1", commands("INCR c"))
    come_back(fleet)
    assert fleet.do("n2", commands("GET c", "HGET h f", "HGET h g", "GET k", "TTL k")) == [
        [b"104", b"13", b"new", b"v", 60]
    ]


def test_increments_count_once_more_and_no_more_than_that(fleet):
    fleet.do("n3", command("DELTAIC.COUNTER.ADD", b"hits", 2))
    fleet.do("n3", command("DELTAIC.COUNTER.SUBTRACT", b"hits", 1), command("DELTAIC.COUNTER.ADD", b"new", 3))
    fence(fleet)
    fleet.do("n1", HITS)
    assert come_back(fleet) == 3
    assert fleet.value("n2", b"hits") == 7
    assert fleet.value("n2", b"new") == 3


def test_a_replay_in_pieces_that_was_interrupted_is_taken_up_where_it_was(fleet):
    """A replay once was one commit, however much it was: it held the node up, and might not fit into Redis's buffer."""
    for number in (1, 20, 300):
        fleet.do("n3", command("DELTAIC.COUNTER.ADD", b"hits", number))
    fence(fleet)
    unsent = tuple(decode_delta(content) for _, content in fleet.logs["n3"])
    fleet.away = set()
    fleet.do("n1", AdmitIncarnation("n3", "n3.2"))
    fleet.start("n3", Replica("n3.2"), Sponsor("n1", "n1"))
    fleet.sync("n3")
    fleet.turn("n3", ReplayAsked("n3", unsent[:3], object(), ends=False))
    assert fleet.nodes["n3"].replica.value(b"hits") == 26
    before: dict[Address, Payload] = {}
    for number in range(len(unsent)):  # another process, which begins with the first piece
        ends = number == len(unsent) - 1
        fleet.turn("n3", ReplayAsked("n3", unsent[number : number + 1], object(), (), 3, before, ends))
    fleet.settle()
    assert {fleet.value(name, b"hits") for name in fleet.nodes} == {326}


def test_what_was_sent_is_not_done_again(fleet):
    fence(fleet)
    assert come_back(fleet) == 0
    assert fleet.value("n2", b"hits") == 5


def test_a_counter_that_was_deleted_meanwhile_takes_only_what_was_new(fleet):
    """Its share is forgotten everywhere, but for how much of it was spent: so much had been sent."""
    fleet.do("n3", command("DELTAIC.COUNTER.ADD", b"hits", 2))
    fleet.do("n1", command("DEL", b"hits"))
    fence(fleet)
    fleet.do("n2", HITS)
    come_back(fleet)
    assert fleet.value("n1", b"hits") == 3
    for _ in range(4):
        fleet.compact()
        fleet.settle()
    assert not fleet.nodes["n1"].replica.catalogue.tombstones


def test_adds_are_adds_and_removals_yield_to_what_came_up(fleet):
    fleet.do("n3", command("SADD", b"s", b"new"), command("SADD", b"s", b"brief"), command("SREM", b"s", b"old"))
    fleet.do("n3", command("SREM", b"s", b"brief"))
    fence(fleet)
    come_back(fleet)
    assert fleet.value("n1", b"s") == [b"new"]


def test_a_removal_leaves_what_was_added_again(fleet):
    fleet.do("n3", command("SREM", b"s", b"old"))
    fleet.do("n1", command("SADD", b"s", b"old"))
    fence(fleet)
    assert come_back(fleet) == 0
    assert fleet.value("n1", b"s") == [b"old"]


def test_a_clear_takes_what_it_had_seen(fleet):
    fleet.do("n3", command("DEL", b"s"))
    fleet.do("n1", command("SADD", b"s", b"more"))
    fence(fleet)
    come_back(fleet)
    assert fleet.value("n1", b"s") == [b"more"]


def test_registers_keep_their_order_and_lose_no_value_that_came_up(fleet):
    fleet.do(
        "n3",
        command("DELTAIC.REGISTER.SET", b"r", b"mine"),
        command("DELTAIC.REGISTER.SET", b"t", b"mine", "TIMESTAMP", 20),
        command("DELTAIC.FLAG.SET", b"f", 1),
    )
    fleet.do("n1", command("DELTAIC.REGISTER.SET", b"t", b"theirs", "TIMESTAMP", 15))
    fence(fleet)
    come_back(fleet)
    assert fleet.value("n2", b"r") == [b"mine"]
    assert fleet.value("n2", b"t") == b"mine"


def test_a_value_that_would_replace_another_that_came_up_yields(fleet):
    fleet.do(
        "n3",
        command("DELTAIC.REGISTER.SET", b"r", b"mine"),
        command("DELTAIC.REGISTER.SET", b"t", b"mine", "TIMESTAMP", 12),
    )
    fleet.do(
        "n1",
        command("DELTAIC.REGISTER.SET", b"r", b"theirs"),
        command("DELTAIC.REGISTER.SET", b"t", b"theirs", "TIMESTAMP", 15),
    )
    fence(fleet)
    come_back(fleet)
    assert fleet.value("n2", b"r") == [b"theirs"]
    assert fleet.value("n2", b"t") == b"theirs"


def test_a_value_of_a_multi_value_register_that_yields_is_set_aside_with_its_key(fleet):
    """All concurrent values of such a register are kept, so this one was lost in silence."""
    fleet.do("n3", command("DELTAIC.REGISTER.SET", b"r", b"mine"), command("DELTAIC.REGISTER.SET", b"alone", b"mine"))
    fleet.do("n1", command("DELTAIC.REGISTER.SET", b"r", b"theirs"))
    fence(fleet)
    come_back(fleet)
    assert (fleet.value("n2", b"r"), fleet.value("n2", b"alone")) == ([b"theirs"], [b"mine"])
    (aside,) = fleet.quarantined["n3"]
    assert (aside.source, aside.entry, aside.reason) == ("log of n3", "2-0", GAVE_WAY)
    ((key, _, _, payload),) = decode_delta(aside.content).writes
    assert (key, payload.value) == (b"r", b"mine")


def test_where_removals_win_they_are_done_again_and_adds_yield_to_them(fleet):
    fleet.do("n2", commands("DELTAIC.RWSADD ban x y"))
    fleet.away = set()
    fleet.settle()
    fleet.away = {"n3"}
    fleet.do("n3", commands("DELTAIC.RWSREM ban x z", "DELTAIC.RWSADD ban v w", "DELTAIC.DWDISABLE off"))
    fleet.do("n1", commands("DELTAIC.RWSADD ban x z", "DELTAIC.RWSADD ban v", "DELTAIC.DWENABLE off"))
    fence(fleet)
    fleet.do("n1", commands("DELTAIC.RWSREM ban v"))
    come_back(fleet)
    assert fleet.value("n2", b"ban") == [b"w", b"y"]
    assert fleet.value("n2", b"off") is None


@pytest.mark.parametrize(("reason", "replayed"), [(ABSENT, 2), (REMOVED_BY_HAND, 0)])
def test_the_unsent_writes_of_a_node_that_was_removed_by_hand_are_not_wanted(fleet, reason, replayed):
    fleet.do("n3", HITS)
    unsent = [decode_delta(content) for _, content in fleet.logs["n3"]]
    fleet.do("n1", RemoveMember("n3", reason))
    assert len(to_replay(fleet.nodes["n1"].replica, "n3", unsent)) == replayed
