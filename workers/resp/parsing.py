"""Bytes from a client to requests: lists of words, the command's name first.

Two parsers do it, and agree. hiredis is fast and does nearly all of the work. But it knows replies, not requests, and
believes any length that it is told. The careful parser does step by step what Redis does. It reads a client that sends
anything else than short and complete requests (inline commands, large or strange numbers, protocol errors, a request of
more than a megabyte), until the client stands at the end of a request again. Neither parser sets memory aside for a
length that is only announced.
"""

from __future__ import annotations

import re
from itertools import chain, takewhile
from typing import TYPE_CHECKING, Any

import hiredis

from workers.resp.careful import CarefulParser

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from workers.resp.careful import Request

__all__ = ["RequestParser"]

_LARGE = re.compile(rb"[*$][0-9]{7}")
"""A length of a million or more, or what looks like one; hiredis sees lengths also where no line has ended."""
_CRLF = b"\r\n"
_HEADER_BYTES = 8
_DELAYED_BYTES_MAX = 1 << 20
_SPLIT_BYTES = 1 << 14

# hiredis packs tuples of any length; its type hints say one.
_pack: Callable[[tuple[bytes, ...]], bytes] = hiredis.pack_command  # type: ignore[assignment]


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
        self._careful: CarefulParser | None = None if trusted else self._begin_carefully(b"")

    def trust(self) -> None:
        """Trust the client: it has logged in."""
        self._trusted = True
        if self._careful is not None:
            self._careful.trusted = True

    def distrust(self) -> None:
        """Distrust the client, from the next request on that is not complete yet."""
        if self._careful is None:
            self._careful = self._go_back()
        self._trusted = self._careful.trusted = False

    def feed(self, data: bytes, *, is_piece: bool = False) -> Iterable[Request]:
        """Return the requests that are complete now; raises `ProtocolError` behind the last one that is sound.

        `is_piece`: `data` is a part of what has arrived, and is not divided any more.

        hiredis does not tell whether it stands within a request. But a request has a line for itself and two for each
        argument; so where that many lines came, hiredis stands between two requests, and nothing need be kept.
        """
        if self._careful is not None:
            self.argument_bytes = self._bulk_bytes_max
            self._careful.feed(data)
            return self._read_carefully(self._careful)
        if not is_piece:
            self.argument_bytes = self._delayed_bytes + len(data)
            if len(data) > _SPLIT_BYTES:
                return self._feed_in_two(data)
        is_between = not self._delayed
        if (not is_between or _LARGE.search(data)) and self._may_announce_much(data):
            return self._sort_out(data, [], is_sound=False)
        requests: list[Any] = []
        try:
            self._reader.feed(data)
            while (request := self._reader.gets()) is not False:
                requests.append(request)
            b"".join(chain.from_iterable(requests))
        except (hiredis.ProtocolError, TypeError):
            return self._sort_out(data, requests, is_sound=False)
        is_sound = set(map(type, requests)) <= {list}
        if is_sound and is_between and data.endswith(_CRLF):
            lines = len(requests) + 2 * sum(map(len, requests))
            if data.count(_CRLF) == lines:
                return [request for request in requests if request] if [] in requests else requests
        return self._sort_out(data, requests, is_sound=is_sound)

    def _feed_in_two(self, data: bytes) -> Iterator[Request]:
        """Divide where a request begins, in all likelihood: what is before it need not be kept for one cut off."""
        boundary = data.rfind(b"\r\n*") + 2
        if boundary > 2:
            yield from self.feed(data[:boundary], is_piece=True)
            data = data[boundary:]
        yield from self.feed(data, is_piece=True)

    def _may_announce_much(self, data: bytes) -> bool:
        """Whether hiredis must not see `data`: too much is kept already, or a length in it may be a large one."""
        return (
            self._delayed_bytes + len(data) > _DELAYED_BYTES_MAX
            or _LARGE.search(data) is not None
            or _LARGE.search(self._end + data[:_HEADER_BYTES]) is not None
        )

    def _sort_out(self, data: bytes, found: list[Any], *, is_sound: bool) -> Iterable[Request]:
        """Return the requests among what hiredis has `found` in `data`; keep the data of one that is not complete.

        Where not all is sound, the data is read again, carefully.
        """
        self._delayed.append(data)
        self._delayed_bytes += len(data)
        self._end = (self._end + data[-_HEADER_BYTES:])[-_HEADER_BYTES:]
        requests = found if is_sound else list(takewhile(_is_request, found))
        self._taken += len(requests)
        sound = [request for request in requests if request]
        if not is_sound:
            return chain(sound, self._read_again())
        self._taken_bytes += sum(map(len, map(_pack, map(tuple, requests))))
        if self._taken_bytes == self._delayed_bytes:
            self._forget()
        return sound

    def _read_again(self) -> Iterator[Request]:
        """Read carefully what was kept, behind the requests that were taken from it."""
        self.argument_bytes = self._bulk_bytes_max
        self._careful = self._go_back()
        return self._read_carefully(self._careful)

    def _go_back(self) -> CarefulParser:
        """Return a careful parser of what was kept; it stands behind the requests that were taken from it."""
        careful = self._begin_carefully(b"".join(self._delayed))
        for _ in range(self._taken):
            careful.next()
        self._forget()
        self._reader = hiredis.Reader()
        return careful

    def _read_carefully(self, careful: CarefulParser) -> Iterator[Request]:
        while (request := careful.next()) is not None:
            if request:
                yield request
        if careful.between_requests and self._trusted:
            self._careful = None

    def _forget(self) -> None:
        self._delayed.clear()
        self._end = b""
        self._delayed_bytes = self._taken = self._taken_bytes = 0

    def _begin_carefully(self, data: bytes) -> CarefulParser:
        careful = CarefulParser(self._bulk_bytes_max, self._request_bytes_max, trusted=self._trusted)
        careful.feed(data)
        return careful


def _is_request(found: Any) -> bool:
    return type(found) is list and all(type(argument) is bytes for argument in found)
