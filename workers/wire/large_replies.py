"""A connection whose replies may hold values of many megabytes: such a value is gathered as it arrives.

hiredis gathers what arrives, and copies each value out of that in one step. For 60 MB that takes from 35 ms to several
times that. So while a reply is not complete, what arrives is looked through for a large value. Its bytes go to where
they stay. In their place hiredis is given an empty error, and told to make the value of that.
"""

from __future__ import annotations

from io import BytesIO
from typing import Any

import hiredis

from workers.wire.connection import Wire

__all__ = ["LARGE_BYTES", "LargeReplyWire"]

LARGE_BYTES = 1 << 20
"""Values of at least so many bytes are gathered here."""
_BULK_BYTES_MAX = 512 << 20
"""No value in a stream of Redis is larger, unless its limits were raised; larger ones are left to hiredis."""
_END = b"\r\n"


class LargeReplyWire(Wire):
    """A wire for replies with large values. Replies that arrive in one piece take the way of any wire.

    It is for `send`: who is told a batch by `submit` must not submit the next one at once.
    """

    def __init__(self, silence_s: float) -> None:
        super().__init__(silence_s)
        self._parser: hiredis.Reader | None = None
        """Parses a batch of replies of which something has still to arrive."""
        self._line = b""
        """What has arrived of a line that is not complete."""
        self._skipped = 0
        """How many bytes of a small value, and of its end, have still to arrive."""
        self._missing = 0
        """How many bytes of the large value have still to arrive."""
        self._value = BytesIO()
        """The large value that is arriving."""
        self._stands_in = False
        """Whether the next error that hiredis finds stands for that value."""

    def data_received(self, data: bytes) -> None:
        if self._parser is None:
            super().data_received(data)
            if not self.owes:
                return
            # All of it is parsed again, because its end may belong to a large value.
            self._reader, self._parser = hiredis.Reader(), hiredis.Reader(replyError=self._value_or_error)
            self._replies.clear()
        self._take(self._parser, self._line + data)
        if not self.owes:
            self._parser = None

    def _take(self, parser: hiredis.Reader, data: bytes) -> None:
        """Keep the bytes of a large value, and have all others in `data` parsed."""
        parsed = at = 0
        while True:
            if self._missing:
                some = data[at : at + self._missing]
                self._value.write(some)
                self._missing -= len(some)
                at = parsed = at + len(some)
                if not self._missing:
                    self._parse(parser, b"-")  # an error, which ends where the value ends
                    self._skipped, self._stands_in = len(_END), True
            passed = min(self._skipped, len(data) - at)
            self._skipped -= passed
            at += passed
            end = -1 if self._missing else data.find(_END, at)
            if end < 0:
                break
            length = _length(data[at:end])
            if LARGE_BYTES <= length <= _BULK_BYTES_MAX:
                self._parse(parser, data[parsed:at])
                # Memory that nobody has written to yet: it is had page by page, as the value arrives.
                self._missing, self._value = length, BytesIO(bytes(length))
                at = end + len(_END)
            else:
                at = end + len(_END)
                self._skipped = length + len(_END) if length >= 0 else 0
        self._parse(parser, data[parsed:at])
        self._line = data[at:]

    def _parse(self, parser: hiredis.Reader, data: bytes) -> None:
        self._received_s = self._loop.time()
        parser.feed(data)
        while (reply := parser.gets()) is not False:
            self.reply_received(reply)

    def _value_or_error(self, text: str) -> Any:
        """Return the large value where an error stands for it; otherwise the error that Redis gave."""
        if not self._stands_in:
            return hiredis.ReplyError(text)
        self._stands_in = False
        value, self._value = self._value, BytesIO()
        return value.getvalue()  # no copy


def _length(line: bytes) -> int:
    """Return how many bytes follow `line`, which is the first of a value; -1 if none do."""
    digits = line[1:]
    return int(digits) if line[:1] == b"$" and digits.isdigit() else -1
