"""What other faces make and ask, beside the commands of Redis."""

from __future__ import annotations

from typing import TYPE_CHECKING

from crdt_core.commands.operations import AddToSet, AdjustCounter, GetFlag, Inspect, SetFlag, SetRegister
from crdt_core.types import GSET

if TYPE_CHECKING:
    from tests.crdt_core.sites import Fleet, Site

WRONG_TYPE = "WRONGTYPE Operation against a key holding the wrong kind of value"


def test_counters_and_registers_of_other_faces_are_strings(fleet: Fleet) -> None:
    fleet.a.run(AdjustCounter(b"c", 5))
    fleet.a.run(SetRegister(b"r", b"v", 3))
    fleet.sync()
    assert fleet.b("INCR c") == 6
    fleet.c("INCR c")
    fleet.sync()
    assert fleet.all("GET c") == "7"
    assert fleet.all("GET r") == "v"
    assert fleet.all("TYPE r") == "string"
    assert fleet.a("SET c 1") == "OK"
    fleet.b("INCR c")
    fleet.sync()
    assert fleet.all("GET c") == "1", "the counter shows what the SET has not seen, before the string of the SET"
    assert fleet.b("SET c 2") == "OK"
    fleet.sync()
    assert fleet.all("GET c") == "2"


def test_a_set_of_another_face_that_only_grows_is_read_and_grows(fleet: Fleet) -> None:
    fleet.a.run(AddToSet(b"s", b"x", GSET))
    fleet.sync()
    fleet.b("SADD s y")
    fleet.sync()
    assert fleet.all("SMEMBERS s") == {"x", "y"}
    assert fleet.a("SREM s x") == "ERR nothing can be removed from a grow-only set"


def test_types_that_redis_has_not_are_told_by_their_own_name(fleet: Fleet) -> None:
    fleet.a.run(SetFlag(b"on", True))
    fleet.sync()
    assert fleet.all("TYPE on") == "ewflag"
    assert fleet.all("GET on") == WRONG_TYPE
    assert fleet.all("DEL nothing") == 0


def test_other_faces_inspect_strings_and_hashes(fleet: Fleet) -> None:
    fleet.a("SET k v EX 5")
    fleet.a("HINCRBY h n 5")
    fleet.sync()
    string, fields = fleet.b.run(Inspect(b"k")), fleet.b.run(Inspect(b"h"))
    assert (string.type, string.value, string.conflicts) == ("string", b'"v"', [])
    assert (fields.type, fields.value, fields.siblings) == ("hash", b'{"n":"5"}', b'{"n\\u0000n1":{"n1:2":[5,0]}}')


def test_other_faces_know_both_flags(site: Site) -> None:
    site("DELTAIC.DWENABLE f")
    assert site.run(GetFlag(b"f"))
    site.run(SetFlag(b"f", False))
    assert site("DELTAIC.ENABLED f") == 0
    site.run(SetFlag(b"g", True))
    assert site("TYPE g") == "ewflag"
