"""How a node starts, decision by decision, and what its header says while it does."""

from __future__ import annotations

from dataclasses import replace

from crdt_core.lattice.clocks import VersionVector
from crdt_core.membership.decisions import ComeBack, Join, Resume, Sponsor, Start, start_of
from crdt_core.membership.evidence import NodeEvidence

FOUNDERS = ("n1", "n2", "n3")
NOTHING = NodeEvidence()
OWN = NodeEvidence("n1", VersionVector(n1=7), founders=FOUNDERS, running=True)
N2_AS_SPONSOR = Sponsor("n2", "n2")


def test_a_node_that_goes_on_under_its_id_writes_nothing_and_still_replays_what_is_due() -> None:
    own = replace(OWN, formers=("n1.0",))
    assert start_of(own, Resume("n1", FOUNDERS)) == Start("n1", FOUNDERS, formers=("n1.0",))


def test_a_node_is_told_which_ids_have_departed_whatever_it_does() -> None:
    decisions = Resume("n1", FOUNDERS), Join("n1", N2_AS_SPONSOR, fresh=False), ComeBack("n1.2", None, "", fresh=True)
    assert [start_of(OWN, decision, frozenset({"n3"})).departed for decision in decisions] == [{"n3"}] * 3


def test_a_founder_writes_down_its_id_and_the_founders() -> None:
    start = start_of(NOTHING, Resume("n1", FOUNDERS))
    assert start == Start("n1", FOUNDERS, header={"founders": b'["n1","n2","n3"]'})


def test_a_new_id_that_keeps_the_state_is_written_down_as_joining() -> None:
    start = start_of(OWN, ComeBack("n1.2", N2_AS_SPONSOR, "lost", fresh=False))
    header = {"joining": b"1", "restored": b"", "founders": b'["n1","n2","n3"]', "former": b""}
    assert start == Start("n1.2", FOUNDERS, N2_AS_SPONSOR, header=header)


def test_a_node_that_discards_its_state_replays_the_earliest_id_whose_writes_are_unsent() -> None:
    """That is the id in the header, or the id before it where a former start was interrupted."""
    header = {"joining": b"1", "restored": b"", "founders": b"[]", "former": b"n1"}
    start = start_of(OWN, ComeBack("n1.2", None, "abandoned", fresh=True))
    assert start == Start("n1.2", (), None, ("n1",), header, discard=True)
    interrupted = replace(OWN, replica="n1.2", formers=("n1",))
    assert start_of(interrupted, ComeBack("n1.3", None, "abandoned", fresh=True)).formers == ("n1",)


def test_a_node_that_comes_back_twice_before_its_first_replay_replays_both_former_ids() -> None:
    """It had served under the second id while the first was not final, so both have writes that were acknowledged."""
    own = replace(OWN, replica="n1.2", clock=VersionVector({"n1": 7, "n1.2": 3}), formers=("n1",))
    start = start_of(own, ComeBack("n1.3", Sponsor("n2", "n2"), "fenced again", fresh=True))
    assert start.formers == ("n1", "n1.2")
    assert start.header is not None
    assert start.header["former"] == b"n1 n1.2"


def test_a_join_that_was_interrupted_goes_on_without_another_header() -> None:
    own = replace(OWN, replica="n1.2", joining=True, founders=())
    assert start_of(own, Join("n1.2", N2_AS_SPONSOR, fresh=False)) == Start("n1.2", (), N2_AS_SPONSOR)
