"""What follows from the evidence about a starting node: who has seen what of it, and who cannot tell."""

from __future__ import annotations

from dataclasses import replace

from crdt_core.lattice.clocks import VersionVector
from crdt_core.membership.evidence import NodeEvidence, OperatorOverride, combined_members
from crdt_core.membership.situation import Situation
from crdt_core.types.members import LOST, NAMESAKE, REMOVED_BY_HAND, Fact, Members, Standing

FOUNDERS = ("n1", "n2", "n3")


def evidence(node: str, n1: int = 0, **fields: object) -> NodeEvidence:
    """That of a founder which runs and has seen so many commits of n1."""
    made = NodeEvidence(node, VersionVector({"n1": n1} if n1 else {}), founders=FOUNDERS, running=True, run_id="r")
    return replace(made, **fields)  # type: ignore[arg-type]


def situation(own: NodeEvidence, members: Members | None = None, **others: NodeEvidence | None) -> Situation:
    """That of n1."""
    known = members or combined_members((own, *others.values()), FOUNDERS)
    return Situation("n1", own, others, known, "c0de", OperatorOverride())


def test_what_others_have_seen_of_a_node_is_what_the_one_of_them_has_that_has_most() -> None:
    found = situation(evidence("n1", 7), n2=evidence("n2", 5), n3=None)
    assert (found.seen_by_others, found.unreachable, found.silent) == (5, ["n3"], ["n3"])
    assert found.silence == "the Redis of n3 does not answer"


def test_a_node_that_has_discarded_its_state_tells_nothing() -> None:
    found = situation(evidence("n1", 7), n2=evidence("n2", 5, formers=("n2",)), n3=evidence("n3", 7))
    assert (found.unreachable, found.silent) == ([], ["n2"])
    assert found.silence == "n2 does not have the state that would tell"


def test_who_has_read_from_an_earlier_process_of_the_redis_is_a_witness() -> None:
    met = {"n1": "earlier"}
    others = {"n2": evidence("n2", 7, met=met), "n3": evidence("n3", 7, met=met, running=False)}
    assert situation(evidence("n1", 7), **others).witnesses == ["n2"]


def test_a_redis_that_was_restarted_is_undecided_while_a_worker_may_live_there() -> None:
    others = {
        "n2": evidence("n2", 7, running=False, owned=True, doubtful=True),
        "n3": evidence("n3", 7, running=False, owned=True, doubtful=True, starting=True),
    }
    assert situation(evidence("n1", 7), **others).undecided == ["n2"]


def test_the_next_id_is_one_that_the_machine_never_had() -> None:
    facts = {"n1": Fact(Standing.LEAVING, "n1", reason=LOST), "n1.2": Fact(Standing.ACTIVE, "n1")}
    members = Members(facts | {"n2": Fact(Standing.ACTIVE, "n2")}, {})
    assert situation(evidence("n1.2"), members, n2=evidence("n2")).next_id() == "n1.3"
    assert situation(evidence("n1.2"), members, n2=None).next_id() == "n1.3-c0de"


def test_a_machine_whose_name_another_one_keeps_is_displaced_unless_it_was_removed() -> None:
    ids = {"n1-07b3e8": Fact(Standing.LEAVING, "n1", reason=NAMESAKE), "n1-4f2a91": Fact(Standing.ACTIVE, "n1")}
    own = evidence("n1-07b3e8")
    assert situation(own, Members(ids, {})).displaced == "n1-07b3e8"
    removed = ids | {"n1-07b3e8": Fact(Standing.LEAVING, "n1", reason=REMOVED_BY_HAND)}
    found = situation(own, Members(removed, {}))
    assert (found.displaced, found.was_removed_by_hand) == ("", True)


def test_a_backup_may_hold_commits_that_nobody_will_ever_take_in() -> None:
    sealed = {"n3": Fact(Standing.SEALED, "n3", final=4), "n2": Fact(Standing.ACTIVE, "n2")}
    other = evidence("n2", members=Members(sealed, {}))
    own = evidence("n1", clock=VersionVector({"n3": 5}), restored=True)
    found = situation(own, n2=other)
    assert (found.abandoned, found.abandoned_in_backup()) == ([], ["n3"])
    within = situation(replace(own, clock=VersionVector({"n3": 4})), n2=other)
    assert within.abandoned_in_backup() == []
