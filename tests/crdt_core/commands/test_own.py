"""Deltaic's own commands, for what Redis has no word for: sets where removes win, flags, multi-value registers."""

from __future__ import annotations

from typing import Any

import pytest

from crdt_core.commands import CommandError, lookup
from tests.crdt_core.sites import WAYS, Fleet, Site, way_name

WRONG_TYPE = "WRONGTYPE Operation against a key holding the wrong kind of value"


@pytest.fixture(params=WAYS, ids=way_name)
def fleet(request: pytest.FixtureRequest) -> Fleet:
    return Fleet(*request.param)


@pytest.fixture
def site() -> Site:
    return Site("n1")


# Every command


CASES: list[tuple[list[str], list[Any]]] = [
    (["DELTAIC.RWSADD s a b", "DELTAIC.RWSADD s a c", "SMEMBERS s", "TYPE s"], [2, 1, {"a", "b", "c"}, "set"]),
    (["DELTAIC.RWSADD s a b", "DELTAIC.RWSREM s a z", "SMEMBERS s"], [2, 1, {"b"}]),
    (["DELTAIC.RWSREM s a", "EXISTS s", "DELTAIC.RWSADD s a", "SCARD s"], [0, 0, 1, 1]),
    (["SADD s a", "DELTAIC.RWSADD s b", "DELTAIC.RWSREM s a"], [1, WRONG_TYPE, WRONG_TYPE]),
    (["SET s v", "DELTAIC.RWSADD s b", "DELTAIC.RWSREM s a"], ["OK", WRONG_TYPE, WRONG_TYPE]),
    (["DELTAIC.RWSADD s a", "RENAME s t", "DELTAIC.RWSADD t b", "SMEMBERS t"], [1, "OK", 1, {"a", "b"}]),
    (["DELTAIC.EWENABLE f", "DELTAIC.EWENABLE f", "DELTAIC.ENABLED f", "TYPE f"], [1, 0, 1, "ewflag"]),
    (["DELTAIC.EWENABLE f", "DELTAIC.EWDISABLE f", "DELTAIC.EWDISABLE f", "DELTAIC.ENABLED f"], [1, 1, 0, 0]),
    (["DELTAIC.DWENABLE f", "DELTAIC.DWENABLE f", "DELTAIC.ENABLED f", "TYPE f"], [1, 0, 1, "dwflag"]),
    (["DELTAIC.DWENABLE f", "DELTAIC.DWDISABLE f", "DELTAIC.DWDISABLE f", "DELTAIC.ENABLED f"], [1, 1, 0, 0]),
    (["DELTAIC.EWENABLE f", "DELTAIC.DWENABLE f", "DELTAIC.DWDISABLE f"], [1, WRONG_TYPE, WRONG_TYPE]),
    (["DELTAIC.DWENABLE f", "DELTAIC.EWENABLE f", "DELTAIC.EWDISABLE f"], [1, WRONG_TYPE, WRONG_TYPE]),
    (["SET f v", "DELTAIC.ENABLED f", "DELTAIC.EWENABLE f"], ["OK", WRONG_TYPE, WRONG_TYPE]),
    (["DELTAIC.DWENABLE f", "EXPIRE f 9", "TTL f", "DEL f", "DELTAIC.ENABLED f"], [1, 1, 9, 1, 0]),
    (["DELTAIC.DWENABLE f", "GET f", "SADD f x", "SET f v", "TYPE f"], [1, WRONG_TYPE, WRONG_TYPE, "OK", "string"]),
    (["DELTAIC.ENABLED f", "DELTAIC.EWDISABLE f", "EXISTS f"], [0, 0, 0]),
    (["DELTAIC.FLAG.SET f 1", "DELTAIC.FLAG.SET f 1", "DELTAIC.ENABLED f", "TYPE f"], [1, 1, 1, "ewflag"]),
    (["DELTAIC.FLAG.SET f 0", "EXISTS f", "DELTAIC.FLAG.SET f on"], [0, 0, "ERR flag: 'on' is neither 0 nor 1"]),
    (["DELTAIC.DWENABLE f", "DELTAIC.FLAG.SET f 1", "TYPE f", "DELTAIC.FLAG.SET f 0"], [1, 1, "dwflag", 0]),
    (["SET f v", "DELTAIC.FLAG.SET f 1"], ["OK", WRONG_TYPE]),
    (["DELTAIC.MVSET k v", "DELTAIC.MVGET k", "GET k", "TYPE k"], ["OK", ["v"], "v", "string"]),
    (["DELTAIC.MVSET k v", "DELTAIC.MVSET k w", "DELTAIC.MVGET k"], ["OK", "OK", ["w"]]),
    (["SET k v EX 9", "DELTAIC.MVSET k w", "GET k", "TTL k"], ["OK", "OK", "w", -1]),
    (["SADD k x", "DELTAIC.MVSET k w", "GET k"], [1, "OK", "w"]),
    (["DELTAIC.MVGET k", "SET k v", "DELTAIC.MVGET k"], [[], "OK", ["v"]]),
    (["INCR k", "DELTAIC.MVGET k"], [1, ["1"]]),
    (["SADD k x", "DELTAIC.MVGET k"], [1, WRONG_TYPE]),
    (["DELTAIC.MVSET k 5", "INCR k", "APPEND k 0", "DELTAIC.MVGET k"], ["OK", 6, 2, ["60"]]),
]


@pytest.mark.parametrize(("lines", "replies"), CASES, ids=[", ".join(lines) for lines, _ in CASES])
def test_it_answers(site: Site, lines: list[str], replies: list[Any]) -> None:
    assert [site(line) for line in lines] == replies


@pytest.mark.parametrize(
    "line",
    [
        "DELTAIC.RWSADD s",
        "DELTAIC.RWSREM s",
        "DELTAIC.EWENABLE",
        "DELTAIC.EWENABLE f 1",
        "DELTAIC.EWDISABLE f 1",
        "DELTAIC.DWENABLE f 1",
        "DELTAIC.DWDISABLE",
        "DELTAIC.FLAG.SET f",
        "DELTAIC.ENABLED f g",
        "DELTAIC.COUNTER.ADD c",
        "DELTAIC.COUNTER.SUBTRACT c",
        "DELTAIC.COUNTER.GET",
        "DELTAIC.COUNTER.RAISE c n7",
        "DELTAIC.SET.ADD s",
        "DELTAIC.SET.REMOVE s x y",
        "DELTAIC.SET.GET s x",
        "DELTAIC.REGISTER.SET r",
        "DELTAIC.REGISTER.GET",
        "DELTAIC.INSPECT k l",
        "DELTAIC.MVSET k",
        "DELTAIC.MVSET k v w",
        "DELTAIC.MVGET",
    ],
)
def test_the_wrong_number_of_arguments_is_told_as_redis_tells_it(line: str) -> None:
    name, *args = line.encode().split()
    with pytest.raises(CommandError) as refused:
        lookup(name, args)
    assert refused.value.text == f"ERR wrong number of arguments for '{name.decode().lower()}' command"


@pytest.mark.parametrize(
    "name",
    ["RWSADD s x", "RWSREM s x", "EWENABLE s", "DWENABLE s", "ENABLED s", "MVSET s x", "MVGET s", "FLAG.SET s 1"],
)
def test_keys_of_deltaic_are_refused(site: Site, name: str) -> None:
    verb, _, rest = name.partition(" ")
    assert site(f"DELTAIC.{verb} deltaic:{rest}") == "ERR keys that begin with 'deltaic:' are reserved"


# What concurrent ones give


def test_a_remove_of_what_is_not_there_wins_over_a_concurrent_add(fleet: Fleet) -> None:
    fleet.a("DELTAIC.RWSREM s mallory")
    fleet.b("DELTAIC.RWSADD s mallory eve")
    fleet.sync()
    assert fleet.all("SMEMBERS s") == {"eve"}


@pytest.mark.parametrize(("kind", "enabled"), [("EW", 1), ("DW", 0)])
def test_of_a_concurrent_enable_and_disable_the_flag_says_which_wins(fleet: Fleet, kind: str, enabled: int) -> None:
    fleet.a(f"DELTAIC.{kind}ENABLE f")
    fleet.sync()
    fleet.a(f"DELTAIC.{kind}DISABLE f")
    fleet.b(f"DELTAIC.{kind}ENABLE f")
    fleet.sync()
    assert fleet.all("DELTAIC.ENABLED f") == enabled
    fleet.c(f"DELTAIC.{kind}ENABLE f")
    fleet.sync()
    assert fleet.all("DELTAIC.ENABLED f") == 1
    fleet.b(f"DELTAIC.{kind}DISABLE f")
    fleet.sync()
    assert fleet.all("DELTAIC.ENABLED f") == 0


def test_a_disable_of_what_is_not_enabled_wins_over_a_concurrent_enable(fleet: Fleet) -> None:
    fleet.a("DELTAIC.DWDISABLE f")
    fleet.b("DELTAIC.DWENABLE f")
    fleet.sync()
    assert fleet.all("DELTAIC.ENABLED f") == 0


@pytest.mark.parametrize("kind", ["EW", "DW"])
def test_a_delete_of_a_flag_leaves_a_concurrent_enable(fleet: Fleet, kind: str) -> None:
    fleet.a(f"DELTAIC.{kind}ENABLE f")
    fleet.sync()
    fleet.a("DEL f")
    fleet.b(f"DELTAIC.{kind}ENABLE f")
    fleet.sync()
    assert fleet.all("DELTAIC.ENABLED f") == 1


def test_a_flag_that_is_not_enabled_is_disabled_without_a_write(site: Site) -> None:
    made = len(site.log)
    assert (site("DELTAIC.FLAG.SET f 0"), len(site.log)) == (0, made)
    site("DELTAIC.DWENABLE g")
    site("DELTAIC.FLAG.SET g 0")
    made = len(site.log)
    assert (site("DELTAIC.FLAG.SET g 0"), len(site.log)) == (0, made), "unlike DELTAIC.DWDISABLE"


@pytest.mark.parametrize(("kind", "enabled"), [("EW", 1), ("DW", 0)])
def test_of_a_concurrent_set_and_unset_the_flag_s_kind_says_which_wins(fleet: Fleet, kind: str, enabled: int) -> None:
    fleet.a(f"DELTAIC.{kind}ENABLE f")
    fleet.sync()
    fleet.a("DELTAIC.FLAG.SET f 0")
    fleet.b("DELTAIC.FLAG.SET f 1")
    fleet.sync()
    assert fleet.all("DELTAIC.ENABLED f") == enabled


def test_a_register_keeps_all_concurrent_values(fleet: Fleet) -> None:
    fleet.a("DELTAIC.MVSET k a")
    fleet.b("DELTAIC.MVSET k b")
    fleet.sync()
    assert fleet.all("DELTAIC.MVGET k") == ["b", "a"]
    fleet.c("DELTAIC.MVSET k c")
    fleet.sync()
    assert fleet.all("DELTAIC.MVGET k") == ["c"]


def test_a_flag_of_either_kind_is_set_as_it_is_and_a_new_one_lets_enabling_win(site: Site) -> None:
    site("DELTAIC.DWENABLE f")
    assert site("DELTAIC.FLAG.SET f 0") == 0
    assert site("DELTAIC.ENABLED f") == 0
    assert site("DELTAIC.FLAG.SET g 1") == 1
    assert site("TYPE g") == "ewflag"


def test_what_denies_is_forgotten_once_all_have_it(fleet: Fleet) -> None:
    fleet.a("DELTAIC.RWSREM s x")
    fleet.b("DELTAIC.RWSADD s x")
    fleet.a("DELTAIC.DWDISABLE f")
    fleet.b("DELTAIC.DWENABLE f")
    fleet.sync()
    for site in fleet.sites:
        assert site.replica.stabilise(site.replica.clock, 100) == 0
        site.replica.take_changes()
        assert not list(site.replica.keys())
    fleet.sync()
    assert (fleet.all("EXISTS s"), fleet.all("DELTAIC.ENABLED f")) == (0, 0)
