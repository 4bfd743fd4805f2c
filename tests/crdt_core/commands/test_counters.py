"""DELTAIC.COUNTER.*: counters of a named kind, their bounds, and what concurrent ones give."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from crdt_core.errors import CounterOverflow, InvalidArgument, WrongType
from tests.invocations import command

if TYPE_CHECKING:
    from tests.crdt_core.sites import Fleet, Site

LARGEST = 2**63 - 1
WRONG_TYPE = "WRONGTYPE Operation against a key holding the wrong kind of value"
NOT_AN_AMOUNT = "is not an integer from 0 to 9223372036854775807"


CASES: list[tuple[list[str], list[Any]]] = [
    (["DELTAIC.COUNTER.ADD c 5", "DELTAIC.COUNTER.SUBTRACT c 7", "GET c"], [5, -2, "-2"]),
    (["DELTAIC.COUNTER.ADD c 0", "EXISTS c"], [0, 0]),
    (["DELTAIC.COUNTER.ADD c 5", "DELTAIC.COUNTER.GET c"], [5, {"kind": "pncounter", "value": 5}]),
    (["DELTAIC.COUNTER.ADD c 5 KIND gcounter", "DELTAIC.COUNTER.ADD c 2"], [5, 7]),
    (["DELTAIC.COUNTER.ADD c 5 kind GCounter", "DELTAIC.COUNTER.GET c"], [5, {"kind": "gcounter", "value": 5}]),
    (["DELTAIC.COUNTER.GET c"], [None]),
    (["DELTAIC.COUNTER.ADD c 5", "DEL c", "DELTAIC.COUNTER.ADD c 1", "DELTAIC.COUNTER.ADD c 1"], [5, 1, 1, 2]),
    (
        ["DELTAIC.COUNTER.ADD c 1 KIND gcounter", "DELTAIC.COUNTER.SUBTRACT c 0", "DELTAIC.COUNTER.GET c"],
        [1, f"{WRONG_TYPE}: a grow-only counter cannot be decremented", {"kind": "gcounter", "value": 1}],
    ),
    (["DELTAIC.COUNTER.ADD c 1", "DELTAIC.COUNTER.ADD c 1 KIND gcounter"], [1, WRONG_TYPE]),
    (["INCR c", "DELTAIC.COUNTER.ADD c 1", "DELTAIC.COUNTER.GET c"], [1, WRONG_TYPE, WRONG_TYPE]),
    (["DELTAIC.COUNTER.ADD c -1"], [f"ERR amount: -1 {NOT_AN_AMOUNT}"]),
    (["DELTAIC.COUNTER.SUBTRACT c word"], [f"ERR amount: 'word' {NOT_AN_AMOUNT}"]),
    (["DELTAIC.COUNTER.ADD c 9223372036854775808"], [f"ERR amount: '9223372036854775808' {NOT_AN_AMOUNT}"]),
    (["DELTAIC.COUNTER.ADD c 1 KIND orset"], ["ERR kind: 'orset' is not one of pncounter, gcounter"]),
    (["DELTAIC.COUNTER.ADD c 1 gcounter"], ["ERR syntax error"]),
    (
        [f"DELTAIC.COUNTER.ADD c {LARGEST}", "DELTAIC.COUNTER.ADD c 1", "DELTAIC.COUNTER.SUBTRACT c 1"],
        [LARGEST, "ERR counter 'c' would leave the 64-bit signed range", LARGEST - 1],
    ),
    (
        ["DELTAIC.COUNTER.RAISE c n7 5", "DELTAIC.COUNTER.RAISE c n7 3", "DELTAIC.COUNTER.RAISE c n7 6", "GET c"],
        [1, 0, 1, "6"],
    ),
    (["DELTAIC.COUNTER.RAISE c n1 5", "EXISTS c"], [0, 0]),
    (
        ["DELTAIC.COUNTER.ADD c 1", "DELTAIC.COUNTER.RAISE c n7 2", "DELTAIC.COUNTER.GET c"],
        [1, 1, {"kind": "pncounter", "value": 3}],
    ),
    (["DELTAIC.COUNTER.RAISE c n7 -2"], [f"ERR amount: -2 {NOT_AN_AMOUNT}"]),
    (["DELTAIC.COUNTER.ADD deltaic:c 1"], ["ERR keys that begin with 'deltaic:' are reserved"]),
]


@pytest.mark.parametrize(("lines", "replies"), CASES, ids=[", ".join(lines) for lines, _ in CASES])
def test_it_answers(site: Site, lines: list[str], replies: list[Any]) -> None:
    assert [site(line) for line in lines] == replies


def test_a_replica_id_that_is_none_is_refused(site: Site) -> None:
    assert site("DELTAIC.COUNTER.RAISE c n1:7 5").startswith("ERR replica id: ")
    assert site.run(command("EXISTS", b"c")) == 0


def test_a_refusal_carries_its_fields(site: Site) -> None:
    """Faces with codes of their own do not read texts."""
    site("SADD s x")
    with pytest.raises(WrongType) as wrong:
        site.run(command("DELTAIC.COUNTER.ADD", b"s", 1))
    assert (wrong.value.key, wrong.value.held, wrong.value.wanted) == ("s", "orset", "pncounter or gcounter")
    site(f"DELTAIC.COUNTER.SUBTRACT c {LARGEST}")
    with pytest.raises(CounterOverflow):
        site.run(command("DELTAIC.COUNTER.SUBTRACT", b"c", 2))
    with pytest.raises(InvalidArgument) as bad:
        site.run(command("DELTAIC.COUNTER.ADD", b"c", b"\xff"))
    assert bad.value.field == "amount"


def test_concurrent_additions_add_up_and_a_delete_takes_away_what_it_saw(fleet: Fleet) -> None:
    fleet.a("DELTAIC.COUNTER.ADD c 5")
    fleet.sync()
    fleet.a("DEL c")
    fleet.b("DELTAIC.COUNTER.ADD c 2")
    fleet.c("DELTAIC.COUNTER.SUBTRACT c 1")
    fleet.sync()
    assert fleet.all("DELTAIC.COUNTER.GET c") == {"kind": "pncounter", "value": 1}


def test_what_leaves_64_bits_together_is_an_error_to_read_and_never_a_wrap(fleet: Fleet) -> None:
    fleet.a(f"DELTAIC.COUNTER.ADD c {LARGEST}")
    fleet.b(f"DELTAIC.COUNTER.ADD c {LARGEST}")
    fleet.sync()
    assert fleet.all("DELTAIC.COUNTER.GET c") == "ERR counter 'c' would leave the 64-bit signed range"
    assert fleet.a("DELTAIC.COUNTER.ADD c 0") == "ERR counter 'c' would leave the 64-bit signed range"
    fleet.c(f"DELTAIC.COUNTER.SUBTRACT c {LARGEST}")
    fleet.sync()
    assert fleet.all("DELTAIC.COUNTER.GET c") == {"kind": "pncounter", "value": LARGEST}


def test_a_share_that_was_raised_counts_once_wherever_it_was_learned(fleet: Fleet) -> None:
    fleet.a("DELTAIC.COUNTER.RAISE c elsewhere 5")
    fleet.b("DELTAIC.COUNTER.RAISE c elsewhere 7")
    fleet.c("DELTAIC.COUNTER.ADD c 1 KIND gcounter")
    fleet.sync()
    assert fleet.all("DELTAIC.COUNTER.GET c") == {"kind": "gcounter", "value": 8}
