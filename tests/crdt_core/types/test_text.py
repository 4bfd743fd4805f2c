"""Bytes and plain values as JSON values."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crdt_core.errors import Malformed
from crdt_core.types.text import decode_text, encode_text, encode_value


@given(st.binary())
def test_bytes_come_back_as_they_were(data: bytes) -> None:
    assert decode_text(encode_text(data)) == data


@given(st.text())
def test_text_is_written_as_it_is(text: str) -> None:
    assert encode_text(text.encode("utf-8", "replace")) == text.encode("utf-8", "replace").decode()


@pytest.mark.parametrize(
    "value",
    [
        None,
        7,
        True,
        [],
        {},
        {"b64": 7},
        {"b64": "!"},
        {"b64": "QQ"},
        {"b64": "QQ==", "more": 1},
        {"b65": "QQ=="},
        "\ud800",
    ],
)
def test_nothing_else_is_text(value: Any) -> None:
    with pytest.raises(Malformed):
        decode_text(value)


@pytest.mark.parametrize(
    ("value", "json"),
    [
        (None, None),
        (True, True),
        (b"a", "a"),
        (b"\xff", {"b64": "/w=="}),
        (2**63 - 1, 2**63 - 1),
        (-(2**63), -(2**63)),
        (2**63, "9223372036854775808"),
        (-(2**63) - 1, "-9223372036854775809"),
        ([b"a", 1], ["a", 1]),
        ({b"f": b"v", b"\xff": 1}, {"f": "v", "{'b64': '/w=='}": 1}),
    ],
)
def test_a_value_is_written_so_that_json_can_hold_it(value: Any, json: Any) -> None:
    assert encode_value(value) == json
