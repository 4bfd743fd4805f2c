"""The channels of one face: who listens to what, and telling them.

Messages come from clients of this node and of others (`workers.replication.broadcasts`). A change of state, made by a
client or by a peer, is told on the channels that Redis has for that (`notifications`), at each node for itself.
"""

from __future__ import annotations

from typing import Protocol

from crdt_core.commands.patterns import matches
from workers.resp.encoding import Push, encode

__all__ = ["Channels", "Listener"]


class Listener(Protocol):
    """A client that listens to `channels` and to `patterns`. `resp3`: which protocol it reads."""

    id: int
    resp3: bool
    channels: set[bytes]
    patterns: set[bytes]

    def push(self, data: bytes) -> None:
        """Send the encoded message `data`."""


class Channels:
    """The subscriptions: listeners by their number, by channel (`listeners`) and by pattern (`by_pattern`)."""

    def __init__(self) -> None:
        self.listeners: dict[bytes, dict[int, Listener]] = {}
        self.by_pattern: dict[bytes, dict[int, Listener]] = {}
        self.silent = True
        """Whether nobody listens to anything."""

    def subscribe(self, listener: Listener, channel: bytes) -> None:
        """Have `listener` hear what is published on `channel`."""
        listener.channels.add(channel)
        self.listeners.setdefault(channel, {})[listener.id] = listener
        self.silent = False

    def subscribe_pattern(self, listener: Listener, pattern: bytes) -> None:
        """Have `listener` hear what is published on the channels that match."""
        listener.patterns.add(pattern)
        self.by_pattern.setdefault(pattern, {})[listener.id] = listener
        self.silent = False

    def unsubscribe(self, listener: Listener, channel: bytes) -> None:
        """End a subscription to a channel, if there is one."""
        listener.channels.discard(channel)
        self._drop(self.listeners, channel, listener)

    def unsubscribe_pattern(self, listener: Listener, pattern: bytes) -> None:
        """End a subscription to a pattern, if there is one."""
        listener.patterns.discard(pattern)
        self._drop(self.by_pattern, pattern, listener)

    def leave(self, listener: Listener) -> None:
        """End all subscriptions of `listener`."""
        for channel in list(listener.channels):
            self.unsubscribe(listener, channel)
        for pattern in list(listener.patterns):
            self.unsubscribe_pattern(listener, pattern)

    def publish(self, channel: bytes, message: bytes) -> int:
        """Send `message` to all that listen; return how many times it was sent."""
        told = 0
        listeners = self.listeners.get(channel)
        if listeners:
            told += _tell(listeners, Push([b"message", channel, message]))
        for pattern, subscribed in list(self.by_pattern.items()):
            if matches(pattern, channel):
                told += _tell(subscribed, Push([b"pmessage", pattern, channel, message]))
        return told

    def _drop(self, subscribed: dict[bytes, dict[int, Listener]], name: bytes, listener: Listener) -> None:
        listening = subscribed.get(name)
        if listening is not None:
            listening.pop(listener.id, None)
            if not listening:
                del subscribed[name]
        self.silent = not (self.listeners or self.by_pattern)


def _tell(listeners: dict[int, Listener], message: Push) -> int:
    encoded = {resp3: encode(message, resp3=resp3) for resp3 in (False, True)}
    for listener in list(listeners.values()):
        listener.push(encoded[listener.resp3])
    return len(listeners)
