"""Patterns, the options of scans, and their cursors."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crdt_core.commands import CommandError
from crdt_core.commands.scan import matches, page, parse_cursor, parse_scan


@given(st.sets(st.binary(max_size=4), max_size=60), st.integers(1, 20))
def test_a_scan_gives_every_name_once(names: set[bytes], count: int) -> None:
    seen: list[bytes] = []
    cursor = 0
    while True:
        cursor, found = page(names, cursor, count)
        seen += found
        if not cursor:
            break
    assert sorted(seen) == sorted(names)


@pytest.mark.parametrize("text", [b"", b"x", b"-1", b" 1", b"18446744073709551616"])
def test_a_cursor_is_a_number_of_64_bits(text: bytes) -> None:
    assert parse_cursor(b"18446744073709551615") == 2**64 - 1
    with pytest.raises(CommandError, match="invalid cursor"):
        parse_cursor(text)


def test_options_of_a_scan() -> None:
    options = parse_scan([b"match", b"a*", b"COUNT", b"5", b"type", b"ZSET"], (b"MATCH", b"COUNT", b"TYPE"))
    assert (options.pattern, options.about, options.type, options.names_only) == (b"a*", 5, "zset", False)
    assert parse_scan([b"NOVALUES"], (b"NOVALUES",)).names_only
    for args, text in (
        ([b"COUNT"], "syntax error"),
        ([b"COUNT", b"0"], "syntax error"),
        ([b"COUNT", b"x"], "not an integer"),
        ([b"NOVALUES"], "only be used in HSCAN"),
        ([b"TYPE", b"rwset"], "unknown type name 'rwset'"),
    ):
        with pytest.raises(CommandError, match=text):
            parse_scan(args, (b"COUNT", b"TYPE"))


@pytest.mark.parametrize(
    ("pattern", "name", "like"),
    [
        (b"h[a-c^]?l*", b"hallo", True),
        (b"h[a-c^]?l*", b"hxllo", False),
        (b"[^a]", b"b", True),
        (b"[^a]", b"a", False),
        (b"a\\*", b"a*", True),
        (b"a\\*", b"ab", False),
        (b"[abc", b"b", True),
        (b"**", b"", False),
        (b"*\n*", b"a\nb", True),
        (b"[\xf0-\xff]", b"\xfa", True),
    ],
)
def test_patterns_are_those_of_redis(pattern: bytes, name: bytes, like: bool) -> None:
    assert matches(pattern, name) is like


def test_a_pattern_of_many_stars_takes_no_longer_than_its_length_times_the_name() -> None:
    assert not matches(b"*a" * 200, b"a" * 199 + b"b")
