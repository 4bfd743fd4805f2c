"""DELTAIC.SET.*: sets of a named kind, and what concurrent ones give."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from crdt_core.commands import CommandOptions, Policies
from crdt_core.errors import TooLarge, WrongType
from crdt_core.types import RWSET
from tests.invocations import command

if TYPE_CHECKING:
    from tests.crdt_core.sites import Fleet, Site

WRONG_TYPE = "WRONGTYPE Operation against a key holding the wrong kind of value"


CASES: list[tuple[list[str], list[Any]]] = [
    (["DELTAIC.SET.ADD s b", "DELTAIC.SET.ADD s a", "DELTAIC.SET.ADD s a"], [1, 1, 0]),
    (
        ["DELTAIC.SET.ADD s b", "DELTAIC.SET.ADD s a", "DELTAIC.SET.GET s"],
        [1, 1, {"kind": "orset", "members": ["a", "b"]}],
    ),
    (["DELTAIC.SET.GET s"], [None]),
    (["DELTAIC.SET.ADD s a", "DELTAIC.SET.REMOVE s a", "DELTAIC.SET.REMOVE s a", "EXISTS s"], [1, 1, 0, 0]),
    (
        ["DELTAIC.SET.ADD s a KIND gset", "DELTAIC.SET.REMOVE s a", "DELTAIC.SET.GET s"],
        [1, f"{WRONG_TYPE}: nothing can be removed from a grow-only set", {"kind": "gset", "members": ["a"]}],
    ),
    (["DELTAIC.SET.ADD s a KIND gset", "DELTAIC.SET.ADD s b", "SMEMBERS s"], [1, 1, {"a", "b"}]),
    (["DELTAIC.SET.ADD s a", "DELTAIC.SET.ADD s b KIND gset"], [1, WRONG_TYPE]),
    (["SET s v", "DELTAIC.SET.ADD s a", "DELTAIC.SET.REMOVE s a", "DELTAIC.SET.GET s"], ["OK", *[WRONG_TYPE] * 3]),
    (["DELTAIC.SET.ADD s a KIND lwwset"], ["ERR kind: 'lwwset' is not one of orset, gset, rwset"]),
    (
        ["DELTAIC.SET.ADD s a KIND rwset", "DELTAIC.SET.ADD s b", "DELTAIC.SET.GET s"],
        [1, 1, {"kind": "rwset", "members": ["a", "b"]}],
    ),
    (["DELTAIC.SET.REMOVE s a KIND rwset", "EXISTS s", "DELTAIC.SET.ADD s a KIND rwset", "TYPE s"], [0, 0, 1, "set"]),
    (["DELTAIC.SET.ADD s a", "DELTAIC.SET.REMOVE s a KIND rwset", "SMEMBERS s"], [1, WRONG_TYPE, {"a"}]),
    (["DELTAIC.SET.ADD s a", "DELTAIC.SET.REMOVE s a KIND orset"], [1, 1]),
    (["DELTAIC.SET.REMOVE s a KIND"], ["ERR syntax error"]),
    (
        ["DELTAIC.RWSADD s a", "DELTAIC.SET.ADD s b", "DELTAIC.SET.GET s"],
        [1, 1, {"kind": "rwset", "members": ["a", "b"]}],
    ),
    (["DELTAIC.SET.ADD deltaic:s a"], ["ERR keys that begin with 'deltaic:' are reserved"]),
]


@pytest.mark.parametrize(("lines", "replies"), CASES, ids=[", ".join(lines) for lines, _ in CASES])
def test_it_answers(site: Site, lines: list[str], replies: list[Any]) -> None:
    assert [site(line) for line in lines] == replies


def test_the_removal_of_an_unseen_element_is_no_write_but_where_removes_win(site: Site) -> None:
    site("DELTAIC.SET.ADD s a")
    site("DELTAIC.RWSADD ban a")
    made = len(site.log)
    assert [site("DELTAIC.SET.REMOVE s z"), site("DELTAIC.SET.REMOVE none z"), len(site.log) - made] == [0, 0, 0]
    assert [site("DELTAIC.SET.REMOVE ban z"), len(site.log) - made] == [0, 1]


def test_an_element_that_nobody_has_added_yet_is_removed_from_a_set_where_removes_win(fleet: Fleet) -> None:
    fleet.a("DELTAIC.SET.REMOVE ban x KIND rwset")
    fleet.b("DELTAIC.SET.ADD ban x KIND rwset")
    fleet.b("DELTAIC.SET.ADD ban y KIND rwset")
    fleet.sync()
    assert fleet.all("SMEMBERS ban") == {"y"}


def test_adding_again_is_a_write_only_to_a_set_that_can_shrink(site: Site) -> None:
    site("DELTAIC.SET.ADD s a")
    site("DELTAIC.SET.ADD g a KIND gset")
    made = len(site.log)
    assert [site("DELTAIC.SET.ADD g a"), len(site.log) - made] == [0, 0]
    assert [site("DELTAIC.SET.ADD s a"), len(site.log) - made] == [0, 1]


def test_policies_do_not_decide_what_is_made(site: Site) -> None:
    site.options = CommandOptions(Policies({b"": RWSET}, {}))
    site("DELTAIC.SET.ADD s a")
    assert site("DELTAIC.SET.GET s")["kind"] == "orset"
    assert site("DELTAIC.SET.REMOVE other a") == 0
    assert not site.replica.showing(b"other")


def test_members_beyond_the_limit_of_replies_are_refused(site: Site) -> None:
    site.options = CommandOptions(value_bytes_max=100, reply_bytes_max=250)
    for letter in "abc":
        site(f"DELTAIC.SET.ADD s {letter * 90}")
    assert "ERR reply: 270 bytes, over the limit of 250" in site("DELTAIC.SET.GET s")
    with pytest.raises(TooLarge):
        site.run(command("DELTAIC.SET.GET", b"s", options=site.options))


def test_a_refusal_names_the_types(site: Site) -> None:
    site("DELTAIC.SET.ADD g x KIND gset")
    with pytest.raises(WrongType) as refused:
        site.run(command("DELTAIC.SET.REMOVE", b"g", "x"))
    assert (refused.value.held, refused.value.wanted) == ("gset", "orset")


def test_an_add_wins_over_a_concurrent_removal(fleet: Fleet) -> None:
    fleet.a("DELTAIC.SET.ADD s x")
    fleet.sync()
    fleet.a("DELTAIC.SET.REMOVE s x")
    fleet.b("DELTAIC.SET.ADD s x")
    fleet.sync()
    assert fleet.all("DELTAIC.SET.GET s")["members"] == ["x"]
