"""Bytes from a client to requests: lists of arguments, the command's name first.

Two parsers that agree. hiredis does nearly all of the work, and fast; but it knows replies, not requests, and believes
whatever length it is told. So a client whose bytes are anything but short and complete (inline commands, large or
strange numbers, protocol errors, a request longer than a megabyte) is read by the careful one, until it is at the
end of a request again. Neither sets memory aside for what is only announced.
"""

from __future__ import annotations

import re
from itertools import chain, takewhile
from typing import TYPE_CHECKING, Any

import hiredis

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

__all__ = ["ProtocolError", "RequestParser"]

Request = list[bytes]

_LARGE = re.compile(rb"[*$][0-9]{7}")
"""A length of a million or more, or what looks like one; hiredis sees lengths also where no line has ended."""
_CRLF = b"\r\n"
_HEADER_BYTES = 8
_DELAYED_BYTES_MAX = 1 << 20
_SPLIT_BYTES = 1 << 14
_LINE_BYTES_MAX = 64 * 1024
_ARGUMENTS_MAX = 1024 * 1024
_STRANGER_ARGUMENTS_MAX = 10
_STRANGER_BULK_BYTES_MAX = 16384

# hiredis packs tuples of any length; its type hints say one.
_pack: Callable[[tuple[bytes, ...]], bytes] = hiredis.pack_command  # type: ignore[assignment]
_ESCAPES = {ord("n"): 10, ord("r"): 13, ord("t"): 9, ord("b"): 8, ord("a"): 7}
_SPACES = b" \t\n\r\v\f\0"


class ProtocolError(Exception):
    """Bytes that are no request; the text is what Redis says of them."""


class RequestParser:
    """The requests of one client. A bulk has at most `bulk_bytes_max`, a whole request `request_bytes_max`.

    `trusted`: whether the client may send more than what it takes to log in. `argument_bytes`: no argument of the
    requests that were read last has more.
    """

    def __init__(self, bulk_bytes_max: int, request_bytes_max: int, *, trusted: bool) -> None:
        self._bulk_bytes_max = bulk_bytes_max
        self._request_bytes_max = request_bytes_max
        self._trusted = trusted
        self._reader = hiredis.Reader()
        self._delayed: list[bytes] = []
        self._delayed_bytes = 0
        self._end = b""  # of what is delayed
        self.argument_bytes = 0
        self._taken = self._taken_bytes = 0
        self._careful: _Careful | None = None if trusted else self._begin_carefully(b"")

    def trust(self) -> None:
        """The client has logged in."""
        self._trusted = True
        if self._careful is not None:
            self._careful.trusted = True

    def feed(self, data: bytes) -> Iterable[Request]:
        """The requests that are complete now; raises `ProtocolError` behind the last one that is none."""
        if self._careful is not None:
            self.argument_bytes = self._bulk_bytes_max
            return self._feed(data)
        self.argument_bytes = self._delayed_bytes + len(data)
        return self._feed(data) if len(data) <= _SPLIT_BYTES else self._feed_in_two(data)

    def _feed_in_two(self, data: bytes) -> Iterator[Request]:
        """Divides where a request begins, in all likelihood: what is before it need not be kept for one cut off."""
        boundary = data.rfind(b"\r\n*") + 2
        if boundary > 2:
            yield from self._feed(data[:boundary])
            data = data[boundary:]
        yield from self._feed(data)

    def _feed(self, data: bytes) -> Iterable[Request]:
        requests: list[Request] = []
        if self._careful is None:
            requests, taken_by_hiredis = self._feed_hiredis(data)
            if taken_by_hiredis:
                return requests
            self.argument_bytes = self._bulk_bytes_max
            self._careful = self._begin_carefully(b"".join(self._delayed))
            for _ in range(self._taken):
                self._careful.next()
            self._forget()
            self._reader = hiredis.Reader()
        else:
            self._careful.feed(data)
        return chain(requests, self._read_carefully(self._careful))

    def _read_carefully(self, careful: _Careful) -> Iterator[Request]:
        while (request := careful.next()) is not None:
            if request:
                yield request
        if careful.between_requests and self._trusted:
            self._careful = None

    def _feed_hiredis(self, data: bytes) -> tuple[list[Request], bool]:
        """The requests found, and whether all is well; where it is not, the bytes have to be read carefully.

        hiredis does not tell whether it is within a request. But none is shorter than as it would be packed; so where
        those that were taken make up all that was fed, it is between two.
        """
        is_between, before = not self._delayed, self._end
        self._delayed.append(data)
        self._delayed_bytes += len(data)
        self._end = (before + data[-_HEADER_BYTES:])[-_HEADER_BYTES:]
        if (
            self._delayed_bytes > _DELAYED_BYTES_MAX
            or _LARGE.search(data)
            or _LARGE.search(before + data[:_HEADER_BYTES])
        ):
            return [], False
        reader = self._reader
        reader.feed(data)
        requests: list[Request] = []
        if not _read_all(reader, requests):
            requests = list(takewhile(_is_request, requests))
            self._taken += len(requests)
            return _without_empty(requests), False
        if is_between and _is_all(data, requests):
            self._forget()
            return _without_empty(requests), True
        self._taken += len(requests)
        self._taken_bytes += sum(map(len, map(_pack, map(tuple, requests))))
        if self._taken_bytes == self._delayed_bytes:
            self._forget()
        return _without_empty(requests), True

    def _forget(self) -> None:
        self._delayed.clear()
        self._end = b""
        self._delayed_bytes = self._taken = self._taken_bytes = 0

    def _begin_carefully(self, data: bytes) -> _Careful:
        careful = _Careful(self._bulk_bytes_max, self._request_bytes_max, trusted=self._trusted)
        careful.feed(data)
        return careful


def _read_all(reader: hiredis.Reader, found: list[Any]) -> bool:
    """Adds what `reader` has to `found`; whether all of it are requests: lists of bytes."""
    try:
        while (request := reader.gets()) is not False:
            found.append(request)
        b"".join(chain.from_iterable(found))
    except (hiredis.ProtocolError, TypeError):
        return False
    return set(map(type, found)) <= {list}


def _is_request(found: Any) -> bool:
    return type(found) is list and all(type(argument) is bytes for argument in found)


def _is_all(data: bytes, requests: list[Request]) -> bool:
    """Whether `requests` are all that `data` holds, as far as lines tell: one for each request, two for an argument."""
    return data.endswith(_CRLF) and data.count(_CRLF) == len(requests) + 2 * sum(map(len, requests))


def _without_empty(requests: list[Request]) -> list[Request]:
    return [request for request in requests if request] if [] in requests else requests


class _Careful:
    """A parser that trusts nothing: what Redis itself does with a request, step by step."""

    def __init__(self, bulk_bytes_max: int, request_bytes_max: int, *, trusted: bool) -> None:
        self.trusted = trusted
        self._bulk_bytes_max = bulk_bytes_max
        self._request_bytes_max = request_bytes_max
        self._buffer = bytearray()
        self._at = 0
        self._arguments: Request = []
        self._missing = 0
        self._bulk_bytes: int | None = None
        self._request_bytes = 0

    def feed(self, data: bytes) -> None:
        del self._buffer[: self._at]
        self._at = 0
        self._buffer += data

    @property
    def between_requests(self) -> bool:
        """Whether there is nothing left over, nor begun."""
        return self._at == len(self._buffer) and not self._missing

    def next(self) -> Request | None:
        """The next request, an empty one included; `None` where it is not complete. Raises `ProtocolError`."""
        if not self._missing:
            if self._at == len(self._buffer):
                return None
            if self._buffer[self._at] != ord("*"):
                line = self._line("too big inline request", end=b"\n")
                return None if line is None else _words(line)
            line = self._line("too big mbulk count string")
            if line is None:
                return None
            self._missing = self._count(line)
            self._arguments, self._request_bytes = [], 0
        while self._missing:
            argument = self._argument()
            if argument is None:
                return None
            self._arguments.append(argument)
            self._missing -= 1
        arguments, self._arguments = self._arguments, []
        return arguments

    def _count(self, line: bytes) -> int:
        count = _number(line[1:])
        if count is None or count > _ARGUMENTS_MAX:
            raise ProtocolError("invalid multibulk length")
        if count > _STRANGER_ARGUMENTS_MAX and not self.trusted:
            raise ProtocolError("unauthenticated multibulk length")
        return max(count, 0)

    def _argument(self) -> bytes | None:
        if self._bulk_bytes is None:
            line = self._line("too big bulk count string")
            if line is None:
                return None
            self._bulk_bytes = self._length(line)
        end = self._at + self._bulk_bytes
        if len(self._buffer) < end + 2:
            return None
        argument = bytes(self._buffer[self._at : end])
        self._at = end + 2
        self._bulk_bytes = None
        return argument

    def _length(self, line: bytes) -> int:
        if line[:1] != b"$":
            raise ProtocolError(f"expected '$', got '{line[:1].decode('latin-1') or ' '}'")
        length = _number(line[1:])
        if length is None or not 0 <= length <= self._bulk_bytes_max:
            raise ProtocolError("invalid bulk length")
        if length > _STRANGER_BULK_BYTES_MAX and not self.trusted:
            raise ProtocolError("unauthenticated bulk length")
        self._request_bytes += length
        if self._request_bytes > self._request_bytes_max:
            raise ProtocolError(f"a request of more than {self._request_bytes_max} bytes")
        return length

    def _line(self, too_long: str, end: bytes = b"\r") -> bytes | None:
        """The line that begins here, without its end."""
        found = self._buffer.find(end, self._at)
        if found < 0 or (end == b"\r" and found + 1 == len(self._buffer)):
            if len(self._buffer) - self._at > _LINE_BYTES_MAX:
                raise ProtocolError(too_long)
            return None
        line = bytes(self._buffer[self._at : found])
        self._at = found + (2 if end == b"\r" else 1)
        return line.removesuffix(b"\r")


def _number(text: bytes) -> int | None:
    return int(text) if re.fullmatch(rb"-?[0-9]{1,18}", text) else None


def _words(line: bytes) -> Request:
    """The words of an inline command, quoted as in `redis-cli`.

    >>> _words(rb'''SET 'it is' "hello\\x21 \\"you\\""''')
    [b'SET', b'it is', b'hello! "you"']
    """
    words: Request = []
    at = 0
    while True:
        while at < len(line) and line[at] in _SPACES:
            at += 1
        if at == len(line):
            return words
        word, at = _word(line, at)
        words.append(word)


def _word(line: bytes, at: int) -> tuple[bytes, int]:
    word = bytearray()
    quote = 0
    while at < len(line):
        byte = line[at]
        if quote == ord('"') and byte == ord("\\") and at + 1 < len(line):
            hexadecimal = re.compile(rb"x([0-9a-fA-F]{2})").match(line, at + 1)
            word.append(int(hexadecimal[1], 16) if hexadecimal else _ESCAPES.get(line[at + 1], line[at + 1]))
            at += 4 if hexadecimal else 2
            continue
        if quote == ord("'") and line[at : at + 2] == b"\\'":
            word.append(byte := quote)
            at += 2
            continue
        if quote and byte == quote:
            if at + 1 < len(line) and line[at + 1] not in _SPACES:
                break
            return bytes(word), at + 1
        if not quote and byte in b"\"'":
            quote = byte
        elif not quote and byte in _SPACES:
            return bytes(word), at
        else:
            word.append(byte)
        at += 1
    if quote:
        raise ProtocolError("unbalanced quotes in request")
    return bytes(word), at
