"""DELTAIC.EXPLAIN and DELTAIC.SIBLINGS: which writes make up what a key shows, and why.

Both show the state as it is, removals and what has expired included, and change nothing.

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
from crdt_core.commands.keys import redis_type
from crdt_core.commands.replies import CommandError, Map
from crdt_core.commands.session import RESERVED
from crdt_core.lattice.siblings import TOMBSTONE, WINNING_TOMBSTONE, ObservedReset, unfold
from crdt_core.types import HASH, LWWREGISTER, MVREGISTER, SLOT, STRING
from crdt_core.types.counters import Share, net
from crdt_core.types.expiry import PERSISTED, Until, slot_write
from crdt_core.types.hashes import slot_of
from crdt_core.types.strings import integer, latest

if TYPE_CHECKING:
    from crdt_core.commands.replies import Reply
    from crdt_core.commands.session import Session
    from crdt_core.lattice.clocks import Dot
    from crdt_core.lattice.replica_index import ReplicaIndex
    from crdt_core.lattice.siblings import Payload, Siblings
    from crdt_core.types.object import Object

__all__ = ["COMMANDS"]

_PARTS = 1000
_PARTS_MAX = 1 << 20


class _Written(NamedTuple):
    """One write, and where it stands."""

    link: Object
    part: bytes
    dot: Dot
    payload: Payload

    @property
    def json(self) -> bytes:
        return b"null" if self.payload is TOMBSTONE else orjson.dumps(self.link.type.encode_payload(self.payload))

    @property
    def slot(self) -> Siblings:
        """The slot that the part is, or is a share beside; `None` in other types."""
        link, part = self.link, self.part
        if link.type is STRING:
            return link.parts.get(SLOT)
        if link.type is HASH:
            return link.parts.get(part if link.type.owner(part) is None else slot_of(part))
        return link.parts.get(part) if link.type in (LWWREGISTER, MVREGISTER) else None


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
            (b"type", redis_type(shown).encode() if shown is not None else b"none"),
            (b"expires_ms", session.deadline_ms(args[0])),
            (b"hidden", [link.type.name.encode() for link in _hidden(links)]),
            (b"parts", sum(len(link.parts) for link in links)),
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
    """At most so many writes are shown: `[COUNT n]`."""
    if len(args) == 1:
        return _PARTS
    if len(args) != 3 or args[1].upper() != b"COUNT":
        raise CommandError(SYNTAX)
    return parse_within(args[2], 1, _PARTS_MAX)


def _links(session: Session, key: bytes) -> list[Object]:
    """All objects under the key, what prevails first."""
    if key.startswith(RESERVED):
        raise CommandError("ERR keys that begin with 'deltaic:' are reserved")
    head = session.state.head(key)
    if head is None:
        return []
    showing = head.showing()
    return [*showing, *(link for link in head.chain() if link not in showing and link.parts)]


def _hidden(links: list[Object]) -> list[Object]:
    return [link for link in links[1:] if link.live and not link.type.attribute]


def _writes(links: list[Object], replica_index: ReplicaIndex, count: int) -> list[_Written]:
    """The first `count` writes, by part and dot."""
    found: list[_Written] = []
    for link in links:
        for part in nsmallest(count - len(found), link.parts):
            siblings = unfold(link.parts[part])
            writes = (_Written(link, part, replica_index.unpack(dot), payload) for dot, payload in siblings.items())
            found += sorted(writes, key=lambda written: written.dot)
    return found[:count]


def _reason(session: Session, links: list[Object], written: _Written) -> str:
    """What becomes of a write."""
    link, payload = written.link, written.payload
    if payload is TOMBSTONE:
        return "removes what it has seen"
    if payload is WINNING_TOMBSTONE:
        return "removes what it has seen, and keeps out what is concurrent"
    if isinstance(payload, ObservedReset):
        owner = (link.type.owner(written.part) or b"").decode("utf-8", "replace")
        return f"takes away {payload.increments - payload.decrements} of what {owner} has added"
    if link in _hidden(links):
        return f"is hidden: {links[0].type.name} prevails over {link.type.name}"
    if isinstance(payload, Until):
        return _reason_of_deadline(session, links[0].key, payload)
    return _reason_of_value(written, session.state.replica_index)


def _reason_of_value(written: _Written, replica_index: ReplicaIndex) -> str:
    siblings = unfold(written.link.parts.get(written.part))
    winner = latest(written.slot, replica_index)
    if isinstance(written.payload, Share):
        amount = net(written.link.parts.get(written.part))
        hides = winner is not None and integer(winner[1].value) is None
        return f"would add {amount}, but what shows is no integer" if hides else f"adds {amount}"
    denials = sorted(replica_index.unpack(dot) for dot, payload in siblings.items() if payload is WINNING_TOMBSTONE)
    if denials:
        return f"loses to {denials[0]}, which is concurrent and removes"
    if len(siblings) == 1 or winner is None:
        return "shows" if len(siblings) == 1 else "shows, beside what is concurrent"
    if replica_index.unpack(winner[0]) == written.dot:
        return "wins: it is the latest"
    fate = "stands beside" if written.link.type is MVREGISTER else "loses to"
    return f"{fate} {replica_index.unpack(winner[0])}, which is concurrent and later"


def _reason_of_deadline(session: Session, key: bytes, until: Until) -> str:
    head = session.state.head(key)
    about = slot_write(head, session.state.replica_index) if head is not None else None
    if until.of != about:
        return f"does not count: it is about {until.of or 'no write'}, and what shows is {about or 'no write'}"
    if until.deadline_ms == PERSISTED:
        return "the key stays"
    deadline_ms = session.deadline_ms(key)
    if deadline_ms != until.deadline_ms:
        return "is outlived by one that is concurrent"
    return f"the key expires in {deadline_ms - session.wall_ms} ms" if deadline_ms > session.wall_ms else "has expired"


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
