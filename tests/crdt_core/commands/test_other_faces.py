"""What other faces make and ask, beside the commands of Redis."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.crdt_core.sites import Fleet, Site

WRONG_TYPE = "WRONGTYPE Operation against a key holding the wrong kind of value"


def test_counters_and_registers_of_other_faces_are_strings(fleet: Fleet) -> None:
    fleet.a("DELTAIC.COUNTER.ADD c 5")
    fleet.a("DELTAIC.REGISTER.SET r v TIMESTAMP 3")
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
    fleet.a("DELTAIC.SET.ADD s x KIND gset")
    fleet.sync()
    fleet.b("SADD s y")
    fleet.sync()
    assert fleet.all("SMEMBERS s") == {"x", "y"}
    assert fleet.a("SREM s x") == "ERR nothing can be removed from a grow-only set"


def test_types_that_redis_has_not_are_told_by_their_own_name(fleet: Fleet) -> None:
    fleet.a("DELTAIC.FLAG.SET on 1")
    fleet.sync()
    assert fleet.all("TYPE on") == "ewflag"
    assert fleet.all("GET on") == WRONG_TYPE
    assert fleet.all("DEL nothing") == 0


def test_other_faces_inspect_strings_and_hashes(fleet: Fleet) -> None:
    fleet.a("SET k v EX 5")
    fleet.a("HINCRBY h n 5")
    fleet.sync()
    string, fields = fleet.b("DELTAIC.INSPECT k"), fleet.b("DELTAIC.INSPECT h")
    assert (string["type"], string["value"], string["conflicts"]) == ("string", '"v"', [])
    assert (fields["type"], fields["value"]) == ("hash", '{"n":"5"}')
    assert fields["siblings"] == '{"n\\u0000n1":{"n1:2":[5,0]}}'


def test_a_flag_of_either_kind_is_set_as_it_is_and_a_new_one_lets_enabling_win(site: Site) -> None:
    site("DELTAIC.DWENABLE f")
    assert site("DELTAIC.FLAG.SET f 0") == 0
    assert site("DELTAIC.ENABLED f") == 0
    assert site("DELTAIC.FLAG.SET g 1") == 1
    assert site("TYPE g") == "ewflag"
