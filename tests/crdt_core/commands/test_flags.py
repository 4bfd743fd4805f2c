"""DELTAIC.EWENABLE and its like: flags where enabling wins, and flags where disabling does."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.crdt_core.sites import Fleet, Site


WRONG_TYPE = "WRONGTYPE Operation against a key holding the wrong kind of value"

CASES: list[tuple[list[str], list[Any]]] = [
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
    (["DELTAIC.FLAG.SET f 1 KIND dwflag", "DELTAIC.FLAG.SET f 1", "TYPE f"], [1, 1, "dwflag"]),
    (["DELTAIC.FLAG.SET f 1 KIND dwflag", "DELTAIC.FLAG.SET f 0 KIND ewflag"], [1, WRONG_TYPE]),
    (["DELTAIC.FLAG.SET f 0 KIND dwflag", "EXISTS f", "DELTAIC.FLAG.SET f 0 KIND ewflag"], [0, 0, 0]),
    (["DELTAIC.FLAG.SET f 1 KIND flag"], ["ERR kind: 'flag' is not one of ewflag, dwflag"]),
]


@pytest.mark.parametrize(("lines", "replies"), CASES, ids=[", ".join(lines) for lines, _ in CASES])
def test_it_answers(site: Site, lines: list[str], replies: list[Any]) -> None:
    assert [site(line) for line in lines] == replies


@pytest.mark.parametrize(
    "line", ["DELTAIC.EWENABLE deltaic:s", "DELTAIC.DWENABLE deltaic:s", "DELTAIC.ENABLED deltaic:s"]
)
def test_keys_of_deltaic_are_refused(site: Site, line: str) -> None:
    assert site(line) == "ERR keys that begin with 'deltaic:' are reserved"


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


def test_a_disable_is_forgotten_once_all_have_it(fleet: Fleet) -> None:
    fleet.a("DELTAIC.DWDISABLE f")
    fleet.b("DELTAIC.DWENABLE f")
    fleet.sync()
    for site in fleet.sites:
        assert site.replica.stabilise(site.replica.clock, 100) == 0
        site.replica.take_changes()
        assert not list(site.replica.keys())
    fleet.sync()
    assert fleet.all("DELTAIC.ENABLED f") == 0


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


@pytest.mark.parametrize(("kind", "enabled"), [("ewflag", 1), ("dwflag", 0)])
def test_a_flag_of_a_named_kind_is_disabled_before_anybody_has_enabled_it(
    fleet: Fleet, kind: str, enabled: int
) -> None:
    fleet.a(f"DELTAIC.FLAG.SET f 0 KIND {kind}")
    fleet.b(f"DELTAIC.FLAG.SET f 1 KIND {kind}")
    fleet.sync()
    assert fleet.all("DELTAIC.ENABLED f") == enabled
