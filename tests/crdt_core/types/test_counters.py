"""Counters: shares, observed resets, and what of them is seen when."""

from __future__ import annotations

from fractions import Fraction

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from crdt_core.errors import CounterOverflow, InvalidArgument
from crdt_core.lattice.clocks import Dot
from crdt_core.lattice.siblings import ObservedReset
from crdt_core.replica.replica import Replica
from crdt_core.types import GCOUNTER, PNCOUNTER
from crdt_core.types.contract import FormerWrite, LiveWrite
from crdt_core.types.counters import (
    INT64_MAX,
    INT64_MIN,
    FloatShare,
    Share,
    add_to_share,
    adjust,
    adjusted,
    check_amount,
    decode_share,
    encode_share,
    net,
    observed_reset,
    plus,
    raise_share,
    share_json,
    totals,
    within_64_bits,
)
from tests.crdt_core.replicas import sync
from tests.crdt_core.types.states import KEY, concurrent, do, seen, view_of


def test_a_share_adds_what_it_has_beyond_its_base() -> None:
    assert net((1, Share(7, 2))) == 5
    assert net((1, Share(7, 2, 5, 1))) == 1
    assert net(None) == net((1, ObservedReset(5, 0))) == 0


def test_a_reset_takes_away_what_it_names_and_nothing_else() -> None:
    assert net({1: Share(7, 0), 2: ObservedReset(5, 0)}) == 2
    assert net({1: Share(7, 3), 2: ObservedReset(5, 3)}) == 2
    assert net({1: Share(7, 0), 2: ObservedReset(5, 0), 3: ObservedReset(6, 0)}) == 1, "the largest counts, once"
    assert net({1: Share(8, 0, 6, 0), 2: ObservedReset(5, 0)}) == 2, "what the base has already is not taken again"


def test_the_owner_s_next_write_takes_resets_over_as_its_base() -> None:
    siblings = {1: Share(7, 0), 2: ObservedReset(5, 0)}
    assert add_to_share(siblings, 1) == Share(8, 0, 5, 0)
    assert add_to_share((2, ObservedReset(5, 1)), 1) == Share(6, 1, 5, 1)
    assert add_to_share(None, -3) == Share(0, 3)
    assert observed_reset(siblings) == ObservedReset(7, 0)


@given(st.integers(-9, 9), st.integers(-9, 9))
def test_amounts_add_up_whatever_their_signs(one: int, other: int) -> None:
    assert net((1, plus(plus(Share(5, 5, 2, 1), one), other))) == net((1, Share(5, 5, 2, 1))) + one + other


def test_an_increment_says_what_the_counter_comes_to() -> None:
    view = view_of(n1={("n1", 1): Share(5, 0)}, n2={("n2", 1): Share(0, 2)})
    assert adjusted(view, b"n1", 4) == (7, Share(9, 0))
    assert adjust(view, b"n3", -4) == (b"n3", Share(0, 4))


@pytest.mark.parametrize(("held", "amount"), [(INT64_MAX, 1), (INT64_MAX - 1, 2), (0, INT64_MAX + 1), (-5, INT64_MIN)])
def test_a_counter_that_would_leave_64_bits_is_refused(held: int, amount: int) -> None:
    view = view_of(n1={("n1", 1): plus(Share(0, 0), held)})
    with pytest.raises(CounterOverflow, match="k"):
        adjusted(view, b"n2", amount, KEY)


def test_what_brings_a_count_beyond_64_bits_nearer_is_allowed() -> None:
    """It was refused as long as the count stayed beyond 64 bits."""
    for sign, bound in ((1, INT64_MAX), (-1, INT64_MIN)):
        shares = {n: {(n, 1): add_to_share(None, bound)} for n in ("n1", "n2", "n3")}
        view = view_of(**shares)
        value, share = adjusted(view, b"n1", -sign)
        assert (value, net((1, share))) == (3 * bound - sign, bound - sign)
        with pytest.raises(CounterOverflow):
            adjusted(view, b"n1", sign)
        assert within_64_bits(value) == bound


def test_totals_of_fractions_are_kept_exactly() -> None:
    half = Fraction(1, 2)
    share = plus(Share(10, 0), half)
    assert (share, type(share)) == ((10 + half, 0, 0, 0), FloatShare)
    whole = plus(plus(share, half), -half)
    assert (whole, type(whole.increments)) == ((11, half, 0, 0), int)
    assert type(plus(whole, -half)) is Share
    assert net({1: whole, 2: observed_reset((1, share))}) == 0
    assert add_to_share({1: whole, 2: observed_reset((1, share))}, 1) == (12, half, 10 + half, 0)


def test_a_share_is_bounded() -> None:
    """The largest numbers of Redis, a thousand times, in a few kilobytes."""
    share = Share(0, 0)
    for _ in range(1000):
        share = plus(share, 2**16383 + Fraction(1, 2**120))
    encoded = share_json(share)
    assert len(encoded) < 5000
    assert decode_share("string", orjson.loads(encoded), floats=True) == share


def test_concurrent_increments_add_and_a_concurrent_delete_takes_what_it_saw() -> None:
    assert PNCOUNTER.value(concurrent(PNCOUNTER, [(b"n1", Share(7, 0))], [(b"n2", Share(0, 3))])) == 4
    n1, n2 = Replica("n1"), Replica("n2")
    do(n1, PNCOUNTER, adjust(seen(n1, PNCOUNTER), b"n1", 5))
    sync(n1, n2)
    n2.delete(KEY)
    do(n2, PNCOUNTER)
    do(n1, PNCOUNTER, adjust(seen(n1, PNCOUNTER), b"n1", 2))
    sync(n1, n2)
    assert n1.value(KEY) == n2.value(KEY) == 2


def test_the_text_of_a_counter_is_its_value() -> None:
    view = view_of(n1={("n1", 1): Share(5, 7)}, n2={("n2", 1): ObservedReset(9, 0)})
    assert PNCOUNTER.text(view.parts, view.replica_index) == b"-2"


def test_what_is_known_of_a_share_is_not_raised() -> None:
    view = view_of(n2={("n1", 1): Share(5, 1, 3, 0)})
    assert raise_share(view, b"n2", 5) is None
    assert raise_share(view, b"n2", 6) == Share(6, 1, 3, 0)
    assert raise_share(view, b"n3", 1) == Share(1, 0, 0, 0)


@pytest.mark.parametrize("amount", [-1, 2**63, True, 1.0, "1", None])
def test_an_amount_is_an_integer_that_fits(amount: object) -> None:
    with pytest.raises(InvalidArgument):
        check_amount(amount)


def test_a_plain_share_is_formatted_as_it_would_be_encoded() -> None:
    for share in (Share(5, 0), Share(INT64_MAX, INT64_MAX), Share(2**63, 0), Share(5, 1, 2, 0), ObservedReset(1, 2)):
        assert decode_share("pncounter", encode_share(share)) == share
    assert share_json(Share(5, 0)) == b"[5,0]"
    assert share_json(Share(2**63, 0)) == b'["9223372036854775808",0]'


def test_totals_never_fall_below_what_was_reset() -> None:
    """Only a peer gone wrong says so."""
    assert totals({1: Share(5, 0), 2: ObservedReset(9, 0)}) == (9, 0, 9, 0)


def test_it_explains_what_a_share_adds() -> None:
    view = view_of(n1={("n1", 2): Share(7, 0), ("n2", 1): ObservedReset(5, 0)})
    assert PNCOUNTER.explain(LiveWrite(view, b"n1", Dot("n1", 2), Share(7, 0), None, 0)) == "adds 2"


@pytest.mark.parametrize("type_", [PNCOUNTER, GCOUNTER])
def test_an_unsent_increment_is_counted_once_more(type_) -> None:
    """n1 had sent 5 of its 9; n1.2 takes over."""
    view = view_of(n1={("n1", 1): Share(5, 0)})
    first = FormerWrite(view, b"n1", Share(9, 0), None, [], "n1", 1, Dot("n1.2", 1))
    assert type_.repeat(first) == [(b"n1.2", Share(4, 0))]
    assert type_.repeat(first._replace(payload=Share(12, 0), before=Share(9, 0))) == [(b"n1.2", Share(3, 0))]
    assert type_.repeat(first._replace(payload=Share(5, 0))) == [], "it was sent"
    assert type_.repeat(first._replace(part=b"n2")) == [], "n1 does not speak for n2"
    assert type_.repeat(first._replace(payload=ObservedReset(5, 0))) == []


def test_a_share_that_was_deleted_and_forgotten_grows_from_its_base() -> None:
    """Nobody holds the share any more; its base says how much of it had been sent."""
    write = FormerWrite(view_of(), b"n1", Share(9, 0, 5, 0), None, [], "n1", 1, Dot("n1.2", 1))
    assert PNCOUNTER.repeat(write) == [(b"n1.2", Share(4, 0))]


def test_an_increment_that_would_leave_64_bits_now_is_not_repeated() -> None:
    view = view_of(n2={("n2", 1): Share(INT64_MAX, 0)})
    assert PNCOUNTER.repeat(FormerWrite(view, b"n1", Share(1, 0), None, [], "n1", 0, Dot("n1.2", 1))) == []
