"""DELTAIC.EXPLAIN and DELTAIC.SIBLINGS: which writes make up what a key shows, and why.

Both show the state as it is, tombstones and expired keys included, and change nothing. What becomes of a live write is
its type's to say (`CrdtType.explain`).

    DELTAIC.EXPLAIN c        type string, value 101, and of every write:
                             string ""  n1:7   ["100",1763700000000,0]   wins: it is the latest
                             string n2  n2:9   [6,0,5,0]                 adds 1
    DELTAIC.SIBLINGS c       the same writes by part and dot, without the reasons
"""

from __future__ import annotations

from heapq import nsmallest
from typing import TYPE_CHECKING, NamedTuple

import orjson

from crdt_core.commands.arguments import SYNTAX, parse_within
from crdt_core.commands.command import KEY, Command
from crdt_core.commands.replies import CommandError, Map
from crdt_core.lattice.siblings import TOMBSTONE, WINNING_TOMBSTONE, ObservedReset, unfold
from crdt_core.types.contract import LiveWrite
from crdt_core.types.expiry import slot_write
from crdt_core.types.members import RESERVED

if TYPE_CHECKING:
    from crdt_core.commands.replies import Reply
    from crdt_core.commands.session import Session
    from crdt_core.lattice.clocks import Dot
    from crdt_core.lattice.replica_index import ReplicaIndex
    from crdt_core.lattice.siblings import Payload
    from crdt_core.types.object import Object

__all__ = ["COMMANDS"]

_PARTS = 1000
_PARTS_MAX = 1 << 20


class _Written(NamedTuple):
    """One write, and the object and part that it is in."""

    link: Object
    part: bytes
    dot: Dot
    payload: Payload

    @property
    def json(self) -> bytes:
        """The payload as it is stored."""
        return b"null" if self.payload is TOMBSTONE else orjson.dumps(self.link.type.encode_payload(self.payload))


def _explain(session: Session, args: list[bytes]) -> Reply:
    count, links = _count(args), _links(session, args[0])
    if not links:
        return None
    shown = session.find(args[0])
    writes: list[Reply] = [
        Map(
            [
                (b"type", written.link.type.name.encode()),
                (b"part", written.part),
                (b"dot", str(written.dot).encode()),
                (b"says", written.json),
                (b"so", _reason(session, links, written).encode()),
            ]
        )
        for written in _writes(links, session.state.replica_index, count)
    ]
    return Map(
        [
            (b"type", shown.type.redis_type.encode() if shown is not None else b"none"),
            (b"expires_ms", session.deadline_ms(args[0])),
            (b"hidden", [link.type.name.encode() for link in _hidden(links)]),
            (b"parts", sum(link.size for link in links)),
            (b"writes", writes),
        ]
    )


def _siblings(session: Session, args: list[bytes]) -> Reply:
    count = _count(args)
    parts: dict[tuple[str, bytes], list[tuple[Reply, Reply]]] = {}
    for written in _writes(_links(session, args[0]), session.state.replica_index, count):
        siblings = parts.setdefault((written.link.type.name, written.part), [])
        siblings.append((str(written.dot).encode(), written.json))
    return [[name.encode(), part, Map(siblings)] for (name, part), siblings in parts.items()]


def _count(args: list[bytes]) -> int:
    """Return how many writes are shown at most: `[COUNT n]`."""
    if len(args) == 1:
        return _PARTS
    if len(args) != 3 or args[1].upper() != b"COUNT":
        raise CommandError(SYNTAX)
    return parse_within(args[2], 1, _PARTS_MAX)


def _links(session: Session, key: bytes) -> list[Object]:
    """Return all objects under the key, the one that prevails first."""
    if key.startswith(RESERVED):
        raise CommandError("ERR keys that begin with 'deltaic:' are reserved")
    head = session.state.head(key)
    if head is None:
        return []
    showing = head.showing()
    return [*showing, *(link for link in head.chain() if link not in showing and link.parts)]


def _hidden(links: list[Object]) -> list[Object]:
    """Return the objects that would show if the first did not prevail."""
    return [link for link in links[1:] if link.live and not link.type.attribute]


def _writes(links: list[Object], replica_index: ReplicaIndex, count: int) -> list[_Written]:
    """Return the first `count` writes, by part and dot."""
    found: list[_Written] = []
    for link in links:
        for part in nsmallest(count - len(found), link.parts):
            siblings = unfold(link.parts[part])
            writes = (_Written(link, part, replica_index.unpack(dot), payload) for dot, payload in siblings.items())
            found += sorted(writes, key=lambda written: written.dot)
    return found[:count]


def _reason(session: Session, links: list[Object], written: _Written) -> str:
    """Return what becomes of a write."""
    link, part, dot, payload = written
    if payload is TOMBSTONE:
        return "removes what it has seen"
    if payload is WINNING_TOMBSTONE:
        return "removes what it has seen, and keeps out what is concurrent"
    if isinstance(payload, ObservedReset):
        owner = (link.type.owner(part) or b"").decode("utf-8", "replace")
        return f"takes away {payload.increments - payload.decrements} of what {owner} has added"
    if link in _hidden(links):
        return f"is hidden: {links[0].type.name} prevails over {link.type.name}"
    replica_index, head = session.state.replica_index, session.state.head(link.key)
    shown_dot = slot_write(head, replica_index) if head is not None else None
    return link.type.explain(LiveWrite(session.view(link), part, dot, payload, shown_dot, session.wall_ms))


COMMANDS: tuple[Command[Session], ...] = (
    Command(
        "deltaic",
        "DELTAIC.EXPLAIN key [COUNT count]",
        -2,
        KEY,
        "readonly",
        _explain,
        "Returns every write that makes up a key, which one won and why.",
        "",
        "O(N) in the writes",
    ),
    Command(
        "deltaic",
        "DELTAIC.SIBLINGS key [COUNT count]",
        -2,
        KEY,
        "readonly",
        _siblings,
        "Returns every write that makes up a key.",
        "",
        "O(N) in the writes",
    ),
)
