"""Incarnations: each new replica id of a node differs from all that came before."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crdt_core.errors import InvalidArgument
from crdt_core.lattice.clocks import check_replica_id
from crdt_core.membership.incarnations import added_id, incarnation, next_incarnation
from crdt_core.types.members import machine_of


@given(st.sampled_from(["n1", "node-a", "a.b"]), st.lists(st.integers(2, 99)), st.sampled_from(["", "c0de"]))
def test_the_next_incarnation_is_above_all_that_are_known(node: str, numbers: list[int], nonce: str) -> None:
    known = [node, *(f"{node}.{number}" for number in numbers), *(f"{node}.{number}-beef" for number in numbers)]
    new = next_incarnation(node, known, nonce)
    assert check_replica_id(new) == new
    assert new not in known
    assert incarnation(new, node) == max([1, *numbers]) + 1


def test_a_node_of_which_no_id_is_known_gets_the_second_incarnation() -> None:
    """The first one, the bare name, may have been used by a life that nobody remembers."""
    assert next_incarnation("n1", []) == "n1.2"


def test_nodes_that_choose_without_asking_each_other_are_kept_apart_by_their_nonces() -> None:
    assert next_incarnation("n1", ["n1"], "c0de") != next_incarnation("n1", ["n1"], "beef")


@given(st.sampled_from(["n1", "node-a"]), st.sampled_from(["4f2a91", "07b3e8"]), st.integers(0, 5))
def test_all_ids_that_an_addition_leads_to_name_its_machine(node: str, nonce: str, incarnations: int) -> None:
    known = [added_id(node, [], nonce)]
    machine = known[0]
    for _ in range(incarnations):
        known.append(next_incarnation(node, known, "c0de", machine=machine))
    assert {machine_of(id_, node) for id_ in known} == {machine} == {f"{node}-{nonce}"}
    assert [incarnation(id_, node) for id_ in known] == list(range(1, incarnations + 2))
    again = added_id(node, known, "beefed")
    assert machine_of(again, node) != machine
    assert incarnation(again, node) == incarnations + 2


def test_two_additions_under_one_name_lead_to_two_ids() -> None:
    assert added_id("n6", [], "4f2a91") != added_id("n6", [], "07b3e8")


@pytest.mark.parametrize(
    ("replica", "number"),
    [
        ("n1", 1),
        ("n1.2", 2),
        ("n1.10-c0de", 10),
        ("n2", 1),
        ("n1.x", 1),
        ("n1-4f", 1),
        ("n1-4f.3", 3),
        ("n1-4f.4-be", 4),
    ],
)
def test_the_number_of_an_incarnation_is_read_from_its_id(replica: str, number: int) -> None:
    assert incarnation(replica, "n1") == number


def test_a_name_that_is_too_long_for_another_incarnation_is_refused() -> None:
    with pytest.raises(InvalidArgument):
        next_incarnation("x" * 127, ["x" * 127])
