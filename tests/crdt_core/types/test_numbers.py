"""Numbers add exactly, and come out as a real server shows them, digit by digit."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crdt_core.types.numbers import UNIT_BITS, add_shown, parse_number, rounded, write_number


@pytest.mark.parametrize(
    ("text", "written"),
    [
        (b"0", b"0"),
        (b"-0", b"0"),
        (b"1.50", b"1.5"),
        (b"-1e3", b"-1000"),
        (b"5.0e-3", b"0.005"),
        (b"0x10", b"16"),
        (b".5", b"0.5"),
        (b"1e-30", b"0"),
        (b"0" * 4990 + b"1.25", b"1.25"),
    ],
)
def test_a_number_is_written_plainly(text: bytes, written: bytes) -> None:
    number = parse_number(text)
    assert number is not None
    assert write_number(number) == written


@pytest.mark.parametrize(
    "text",
    [b"", b"x", b"1 ", b" 1", b"1e", b"1e999999", b"0x", b"1" * 6000, b"1" * 5000, b"--1", b"1.2.3", b"1_0", b"inf"],
)
def test_what_is_no_number_is_none(text: bytes) -> None:
    assert parse_number(text) is None


def test_a_number_of_thousands_of_digits_is_read_and_written() -> None:
    """Python converts at most 4300 digits at once: the longest numbers of Redis ended the connection."""
    largest = parse_number(b"1" * 4932)
    assert largest is not None
    assert len(write_number(largest)) == 4932


def test_a_number_has_64_bits_of_mantissa() -> None:
    assert rounded(Fraction(2) ** 64 + 1) == Fraction(2) ** 64
    assert rounded(Fraction(2) ** 63 + 1) == Fraction(2) ** 63 + 1


def test_an_integer_is_rounded_only_where_no_count_gets() -> None:
    assert write_number(2**80 - 1) == b"%d" % (2**80 - 1)
    assert write_number(2**80 + 1) == b"%d" % 2**80


amounts = st.decimals(-(10**6), 10**6, places=4, allow_nan=False).map(lambda number: str(number).encode())


@given(st.lists(amounts, max_size=20))
def test_a_lone_client_is_told_what_redis_would_tell_it(added: list[bytes]) -> None:
    """Redis reads the number that it has shown, adds, and rounds to 64 bits."""
    shown, exact = b"0", Fraction(0)
    for text in added:
        amount, seen = parse_number(text), parse_number(shown)
        assert amount is not None
        assert seen is not None
        shown, growth = add_shown(exact, amount)
        exact += growth
        assert shown == write_number(rounded(seen + amount))
        assert shown == write_number(exact)


@given(st.lists(st.integers(-(2**62), 2**62).map(lambda n: Fraction(n, 2**20)), max_size=10))
def test_a_growth_is_exact_and_bounded(added: list[Fraction]) -> None:
    grown = [add_shown(0, amount)[1] for amount in added]
    assert sum(grown) == sum(added)
    assert all((2**UNIT_BITS * growth).denominator == 1 for growth in grown)


def test_what_redis_would_lose_is_kept() -> None:
    shown, growth = add_shown(10**20 + 1, Fraction(-(10**20)))
    assert (shown, growth) == (b"1", -(10**20))
