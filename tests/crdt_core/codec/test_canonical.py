"""What all canonical forms share: one version, exact fields, and `Malformed` for everything else."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from crdt_core.codec.canonical import FORMAT, parse_json, parse_list, parse_object, parse_row
from crdt_core.codec.deltas import decode_delta
from crdt_core.codec.patches import decode_patch
from crdt_core.errors import Malformed
from crdt_core.types import decode_text, encode_text
from tests.crdt_core.codec.mangling import DELTA, NONSENSE, PATCH


def test_an_object_is_taken_as_bytes_or_as_a_value() -> None:
    value = {"v": FORMAT, "a": 1}
    assert parse_object("thing", value, ("v", "a")) == parse_object("thing", orjson.dumps(value), ("a", "v")) == value


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (b"{", "malformed thing: not JSON"),
        (b"\xff", "malformed thing: not JSON"),
        (b"[1]", "is not an object"),
        ({"a": 1}, "format version None is not 1"),
        ({"v": 2, "a": 1}, "format version 2 is not 1"),
        ({"v": True, "a": 1}, "format version True is not 1"),
        ({"v": 1}, "fields"),
        ({"v": 1, "a": 1, "b": 1}, "fields"),
    ],
)
def test_an_object_of_another_version_or_with_other_fields_is_malformed(value: Any, reason: str) -> None:
    with pytest.raises(Malformed) as refused:
        parse_object("thing", value, ("v", "a"))
    assert reason in str(refused.value)
    assert refused.value.what == "thing"


def test_lists_and_rows_have_their_shape() -> None:
    assert parse_json("thing", b"[1]") == parse_list("thing", [1]) == [1]
    assert parse_row("thing", [1, 2, 3, 4]) == (1, 2, 3, 4)
    for value in ({}, None, "text"):
        with pytest.raises(Malformed, match="is not a list"):
            parse_list("thing", value)
    for row in ([1, 2, 3], [1, 2, 3, 4, 5], "abcd"):
        with pytest.raises(Malformed, match="does not have four elements"):
            parse_row("thing", row)


@given(st.binary())
def test_bytes_are_text_where_they_are_utf8_and_base64_elsewhere(data: bytes) -> None:
    assert decode_text(encode_text(data)) == data
    assert isinstance(encode_text(data), str) == (data.decode("utf-8", "ignore").encode() == data)


@given(st.one_of(st.binary(), NONSENSE.map(orjson.dumps)))
def test_bytes_that_are_none_of_ours_are_malformed(data: bytes) -> None:
    for decode in (decode_delta, decode_patch):
        with pytest.raises(Malformed):
            decode(data)


@pytest.mark.parametrize("value", [DELTA, PATCH])
def test_bytes_cut_short_are_malformed(value: dict[str, Any]) -> None:
    data = orjson.dumps(value)
    decode = decode_delta if value is DELTA else decode_patch
    for length in range(len(data)):
        with pytest.raises(Malformed):
            decode(data[:length])


@pytest.mark.parametrize("depth", [10, 500, 1000, 1020, 100_000])
@pytest.mark.parametrize("place", ["v", "dot", "deps", "hlc", "writes", "origin", "since", "clock", "parts"])
def test_nesting_however_deep_is_malformed(place: str, depth: int) -> None:
    """The sentence that said what was wrong used to fail on a thousand brackets, and took the worker down with it."""
    for value, decode in ((DELTA, decode_delta), (PATCH, decode_patch)):
        if place in value:
            fields = {**value, place: "HERE"}
            data = orjson.dumps(fields).replace(b'"HERE"', b"[" * depth + b"]" * depth)
            with pytest.raises(Malformed):
                decode(data)
