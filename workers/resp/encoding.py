"""Encodes replies, in RESP2 or RESP3.

The core's replies are plain values (`crdt_core.commands`). Four more exist only here: a push, a null list (the reply
of EXEC where a watched key has changed), a reply that is encoded already, and no reply at all.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from crdt_core.commands import ErrorReply, Map, Pairs, SetOf, Status
from crdt_core.replica.steps import batched

if TYPE_CHECKING:
    from collections.abc import Generator

__all__ = ["NOTHING", "NULL_LIST", "Encoded", "Push", "encode", "encode_by_step"]


class Push(NamedTuple):
    """What a client is sent without having asked for it: a message of a channel."""

    items: list[Any]


class Encoded(NamedTuple):
    """A reply that is encoded already, as it was too large to do it at once."""

    pieces: list[bytes]


class _Nothing:
    """No reply."""


class _NullList:
    """A null in place of a list."""


NOTHING = _Nothing()
NULL_LIST = _NullList()


def encode(reply: Any, *, resp3: bool) -> bytes:
    """Return the bytes of `reply`.

    >>> encode([1, b"two", None, Map([(b"three", 3.5)])], resp3=False)
    b'*4\\r\\n:1\\r\\n$3\\r\\ntwo\\r\\n$-1\\r\\n*2\\r\\n$5\\r\\nthree\\r\\n$3\\r\\n3.5\\r\\n'
    >>> encode([True, None, Map([(b"three", 3.5)])], resp3=True)
    b'*3\\r\\n#t\\r\\n_\\r\\n%1\\r\\n$5\\r\\nthree\\r\\n,3.5\\r\\n'
    """
    kind = type(reply)
    if kind is int:
        return b":%d\r\n" % reply
    if kind is bytes:
        return b"$%d\r\n%b\r\n" % (len(reply), reply)
    if reply is None:
        return b"_\r\n" if resp3 else b"$-1\r\n"
    if kind is Status:
        return b"+%b\r\n" % reply.text.encode()
    out: list[bytes] = []
    _append(reply, out, resp3)
    return b"".join(out)


def encode_by_step(reply: Any, *, resp3: bool) -> Generator[None, None, Encoded]:
    """Return the encoded reply; yield after every few of its items."""
    kind = type(reply)
    if kind not in (list, SetOf, Map, Pairs):
        return Encoded([encode(reply, resp3=resp3)])
    items, in_pairs = reply if kind is list else reply.items, kind in (Map, Pairs)
    head: list[bytes] = []
    _append(kind([]), head, resp3)
    sign, count = head[0][:1], len(items) * (2 if in_pairs and not resp3 else 1)
    pieces = [b"%b%d\r\n" % (sign, count)]
    for some in batched(items):
        out: list[bytes] = []
        for item in some:
            if in_pairs and not (resp3 and kind is Pairs):
                _append_all(item, out, resp3)
            else:
                _append([*item] if in_pairs else item, out, resp3)
        pieces.append(b"".join(out))
        yield
    return Encoded(pieces)


def _append(reply: Any, out: list[bytes], resp3: bool) -> None:
    kind = type(reply)
    if kind is bytes:
        out.append(b"$%d\r\n%b\r\n" % (len(reply), reply))
    elif kind is list:
        out.append(b"*%d\r\n" % len(reply))
        _append_all(reply, out, resp3)
    elif kind is SetOf or kind is Push:
        out.append(b"%b%d\r\n" % ((b"~" if kind is SetOf else b">") if resp3 else b"*", len(reply.items)))
        _append_all(reply.items, out, resp3)
    elif kind is Map:
        out.append(b"%b%d\r\n" % ((b"%", len(reply.items)) if resp3 else (b"*", 2 * len(reply.items))))
        for pair in reply.items:
            _append_all(pair, out, resp3)
    elif kind is Pairs:
        out.append(b"*%d\r\n" % (len(reply.items) * (1 if resp3 else 2)))
        for pair in reply.items:
            if resp3:
                out.append(b"*2\r\n")
            _append_all(pair, out, resp3)
    elif kind is Encoded:
        out.extend(reply.pieces)
    else:
        out.append(_scalar(reply, resp3))


def _append_all(replies: Any, out: list[bytes], resp3: bool) -> None:
    for reply in replies:
        if type(reply) is bytes:
            out.append(b"$%d\r\n%b\r\n" % (len(reply), reply))
        else:
            _append(reply, out, resp3)


def _scalar(reply: Any, resp3: bool) -> bytes:
    if isinstance(reply, ErrorReply | Status):
        return b"%b%b\r\n" % (b"-" if isinstance(reply, ErrorReply) else b"+", _line(reply.text))
    if isinstance(reply, bool) and resp3:
        return b"#t\r\n" if reply else b"#f\r\n"
    if isinstance(reply, int):
        return b":%d\r\n" % reply
    if isinstance(reply, float):
        text = repr(reply).removesuffix(".0").encode()
        return b",%b\r\n" % text if resp3 else b"$%d\r\n%b\r\n" % (len(text), text)
    if reply is None or reply is NULL_LIST:
        return b"_\r\n" if resp3 else b"$-1\r\n" if reply is None else b"*-1\r\n"
    raise TypeError(f"{type(reply).__name__} is no reply")


def _line(text: str) -> bytes:
    """Return `text` as one line: a client would take a second line for the next reply."""
    return text.replace("\r", " ").replace("\n", " ").encode("utf-8", "surrogateescape")
