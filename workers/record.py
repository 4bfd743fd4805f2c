"""What a node's Redis says of its replica, as `crdt_core.identity` wants it: asked in one transaction, then parsed.

Whether its worker runs is told by the name of the connection that its owner holds, not by a time of day: clocks differ.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson

from crdt_core.errors import Malformed, StoreUnavailable
from crdt_core.header import decode_header
from crdt_core.identity import Record
from crdt_core.objects import Object
from crdt_core.records import decode_part
from crdt_core.siblings import Roster
from crdt_core.types import MEMBERS, View
from crdt_core.types.members import MEMBERS_KEY, Members
from workers.keys import Keys

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from redis.asyncio import Redis

__all__ = ["owner_connection", "questions", "read_record", "record_of"]


def owner_connection(node: str, token: str) -> str:
    """The name of the connection by which the owner of `node` with that fencing token commits."""
    return f"deltaic-owner-{node}-{token}"


def questions(node: str) -> list[tuple[str | bytes, ...]]:
    """The commands whose replies `record_of` understands."""
    keys = Keys(node)
    return [("HGETALL", keys.header), ("HGETALL", keys.members), ("CLIENT", "LIST"), ("INFO", "server")]


def record_of(node: str, replies: Sequence[Any]) -> Record:
    """The record in the replies to `questions`. Raises `Malformed`, and `StoreUnavailable` where one is an error."""
    for reply in replies:
        if isinstance(reply, Exception):
            raise StoreUnavailable(f"the Redis of {node} refuses: {reply}")
    header, members, clients, info = replies
    fields: Mapping[bytes, bytes] = header
    owner = fields.get(b"owner")
    return Record(
        replica=fields.get(b"replica", b"").decode(),
        clock=decode_header(fields).clock,
        members=_members(members),
        founders=tuple(_strings(fields.get(b"founders", b"[]"))),
        joining=bool(fields.get(b"joining")),
        former=fields.get(b"former", b"").decode(),
        restored=bool(fields.get(b"restored")),
        doubtful=fields.get(b"run_id", b"").decode() != info["run_id"],
        running=owner is not None and f" name={owner_connection(node, owner.decode())} ".encode() in clients,
    )


async def read_record(node: str, redis: Redis) -> Record:
    """The record of `node` in its Redis; raises what `record_of` raises, and the connection's errors."""
    async with redis.pipeline(transaction=True) as pipeline:
        for question in questions(node):
            pipeline.execute_command(*question)
        return record_of(node, await pipeline.execute(raise_on_error=False))


def _members(parts: Mapping[bytes, bytes]) -> Members:
    link, roster = Object(MEMBERS_KEY, MEMBERS), Roster()
    for part, value in parts.items():
        link.adopt(part, decode_part(link, value, roster))
    return MEMBERS.value(View(link.parts, roster))


def _strings(value: bytes) -> list[str]:
    found = orjson.loads(value)
    if not isinstance(found, list) or not all(isinstance(item, str) for item in found):
        raise Malformed("header", "founders are no list of names")
    return found
