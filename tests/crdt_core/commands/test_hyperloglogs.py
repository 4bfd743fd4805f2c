"""PFADD, PFCOUNT and PFMERGE: alone, and what concurrent ones give."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.crdt_core.costs import counted_calls

if TYPE_CHECKING:
    from tests.crdt_core.sites import Fleet, Site

WRONG_TYPE = "WRONGTYPE Operation against a key holding the wrong kind of value"
NO_HYPERLOGLOG = "WRONGTYPE Key is not a valid HyperLogLog string value."

CASES: list[tuple[list[str], list[Any]]] = [
    (["PFADD h a b", "PFADD h a", "PFCOUNT h", "TYPE h"], [1, 0, 2, "string"]),
    (["PFADD h", "PFADD h", "EXISTS h", "PFCOUNT h"], [1, 0, 1, 0]),
    (["PFCOUNT h", "PFCOUNT h g"], [0, 0]),
    (["PFADD h a", "PFADD g b", "PFCOUNT h g", "PFMERGE t h g", "PFCOUNT t"], [1, 1, 2, "OK", 2]),
    (["PFMERGE t nothing", "EXISTS t", "PFCOUNT t"], ["OK", 1, 0]),
    (["PFADD t a", "PFMERGE t", "PFCOUNT t"], [1, "OK", 1]),
    (["SET k v", "PFADD k a", "PFCOUNT k", "PFMERGE t k"], ["OK", NO_HYPERLOGLOG, NO_HYPERLOGLOG, NO_HYPERLOGLOG]),
    (["SADD s v", "PFADD s a", "PFCOUNT s", "PFMERGE s"], [1, WRONG_TYPE, WRONG_TYPE, WRONG_TYPE]),
    (["PFADD h a", "SET h v", "GET h", "PFCOUNT h"], [1, "OK", "v", NO_HYPERLOGLOG]),
    (["PFADD h a", "COPY h g", "PFADD g b", "PFCOUNT g", "PFCOUNT h"], [1, 1, 1, 2, 1]),
    (["PFADD h", "RENAME h g", "EXISTS g", "EXISTS h"], [1, "OK", 1, 0]),
    (["PFADD h a", "EXPIRE h 9", "PFADD h b", "TTL h", "DEL h", "PFCOUNT h"], [1, 1, 1, 9, 1, 0]),
    (["PFADD h a", "GET h", "APPEND h x", "SADD h x"], [1, WRONG_TYPE, WRONG_TYPE, WRONG_TYPE]),
]


@pytest.mark.parametrize(("lines", "replies"), CASES, ids=[", ".join(lines) for lines, _ in CASES])
def test_it_answers(site: Site, lines: list[str], replies: list[Any]) -> None:
    assert [site(line) for line in lines] == replies


def test_concurrent_adds_are_united(fleet: Fleet) -> None:
    fleet.a("PFADD h a b")
    fleet.b("PFADD h b c")
    fleet.sync()
    assert fleet.all("PFCOUNT h") == 3


def test_a_delete_removes_what_it_saw_and_a_concurrent_add_survives(fleet: Fleet) -> None:
    fleet.a("PFADD h a b")
    fleet.sync()
    fleet.a("DEL h")
    fleet.b("PFADD h c")
    fleet.sync()
    assert fleet.all("PFCOUNT h") == 1


def test_a_merge_and_a_concurrent_delete_of_its_target_leave_the_merged(fleet: Fleet) -> None:
    fleet.a("PFADD t a")
    fleet.a("PFADD s b")
    fleet.sync()
    fleet.a("DEL t")
    fleet.b("PFMERGE t s")
    fleet.sync()
    assert fleet.all("PFCOUNT t") == 1


def test_a_string_made_concurrently_prevails(fleet: Fleet) -> None:
    fleet.a("PFADD k a")
    fleet.b("SET k v")
    fleet.sync()
    assert fleet.all("GET k") == "v"
    fleet.a("DEL k")
    fleet.sync()
    assert fleet.all("EXISTS k") == 0


def test_an_add_that_raises_no_register_survives_a_concurrent_delete(fleet: Fleet) -> None:
    fleet.a("PFADD h x")
    fleet.sync()
    fleet.a("DEL h")
    assert fleet.b("PFADD h x") == 0
    fleet.sync()
    assert fleet.all("PFCOUNT h") == 1


def test_an_add_costs_the_same_however_full_the_hyperloglog_is(site: Site) -> None:
    """It read all 16 384 registers once, to compare one."""

    def add(element: int) -> int:
        return counted_calls(lambda: site(f"PFADD h {element}"))[1]

    site("PFADD h " + " ".join(map(str, range(10))))
    small = min(map(add, range(10)))
    for first in range(0, 20_000, 1000):
        site("PFADD h " + " ".join(map(str, range(first, first + 1000))))
    assert min(map(add, range(10))) <= small + 5
