"""Patterns, the options of scans, and their cursors."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crdt_core.commands import CommandError
from crdt_core.commands.scan import page, parse_cursor, parse_scan


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
    assert (options.about, options.type, options.names_only) == (5, "zset", False)
    assert options.pattern is not None
    assert options.pattern.matches(b"ab")
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
