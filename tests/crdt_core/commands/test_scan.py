"""Patterns, the options of scans, and their cursors."""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING

import pytest

from crdt_core.commands import CommandError
from crdt_core.commands.scan import parse_cursor, parse_scan
from crdt_core.replica.part_orders import ORDERED_FROM

if TYPE_CHECKING:
    from tests.crdt_core.sites import Site

MANY = 2 * ORDERED_FROM


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
    assert parse_scan([b"COUNT", b"1000000"], (b"COUNT",)).about == 10_000, "nothing else runs during a step"
    for args, text in (
        ([b"COUNT"], "syntax error"),
        ([b"COUNT", b"0"], "syntax error"),
        ([b"COUNT", b"x"], "not an integer"),
        ([b"NOVALUES"], "only be used in HSCAN"),
        ([b"TYPE", b"rwset"], "unknown type name 'rwset'"),
    ):
        with pytest.raises(CommandError, match=text):
            parse_scan(args, (b"COUNT", b"TYPE"))


# Large collections


def scanned(site: Site, command: str, cursor: str, count: int) -> tuple[str, list[str]]:
    following, names = site(f"{command} {cursor} COUNT {count}")
    return following, names


@pytest.mark.parametrize("kind", ["SSCAN", "HSCAN"])
def test_what_stays_is_found_once_whatever_comes_and_goes(site: Site, kind: str) -> None:
    """So it is if the collection becomes small, or large, meanwhile: both ways go through it in the same order."""
    random = Random(kind)
    add, remove = ("SADD k {}", "SREM k {}") if kind == "SSCAN" else ("HINCRBY k {} 1", "HDEL k {}")
    stays = [f"stays{number}" for number in range(50)]
    comes = [f"comes{number}" for number in range(MANY)]
    for name in stays:
        site(add.format(name))
    seen: list[str] = []
    cursor = "0"
    while True:
        cursor, found = scanned(site, f"{kind} k", cursor, 40)
        seen += found if kind == "SSCAN" else found[::2]
        if cursor == "0":
            break
        verb = random.choice((add, remove))
        for name in random.sample(comes, 400):
            site(verb.format(name))
    assert sorted(name for name in seen if name in stays) == sorted(stays)
    assert len(seen) == len({*seen})


def test_all_parts_of_a_field_are_one_field(site: Site) -> None:
    for number in range(MANY):
        site(f"HSET h f{number} 1")
        site(f"HINCRBY h f{number} 1")
    cursor, found = "0", {}
    while True:
        cursor, pairs = scanned(site, "HSCAN h", cursor, 10)
        assert not found.keys() & {*pairs[::2]}
        found |= zip(pairs[::2], pairs[1::2], strict=True)
        if cursor == "0":
            break
    assert found == {f"f{number}": "2" for number in range(MANY)}
