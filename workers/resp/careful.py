"""The careful parser of requests: it trusts nothing, and does step by step what Redis itself does."""

from __future__ import annotations

import re

__all__ = ["CarefulParser", "ProtocolError", "Request"]

Request = list[bytes]
"""The words of a request, the command's name first."""

_LINE_BYTES_MAX = 64 * 1024
_ARGUMENTS_MAX = 1024 * 1024
_STRANGER_ARGUMENTS_MAX = 10
_STRANGER_BULK_BYTES_MAX = 16384
_ESCAPES = {ord("n"): 10, ord("r"): 13, ord("t"): 9, ord("b"): 8, ord("a"): 7}
_SPACES = b" \t\n\r\v\f\0"


class ProtocolError(Exception):
    """Bytes that are no request; the text is what Redis says of them."""


class CarefulParser:
    """The requests of one client, read step by step.

    A bulk has at most `bulk_bytes_max`, a whole request `request_bytes_max`. `trusted`: whether the client may send
    more than what it takes to log in.
    """

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
        """Add what has arrived."""
        del self._buffer[: self._at]
        self._at = 0
        self._buffer += data

    @property
    def between_requests(self) -> bool:
        """Whether the client stands between two requests: nothing is left over, and none is begun."""
        return self._at == len(self._buffer) and not self._missing

    def next(self) -> Request | None:
        """Return the next request, an empty one included; `None` if it is not complete. Raises `ProtocolError`."""
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
        """Return the line that begins here, without its end; `None` if it is not complete."""
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
    """Return the words of an inline command, quoted as in `redis-cli`.

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
