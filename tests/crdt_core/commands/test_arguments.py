"""Arguments: what Redis accepts, and Redis's error text for anything else."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crdt_core.commands.arguments import (
    NOT_AN_INTEGER,
    parse_deadline,
    parse_integer,
    parse_positive,
    parse_within,
    shown_in_c,
)
from crdt_core.commands.replies import CommandError
from crdt_core.types.counters import INT64_MAX, INT64_MIN


@given(st.integers(INT64_MIN, INT64_MAX))
def test_an_integer_of_64_bits_is_read(number: int) -> None:
    assert parse_integer(b"%d" % number) == number


@pytest.mark.parametrize(
    "text",
    [b"", b" 1", b"1 ", b"+1", b"-0", b"01", b"1_0", b"1.0", b"0x1", b"one", b"9223372036854775808", b"1" * 5000],
)
def test_another_spelling_is_not_an_integer(text: bytes) -> None:
    """Python's own `int` takes some of these, and fails on thousands of digits with an error of its own."""
    with pytest.raises(CommandError, match="value is not an integer or out of range"):
        parse_integer(text)


def test_a_refusal_can_have_its_own_text() -> None:
    with pytest.raises(CommandError, match=r"^ERR bad count$"):
        parse_integer(b"x", "ERR bad count")
    with pytest.raises(CommandError, match=r"^ERR bad count$"):
        parse_within(b"9", 1, 5, "ERR bad count")


def test_a_range_is_inclusive() -> None:
    assert [parse_within(b"%d" % n, 1, 3) for n in (1, 2, 3)] == [1, 2, 3]
    for text in (b"0", b"4"):
        with pytest.raises(CommandError, match="value must between 1 and 3"):
            parse_within(text, 1, 3)
    with pytest.raises(CommandError) as refused:
        parse_within(b"x", 1, 3)
    assert str(refused.value) == NOT_AN_INTEGER


def test_positive_includes_zero() -> None:
    assert parse_positive(b"0") == 0
    with pytest.raises(CommandError, match="must be positive"):
        parse_positive(b"-1")


def test_a_deadline_is_so_many_units_after_its_base() -> None:
    assert parse_deadline(b"5", 1000, 100, "expire") == 5100
    assert parse_deadline(b"-5", 1000, 100, "expire", least=INT64_MIN) == -4900


@pytest.mark.parametrize("text", [b"0", b"-1", b"9223372036854775807", b"9223372036854775"])
def test_a_deadline_that_is_too_small_or_beyond_64_bits_is_refused(text: bytes) -> None:
    with pytest.raises(CommandError, match="invalid expire time in 'expire' command"):
        parse_deadline(text, 1000, 1000, "expire")


def test_a_text_is_quoted_as_c_prints_it() -> None:
    assert shown_in_c(b"") == b""
    assert shown_in_c(b"a\0b") == b"a"
    assert shown_in_c(b"\0a") == b""
    assert shown_in_c(b"x" * 2000) == b"x" * 1024
