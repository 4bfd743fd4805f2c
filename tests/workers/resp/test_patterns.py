"""Patterns of Redis as regular expressions, beside the matcher that SCAN has."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from crdt_core.commands.scan import matches
from workers.resp.patterns import glob

words = st.lists(st.sampled_from([b"a", b"b", b"c", b"*", b"?", b"[", b"]", b"^", b"-", b"\\"]), max_size=6).map(
    b"".join
)


@given(words, st.text("abc*", min_size=1, max_size=4).map(str.encode))
def test_both_matchers_agree(pattern: bytes, name: bytes) -> None:
    assert bool(glob(pattern).fullmatch(name)) is matches(pattern, name)


def test_bytes_of_any_kind_match() -> None:
    assert glob(b"*\n*").fullmatch(b"a\nb")
    assert glob(b"[\xf0-\xff]").fullmatch(b"\xfa")
