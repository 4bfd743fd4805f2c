"""Strings: what is written whole, and what counts on top of it."""

from __future__ import annotations

from fractions import Fraction

import pytest

from crdt_core.lattice.clocks import Dot, Stamp
from crdt_core.lattice.siblings import TOMBSTONE, ObservedReset
from crdt_core.types import SLOT, STRING
from crdt_core.types.contract import FormerWrite, LiveWrite, View
from crdt_core.types.counters import Share, share_of
from crdt_core.types.object import Object
from crdt_core.types.registers import Stamped
from crdt_core.types.strings import fold_counted, fold_written, incremented, integer, set_whole
from tests.crdt_core.types.states import view_of

HUNDRED, WORD = Stamped(b"100", 5), Stamped(b"word", 5)


def text(**parts) -> bytes | None:
    view = view_of(**parts)
    return STRING.text(view.parts, view.replica_index)


def test_shares_count_on_top_of_an_integer_and_alone() -> None:
    assert text(slot={("n1", 1): HUNDRED}, n2={("n2", 1): Share(3, 0)}, n3={("n3", 1): Share(0, 1)}) == b"102"
    assert text(n2={("n2", 1): Share(3, 5)}) == b"-2"
    assert text(slot={("n1", 1): HUNDRED}) == b"100"


def test_a_value_that_is_no_number_hides_the_shares() -> None:
    assert text(slot={("n1", 1): WORD}, n2={("n2", 1): Share(3, 0)}) == b"word"
    assert text(slot={("n1", 1): Stamped(b"1_0", 5)}, n2={("n2", 1): Share(3, 0)}) == b"1_0"


def test_shares_count_on_top_of_every_number() -> None:
    assert text(slot={("n1", 1): Stamped(b"10.50", 5)}, n2={("n2", 1): Share(3, 0)}) == b"13.5"
    assert text(slot={("n1", 1): HUNDRED}, n2={("n2", 1): share_of(Fraction(1, 2), 0, 0, 0)}) == b"100.5"
    assert text(slot={("n1", 1): Stamped(b"10.50", 5)}) == b"10.50"


@pytest.mark.parametrize(
    ("slot", "share", "counted"),
    [
        (b"10", share_of(Fraction(1, 2), 0, 0, 0), None),
        (b"10.5", share_of(Fraction(1, 2), 0, 0, 0), 11),
        (b"18446744073709551616", Share(1, 0), None),
        (b"9223372036854775807", Share(1, 0), 2**63),
    ],
)
def test_what_shows_an_integer_can_be_counted_on(slot: bytes, share: Share, counted: int | None) -> None:
    view = view_of(slot={("n1", 1): Stamped(slot, 5)}, n2={("n2", 1): share})
    assert fold_counted(view.parts[SLOT], [view.parts[b"n2"]], view.replica_index) == counted


def test_nothing_shows_where_all_is_removed() -> None:
    assert text() is None
    assert text(slot={("n1", 1): TOMBSTONE}, n2={("n2", 1): ObservedReset(3, 0)}) is None
    assert STRING.value(view_of()) is None


def test_a_share_that_was_reset_and_counted_on_shows_what_came_later() -> None:
    assert text(n2={("n2", 1): Share(6, 0), ("n1", 1): ObservedReset(5, 0)}) == b"1"


def test_a_value_that_is_written_whole_resets_all_shares_seen() -> None:
    view = view_of(slot={("n1", 1): HUNDRED}, n2={("n2", 1): Share(6, 0)}, n3={("n1", 2): ObservedReset(1, 0)})
    assert set_whole(view, b"v", Stamp(1, 0)) == [(SLOT, Stamped(b"v", 5, 1)), (b"n2", ObservedReset(6, 0))]


def holding(view: View) -> Object:
    """A string with these parts."""
    made = Object(b"k", STRING)
    for part, siblings in view.parts.items():
        made.put(part, siblings)
    return made


def test_an_increment_says_what_the_string_comes_to() -> None:
    view = view_of(slot={("n1", 1): HUNDRED}, n2={("n2", 1): Share(6, 0)})
    assert incremented(holding(view), b"n2", -2, view.replica_index) == (104, Share(6, 2))
    assert incremented(holding(view_of()), b"n1", 3, view.replica_index) == (3, Share(3, 0))
    word = view_of(slot={("n1", 1): WORD})
    assert incremented(holding(word), b"n1", 3, word.replica_index) is None
    counted = view_of(n2={("n2", 1): Share(6, 0)})
    assert incremented(holding(counted), b"n2", 2, counted.replica_index) == (8, Share(8, 0))
    assert incremented(holding(counted), b"n1", 2, counted.replica_index) == (8, Share(2, 0))


def test_folding_is_exact_beyond_64_bits() -> None:
    view = view_of(slot={("n1", 1): Stamped(b"%d" % (2**63 - 1), 5)}, n2={("n2", 1): Share(2**63, 0)})
    shares = [view.parts[b"n2"]]
    assert fold_counted(view.parts[SLOT], shares, view.replica_index) == 2**64 - 1
    assert fold_written(view.parts[SLOT], shares, view.replica_index) == b"%d" % (2**64 - 1)
    assert fold_counted(None, [], view.replica_index) == 0


@pytest.mark.parametrize(
    "spelt", [b"", b"+1", b"01", b"-0", b" 1", b"1 ", b"1_0", b"0x1", b"1.0", "\u0661".encode(), b"9" * 20]
)
def test_an_integer_has_one_spelling(spelt: bytes) -> None:
    assert integer(spelt) is None


@pytest.mark.parametrize("number", [0, -1, 10, 2**63 - 1, -(2**63)])
def test_an_integer_of_64_bits_is_read(number: int) -> None:
    assert integer(b"%d" % number) == number


def test_the_parts_are_the_slot_and_replica_ids() -> None:
    assert (STRING.decode_part(""), STRING.decode_part("n1")) == (SLOT, b"n1")
    assert (STRING.owner(SLOT), STRING.owner(b"n1")) == (None, b"n1")
    view = view_of(slot={("n1", 1): HUNDRED}, n2={("n2", 1): Share(6, 0)})
    assert (STRING.removal(view, SLOT), STRING.removal(view, b"n2")) == (TOMBSTONE, ObservedReset(6, 0))


def test_it_explains_slots_and_shares() -> None:
    def said(slot: Stamped) -> list[str]:
        view = view_of(slot={("n1", 1): slot}, n2={("n2", 1): Share(6, 0)})
        writes = ((SLOT, Dot("n1", 1), slot), (b"n2", Dot("n2", 1), Share(6, 0)))
        return [STRING.explain(LiveWrite(view, *write, None, 0)) for write in writes]

    assert said(HUNDRED) == ["shows", "adds 6"]
    assert said(WORD) == ["shows", "would add 6, but what shows is no number"]


def test_events_name_what_happened_to_the_part() -> None:
    assert STRING.events(SLOT, None, (1, HUNDRED)) == [b"set"]
    assert STRING.events(b"n1", None, (1, Share(1, 0))) == [b"incrby"]
    assert STRING.events(b"n1", (1, Share(1, 0)), (2, ObservedReset(1, 0))) == []


def test_an_unsent_increment_is_counted_again_and_an_unsent_value_yields_to_a_newer_one() -> None:
    view = view_of(slot={("n2", 3): HUNDRED}, n1={("n1", 1): Share(2, 0)})
    share = FormerWrite(view, b"n1", Share(9, 0), None, [], "n1", 1, Dot("n1.2", 1))
    assert STRING.repeat(share) == [(b"n1.2", Share(7, 0))]
    assert STRING.repeat(share._replace(part=SLOT, payload=Stamped(b"v", 6))) == [(SLOT, Stamped(b"v", 6))]
    assert STRING.repeat(share._replace(part=SLOT, payload=Stamped(b"v", 4))) == []
    assert STRING.repeat(share._replace(part=SLOT, payload=TOMBSTONE)) == []
