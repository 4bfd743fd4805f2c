"""No command that writes changes more in one turn, or in one slice of a large call, than a turn may.

The table has a request for every command that writes. A new command fails here until it has one.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

import pytest

from crdt_core.commands import COMMANDS, Execute
from crdt_core.lattice.clocks import Stamp
from crdt_core.node.events import Call
from crdt_core.node.node import Node
from crdt_core.node.options import NodeOptions
from crdt_core.replica.replica import Replica
from crdt_core.types import GSET, HASH, ORSET, RWSET
from crdt_core.types.counters import add_to_share
from crdt_core.types.hashes import share_part
from crdt_core.types.hyperloglogs import HYPERLOGLOG
from tests.crdt_core.histories import whole_state

if TYPE_CHECKING:
    from collections.abc import Iterator

    from crdt_core.types import CrdtType

NOW_MS = 1_000_000
PARTS = 60
SLICED = NodeOptions(parts_per_slice=10, parts_per_turn=20)
ROOMY = NodeOptions(parts_per_turn=1_000_000)
STEP_MAX = SLICED.parts_per_turn

FILLED: dict[str, tuple[CrdtType, bool]] = {
    "a set": (ORSET, False),
    "a remove-wins set": (RWSET, False),
    "a grow-only set": (GSET, False),
    "a hash": (HASH, False),
    "a HyperLogLog": (HYPERLOGLOG, False),
    "a set behind a string": (ORSET, True),
    "a hash behind a string": (HASH, True),
}
"""What stands under the key: something large. Behind a string it does not show, after concurrent writes."""

REQUESTS = {
    "APPEND": "key x",
    "BITFIELD": "key SET u8 0 1",
    "BITOP": "NOT key other",
    "COPY": "other key REPLACE",
    "DECR": "key",
    "DECRBY": "key 2",
    "DEL": "key",
    "DELTAIC.COUNTER.ADD": "key 1",
    "DELTAIC.COUNTER.RAISE": "key n9 1",
    "DELTAIC.COUNTER.SUBTRACT": "key 1",
    "DELTAIC.DWDISABLE": "key",
    "DELTAIC.DWENABLE": "key",
    "DELTAIC.EWDISABLE": "key",
    "DELTAIC.EWENABLE": "key",
    "DELTAIC.FLAG.SET": "key 1",
    "DELTAIC.MVSET": "key x",
    "DELTAIC.REGISTER.SET": "key x",
    "DELTAIC.RWSADD": "key x",
    "DELTAIC.RWSREM": "key 1",
    "DELTAIC.SET.ADD": "key x",
    "DELTAIC.SET.REMOVE": "key 1",
    "EXPIRE": "key -1",
    "EXPIREAT": "key 1",
    "FLUSHALL": "",
    "FLUSHDB": "",
    "GETDEL": "key",
    "GETEX": "key EXAT 1",
    "GETSET": "key x",
    "HDEL": "key 1",
    "HINCRBY": "key x 2",
    "HINCRBYFLOAT": "key x 2.5",
    "HMSET": "key x 1",
    "HSET": "key 1 1",
    "HSETNX": "key x 1",
    "INCR": "key",
    "INCRBY": "key 2",
    "INCRBYFLOAT": "key 2.5",
    "MSET": "key x key y",
    "MSETNX": "key x",
    "PERSIST": "key",
    "PEXPIRE": "key 0",
    "PEXPIREAT": "key 1",
    "PFADD": "key x",
    "PFMERGE": "another key",
    "PSETEX": "key 5000 x",
    "RENAME": "key another",
    "RENAMENX": "key another",
    "SADD": "key x",
    "SDIFFSTORE": "key nothing",
    "SET": "key x",
    "SETBIT": "key 0 1",
    "SETEX": "key 5 x",
    "SETNX": "key x",
    "SETRANGE": "key 0 x",
    "SINTERSTORE": "another key",
    "SMOVE": "key another 1",
    "SPOP": "key 50",
    "SREM": "key 1",
    "SUNIONSTORE": "key nothing",
    "UNLINK": "key",
}
MORE = (
    "SET key x XX GET",
    "SET key x NX",
    "SET key x KEEPTTL",
    "SET key x EX 9",
    "SET key x EXAT 1",
    "SETEX key 0 x",
    "MSET key x other y",
    "BITOP AND key nothing",
    "EXPIRE key -1 GT",
    "EXPIRE key -1 LT",
    "SPOP key 60",
    "SPOP key 10",
    "SPOP key -1",
    "SPOP key",
    "PFMERGE another key key",
)
ALL = [*(f"{name} {words}" for name, words in REQUESTS.items()), *MORE]


def test_the_table_has_every_command_that_writes() -> None:
    assert {name.encode() for name in REQUESTS} == {name for name, command in COMMANDS.items() if command.writes}


def execute(request: str) -> Execute:
    name, *args = request.encode().split()
    return Execute([(COMMANDS[name], args)], NOW_MS, 1)


@cache
def history(filled: str) -> list[object]:
    """The deltas of two peers: one fills the key, the other writes a string to it if something is to be behind one."""
    type_, is_behind = FILLED[filled]
    filler, peer = Replica("n2"), Replica("n3")
    for number in range(PARTS):
        if type_ is HASH:
            filler.write(b"key", HASH, share_part(b"%d" % number, "n2"), add_to_share(None, number + 1))
        else:
            filler.write(b"key", type_, b"%d" % number, 1 if type_ is HYPERLOGLOG else True)
    if is_behind:
        execute("SET key 5").run(peer, Stamp(NOW_MS, 0))
    execute("SET other 5").run(peer, Stamp(NOW_MS, 0))
    return [replica.commit(Stamp(NOW_MS, 0)) for replica in (filler, peer)]


def node_with(filled: str, options: NodeOptions) -> Node:
    replica = Replica("n1", founders=["n1", "n2", "n3"])
    for delta in history(filled):
        replica.apply(delta)  # type: ignore[arg-type]
    replica.take_changes()
    return Node("n1", replica, "s", options=options)


def steps(node: Node, request: str) -> Iterator[list[object]]:
    """Do everything that `request` makes necessary; yield the results after each turn and each slice."""
    turn = node.turn([Call(execute(request), None)], NOW_MS, 0)
    yield [effect.result for effect in turn.effects]  # type: ignore[union-attr]
    node.confirm()
    while node.large.calls:
        while node.large.prepare():
            yield []
        yield [effect.result for effect in node.end_large_call().effects]  # type: ignore[union-attr]
        node.confirm()


@pytest.mark.parametrize("filled", FILLED)
def test_no_command_changes_more_at_once_than_a_turn_may(filled: str) -> None:
    """SET over a set of a million members, EXPIRE with a past time and SPOP of many were one turn of seconds."""
    too_many = {}
    for request in ALL:
        sliced, whole = node_with(filled, SLICED), node_with(filled, ROOMY)
        changed = sliced.replica.catalogue.watch()
        before, results, most = 0, [], 0
        for said in steps(sliced, request):
            results += said
            most, before = max(most, len(changed) - before), len(changed)
        if most > STEP_MAX:
            too_many[request] = most
        assert results == [result for said in steps(whole, request) for result in said], request
        assert whole_state(sliced.replica) == whole_state(whole.replica), request
        assert sliced.replica.digest == whole.replica.digest, request
        assert sliced.replica.catalogue.removals == whole.replica.catalogue.removals, request
        assert sliced.replica.catalogue.size == whole.replica.catalogue.size, request
    assert not too_many
