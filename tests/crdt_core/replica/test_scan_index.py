"""What shows is counted as it comes and goes, for the turn and for readers, and the keys of Deltaic's own are not."""

from __future__ import annotations

from crdt_core.replica.catalogue import Catalogue
from crdt_core.replica.discards import Discards
from crdt_core.replica.scan_index import ScanIndex
from crdt_core.types import GSET
from crdt_core.types.members import RESERVED


def test_only_keys_that_begin_to_show_or_cease_to_are_counted() -> None:
    index = ScanIndex(Discards())
    index.note(b"fruit", before=False, now=True)
    index.note(b"fruit", before=True, now=True)
    index.note(b"nuts", before=False, now=False)
    index.note(RESERVED + b"members", before=False, now=True)
    assert index.shown == 1
    index.note(b"fruit", before=True, now=False)
    assert index.shown == 0


def test_a_key_that_was_loaded_did_not_come_with_the_changes_in_flight() -> None:
    index = ScanIndex(Discards())
    for key, shows in ((b"fruit", True), (b"nuts", False), (RESERVED + b"members", True)):
        index.adopt(key, shows)
    assert (index.shown, index.shown_taken, len(index.keys)) == (1, 1, 3)


def test_readers_are_told_the_count_before_all_slices_of_a_commit() -> None:
    catalogue, counts = Catalogue(), []
    for number in range(4):
        catalogue.put(catalogue.ensure(b"%d" % number, GSET), b"apple", catalogue.replica_index.pack("n1", number + 1))
        if number == 2:
            catalogue.in_flight = {}  # what was in flight is confirmed
        catalogue.take_slice()
        counts.append(catalogue.scan_index.shown_before)
    assert counts == [0, 0, 2, 2]
    assert catalogue.scan_index.shown == 4
