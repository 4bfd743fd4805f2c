"""Fractional numbers: what Redis computes with a C `long double`, to the last digit."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crdt_core.commands.numbers import add_floats, parse_float, write_float
from crdt_core.commands.replies import CommandError


def read(text: bytes) -> Fraction:
    found = parse_float(text)
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (b"0", b"0"),
        (b"-0", b"0"),
        (b"+5", b"5"),
        (b"3.0e3", b"3000"),
        (b".5", b"0.5"),
        (b"5.", b"5"),
        (b"1e-17", b"0.00000000000000001"),
        (b"1e-18", b"0"),
        (b"0.1", b"0.1"),
        (b"0x10", b"16"),
        (b"-0x1.8p1", b"-3"),
        (b"12345678901234567890", b"12345678901234567890"),
    ],
)
def test_a_number_is_read_and_shown_as_redis_does(text: bytes, shown: bytes) -> None:
    assert write_float(read(text)) == shown


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b" 1",
        b"1 ",
        b"abc",
        b"1e",
        b"e5",
        b"1.2.3",
        b"--1",
        b"nan",
        b"0x",
        b"0xzz",
        b"1e5000",
        b"1e-5000",
        b"1e999999",
    ],
)
def test_anything_else_is_not_a_float(text: bytes) -> None:
    with pytest.raises(CommandError, match="not a valid float"):
        parse_float(text)


def test_a_text_of_thousands_of_digits_is_refused() -> None:
    with pytest.raises(CommandError):
        parse_float(b"1" * 5 * 1024)
    with pytest.raises(CommandError, match=r"^ERR weight$"):
        parse_float(b"x", "ERR weight")


@pytest.mark.parametrize("text", [b"inf", b"-inf", b"+Infinity", b"INF"])
def test_an_infinite_operand_is_read_and_refused_in_a_sum(text: bytes) -> None:
    assert parse_float(text) is None
    with pytest.raises(CommandError, match="NaN or Infinity"):
        add_floats(parse_float(text), Fraction(1))


def test_a_sum_beyond_a_long_double_is_infinite() -> None:
    largest = read(b"1e4932")
    with pytest.raises(CommandError, match="NaN or Infinity"):
        add_floats(largest, largest)


@given(st.decimals(-(10**6), 10**6, places=6, allow_nan=False), st.decimals(-(10**6), 10**6, places=6, allow_nan=False))
def test_decimals_add_up_without_a_visible_error(one: object, other: object) -> None:
    """A mantissa of 64 bits holds 18 digits and more; a double would show 0.1 + 0.2 as 0.30000000000000004."""
    total = add_floats(read(str(one).encode()), read(str(other).encode()))
    assert abs(total - (Fraction(str(one)) + Fraction(str(other)))) < Fraction(1, 10**12)
    assert write_float(read(write_float(total))) == write_float(total)


def test_a_sum_is_rounded_to_64_bits_ties_to_even() -> None:
    base = Fraction(2**63)
    assert add_floats(base, Fraction(1, 2)) == base
    assert add_floats(base + 1, Fraction(1, 2)) == base + 2
    assert add_floats(base, Fraction(3, 4)) == base + 1
