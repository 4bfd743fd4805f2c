"""INCRBYFLOAT and HINCRBYFLOAT: fractions add up at all replicas, exactly, and are rounded only when they are shown."""

from __future__ import annotations

from itertools import permutations
from typing import TYPE_CHECKING

import pytest

from tests.crdt_core.sites import Fleet

if TYPE_CHECKING:
    from collections.abc import Sequence


def adding(of: str) -> tuple[str, str, str, str, str]:
    """How a string, or a field of a hash, is set, counted, added to, read and deleted."""
    if of == "string":
        return "SET f", "INCRBY f", "INCRBYFLOAT f", "GET f", "DEL f"
    return "HSET h f", "HINCRBY h f", "HINCRBYFLOAT h f", "HGET h f", "HDEL h f"


both = pytest.mark.parametrize("of", ["string", "field"])


@both
def test_concurrent_additions_of_fractions_add(fleet: Fleet, of: str) -> None:
    """The sum was written whole, so one of two additions was lost."""
    set_, _, add, get, _ = adding(of)
    fleet.a(f"{set_} 10.5")
    fleet.sync()
    assert (fleet.a(f"{add} .5"), fleet.b(f"{add} .25")) == ("11", "10.75")
    fleet.sync()
    assert fleet.all(get) == "11.25"


@both
def test_a_fraction_adds_beside_an_integer(fleet: Fleet, of: str) -> None:
    set_, count, add, get, _ = adding(of)
    fleet.a(f"{set_} 10")
    fleet.sync()
    assert (fleet.a(f"{add} .5"), fleet.b(f"{count} 5")) == ("10.5", 15)
    fleet.sync()
    assert fleet.all(get) == "15.5"
    assert "not an integer" in fleet.all(f"{count} 1")
    fleet.c(f"{add} .5")
    fleet.sync()
    assert (fleet.all(get), fleet.a(f"{count} 1")) == ("16", 17)


@both
def test_a_delete_takes_away_the_fractions_that_it_saw(fleet: Fleet, of: str) -> None:
    _, _, add, get, delete = adding(of)
    fleet.b(f"{add} 1.5")
    fleet.sync()
    fleet.a(delete)
    fleet.b(f"{add} .25")
    fleet.sync()
    assert fleet.all(get) == "0.25"
    fleet.b(f"{add} 1")
    fleet.sync()
    assert fleet.all(get) == "1.25"


@both
def test_a_set_replaces_the_fractions_that_it_saw(fleet: Fleet, of: str) -> None:
    set_, _, add, get, _ = adding(of)
    fleet.b(f"{add} 1.5")
    fleet.sync()
    fleet.a(f"{set_} 100")
    fleet.b(f"{add} .5")
    fleet.sync()
    assert fleet.all(get) == "100.5"
    fleet.a(f"{set_} 7")
    fleet.sync()
    assert fleet.all(get) == "7"


@pytest.mark.parametrize(
    ("amounts", "total"),
    [
        (("1e20", "1", "-1e20"), "1"),
        (("0.1", "0.2", "0.3"), "0.6"),
        (("9007199254740992", "0.5", "0.5"), "9007199254740993"),
        (("1e-17", "-1e-17", "5e300"), None),
    ],
)
def test_the_sum_does_not_depend_on_the_order(amounts: Sequence[str], total: str | None) -> None:
    """Redis, which rounds every sum, gives 0 for the first in this order, and 1 in another."""
    found = set()
    for order in permutations(amounts):
        for apart in (True, False):
            fleet = Fleet("deltas", (0, 1, 2))
            for site, amount in zip(fleet.sites, order, strict=True):
                site(f"INCRBYFLOAT f {amount}")
                if not apart:
                    fleet.sync()
            fleet.sync()
            found.add(fleet.all("GET f"))
    assert len(found) == 1
    assert total is None or found == {total}


def test_what_a_member_of_0_1_0_cannot_read_is_not_written(fleet: Fleet) -> None:
    """A fraction is written whole then, as 0.1.0 does. Integers add, as in 0.1.0."""
    fleet.a("SET f 10")
    fleet.a("HSET h f 10")
    fleet.sync()
    fleet.a.replica.cautious = True
    for add, get in (("INCRBYFLOAT f", "GET f"), ("HINCRBYFLOAT h f", "HGET h f")):
        fleet.a(f"{add} 5")
        fleet.b(f"{add} 5")
        fleet.sync()
        assert fleet.all(get) == "20"
        assert fleet.a(f"{add} .5") == "20.5"
        fleet.sync()
        assert fleet.all(get) == "20.5"
    assert b"0x" not in b"".join(fleet.a.log)


def test_an_addition_beyond_every_float_is_refused_and_changes_nothing(fleet: Fleet) -> None:
    fleet.a("INCRBYFLOAT f 1e4932")
    assert fleet.a("INCRBYFLOAT f 1e4932") == "ERR increment would produce NaN or Infinity"
    assert fleet.a("INCRBYFLOAT f -1e4932") == "0"
