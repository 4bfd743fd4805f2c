"""Clocks, dots and stamps: each has one spelling, and nothing else is read."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from hypothesis import given

from crdt_core.codec.clocks import (
    clock_value,
    decode_clock,
    decode_replica_id,
    decode_stamp,
    decode_token,
    encode_clock,
    encode_token,
    parse_dot,
)
from crdt_core.errors import Malformed
from crdt_core.lattice.clocks import Stamp, VersionVector
from crdt_core.lattice.replica_index import REPLICAS_MAX
from tests.crdt_core.codec.strategies import CLOCKS, STAMPS


@given(CLOCKS)
def test_a_clock_comes_back_as_it_was(clock: VersionVector) -> None:
    assert decode_clock(orjson.loads(encode_clock(clock))) == clock
    assert encode_clock(VersionVector(reversed(clock.items()))) == encode_clock(clock)


@given(CLOCKS)
def test_a_token_comes_back_as_the_clock_that_it_names(clock: VersionVector) -> None:
    assert decode_token(encode_token(clock)) == decode_token(encode_token(clock).decode()) == clock


@pytest.mark.parametrize("text", ["", "OK", "e30", "W10=", "eyJuMSI6MH0=", "\u00fc", b"\xff", "{}"])
def test_anything_else_is_not_a_token(text: str | bytes) -> None:
    with pytest.raises(Malformed):
        decode_token(text)


def test_a_clock_is_sorted_by_replica_id() -> None:
    clock = VersionVector(n2=3, n10=4, n1=6)
    assert list(clock_value(clock)) == ["n1", "n10", "n2"]
    assert encode_clock(clock) == b'{"n1":6,"n10":4,"n2":3}'


@pytest.mark.parametrize(
    "value",
    [None, [], "n1", {"n1": 0}, {"n1": -1}, {"n1": True}, {"n1": 1.0}, {"n1": 10**15}, {"n 1": 1}, {"": 1}, {1: 1}],
)
def test_anything_else_is_not_a_clock(value: Any) -> None:
    with pytest.raises(Malformed):
        decode_clock(value)


def test_a_clock_has_no_more_replica_ids_than_a_replica_can_number() -> None:
    assert len(decode_clock({f"n{number}": 1 for number in range(REPLICAS_MAX)})) == REPLICAS_MAX
    with pytest.raises(Malformed, match="4097 replica ids"):
        decode_clock({f"n{number}": 1 for number in range(REPLICAS_MAX + 1)})


@pytest.mark.parametrize("text", ["n1:7", "n1.2:999999999999999", "a_b-c:1"])
def test_a_dot_reads_as_it_is_written(text: str) -> None:
    assert str(parse_dot(text)) == text


@pytest.mark.parametrize(
    "text", ["", ":", "n1", "n1:", ":1", "n1:0", "n1:07", "n1:+1", "n1:1e3", "n1:²", "n1:٣", 7, None]
)
def test_nothing_else_is_a_dot(text: Any) -> None:
    with pytest.raises(Malformed):
        parse_dot(text)


@given(STAMPS)
def test_a_stamp_comes_back_as_it_was(stamp: Stamp) -> None:
    assert decode_stamp(orjson.loads(orjson.dumps(list(stamp)))) == stamp


@pytest.mark.parametrize("value", [None, [], [1], [1, 2, 3], [1, -1], [1, 2**63], [True, 0], [1.0, 0], "1,0"])
def test_anything_else_is_not_a_stamp(value: Any) -> None:
    with pytest.raises(Malformed):
        decode_stamp(value)


def test_a_replica_id_that_a_peer_made_up_is_the_peers_fault() -> None:
    """The same mistake in a call is the caller's fault, and another error."""
    assert decode_replica_id("n1.2") == "n1.2"
    with pytest.raises(Malformed, match="replica id"):
        decode_replica_id("n 1")
