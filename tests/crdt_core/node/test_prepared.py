"""Patches, deltas and calls that are too large for a turn are prepared in one way."""

from __future__ import annotations

from typing import TYPE_CHECKING

from crdt_core.codec.records import Changes
from crdt_core.node.joins import PreparedJoin
from crdt_core.node.large_calls import PreparedCall
from crdt_core.node.large_deltas import PreparedDelta
from crdt_core.node.prepared import Prepared

if TYPE_CHECKING:
    from collections.abc import Generator

CHANGED = Changes(dropped={b"obj:fruit": None})


class Work(Prepared):
    """Three slices, of which the second changes something."""

    def __init__(self) -> None:
        super().__init__()
        self.done = 0

    def _run(self) -> Generator[Changes | None, None, None]:
        for changes in (None, CHANGED, Changes()):
            self.done += 1
            yield changes


def test_all_that_is_too_large_for_a_turn_is_prepared_in_one_way() -> None:
    """Each of the three had a driver of its own."""
    for prepared in (PreparedJoin, PreparedDelta, PreparedCall):
        assert issubclass(prepared, Prepared)
        assert not {"advance", "end"} & vars(prepared).keys()


def test_slices_are_done_one_by_one_and_those_that_change_something_are_kept() -> None:
    work = Work()
    assert [(work.advance(), work.done) for _ in range(4)] == [(True, 1), (True, 2), (True, 3), (False, 3)]
    assert [changes is CHANGED for changes in work.slices] == [True]


def test_what_was_not_prepared_is_done_at_the_end() -> None:
    work = Work()
    work.advance()
    work.end()
    assert (work.done, work.advance()) == (3, False)
