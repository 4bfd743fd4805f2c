"""Bytes to requests: whatever comes in whatever pieces, both parsers say the same."""

from __future__ import annotations

import tracemalloc
from itertools import pairwise

import hiredis
import pytest
from hypothesis import given
from hypothesis import strategies as st

from workers.resp.careful import ProtocolError
from workers.resp.parsing import RequestParser

LIMIT = 1 << 20

words = st.lists(st.binary(max_size=40) | st.sampled_from([b"\r\n*1\r\n", b"$10000000", b"*"]), min_size=1, max_size=5)


def parser(*, trusted: bool = True, bulk_bytes_max: int = LIMIT, request_bytes_max: int = 4 * LIMIT) -> RequestParser:
    return RequestParser(bulk_bytes_max, request_bytes_max, trusted=trusted)


def parse(data: bytes, **options: bool | int) -> tuple[list[list[bytes]], str | None]:
    """The requests in `data`, and the protocol error behind them."""
    requests: list[list[bytes]] = []
    try:
        requests.extend(request for request in parser(**options).feed(data))
    except ProtocolError as error:
        return requests, str(error)
    return requests, None


@given(st.lists(words, max_size=30), st.lists(st.integers(0, 3000), max_size=8), st.booleans())
def test_requests_come_out_as_they_went_in_however_they_were_cut(requests, cuts, careful) -> None:
    stream = b"".join(hiredis.pack_command(tuple(request)) for request in requests)
    places = sorted({0, len(stream), *(cut for cut in cuts if cut < len(stream))})
    reading = parser()
    if careful:
        stream, requests, places = b"PING\r\n" + stream, [[b"PING"], *requests], [0, *(p + 6 for p in places)]
    found = [r for start, end in pairwise(places) for r in reading.feed(stream[start:end])]
    assert found == requests


def test_an_inline_command_may_stand_between_others() -> None:
    stream = hiredis.pack_command(("GET", "a")) + b"\r\nPING 'it is'\r\n" + hiredis.pack_command(("GET", "b"))
    assert parse(stream) == ([[b"GET", b"a"], [b"PING", b"it is"], [b"GET", b"b"]], None)
    byte_by_byte = parser()
    assert [r for at in range(len(stream)) for r in byte_by_byte.feed(stream[at : at + 1])] == parse(stream)[0]


@pytest.mark.parametrize("begun", [b"", b"*2\r\n$4\r\nECHO\r\n"])
def test_who_is_a_stranger_again_may_send_no_more_than_a_stranger(begun: bytes) -> None:
    """The parser went on to trust a client that had sent RESET."""
    reading = parser()
    long = hiredis.pack_command(("ECHO", "x" * 20_000))
    assert list(reading.feed(long + begun)) == [[b"ECHO", b"x" * 20_000]]
    reading.distrust()
    with pytest.raises(ProtocolError, match="unauthenticated bulk length"):
        list(reading.feed(long.removeprefix(begun)))


def test_who_is_a_stranger_again_may_log_in_again() -> None:
    reading = parser()
    reading.distrust()
    reading.trust()
    long = hiredis.pack_command(("ECHO", "x" * 20_000))
    assert list(reading.feed(long)) == [[b"ECHO", b"x" * 20_000]]


def test_empty_requests_are_none() -> None:
    assert parse(b"*0\r\n*-1\r\n\r\n*1\r\n$4\r\nPING\r\n") == ([[b"PING"]], None)


@pytest.mark.parametrize("line", [b"+", b"+PING", b"-ERR", b"$-1 x", b"_", b"(1", b"%", b"~"])
def test_what_would_be_a_reply_is_an_inline_command(line: bytes) -> None:
    assert parse(b"*1\r\n$4\r\nPING\r\n" + line + b"\r\n*1\r\n$4\r\nPING\r\n") == (
        [[b"PING"], line.split(), [b"PING"]],
        None,
    )


@pytest.mark.parametrize(
    ("stream", "error"),
    [
        (b"*1\r\n:1\r\n", "expected '$', got ':'"),
        (b"*2\r\n$3\r\nGET\r\n*1\r\n$1\r\na\r\n", "expected '$', got '*'"),
        (b"*x\r\n", "invalid multibulk length"),
        (b"*1048577\r\n", "invalid multibulk length"),
        (b"*99999999999999999999\r\n", "invalid multibulk length"),
        (b"*1\r\n$-1\r\n", "invalid bulk length"),
        (b"*1\r\n$x\r\n", "invalid bulk length"),
        (b"*1\r\n$536870912\r\n", "invalid bulk length"),
        (b"*1\r\n$1048577\r\n", "invalid bulk length"),
        (b"SET a 'b\r\n", "unbalanced quotes in request"),
        (b'SET a "b"c\r\n', "unbalanced quotes in request"),
        (b"a" * 70_000, "too big inline request"),
        (b"*" + b"1" * 70_000, "too big mbulk count string"),
        (b"*1\r\n$" + b"1" * 70_000, "too big bulk count string"),
    ],
)
def test_what_is_no_request_is_named_behind_those_before_it(stream: bytes, error: str) -> None:
    assert parse(stream) == ([], error)
    assert parse(hiredis.pack_command(("PING",)) + stream) == ([[b"PING"]], error)


def test_who_has_not_logged_in_may_send_little() -> None:
    auth = hiredis.pack_command(("AUTH", "secret"))
    assert parse(auth, trusted=False) == ([[b"AUTH", b"secret"]], None)
    assert parse(b"*11\r\n", trusted=False) == ([], "unauthenticated multibulk length")
    assert parse(b"*1\r\n$16385\r\n", trusted=False) == ([], "unauthenticated bulk length")
    reading = parser(trusted=False)
    assert list(reading.feed(auth)) == [[b"AUTH", b"secret"]]
    reading.trust()
    large = hiredis.pack_command(("SET", "a", "b" * 20_000))
    assert list(reading.feed(large)) == [[b"SET", b"a", b"b" * 20_000]]


def test_a_large_value_arrives_whole() -> None:
    value = bytes(range(256)) * 2000
    stream = hiredis.pack_command(("SET", "a", value)) * 3
    reading = parser()
    found = [r for at in range(0, len(stream), 5000) for r in reading.feed(stream[at : at + 5000])]
    assert found == [[b"SET", b"a", value]] * 3


def test_nothing_is_set_aside_for_what_is_only_announced() -> None:
    announced = [b"*1048576\r\n$1\r\na\r\n", b"*999999\r\n", b"*1\r\n$1048576\r\na", b"*1\r\n$999999\r\na"]
    tracemalloc.start()
    reading = [parser() for _ in announced]
    for reader, data in zip(reading, announced, strict=True):
        assert list(reader.feed(data)) == []
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 16 * LIMIT


@pytest.mark.parametrize("piece", range(1, 27))
def test_a_length_beyond_all_bounds_is_refused_however_it_was_cut(piece: int) -> None:
    """One parser makes a list of that length; and who collects garbage then looks through it again and again."""
    for stream in (b"*1\r\n$4\r\nPING\r\n*100000000\r\n", b"*1\r\n$4\r\nPINGxx*100000000\r\n"):
        reading = parser()
        pieces = [stream[at : at + piece] for at in range(0, len(stream), piece)]
        with pytest.raises(ProtocolError, match="invalid multibulk length"):
            assert [request for data in pieces for request in reading.feed(data)] == [[b"PING"]]


def test_a_request_that_does_not_end_is_refused() -> None:
    reading = parser(request_bytes_max=2 * LIMIT)
    assert list(reading.feed(b"*100\r\n")) == []
    part = b"$500000\r\n" + b"x" * 500_000 + b"\r\n"
    for _ in range(4):
        assert list(reading.feed(part)) == []
    with pytest.raises(ProtocolError, match="a request of more than"):
        list(reading.feed(part))
