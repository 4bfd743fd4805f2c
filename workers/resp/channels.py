"""Channels: who listens to what at this node, and what they are told.

Messages stay at the node where they are published; what travels between nodes is state. What changes in it, by
whoever's hand, is told on the channels that Redis has for that (`notifications`).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from workers.resp.encoding import NOTHING, Push, encode
from workers.resp.handler import Handler
from workers.resp.subcommands import Subcommand, family

if TYPE_CHECKING:
    from collections.abc import Callable

    from workers.resp.connection import Connection

__all__ = ["HANDLERS", "Channels", "glob"]


class Channels:
    """The subscriptions of one face."""

    def __init__(self) -> None:
        self.of: dict[bytes, dict[int, Connection]] = {}
        self.by_pattern: dict[bytes, dict[int, Connection]] = {}
        self._matchers: dict[bytes, re.Pattern[bytes]] = {}

    @property
    def silent(self) -> bool:
        """Whether nobody listens to anything."""
        return not (self.of or self.by_pattern)

    def subscribe(self, connection: Connection, channel: bytes) -> None:
        connection.channels.add(channel)
        self.of.setdefault(channel, {})[connection.id] = connection

    def subscribe_pattern(self, connection: Connection, pattern: bytes) -> None:
        connection.patterns.add(pattern)
        self.by_pattern.setdefault(pattern, {})[connection.id] = connection
        self._matchers.setdefault(pattern, glob(pattern))

    def unsubscribe(self, connection: Connection, channel: bytes) -> None:
        connection.channels.discard(channel)
        _drop(self.of, channel, connection)

    def unsubscribe_pattern(self, connection: Connection, pattern: bytes) -> None:
        connection.patterns.discard(pattern)
        _drop(self.by_pattern, pattern, connection)
        if pattern not in self.by_pattern:
            self._matchers.pop(pattern, None)

    def leave(self, connection: Connection) -> None:
        """Ends all subscriptions of the connection."""
        for channel in list(connection.channels):
            self.unsubscribe(connection, channel)
        for pattern in list(connection.patterns):
            self.unsubscribe_pattern(connection, pattern)

    def publish(self, channel: bytes, message: bytes) -> int:
        """Tells everyone who listens; how many times somebody was told."""
        told = 0
        listeners = self.of.get(channel)
        if listeners:
            told += _tell(listeners, Push([b"message", channel, message]))
        for pattern, subscribed in list(self.by_pattern.items()):
            if self._matchers[pattern].fullmatch(channel):
                told += _tell(subscribed, Push([b"pmessage", pattern, channel, message]))
        return told


def glob(pattern: bytes) -> re.Pattern[bytes]:
    r"""What matches a pattern of Redis.

    >>> [bool(glob(b"h[a-c^]?l*").fullmatch(word)) for word in (b"hallo", b"hball", b"hxllo")]
    [True, True, False]
    """
    out, at = b"", 0
    while at < len(pattern):
        letter = pattern[at : at + 1]
        at += 1
        if letter == b"*":
            out += b".*" if not out.endswith(b".*") else b""
        elif letter == b"?":
            out += b"."
        elif letter == b"[":
            letters, at = _class(pattern, at)
            out += letters
        else:
            if letter == b"\\" and at < len(pattern):
                letter = pattern[at : at + 1]
                at += 1
            out += re.escape(letter)
    return re.compile(out, re.DOTALL)


def _class(pattern: bytes, at: int) -> tuple[bytes, int]:
    """The class of letters behind a bracket, and where it ends; one that is not closed ends with the pattern."""
    negated = pattern[at : at + 1] == b"^"
    at += negated
    out = b""
    while at < len(pattern) and pattern[at : at + 1] != b"]":
        if pattern[at : at + 1] == b"\\" and at + 1 < len(pattern):
            at += 1
        first = last = pattern[at]
        if pattern[at + 1 : at + 2] == b"-" and at + 2 < len(pattern):
            first, last = sorted((pattern[at], pattern[at + 2]))
            at += 2
        out += b"\\x%02x-\\x%02x" % (first, last)
        at += 1
    if not out:
        return (b"." if negated else b"(?!)"), at + 1
    return b"[%b%b]" % (b"^" if negated else b"", out), at + 1


def _drop(listeners: dict[bytes, dict[int, Connection]], name: bytes, connection: Connection) -> None:
    listening = listeners.get(name)
    if listening is not None:
        listening.pop(connection.id, None)
        if not listening:
            del listeners[name]


def _tell(listeners: dict[int, Connection], message: Push) -> int:
    encoded = {resp3: encode(message, resp3=resp3) for resp3 in (False, True)}
    for connection in list(listeners.values()):
        connection.push(encoded[connection.resp3])
    return len(listeners)


def _subscribing(kind: bytes, subscribe: Callable[[Channels], Callable[[Connection, bytes], None]]) -> Any:
    def run(connection: Connection, args: list[bytes]) -> Any:
        for name in args:
            subscribe(connection.face.channels)(connection, name)
            connection.say(Push([kind, name, _count(connection)]))
        return NOTHING

    return run


def _unsubscribing(
    kind: bytes,
    held: Callable[[Connection], set[bytes]],
    unsubscribe: Callable[[Channels], Callable[[Connection, bytes], None]],
) -> Any:
    def run(connection: Connection, args: list[bytes]) -> Any:
        told = False
        for name in args or sorted(held(connection)):
            unsubscribe(connection.face.channels)(connection, name)
            connection.say(Push([kind, name, _count(connection)]))
            told = True
        if not told:
            connection.say(Push([kind, None, _count(connection)]))
        return NOTHING

    return run


def _count(connection: Connection) -> int:
    return len(connection.channels) + len(connection.patterns)


def _publish(connection: Connection, args: list[bytes]) -> int:
    return connection.face.channels.publish(args[0], args[1])


def _listened_to(connection: Connection, args: list[bytes]) -> list[bytes]:
    matcher = glob(args[0]) if args else None
    return [name for name in connection.face.channels.of if matcher is None or matcher.fullmatch(name)]


def _listeners(connection: Connection, args: list[bytes]) -> list[bytes | int]:
    return [item for name in args for item in (name, len(connection.face.channels.of.get(name, ())))]


def _patterns(connection: Connection, _args: list[bytes]) -> int:
    return len(connection.face.channels.by_pattern)


HANDLERS = (
    Handler(b"SUBSCRIBE", -2, _subscribing(b"subscribe", lambda channels: channels.subscribe)),
    Handler(b"PSUBSCRIBE", -2, _subscribing(b"psubscribe", lambda channels: channels.subscribe_pattern)),
    Handler(
        b"UNSUBSCRIBE",
        -1,
        _unsubscribing(b"unsubscribe", lambda connection: connection.channels, lambda channels: channels.unsubscribe),
    ),
    Handler(
        b"PUNSUBSCRIBE",
        -1,
        _unsubscribing(
            b"punsubscribe", lambda connection: connection.patterns, lambda channels: channels.unsubscribe_pattern
        ),
    ),
    Handler(b"PUBLISH", 3, _publish, queued=True),
    family(
        b"PUBSUB",
        (
            Subcommand("CHANNELS [<pattern>]", -2, "The channels that somebody listens to.", _listened_to),
            Subcommand("NUMPAT", 2, "How many patterns are listened to.", _patterns),
            Subcommand("NUMSUB [<channel> ...]", -2, "How many listen to each channel.", _listeners),
        ),
        absent="SHARDCHANNELS SHARDNUMSUB",
    ),
)
