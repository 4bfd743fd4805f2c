"""The notes about machines that were added under one name."""

from __future__ import annotations

from dataclasses import replace

from crdt_core.types.members import LOST, NAMESAKE, Fact, Members, Standing
from workers.cli.namesakes import namesake_notes

N6 = Fact(Standing.ACTIVE, "n6")
LEAVES = Fact(Standing.LEAVING, "n6", reason=NAMESAKE)


def test_nobody_is_told_of_machines_that_have_names_of_their_own() -> None:
    facts = {"n1": Fact(Standing.ACTIVE, "n1"), "n6-07b3e8": Fact(Standing.FOLDED, "n6"), "n6-4f2a91.2": N6}
    assert namesake_notes(Members(facts, {}), ()) == []


def test_the_machine_that_does_not_keep_the_name_is_pointed_out_until_it_has_gone_on_and_been_renamed() -> None:
    facts = {"n6-07b3e8": N6, "n6-4f2a91": N6}
    kept = "n6-4f2a91 keeps the name; this one goes on under its own name"
    text = f"n6-07b3e8: another machine was added as n6, too, and {kept}"
    assert namesake_notes(Members(facts, {}), ()) == [text]
    facts["n6-07b3e8"] = LEAVES
    assert namesake_notes(Members(facts, {}), ()) == [text]
    facts |= {"n6-07b3e8": replace(LEAVES, reason=LOST), "n6-07b3e8.2": Fact(Standing.ACTIVE, "n6-07b3e8")}
    (note,) = namesake_notes(Members(facts, {}), ())
    assert "call its section [nodes.n6-07b3e8]" in note
    assert namesake_notes(Members(facts, {}), {"n6-07b3e8"}) == []


def test_a_machine_whose_namesake_was_removed_is_still_pointed_out() -> None:
    (note,) = namesake_notes(Members({"n6-07b3e8": LEAVES}, {}), ())
    assert "the machine that kept the name is no member any more" in note
