"""DELTAIC.RWSADD and DELTAIC.RWSREM: sets where a remove wins over a concurrent add."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.crdt_core.sites import Fleet, Site


WRONG_TYPE = "WRONGTYPE Operation against a key holding the wrong kind of value"

CASES: list[tuple[list[str], list[Any]]] = [
    (["DELTAIC.RWSADD s a b", "DELTAIC.RWSADD s a c", "SMEMBERS s", "TYPE s"], [2, 1, {"a", "b", "c"}, "set"]),
    (["DELTAIC.RWSADD s a b", "DELTAIC.RWSREM s a z", "SMEMBERS s"], [2, 1, {"b"}]),
    (["DELTAIC.RWSREM s a", "EXISTS s", "DELTAIC.RWSADD s a", "SCARD s"], [0, 0, 1, 1]),
    (["SADD s a", "DELTAIC.RWSADD s b", "DELTAIC.RWSREM s a"], [1, WRONG_TYPE, WRONG_TYPE]),
    (["SET s v", "DELTAIC.RWSADD s b", "DELTAIC.RWSREM s a"], ["OK", WRONG_TYPE, WRONG_TYPE]),
    (["DELTAIC.RWSADD s a", "RENAME s t", "DELTAIC.RWSADD t b", "SMEMBERS t"], [1, "OK", 1, {"a", "b"}]),
]


@pytest.mark.parametrize(("lines", "replies"), CASES, ids=[", ".join(lines) for lines, _ in CASES])
def test_it_answers(site: Site, lines: list[str], replies: list[Any]) -> None:
    assert [site(line) for line in lines] == replies


@pytest.mark.parametrize("line", ["DELTAIC.RWSADD deltaic:s x", "DELTAIC.RWSREM deltaic:s x"])
def test_keys_of_deltaic_are_refused(site: Site, line: str) -> None:
    assert site(line) == "ERR keys that begin with 'deltaic:' are reserved"


def test_a_remove_of_what_is_not_there_wins_over_a_concurrent_add(fleet: Fleet) -> None:
    fleet.a("DELTAIC.RWSREM s mallory")
    fleet.b("DELTAIC.RWSADD s mallory eve")
    fleet.sync()
    assert fleet.all("SMEMBERS s") == {"eve"}


def test_a_remove_is_forgotten_once_all_have_it(fleet: Fleet) -> None:
    fleet.a("DELTAIC.RWSREM s x")
    fleet.b("DELTAIC.RWSADD s x")
    fleet.sync()
    for site in fleet.sites:
        assert site.replica.stabilise(site.replica.clock, 100) == 0
        site.replica.take_changes()
        assert not list(site.replica.keys())
    fleet.sync()
    assert fleet.all("EXISTS s") == 0
