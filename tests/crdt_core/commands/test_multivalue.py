"""DELTAIC.MVSET and DELTAIC.MVGET: strings that keep every concurrent value."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.crdt_core.sites import Fleet, Site


WRONG_TYPE = "WRONGTYPE Operation against a key holding the wrong kind of value"

CASES: list[tuple[list[str], list[Any]]] = [
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


@pytest.mark.parametrize("line", ["DELTAIC.MVSET deltaic:s x", "DELTAIC.MVGET deltaic:s"])
def test_keys_of_deltaic_are_refused(site: Site, line: str) -> None:
    assert site(line) == "ERR keys that begin with 'deltaic:' are reserved"


def test_a_register_keeps_all_concurrent_values(fleet: Fleet) -> None:
    fleet.a("DELTAIC.MVSET k a")
    fleet.b("DELTAIC.MVSET k b")
    fleet.sync()
    assert fleet.all("DELTAIC.MVGET k") == ["b", "a"]
    fleet.c("DELTAIC.MVSET k c")
    fleet.sync()
    assert fleet.all("DELTAIC.MVGET k") == ["c"]
