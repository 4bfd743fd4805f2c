"""The channels of one face: who hears what."""

from __future__ import annotations

import pytest

from workers.resp.channels import Channels
from workers.resp.encoding import Push, encode


class Heard:
    """A listener that keeps what it is sent."""

    def __init__(self, id_: int, *, resp3: bool = False) -> None:
        self.id = id_
        self.resp3 = resp3
        self.channels: set[bytes] = set()
        self.patterns: set[bytes] = set()
        self.heard: list[bytes] = []

    def push(self, data: bytes) -> None:
        self.heard.append(data)


@pytest.fixture
def channels() -> Channels:
    return Channels()


def test_each_listener_is_told_in_its_own_protocol(channels: Channels) -> None:
    old, new = Heard(1), Heard(2, resp3=True)
    for listener in (old, new):
        channels.subscribe(listener, b"news")
    assert channels.publish(b"news", b"hello") == 2
    message = Push([b"message", b"news", b"hello"])
    assert (old.heard, new.heard) == ([encode(message, resp3=False)], [encode(message, resp3=True)])


def test_a_pattern_of_many_stars_does_not_hold_the_node_up(channels: Channels) -> None:
    """As a regular expression it took time exponential in the stars."""
    listener = Heard(1)
    channels.subscribe_pattern(listener, b"*a" * 30)
    assert channels.publish(b"a" * 100 + b"b", b"hello") == 0
    assert channels.publish(b"a" * 100, b"hello") == 1


def test_who_listens_twice_is_told_twice(channels: Channels) -> None:
    listener = Heard(1)
    channels.subscribe(listener, b"news")
    channels.subscribe_pattern(listener, b"n*")
    assert channels.publish(b"news", b"x") == 2
    assert channels.publish(b"night", b"x") == 1
    assert channels.publish(b"old", b"x") == 0
    channels.unsubscribe_pattern(listener, b"n*")
    assert channels.publish(b"night", b"x") == 0


def test_it_is_silent_again_once_everybody_has_left(channels: Channels) -> None:
    assert channels.silent
    one, other = Heard(1), Heard(2)
    channels.subscribe(one, b"news")
    channels.subscribe_pattern(other, b"n*")
    channels.leave(one)
    assert not channels.silent
    channels.leave(other)
    channels.unsubscribe(other, b"never")
    assert channels.silent
    assert (one.channels, other.patterns, channels.listeners, channels.by_pattern) == (set(), set(), {}, {})
