"""Wrong numbers and infinite sums are refused in Redis's words."""

from __future__ import annotations

from fractions import Fraction

import pytest

from crdt_core.commands import CommandError
from crdt_core.commands.numbers import add_floats, parse_float


@pytest.mark.parametrize("text", [b"", b"x", b"1 ", b" 1", b"1e", b"1e999999", b"0x", b"1" * 6000, b"--1", b"1.2.3"])
def test_what_is_no_number_is_refused(text: bytes) -> None:
    with pytest.raises(CommandError, match="ERR value is not a valid float"):
        parse_float(text)


def test_an_infinite_sum_is_refused() -> None:
    assert parse_float(b"-Inf") is None
    for one, other in ((None, Fraction(1)), (Fraction(1), None), (2**16383, Fraction(2) ** 16383)):
        with pytest.raises(CommandError, match="would produce NaN or Infinity"):
            add_floats(one, other)


def test_a_sum_is_what_shows_and_the_growth_of_the_exact_number() -> None:
    assert add_floats(10, Fraction(1, 2)) == (b"10.5", Fraction(1, 2))
