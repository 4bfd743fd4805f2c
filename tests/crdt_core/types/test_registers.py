"""Registers: which of concurrent writes shows, and when a write comes after another."""

from __future__ import annotations

import orjson
import pytest

from crdt_core.errors import InvalidArgument
from crdt_core.lattice.clocks import Dot, Stamp
from crdt_core.lattice.siblings import TOMBSTONE
from crdt_core.types import LWWREGISTER, MVREGISTER, SLOT
from crdt_core.types.contract import FormerWrite, LiveWrite
from crdt_core.types.registers import Stamped, encode_stamped, latest, overwrite, set_at, set_now, stamped_json
from tests.crdt_core.types.states import view_of

OLD, NEW = Stamped(b"old", 5), Stamped(b"new", 5, 1)
BOTH = view_of(slot={("n2", 1): OLD, ("n1", 1): NEW})


def explained(type_, dot: Dot, payload: Stamped) -> str:
    return str(type_.explain(LiveWrite(BOTH, SLOT, dot, payload, None, 0)))


def test_the_largest_stamp_shows_and_then_the_larger_replica_id() -> None:
    assert LWWREGISTER.value(BOTH) == b"new"
    tied = view_of(slot={("n1", 9): Stamped(b"a", 5), ("n2", 1): Stamped(b"b", 5)})
    assert LWWREGISTER.value(tied) == b"b"
    assert LWWREGISTER.winning_dot(tied) == Dot("n2", 1)


def test_a_multi_value_register_shows_all_by_dot_or_the_newest_first() -> None:
    assert MVREGISTER.value(BOTH) == [b"new", b"old"]
    three = view_of(slot={("n1", 1): OLD, ("n2", 1): NEW, ("n3", 1): Stamped(b"old", 9)})
    assert MVREGISTER.value(three) == [b"old", b"new"]
    assert MVREGISTER.newest_first(three) == [b"old", b"new"]
    assert MVREGISTER.winning_dot(three) == Dot("n3", 1)
    assert MVREGISTER.text(three.parts, three.replica_index) == b"old"


@pytest.mark.parametrize("type_", [LWWREGISTER, MVREGISTER])
def test_an_empty_register_shows_nothing(type_) -> None:
    for view in (view_of(), view_of(slot={("n1", 1): TOMBSTONE})):
        assert not type_.value(view)
        assert type_.winning_dot(view) is None
        assert type_.winner(view) is None
        assert type_.text(view.parts, view.replica_index) == b""


@pytest.mark.parametrize("value", [b"", b"xxx", "n\u00e9".encode(), b'"\\\n\x00\x7f', b"\xff\xfe", bytes(range(128))])
def test_the_json_of_a_write_is_canonical(value: bytes) -> None:
    for written in (Stamped(value, 1_732_790_000_000, 3), Stamped(value, -(2**63)), Stamped(value, 2**63 - 1)):
        assert stamped_json(written) == orjson.dumps(encode_stamped(written))


def test_a_write_is_stamped_now_or_just_after_what_it_has_seen() -> None:
    assert set_now(view_of(), b"v", Stamp(7, 0)) == (SLOT, Stamped(b"v", 7, 0))
    assert set_now(BOTH, b"v", Stamp(7, 0)) == (SLOT, Stamped(b"v", 7, 0))
    assert set_now(BOTH, b"v", Stamp(5, 1)) == (SLOT, Stamped(b"v", 5, 2))
    assert set_now(BOTH, b"v", Stamp(1, 0)) == (SLOT, Stamped(b"v", 5, 2))
    assert overwrite((1, TOMBSTONE), b"v", Stamp(1, 0), BOTH.replica_index) == Stamped(b"v", 1, 0)


def test_a_write_at_the_end_of_time_can_be_overwritten() -> None:
    end = Stamped(b"end", 2**63 - 1, 2**63 - 1)
    assert set_now(view_of(slot={("n1", 1): end}), b"v", Stamp(1, 0)) == (SLOT, end._replace(value=b"v"))


def test_a_write_at_a_given_time_takes_effect_unless_what_shows_is_newer() -> None:
    assert set_at(view_of(), b"v", -3) == (SLOT, Stamped(b"v", -3))
    assert set_at(BOTH, b"v", 4) is None
    assert set_at(BOTH, b"v", 5) is None, "what shows is at 5 and a bit"
    assert set_at(view_of(slot={("n2", 1): OLD}), b"v", 5) == (SLOT, Stamped(b"v", 5))
    assert set_at(BOTH, b"v", 6) == (SLOT, Stamped(b"v", 6))


@pytest.mark.parametrize("timestamp", [2**63, -(2**63) - 1, True, 1.0, None])
def test_a_timestamp_is_an_integer_that_fits(timestamp) -> None:
    with pytest.raises(InvalidArgument):
        set_at(view_of(), b"v", timestamp)


def test_it_explains_which_write_won() -> None:
    assert explained(LWWREGISTER, Dot("n1", 1), NEW) == "wins: it is the latest"
    assert explained(LWWREGISTER, Dot("n2", 1), OLD) == "loses to n1:1, which is concurrent and later"
    assert explained(MVREGISTER, Dot("n2", 1), OLD) == "stands beside n1:1, which is concurrent and later"
    alone = view_of(slot={("n1", 1): OLD})
    assert LWWREGISTER.explain(LiveWrite(alone, SLOT, Dot("n1", 1), OLD, None, 0)) == "shows"


def test_the_latest_write_of_a_slot_is_found_in_every_form_of_siblings() -> None:
    replica_index = BOTH.replica_index
    assert latest(None, replica_index) is None
    assert latest((1, TOMBSTONE), replica_index) is None
    assert latest((1, OLD), replica_index) == (1, OLD)
    assert latest({1: OLD, 2: TOMBSTONE}, replica_index) == (1, OLD)


def test_an_unsent_value_is_repeated_if_it_is_newer_or_has_seen_what_shows() -> None:
    view = view_of(slot={("n2", 3): OLD})
    newer, older = Stamped(b"mine", 6), Stamped(b"mine", 4)

    def repeated(type_, payload: Stamped, seen: list[int]) -> bool:
        return type_.repeat(FormerWrite(view, SLOT, payload, None, seen, "n1", 0, Dot("n1.2", 1))) == [(SLOT, payload)]

    assert repeated(LWWREGISTER, newer, [])
    assert not repeated(LWWREGISTER, older, [])
    assert repeated(LWWREGISTER, older, [3])
    assert not repeated(MVREGISTER, newer, []), "it would drop a value that its author had not seen"
    assert repeated(MVREGISTER, older, [3])


def test_a_change_of_a_multi_value_string_is_told_as_a_set() -> None:
    assert MVREGISTER.events(SLOT, None, (1, OLD)) == [b"set"]
    assert MVREGISTER.events(SLOT, (1, OLD), (2, TOMBSTONE)) == []
    assert LWWREGISTER.events(SLOT, None, (1, OLD)) == [b"write"]
