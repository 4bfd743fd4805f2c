"""What a node's Redis says of its replica, as `crdt_core.membership.identity` wants it: asked in one transaction, then
parsed.

Whether its worker runs is told by a key that expires, and not by a time of day: clocks differ.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson

from crdt_core.codec.header import decode_header
from crdt_core.codec.records import decode_part
from crdt_core.errors import Malformed, StoreUnavailable
from crdt_core.lattice.replica_index import ReplicaIndex
from crdt_core.membership.evidence import NodeEvidence
from crdt_core.types import MEMBERS, View
from crdt_core.types.members import MEMBERS_KEY, Members
from crdt_core.types.object import Object
from workers.wire.keys import Keys

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from redis.asyncio import Redis

__all__ = ["evidence_of", "founders_in", "members_in", "questions", "read_evidence"]


def questions(node: str) -> list[tuple[str | bytes, ...]]:
    """The commands whose replies `record_of` understands."""
    keys = Keys(node)
    hashes = [("HGETALL", key) for key in (keys.header, keys.members, keys.met)]
    return [*hashes, ("GET", keys.alive), ("INFO", "server")]


def evidence_of(node: str, replies: Sequence[Any]) -> NodeEvidence:
    """The record in the replies to `questions`. Raises `Malformed`, and `StoreUnavailable` where one is an error."""
    for reply in replies:
        if isinstance(reply, Exception):
            raise StoreUnavailable(f"the Redis of {node} refuses: {reply}")
    header, members, met, alive, info = replies
    fields: Mapping[bytes, bytes] = header
    return NodeEvidence(
        replica=_text(fields.get(b"replica")),
        clock=decode_header(fields).clock,
        members=members_in(members),
        founders=founders_in(fields.get(b"founders")),
        joining=bool(fields.get(b"joining")),
        former=_text(fields.get(b"former")),
        restored=bool(fields.get(b"restored")),
        restoring=bool(fields.get(b"restoring")),
        doubtful=_text(fields.get(b"run_id")) != info["run_id"],
        owned=b"owner" in fields,
        run_id=info["run_id"],
        met={peer.decode(): run_id.decode() for peer, run_id in met.items()},
        running=alive is not None and alive == fields.get(b"owner"),
    )


async def read_evidence(node: str, redis: Redis) -> NodeEvidence:
    """The record of `node` in its Redis; raises what `record_of` raises, and the connection's errors."""
    async with redis.pipeline(transaction=True) as pipeline:
        for question in questions(node):
            pipeline.execute_command(*question)
        return evidence_of(node, await pipeline.execute(raise_on_error=False))


def members_in(parts: Mapping[bytes, bytes]) -> Members:
    """The members in the hash at `Keys.members`; raises `Malformed`."""
    link, replica_index = Object(MEMBERS_KEY, MEMBERS), ReplicaIndex()
    for part, value in parts.items():
        link.adopt(part, decode_part(link, value, replica_index))
    return MEMBERS.value(View(link.parts, replica_index))


def _text(value: bytes | None) -> str:
    return (value or b"").decode("utf-8", "backslashreplace")


def founders_in(value: bytes | None) -> tuple[str, ...]:
    """The founders in the header's field; raises `Malformed`."""
    try:
        found = orjson.loads(value or b"[]")
    except orjson.JSONDecodeError as error:
        raise Malformed("header", f"founders are no JSON ({error})") from error
    if not isinstance(found, list) or not all(isinstance(item, str) for item in found):
        raise Malformed("header", "founders are no list of names")
    return tuple(found)
