"""Fractional numbers come out as a real server has them, digit by digit."""

from __future__ import annotations

from fractions import Fraction

import pytest

from crdt_core.commands import CommandError
from crdt_core.commands.numbers import add_floats, parse_float, write_float


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
    ],
)
def test_a_number_is_written_plainly(text: bytes, written: bytes) -> None:
    number = parse_float(text)
    assert number is not None
    assert write_float(number) == written


@pytest.mark.parametrize("text", [b"", b"x", b"1 ", b" 1", b"1e", b"1e999999", b"0x", b"1" * 6000, b"--1", b"1.2.3"])
def test_what_is_no_number_is_refused(text: bytes) -> None:
    with pytest.raises(CommandError, match="ERR value is not a valid float"):
        parse_float(text)


def test_an_infinite_sum_is_refused() -> None:
    assert parse_float(b"-Inf") is None
    for one, other in ((None, Fraction(1)), (Fraction(2) ** 16383, Fraction(2) ** 16383)):
        with pytest.raises(CommandError, match="would produce NaN or Infinity"):
            add_floats(one, other)


def test_a_sum_has_64_bits_of_mantissa() -> None:
    assert add_floats(Fraction(2) ** 64, Fraction(1)) == Fraction(2) ** 64
    assert add_floats(Fraction(2) ** 63, Fraction(1)) == Fraction(2) ** 63 + 1
