"""Partitions the fleet: computes the links to pause or to open, and sets them in the Redis of the nodes.

A *cut* is one direction: (listener, speaker), which means that the listener reads nothing from the speaker. It is a
field of the listener's links, in the listener's own Redis. So it can be set while the worker is dead, and the worker
obeys it when it is back.
"""

from __future__ import annotations

import re
from itertools import permutations
from typing import TYPE_CHECKING

from crdt_core.errors import InvalidArgument, UnknownNode
from workers.fleet.stores import NodeStoreUnavailable
from workers.wire.keys import OPEN, PAUSED, Keys

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from workers.config.settings import FleetSettings
    from workers.fleet.stores import FleetRedis, Replies
    from workers.wire.connection import RedisCommand

__all__ = ["Cut", "Matrix", "healed_links", "partition_cuts", "set_links"]

Cut = tuple[str, str]
"""(listener, speaker)."""

Matrix = dict[str, dict[str, bool] | NodeStoreUnavailable]
"""Per listener and speaker whether the listener reads from the speaker; or why the listener's links are unknown."""

_ARROW = re.compile(r"->|→")


def partition_cuts(words: Sequence[str], nodes: Sequence[str]) -> set[Cut]:
    """Return the cuts that `words` ask for, in a fleet of `nodes`; raises `UnknownNode` and `InvalidArgument`.

    A word is a group of nodes, or a direction. No group hears another; the nodes that are in no group form one more
    group. The direction `n1->n2` means that n2 does not hear n1.

    >>> five = ["n1", "n2", "n3", "n4", "n5"]
    >>> sorted(partition_cuts(["n1->n3,n4"], five))
    [('n3', 'n1'), ('n4', 'n1')]
    >>> len(partition_cuts(["n3"], five)), len(partition_cuts(["n1,n2", "n3,n4,n5"], five))
    (8, 12)
    """
    cuts: set[Cut] = set()
    groups: list[list[str]] = []
    for word in words:
        if _ARROW.search(word):
            cuts |= _direction(word, nodes)
        else:
            groups.append(_names(word, nodes))
    named = [name for group in groups for name in group]
    for name in named:
        if named.count(name) > 1:
            raise InvalidArgument(name, "is named in more than one group")
    rest = [name for name in nodes if name not in named]
    if groups:
        for one, other in permutations([*groups, rest], 2):
            cuts |= {(listener, speaker) for listener in one for speaker in other}
        if not cuts:
            raise InvalidArgument(" ".join(words), "names every node: there is nothing to cut them from")
    return cuts


def healed_links(words: Sequence[str], nodes: Sequence[str]) -> set[Cut]:
    """Return the links that `words` ask to open: all without words, all of the named nodes, or one direction.

    Raises `UnknownNode` and `InvalidArgument`.
    """
    everything = set(permutations(nodes, 2))
    healed = set() if words else everything
    for word in words:
        if _ARROW.search(word):
            healed |= _direction(word, nodes)
        else:
            names = _names(word, nodes)
            healed |= {link for link in everything if link[0] in names or link[1] in names}
    return healed


async def set_links(redis: FleetRedis, settings: FleetSettings, cuts: Iterable[Cut], *, paused: bool) -> Matrix:
    """Pause or open `cuts` wherever Redis answers, and return all links as they are afterwards. Idempotent."""
    changes: dict[str, list[str]] = {}
    for listener, speaker in sorted(cuts):
        changes.setdefault(listener, []).extend((speaker, PAUSED if paused else OPEN))
    writes: dict[str, list[RedisCommand]] = {
        name: [("HSET", Keys(name).links, *pairs)] for name, pairs in changes.items()
    }
    replies = await redis.ask({name: [*writes.get(name, []), ("HGETALL", Keys(name).links)] for name in settings.nodes})
    return {name: _row(answer, settings.peers_of(name)) for name, answer in replies.items()}


def _row(answer: Replies | NodeStoreUnavailable, peers: Iterable[str]) -> dict[str, bool] | NodeStoreUnavailable:
    if isinstance(answer, NodeStoreUnavailable):
        return answer
    for reply in answer:
        if isinstance(reply, Exception):
            return NodeStoreUnavailable("", str(reply))
    return {peer: answer[-1].get(peer.encode()) != PAUSED.encode() for peer in peers}


def _direction(word: str, nodes: Sequence[str]) -> set[Cut]:
    """Return the cuts of the direction `speakers->listeners`."""
    sides = _ARROW.split(word)
    if len(sides) != 2:
        raise InvalidArgument(repr(word), "has more than one arrow")
    speakers, listeners = (_names(side, nodes) for side in sides)
    shared = sorted(set(speakers) & set(listeners))
    if shared:
        raise InvalidArgument(repr(word), f"{shared[0]} is on both sides of the arrow")
    return {(listener, speaker) for listener in listeners for speaker in speakers}


def _names(word: str, nodes: Sequence[str]) -> list[str]:
    """Return the nodes in a comma-separated list, each once."""
    names = [name.strip() for name in word.split(",") if name.strip()]
    if not names:
        raise InvalidArgument(repr(word), "names no node; a direction is written 'n1->n3', in quotes")
    for name in names:
        if name not in nodes and name.removesuffix("-") in nodes:
            raise InvalidArgument(repr(word), "the shell has taken the '>' of an arrow: write 'n1->n3' in quotes")
        if name not in nodes:
            raise UnknownNode(name, list(nodes))
    return list(dict.fromkeys(names))
