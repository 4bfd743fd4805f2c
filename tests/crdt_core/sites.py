"""Sites that run commands apart, and then hear of each other: by deltas in any order, or by patches."""

from __future__ import annotations

from itertools import permutations
from typing import TYPE_CHECKING, Any

from crdt_core.codec.deltas import decode_delta, encode_delta
from crdt_core.codec.patches import decode_patch, encode_patch
from crdt_core.commands import CommandOptions, ErrorReply, Execute, Map, SetOf, Status
from crdt_core.lattice.clocks import HybridClock, Stamp
from crdt_core.replica.replica import Applied, Replica
from tests.invocations import lookup

if TYPE_CHECKING:
    from collections.abc import Callable

    from crdt_core.commands import Reply
    from crdt_core.node.events import Operation

__all__ = ["START_MS", "WAYS", "Fleet", "Site", "way_name"]

START_MS = 1_700_000_000_000

WAYS = [("deltas", order) for order in permutations(range(3))] + [("patches", (0, 1, 2)), ("patches", (2, 1, 0))]
"""The ways in which sites hear of each other: by deltas or by patches, and in which order."""


def way_name(way: tuple[str, tuple[int, ...]]) -> str:
    """The name of a way, for the test's."""
    return f"{way[0]}-{''.join(map(str, way[1]))}"


class Site:
    """One replica, its wall clock, its options for commands, and the deltas that it has made."""

    def __init__(self, name: str) -> None:
        self.replica = Replica(name)
        self.options = CommandOptions()
        self.wall_ms = START_MS
        self.log: list[bytes] = []
        self._hlc = HybridClock()

    def __call__(self, *lines: str) -> Any:
        """The reply to one command, or the replies to several that are one transaction."""
        split = [[word.encode() for word in line.split(" ")] for line in lines]
        commands = [(lookup(words[0], words[1:]), words[1:]) for words in split]
        replies = [simple(reply) for reply in self.run(Execute(commands, self.wall_ms, 7, self.options))]
        return replies if len(lines) > 1 else replies[0]

    def run(self, operation: Operation) -> Any:
        """Returns the result of the operation."""
        now = self._hlc.tick(self.wall_ms)
        result = operation.run(self.replica, now)
        delta = self.replica.commit(now)
        if delta is not None:
            self.log.append(encode_delta(delta))
        return result

    def hears_deltas(self, others: tuple[Site, ...]) -> None:
        """Applies the deltas of the others, each as soon as all that it builds on is here."""
        deltas = [decode_delta(delta) for other in others if other is not self for delta in other.log]
        while any([self._takes(delta) for delta in deltas]):  # noqa: C419  every one is offered
            pass

    def hears_patches(self, others: tuple[Site, ...]) -> None:
        """Joins a patch of each other site."""
        for other in others:
            if other is not self:
                patch = other.replica.patch(self.replica.clock, Stamp(self.wall_ms, 0))
                self.replica.join(decode_patch(encode_patch(patch)))

    def _takes(self, delta: Any) -> bool:
        self._hlc.observe(delta.hlc, self.wall_ms, 60_000)
        return self.replica.apply(delta) is Applied.YES


def simple(reply: Reply) -> Any:
    """The reply as text, numbers, sets and dicts."""
    match reply:
        case bytes():
            return reply.decode("utf-8", "surrogateescape")
        case Status(text) | ErrorReply(text):
            return text
        case Map(items):
            return {simple(name): simple(value) for name, value in items}
        case SetOf(items):
            return {simple(item) for item in items}
        case list():
            return [simple(item) for item in reply]
    return reply


class Fleet:
    """Three sites that hear of each other only in `sync`. Not every scenario needs C."""

    def __init__(self, how: str, order: tuple[int, ...]) -> None:
        self.a, self.b, self.c = self.sites = tuple(Site(name) for name in ("n1", "n2", "n3"))
        self._hear: Callable[[Site, tuple[Site, ...]], None] = (
            Site.hears_deltas if how == "deltas" else Site.hears_patches
        )
        self._order = order

    def sync(self) -> None:
        """Lets all sites hear of everything."""
        for _ in range(2):
            for site in self.sites:
                self._hear(site, tuple(self.sites[index] for index in self._order))
        for site in self.sites:
            site.replica.take_changes()
        assert len({site.replica.digest for site in self.sites}) == 1

    def at(self, ms: int) -> None:
        """Sets every wall clock to `ms` after the start."""
        for site in self.sites:
            site.wall_ms = START_MS + ms

    def all(self, line: str) -> Any:
        """The reply that all sites give."""
        replies = [site(line) for site in self.sites]
        assert replies[0] == replies[1] == replies[2]
        return replies[0]
