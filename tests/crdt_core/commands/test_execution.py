"""Commands run as one operation: all of a transaction is one commit."""

from __future__ import annotations

from typing import TYPE_CHECKING

from crdt_core.commands import ErrorReply, Execute, read
from crdt_core.lattice.clocks import Stamp
from crdt_core.replica.replica import Replica
from tests.invocations import lookup

if TYPE_CHECKING:
    from tests.crdt_core.sites import Fleet


WRONG_TYPE = "WRONGTYPE Operation against a key holding the wrong kind of value"


def test_a_transaction_shows_as_a_whole(fleet: Fleet) -> None:
    assert fleet.a("SET k v", "INCR c", "SADD k x", "HSET h f v") == ["OK", 1, WRONG_TYPE, 1]
    assert len(fleet.a.log) == 1
    fleet.sync()
    assert fleet.all("EXISTS k c h") == 3


def test_a_command_that_is_refused_does_not_stop_the_others() -> None:
    words = [[b"SADD", b"k", b"x"], [b"INCR", b"k"], [b"INCR", b"c"]]
    execute = Execute([(lookup(name, args), args) for name, *args in words], 1, 1)
    assert execute.run(Replica("n1"), Stamp(1, 0)) == [1, ErrorReply(WRONG_TYPE), 1]


def test_a_read_answers_from_a_state_and_tells_of_a_refusal() -> None:
    replica = Replica("n1")
    Execute([(lookup(b"SET", [b"k", b"v"]), [b"k", b"v"])], 1, 1).run(replica, Stamp(1, 0))
    assert read(replica, lookup(b"GET", [b"k"]), [b"k"], 1, 1) == b"v"
    assert read(replica, lookup(b"SCARD", [b"k"]), [b"k"], 1, 1) == ErrorReply(WRONG_TYPE)
