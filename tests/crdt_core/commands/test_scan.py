"""Scans: a name that is there all the time comes exactly once, and a pattern matches what it matches in Redis."""

from __future__ import annotations

import re
from zlib import crc32

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crdt_core.commands.replies import CommandError
from crdt_core.commands.scan import ScanOptions, matches, page, parse_cursor, parse_scan

NAMES = st.sets(st.binary(max_size=4), max_size=30)


@given(NAMES, st.sets(st.binary(max_size=4), max_size=10), st.integers(1, 9))
def test_a_name_that_is_there_all_the_time_comes_exactly_once(
    names: set[bytes], passing: set[bytes], count: int
) -> None:
    """Other names come and go between the calls."""
    seen: list[bytes] = []
    cursor, calls = 0, 0
    while True:
        here = names | (passing if calls % 2 else set())
        cursor, found = page(here, cursor, count)
        seen += found
        calls += 1
        if not cursor:
            break
    assert calls <= len(names | passing) + 1
    assert sorted(name for name in seen if name not in passing) == sorted(names - passing)


def test_names_of_one_hash_come_together() -> None:
    """A cursor is a hash, so it cannot stand between them."""
    one, other = b"plumless", b"buckeroo"
    assert crc32(one) == crc32(other)
    cursor, found = page([one, other], 0, 1)
    assert set(found) == {one, other}
    assert page([one, other], cursor, 1) == (0, [])


@pytest.mark.parametrize("text", [b"", b"-1", b"1.0", b"x", b"18446744073709551616", b"1" * 5000])
def test_a_cursor_is_a_number_of_64_bits(text: bytes) -> None:
    assert parse_cursor(b"18446744073709551615") == 2**64 - 1
    with pytest.raises(CommandError, match="invalid cursor"):
        parse_cursor(text)


def test_the_options_of_a_scan() -> None:
    known = [b"MATCH", b"COUNT", b"TYPE", b"NOVALUES"]
    assert parse_scan([], known) == ScanOptions(pattern=None, about=10, type=None, names_only=False)
    args = [b"match", b"a*", b"COUNT", b"5", b"type", b"STRING", b"novalues"]
    assert parse_scan(args, known) == ScanOptions(pattern=b"a*", about=5, type="string", names_only=True)
    assert parse_scan([b"MATCH", b"*"], known).pattern is None


@pytest.mark.parametrize(
    ("args", "reason"),
    [
        ([b"COUNT"], "syntax error"),
        ([b"COUNT", b"0"], "syntax error"),
        ([b"COUNT", b"x"], "not an integer"),
        ([b"LIMIT", b"1"], "syntax error"),
        ([b"TYPE", b"tree\0"], "unknown type name 'tree'"),
        ([b"NOVALUES"], "can only be used in HSCAN"),
    ],
)
def test_other_options_are_refused(args: list[bytes], reason: str) -> None:
    with pytest.raises(CommandError, match=reason):
        parse_scan(args, [b"MATCH", b"COUNT", b"TYPE"])


@pytest.mark.parametrize(
    ("pattern", "matching", "other"),
    [
        (b"*", [b"a", b"abc"], []),
        (b"h?llo", [b"hello", b"hallo"], [b"hllo", b"heello"]),
        (b"h*llo", [b"hllo", b"heeeello"], [b"hell"]),
        (b"h[ae]llo", [b"hello", b"hallo"], [b"hillo"]),
        (b"h[^e]llo", [b"hallo"], [b"hello"]),
        (b"h[a-c]llo", [b"hallo", b"hbllo"], [b"hdllo", b"h-llo"]),
        (b"h[c-a]llo", [b"hbllo"], [b"hdllo"]),
        (rb"h\*llo", [b"h*llo"], [b"hello"]),
        (rb"h[\]]llo", [b"h]llo"], [b"hello"]),
        (b"h[ab", [b"ha", b"hb"], [b"hc"]),
        (b"", [b""], [b"a"]),
        (b"a\\", [b"a\\"], [b"a"]),
    ],
)
def test_a_pattern_matches_as_in_redis(pattern: bytes, matching: list[bytes], other: list[bytes]) -> None:
    assert [name for name in [*matching, *other] if matches(pattern, name)] == matching


def test_only_the_empty_pattern_matches_the_empty_name() -> None:
    assert matches(b"", b"")
    assert not matches(b"*", b"")


@given(st.text("ab*?", max_size=8), st.text("ab", min_size=1, max_size=12))
def test_stars_and_marks_match_like_a_regular_expression(pattern: str, name: str) -> None:
    expression = pattern.replace("*", ".*").replace("?", ".")
    assert matches(pattern.encode(), name.encode()) == (re.fullmatch(expression, name) is not None)


def test_many_stars_take_no_time_to_speak_of() -> None:
    """A matcher that tries every way out takes years for these 41 bytes; this one ends after 41 * 10 000 steps."""
    assert not matches(b"a*" * 20 + b"b", b"a" * 10_000)
