"""A proof compares stored records with memory, and leaves out what is on its way."""

from __future__ import annotations

import pytest

from crdt_core.lattice.clocks import Stamp
from crdt_core.replica.proof import CATALOGUE, Proof, Shelf, collections_of, fields_of, hash_of, record_of
from crdt_core.replica.replica import Replica
from crdt_core.types import EWFLAG, ORSET

FRUIT = Shelf(b"fruit", "orset")
FIG, DATE = b'{"n1:1":true}', b'{"n1:2":true}'


def add(replica: Replica, part: bytes) -> None:
    replica.write(b"fruit", ORSET, part, True)
    replica.commit(Stamp(1, 0))
    replica.take_changes()


@pytest.fixture
def replica() -> Replica:
    """It has a set of which everything is confirmed."""
    made = Replica("n1")
    add(made, b"fig")
    made.take_changes()
    return made


def test_what_differs_from_memory_is_wrong(replica: Replica) -> None:
    proof = Proof(replica.catalogue)
    assert proof.wrong(CATALOGUE, [(b"fruit", b'{"type":"orset"}')]) == []
    assert proof.wrong(CATALOGUE, [(b"fruit", None), (b"a stranger's", b"{}")]) == [b"fruit", b"a stranger's"]
    assert proof.wrong(FRUIT, [(b"fig", FIG), (b"plum", None)]) == []
    assert proof.wrong(FRUIT, [(b"fig", DATE), (b"plum", FIG)]) == [b"fig", b"plum"]
    assert [proof.has_other_size(CATALOGUE, size) for size in (0, 1, 2)] == [True, False, True]
    assert [proof.has_other_size(FRUIT, size) for size in (0, 1, 2)] == [True, False, True]
    proof.end()
    assert not replica.catalogue.is_watched


def test_what_is_under_way_or_has_changed_since_is_never_wrong(replica: Replica) -> None:
    add(replica, b"date")  # whose commit is under way
    proof = Proof(replica.catalogue)
    assert proof.wrong(FRUIT, [(b"date", None), (b"fig", DATE)]) == [b"fig"]
    assert not proof.has_other_size(FRUIT, 1)
    assert not proof.has_other_size(CATALOGUE, 7)
    proof.end()
    replica.take_changes()
    proof = Proof(replica.catalogue)
    replica.write(b"fruit", ORSET, b"fig", True)
    replica.write(b"flag", EWFLAG, b"", True)
    replica.commit(Stamp(2, 0))
    assert proof.wrong(FRUIT, [(b"fig", FIG), (b"date", None)]) == [b"date"]
    assert proof.wrong(CATALOGUE, [(b"flag", None), (b"fruit", None)]) == []
    proof.end()


def test_what_any_slice_of_a_commit_under_way_persists_is_never_wrong(replica: Replica) -> None:
    """Keys with clears alone counted as lost, unless the last slice had them: `deltaic status` said so."""
    for key in (b"one", b"two"):
        replica.clear(key, ORSET)
        replica.commit(Stamp(2, 0))
        replica.catalogue.take_slice()
    proof = Proof(replica.catalogue)
    assert proof.wrong(CATALOGUE, [(b"one", None), (b"two", None), (b"fruit", None)]) == [b"fruit"]
    proof.end()


def test_shelves_and_records_are_those_that_are_persisted(replica: Replica) -> None:
    catalogue = replica.catalogue
    assert collections_of(catalogue, b"fruit") == [FRUIT]
    assert ([*fields_of(catalogue, CATALOGUE)], [*fields_of(catalogue, FRUIT)]) == ([b"fruit"], [b"fig"])
    assert (hash_of(catalogue, CATALOGUE), hash_of(catalogue, FRUIT)) == (b"state", b"obj:fruit")
    assert record_of(catalogue, FRUIT, b"fig") == (b"obj:fruit", b"fig", FIG)
    assert record_of(catalogue, FRUIT, b"plum") == (b"obj:fruit", b"plum", None)
    assert record_of(catalogue, CATALOGUE, b"plum") == (b"state", b"plum", None)


def test_a_collection_that_is_gone_has_no_records(replica: Replica) -> None:
    gone = Shelf(b"plum", "orset")
    assert collections_of(replica.catalogue, b"plum") == []
    assert (hash_of(replica.catalogue, gone), [*fields_of(replica.catalogue, gone)]) == (None, [])
    assert record_of(replica.catalogue, gone, b"x") is None
    proof = Proof(replica.catalogue)
    assert proof.wrong(gone, [(b"x", FIG)]) == []
    proof.end()
