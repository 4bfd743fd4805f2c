"""DELTAIC.REGISTER.*: registers of a named kind, explicit timestamps, and what concurrent writes give."""

from __future__ import annotations

from typing import Any

import pytest

from crdt_core.errors import InvalidArgument, WrongType
from tests.crdt_core.sites import START_MS, Fleet, Site
from tests.invocations import command

WRONG_TYPE = "WRONGTYPE Operation against a key holding the wrong kind of value"


def lww(value: str, timestamp: int) -> dict[str, Any]:
    return {"kind": "lwwregister", "values": [value], "timestamp": timestamp}


CASES: list[tuple[list[str], list[Any]]] = [
    (
        ["DELTAIC.REGISTER.SET r v", "DELTAIC.REGISTER.GET r", "GET r"],
        [1, {"kind": "mvregister", "values": ["v"], "timestamp": None}, "v"],
    ),
    (["DELTAIC.REGISTER.SET r v TIMESTAMP 5", "DELTAIC.REGISTER.GET r", "GET r"], [1, lww("v", 5), "v"]),
    (["DELTAIC.REGISTER.SET r v TIMESTAMP 0", "DELTAIC.REGISTER.GET r"], [1, lww("v", 0)]),
    (
        ["DELTAIC.REGISTER.SET r v TIMESTAMP 5", "DELTAIC.REGISTER.SET r w TIMESTAMP 4", "DELTAIC.REGISTER.GET r"],
        [1, 0, lww("v", 5)],
    ),
    (
        ["DELTAIC.REGISTER.SET r v TIMESTAMP -5", "DELTAIC.REGISTER.SET r w TIMESTAMP -5", "DELTAIC.REGISTER.GET r"],
        [1, 1, lww("w", -5)],
    ),
    (["DELTAIC.REGISTER.GET r"], [None]),
    (["DELTAIC.REGISTER.SET r v timestamp 5 kind LWWRegister"], [1]),
    (
        [
            "DELTAIC.REGISTER.SET r v",
            "DELTAIC.REGISTER.SET r w TIMESTAMP 5",
            "DELTAIC.REGISTER.SET r x KIND lwwregister",
        ],
        [1, WRONG_TYPE, WRONG_TYPE],
    ),
    (["DELTAIC.REGISTER.SET r v TIMESTAMP 5", "DELTAIC.REGISTER.SET r w"], [1, WRONG_TYPE]),
    (
        ["DELTAIC.REGISTER.SET r v TIMESTAMP 5 KIND mvregister", "EXISTS r"],
        ["ERR timestamp: a multi-value write has none", 0],
    ),
    (["SADD r x", "DELTAIC.REGISTER.SET r v", "DELTAIC.REGISTER.GET r"], [1, WRONG_TYPE, WRONG_TYPE]),
    (["SET r x", "DELTAIC.REGISTER.GET r"], ["OK", WRONG_TYPE]),
    (["DELTAIC.REGISTER.SET r v TIMESTAMP soon"], ["ERR value is not an integer or out of range"]),
    (["DELTAIC.REGISTER.SET r v TIMESTAMP 9223372036854775808"], ["ERR value is not an integer or out of range"]),
    (["DELTAIC.REGISTER.SET r v TIMESTAMP"], ["ERR syntax error"]),
    (["DELTAIC.REGISTER.SET r v KIND lwwregister KIND lwwregister"], ["ERR syntax error"]),
    (["DELTAIC.REGISTER.SET r v KIND string"], ["ERR kind: 'string' is not one of lwwregister, mvregister"]),
    (["DELTAIC.REGISTER.SET deltaic:r v"], ["ERR keys that begin with 'deltaic:' are reserved"]),
]


@pytest.mark.parametrize(("lines", "replies"), CASES, ids=[", ".join(lines) for lines, _ in CASES])
def test_it_answers(site: Site, lines: list[str], replies: list[Any]) -> None:
    assert [site(line) for line in lines] == replies


def test_a_write_that_is_too_old_writes_nothing(site: Site) -> None:
    site("DELTAIC.REGISTER.SET r v TIMESTAMP 5")
    made = len(site.log)
    assert site("DELTAIC.REGISTER.SET r w TIMESTAMP 4") == 0
    assert len(site.log) == made


def test_a_write_without_a_timestamp_has_the_time_of_day_or_is_later_than_what_it_saw(site: Site) -> None:
    site("DELTAIC.REGISTER.SET r v KIND lwwregister")
    assert site("DELTAIC.REGISTER.GET r") == lww("v", START_MS)
    site(f"DELTAIC.REGISTER.SET r far TIMESTAMP {2 * START_MS}")
    assert site("DELTAIC.REGISTER.SET r w KIND lwwregister") == 1
    assert site("DELTAIC.REGISTER.GET r") == lww("w", 2 * START_MS)


def test_a_refusal_carries_its_fields(site: Site) -> None:
    site("DELTAIC.REGISTER.SET r v")
    with pytest.raises(WrongType) as wrong:
        site.run(command("DELTAIC.REGISTER.SET", b"r", b"w", "TIMESTAMP", 1))
    assert (wrong.value.held, wrong.value.wanted) == ("mvregister", "lwwregister")
    with pytest.raises(InvalidArgument) as bad:
        site.run(command("DELTAIC.REGISTER.SET", b"q", b"w", "TIMESTAMP", 1, "KIND", "mvregister"))
    assert bad.value.field == "timestamp"


def test_of_concurrent_writes_the_largest_timestamp_shows_whatever_was_written_last(fleet: Fleet) -> None:
    fleet.a("DELTAIC.REGISTER.SET r late TIMESTAMP 9")
    fleet.b("DELTAIC.REGISTER.SET r early TIMESTAMP 3")
    fleet.sync()
    assert fleet.all("DELTAIC.REGISTER.GET r") == lww("late", 9)


def test_of_concurrent_writes_at_the_same_timestamp_the_higher_replica_id_shows(fleet: Fleet) -> None:
    fleet.b("DELTAIC.REGISTER.SET r b TIMESTAMP 3")
    fleet.a("DELTAIC.REGISTER.SET r a TIMESTAMP 3")
    fleet.sync()
    assert fleet.all("DELTAIC.REGISTER.GET r") == lww("b", 3)


def test_a_multi_value_register_shows_all_concurrent_values_in_one_order(fleet: Fleet) -> None:
    fleet.b("DELTAIC.REGISTER.SET r b")
    fleet.a("DELTAIC.REGISTER.SET r a")
    fleet.sync()
    assert fleet.all("DELTAIC.REGISTER.GET r")["values"] == ["a", "b"]
    fleet.c("DELTAIC.REGISTER.SET r c")
    fleet.sync()
    assert fleet.all("DELTAIC.REGISTER.GET r")["values"] == ["c"]
