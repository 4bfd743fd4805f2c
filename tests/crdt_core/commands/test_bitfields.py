"""BITFIELD and BITFIELD_RO: alone, and what concurrent ones give."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.crdt_core.sites import Fleet, Site

WRONG_TYPE = "WRONGTYPE Operation against a key holding the wrong kind of value"

CASES: list[tuple[list[str], list[Any]]] = [
    (["BITFIELD k SET u8 0 200 GET i8 0 INCRBY u8 0 100"], [[0, -56, 44]]),
    (["BITFIELD k OVERFLOW SAT INCRBY i8 #1 200 OVERFLOW FAIL INCRBY i8 #1 1", "STRLEN k"], [[127, None], 2]),
    (
        ["BITFIELD_RO k GET u8 0", "EXISTS k", "BITFIELD_RO k SET u8 0 1"],
        [[0], 0, "ERR BITFIELD_RO only supports the GET subcommand"],
    ),
    (["SADD s x", "BITFIELD s GET u8 0"], [1, WRONG_TYPE]),
    (["SET k w EX 9", "BITFIELD k SET u8 0 1", "TTL k"], ["OK", [119], 9]),
]


@pytest.mark.parametrize(("lines", "replies"), CASES, ids=[", ".join(lines) for lines, _ in CASES])
def test_it_answers(site: Site, lines: list[str], replies: list[Any]) -> None:
    assert [site(line) for line in lines] == replies


def test_increments_in_a_field_do_not_add_up(fleet: Fleet) -> None:
    fleet.a("BITFIELD k INCRBY u8 0 1")
    fleet.b("BITFIELD k INCRBY u8 0 1")
    fleet.sync()
    assert fleet.all("BITFIELD_RO k GET u8 0") == [1]
