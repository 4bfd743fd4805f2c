"""A large delta is decoded some writes at a time, with the result of decoding it at once."""

from __future__ import annotations

import tracemalloc
from dataclasses import replace
from typing import TYPE_CHECKING

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from crdt_core.codec.delta_slices import decode_writes, outline_of
from crdt_core.codec.deltas import encode_delta
from crdt_core.errors import Malformed
from tests.crdt_core.codec.mangling import DELTA
from tests.crdt_core.codec.strategies import deltas

if TYPE_CHECKING:
    from crdt_core.lattice.deltas import Delta, Write


def decoded(data: bytes, size: int) -> Delta:
    outlined = outline_of(data)
    assert outlined is not None
    outline, start = outlined
    writes: list[Write] = []
    while start:
        some, start = decode_writes(data, start, size)
        assert 0 < len(some) <= size
        writes += some
    return replace(outline, writes=tuple(writes))


@given(deltas(), st.integers(1, 3))
def test_it_gives_what_one_piece_gives(delta: Delta, size: int) -> None:
    if delta.writes:
        assert decoded(encode_delta(delta), size) == delta


@pytest.mark.parametrize("tail", [b"", b"]}", b",]}", b"]]}", b"x]}", b'],"more":[]}'])
def test_writes_that_are_cut_short_or_followed_by_something_are_malformed(tail: bytes) -> None:
    data = orjson.dumps(DELTA)
    with pytest.raises(Malformed):
        decoded(data[:-3] + tail + b"]}", 2)


def test_an_outline_copies_nothing_of_the_writes() -> None:
    """It copied all of them: 60 MB for the flush of a million keys, in one step."""
    head, write = orjson.dumps({**DELTA, "writes": []})[:-2], b'["key","orset",null,null],'
    data = head + write * 100_000 + write[:-1] + b"]}"
    tracemalloc.start()
    try:
        assert outline_of(data) is not None
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < len(data) // 10


def test_a_delta_whose_writes_are_not_last_has_no_outline() -> None:
    assert outline_of(b'{"writes":[],"v":1}') is None
    assert outline_of(b"[]") is None
