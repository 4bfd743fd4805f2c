"""Arguments are read as Redis reads them, and refused in its words."""

from __future__ import annotations

import pytest

from crdt_core.commands import CommandError
from crdt_core.commands.arguments import (
    NOT_AN_INTEGER,
    parse_deadline,
    parse_integer,
    parse_positive,
    parse_within,
    shown_in_c,
    wrong_number,
)


@pytest.mark.parametrize("text", [b"", b" 1", b"1 ", b"+1", b"01", b"1_0", b"1.0", b"9223372036854775808", b"x" * 30])
def test_an_integer_has_one_spelling(text: bytes) -> None:
    assert parse_integer(b"-9223372036854775808") == -(2**63)
    with pytest.raises(CommandError, match=NOT_AN_INTEGER):
        parse_integer(text)


def test_an_integer_out_of_range_is_refused_with_the_range_or_in_other_words() -> None:
    assert parse_within(b"3", 1, 3) == 3
    with pytest.raises(CommandError, match="must between 1 and 3"):
        parse_within(b"4", 1, 3)
    with pytest.raises(CommandError, match="too many"):
        parse_within(b"4", 1, 3, "ERR too many")
    with pytest.raises(CommandError, match="must be positive"):
        parse_positive(b"-1")


@pytest.mark.parametrize(
    ("text", "unit_ms", "base_ms"), [(b"0", 1000, 0), (b"9223372036854775807", 1000, 0), (b"9223372036854775807", 1, 1)]
)
def test_a_deadline_fits_64_bits_and_is_at_least_one_unit_away(text: bytes, unit_ms: int, base_ms: int) -> None:
    assert parse_deadline(b"5", 1000, 7, "set") == 5007
    with pytest.raises(CommandError, match="invalid expire time in 'set' command"):
        parse_deadline(text, unit_ms, base_ms, "set")


def test_words_are_shown_up_to_the_first_zero_byte() -> None:
    assert shown_in_c(b"ab\0cd") == b"ab"
    assert shown_in_c(b"abcd", 3) == b"abc"


def test_the_wrong_number_of_arguments_is_told_with_the_name_in_small_letters() -> None:
    assert wrong_number(b"CLIENT|ID").text == "ERR wrong number of arguments for 'client|id' command"
