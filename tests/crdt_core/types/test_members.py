"""The facts about the fleet, folded: what each replica knows of who belongs to it."""

from __future__ import annotations

from crdt_core.types import MEMBERS
from crdt_core.types.members import ABSENT, LOST, REMOVED_BY_HAND, Fact, Members, Standing
from tests.crdt_core.types.states import view_of

ACTIVE = {name: Fact(Standing.ACTIVE, name) for name in ("n1", "n2", "n3")}


def leaving(node: str, reason: str = LOST) -> Fact:
    return Fact(Standing.LEAVING, node, reason=reason, at_ms=5)


def ended(standing: Standing, node: str, final: int) -> Fact:
    return Fact(standing, node, reason=REMOVED_BY_HAND, at_ms=5, final=final)


def test_of_concurrent_facts_the_one_that_has_come_furthest_counts() -> None:
    view = view_of(
        n1={("n1", 1): ACTIVE["n1"], ("n2", 1): leaving("n1"), ("n3", 1): leaving("n1", ABSENT)},
        **{"n1/n2": {("n2", 2): True}, "n1/n3": {("n3", 2): True}},
    )
    assert MEMBERS.value(view) == Members({"n1": leaving("n1")}, {"n1": ("n2", "n3")})


def test_a_fleet_in_which_nothing_has_changed_is_its_founders() -> None:
    members = Members.founders(["n2", "n1"])
    assert list(members.active.items()) == [("n1", "n1"), ("n2", "n2")]
    assert members.standing("n1") is Standing.ACTIVE
    assert members.standing("n9") is None
    assert members.all_closed


def test_a_node_takes_part_under_its_latest_active_id() -> None:
    ids = {"n1": leaving("n1"), "n1.2": Fact(Standing.ACTIVE, "n1"), "n1.10": Fact(Standing.ACTIVE, "n1")}
    members = Members(ids, {})
    assert members.active == {"n1": "n1.10"}
    assert members.ids_of("n1") == ["n1", "n1.2", "n1.10"]
    assert members.ids_of("n2") == []


def test_an_id_that_was_recorded_for_a_machine_after_it_had_gone_on_does_not_take_part() -> None:
    """The machine had asked two members, under two names, and uses what it asked for last."""
    ids = {"n5-0a": "n5-0a", "n5-0b": "n5", "n5-0a.2-c0de": "n5", "n1.2": "n1"}
    facts = {id_: Fact(Standing.ACTIVE, node) for id_, node in ids.items()}
    assert Members(facts, {}).active == {"n1": "n1.2", "n5": "n5-0b", "n5-0a": "n5-0a"}


def test_two_accounts_are_joined_fact_by_fact() -> None:
    one = Members({"n1": ACTIVE["n1"], "n2": leaving("n2")}, {"n2": ("n1",)})
    other = Members({"n1": leaving("n1"), "n3": ACTIVE["n3"]}, {"n2": ("n3",), "n1": ("n3",)})
    joined = one.joined(other)
    assert joined.facts == {"n1": leaving("n1"), "n2": leaving("n2"), "n3": ACTIVE["n3"]}
    assert joined.closings == {"n1": ("n3",), "n2": ("n1", "n3")}
    assert other.joined(one) == joined


def test_an_end_is_known_once_every_active_id_has_closed_every_leaving_one() -> None:
    facts = {**ACTIVE, "n3": leaving("n3"), "n4": leaving("n4")}
    assert not Members(facts, {"n3": ("n1", "n2")}).all_closed
    assert not Members(facts, {"n3": ("n1", "n2"), "n4": ("n1",)}).all_closed
    assert Members(facts, {"n3": ("n1", "n2"), "n4": ("n1", "n2")}).all_closed
    assert Members(facts, {}).leaving == {"n3": leaving("n3"), "n4": leaving("n4")}


def test_a_folded_id_that_wrote_is_known_by_its_last_counter() -> None:
    facts = {
        "n1": ended(Standing.FOLDED, "n1", 4),
        "n2": ended(Standing.FOLDED, "n2", 0),
        "n3": ended(Standing.SEALED, "n3", 7),
    }
    assert Members(facts, {}).folded == {"n1": 4}


def test_a_clock_beyond_the_end_of_an_id_holds_what_was_given_up() -> None:
    members = Members({**ACTIVE, "n3": ended(Standing.SEALED, "n3", 4)}, {})
    assert members.abandoned({"n3": 4, "n1": 9}) == []
    assert members.abandoned({"n3": 5}) == ["n3"]
    assert Members({"n3": leaving("n3")}, {}).abandoned({"n3": 99}) == []
