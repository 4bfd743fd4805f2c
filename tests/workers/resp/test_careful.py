"""The careful parser does step by step what Redis does."""

from __future__ import annotations

import pytest

from workers.resp.careful import CarefulParser, ProtocolError

LIMIT = 1 << 20


def parser(*, trusted: bool = True) -> CarefulParser:
    return CarefulParser(LIMIT, 4 * LIMIT, trusted=trusted)


def test_a_request_comes_out_byte_by_byte() -> None:
    careful = parser()
    stream = b"*2\r\n$3\r\nGET\r\n$1\r\na\r\n"
    for at in range(len(stream) - 1):
        careful.feed(stream[at : at + 1])
        assert careful.next() is None
        assert not careful.between_requests
    careful.feed(stream[-1:])
    assert careful.next() == [b"GET", b"a"]
    assert careful.between_requests


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (b"GET a", [b"GET", b"a"]),
        (b"  GET\t a ", [b"GET", b"a"]),
        (b"SET 'it is' \"x\\x21\\n\"", [b"SET", b"it is", b"x!\n"]),
        (b"SET 'it\\'s' \"\"", [b"SET", b"it's", b""]),
        (b'SET a"b"', [b"SET", b"ab"]),
        (b"", []),
    ],
)
def test_an_inline_command_is_read_as_redis_cli_quotes_it(line: bytes, words: list[bytes]) -> None:
    careful = parser()
    careful.feed(line + b"\r\n")
    assert careful.next() == words


@pytest.mark.parametrize("line", [b"SET 'a", b'SET "a', b"SET 'a'b", b'SET "a"b'])
def test_quotes_that_do_not_close_are_an_error(line: bytes) -> None:
    careful = parser()
    careful.feed(line + b"\n")
    with pytest.raises(ProtocolError, match="unbalanced quotes"):
        careful.next()


def test_a_client_is_trusted_from_the_next_request_on() -> None:
    careful = parser(trusted=False)
    careful.feed(b"*11\r\n")
    with pytest.raises(ProtocolError, match="unauthenticated multibulk length"):
        careful.next()
    careful = parser(trusted=False)
    careful.trusted = True
    careful.feed(b"*11\r\n" + b"$1\r\na\r\n" * 11)
    assert careful.next() == [b"a"] * 11
