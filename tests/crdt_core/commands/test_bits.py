"""SETBIT, BITCOUNT, BITOP and their like: alone, and what concurrent ones give."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.crdt_core.sites import Fleet, Site

WRONG_TYPE = "WRONGTYPE Operation against a key holding the wrong kind of value"
BAD_OFFSET = "ERR bit offset is not an integer or out of range"

CASES: list[tuple[list[str], list[Any]]] = [
    (["SETBIT k 1 1", "GET k", "SETBIT k 1 0", "GETBIT k 1", "GETBIT k 99"], [0, "@", 1, 0, 0]),
    (["SETBIT k 15 0", "STRLEN k", "TYPE k"], [0, 2, "string"]),
    (["SETBIT k -1 1", "SETBIT k 4294967296 1", "GETBIT k x"], [BAD_OFFSET] * 3),
    (["SETBIT k 1 2"], ["ERR bit is not an integer or out of range"]),
    (["SET k abc", "BITCOUNT k", "BITCOUNT k 1", "BITCOUNT k 1 1", "BITCOUNT k -5 -1 BIT"], ["OK", 10, 7, 3, 2]),
    (["BITCOUNT nothing", "SET k abc", "BITCOUNT k 2 1", "BITCOUNT k 0 1 x"], [0, "OK", 0, "ERR syntax error"]),
    (["SET k ab", "BITPOS k 1", "BITPOS k 0", "BITPOS k 1 1", "BITPOS k 1 3 9 BIT"], ["OK", 1, 0, 9, 7]),
    (["BITPOS nothing 0", "BITPOS nothing 1", "BITPOS nothing 2"], [0, -1, "ERR The bit argument must be 1 or 0."]),
    (["SET a a", "SET b bc", "BITOP AND t a b", "STRLEN t", "BITOP OR t a b", "GET t"], ["OK", "OK", 2, 2, 2, "cc"]),
    (
        ["SET a 1", "BITOP XOR a a a", "BITCOUNT a", "BITOP NOT a a b"],
        ["OK", 1, 0, "ERR BITOP NOT must be called with a single source key."],
    ),
    (["SET t v", "BITOP OR t nothing", "EXISTS t"], ["OK", 0, 0]),
    (["SADD s x", "SETBIT s 0 1", "GETBIT s 0", "BITOP NOT t s"], [1, *[WRONG_TYPE] * 3]),
    (["SET k v EX 9", "SETBIT k 0 1", "TTL k"], ["OK", 0, 9]),
]


@pytest.mark.parametrize(("lines", "replies"), CASES, ids=[", ".join(lines) for lines, _ in CASES])
def test_it_answers(site: Site, lines: list[str], replies: list[Any]) -> None:
    assert [site(line) for line in lines] == replies


def test_of_two_bits_that_are_set_concurrently_one_survives(fleet: Fleet) -> None:
    fleet.a("SETBIT k 0 1")
    fleet.b("SETBIT k 1 1")
    fleet.sync()
    assert fleet.all("BITCOUNT k") == 1
