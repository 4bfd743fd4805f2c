"""Patterns are those of Redis, and the cost of one is bounded by its length and that of the name."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crdt_core.commands.patterns import Pattern, matches

if TYPE_CHECKING:
    from types import FrameType


@pytest.mark.parametrize(
    ("pattern", "name", "like"),
    [
        (b"h[a-c^]?l*", b"hallo", True),
        (b"h[a-c^]?l*", b"hxllo", False),
        (b"[^a]", b"b", True),
        (b"[^a]", b"a", False),
        (b"[c-a]", b"b", True),
        (b"[a\\]b]", b"]", True),
        (b"[a-]", b"^", True),
        (b"[]", b"]", False),
        (b"[^]", b"]", True),
        (b"a\\*", b"a*", True),
        (b"a\\*", b"ab", False),
        (b"a\\", b"a\\", True),
        (b"[abc", b"b", True),
        (b"**", b"", False),
        (b"", b"", True),
        (b"", b"a", False),
        (b"*\n*", b"a\nb", True),
        (b"[\xf0-\xff]", b"\xfa", True),
        (b"*a*b", b"xaab", True),
        (b"*aab", b"aaaab", True),
    ],
)
def test_patterns_are_those_of_redis(pattern: bytes, name: bytes, like: bool) -> None:
    assert matches(pattern, name) is like


def plainly(pattern: bytes, name: bytes) -> bool:
    """Whether a pattern of letters, `?` and `*` matches, tried in every way."""
    if not pattern:
        return not name
    if pattern[:1] == b"*":
        return any(plainly(pattern[1:], name[at:]) for at in range(len(name) + 1))
    return bool(name) and pattern[:1] in (b"?", name[:1]) and plainly(pattern[1:], name[1:])


letters = st.lists(st.sampled_from([b"a", b"b"]), min_size=1, max_size=8).map(b"".join)


@given(st.lists(st.sampled_from([b"a", b"b", b"?", b"*"]), max_size=7).map(b"".join), letters)
def test_a_pattern_matches_what_it_would_if_every_way_was_tried(pattern: bytes, name: bytes) -> None:
    assert matches(pattern, name) is plainly(pattern, name)


def steps(pattern: bytes, names: list[bytes]) -> int:
    """How many lines run until a pattern has been compared with all names."""
    count = 0

    def trace(_frame: FrameType, _event: str, _arg: Any) -> Any:
        nonlocal count
        count += 1
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        found = Pattern(pattern)
        for name in names:
            found.matches(name)
    finally:
        sys.settrace(before)
    return count


@pytest.mark.parametrize(
    ("pattern", "name"),
    [
        (b"*a" * 1000, b"a" * 999 + b"b"),
        (b"*" + b"a" * 1000 + b"b", b"a" * 2000),
        (b"*[" + b"xyz" * 1000 + b"]!", b"x" * 2000),
        (b"*" + b"[" * 3000, b"x" * 2000),
        (b"*" + b"[a-b]" * 500, b"ab" * 1000),
    ],
    ids=["stars", "a long end", "a long class", "a class without an end", "many classes"],
)
def test_the_steps_grow_with_the_sum_of_the_lengths(pattern: bytes, name: bytes) -> None:
    """A class of 3000 bytes was read anew for each byte of the name: six million steps."""
    assert steps(pattern, [name]) < 20 * (len(pattern) + len(name))
    assert steps(pattern, [name] * 20) < 20 * len(pattern) + 20 * 10 * len(name), "the pattern is read once"
