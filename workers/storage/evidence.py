"""Reads what a node's Redis says about its replica, as `crdt_core.membership.identity` needs it, in one transaction.

A key that expires says whether the node's worker runs. A time of day could not: clocks differ. A worker that is
starting says so beside the run ids that it has met. With that stands its token and the run id of its own Redis: if
another process owns the replica, or Redis was restarted, it says nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson

from crdt_core.codec.header import decode_header
from crdt_core.codec.records import decode_part
from crdt_core.errors import Malformed, StoreUnavailable
from crdt_core.lattice.replica_index import ReplicaIndex
from crdt_core.membership.evidence import NodeEvidence
from crdt_core.membership.incarnations import decode_formers
from crdt_core.types import MEMBERS, View
from crdt_core.types.members import MEMBERS_KEY, Members
from crdt_core.types.object import Object
from workers.wire.keys import Keys
from workers.wire.replies import turn_in

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from redis.asyncio import Redis

__all__ = [
    "STARTING",
    "decode_members",
    "decode_names",
    "evidence_commands",
    "evidence_of",
    "read_evidence",
    "starting_mark",
]

STARTING = b":starting"
"""The field of `Keys.met` that says that the worker is starting. No node has such a name."""


def evidence_commands(node: str) -> list[tuple[str | bytes, ...]]:
    """Return the commands whose replies `evidence_of` takes."""
    keys = Keys(node)
    hashes = [("HGETALL", key) for key in (keys.header, keys.members, keys.met)]
    return [*hashes, ("SMEMBERS", keys.added), ("GET", keys.alive), ("INFO", "server")]


def evidence_of(node: str, replies: Sequence[Any]) -> NodeEvidence:
    """Return the evidence in the replies to `evidence_commands`.

    Raises `Malformed` for a header that cannot be read, and `StoreUnavailable` where a reply is an error.
    """
    for reply in replies:
        if isinstance(reply, Exception):
            raise StoreUnavailable(f"the Redis of {node} refuses: {reply}")
    header, members, met, added, alive, info = replies
    fields: Mapping[bytes, bytes] = header
    owner, state = _text(fields.get(b"owner")), decode_header(fields)
    return NodeEvidence(
        replica=_text(fields.get(b"replica")),
        clock=state.clock,
        stable=state.stable,
        members=decode_members(members),
        founders=decode_names("founders", fields.get(b"founders")),
        joining=bool(fields.get(b"joining")),
        formers=decode_formers(_text(fields.get(b"former"))),
        replayed=turn_in(fields.get(b"replayed") or b"0"),
        restored=bool(fields.get(b"restored")),
        restoring=bool(fields.get(b"restoring")),
        damaged=_text(fields.get(b"damaged")),
        doubtful=_text(fields.get(b"run_id")) != info["run_id"],
        owned=b"owner" in fields,
        run_id=info["run_id"],
        added=tuple(sorted(map(_text, added))),
        renamed=_text(fields.get(b"renamed")),
        met={_text(peer): _text(run_id) for peer, run_id in met.items() if peer != STARTING},
        running=alive is not None and alive == fields.get(b"owner"),
        starting=_text(met.get(STARTING)) == starting_mark(owner, info["run_id"]),
    )


def starting_mark(owner: str, run_id: str) -> str:
    """Return the value of the field `STARTING` while the process with the token `owner` starts.

    `run_id` is that of the Redis process in which it became the owner.
    """
    return f"{owner} {run_id}"


async def read_evidence(node: str, redis: Redis) -> NodeEvidence:
    """Read and return the evidence about `node` in its Redis.

    Raises the errors of `evidence_of` and of the connection.
    """
    async with redis.pipeline(transaction=True) as pipeline:
        for command in evidence_commands(node):
            pipeline.execute_command(*command)
        return evidence_of(node, await pipeline.execute(raise_on_error=False))


def decode_members(parts: Mapping[bytes, bytes]) -> Members:
    """Return the members in the hash at `Keys.members`; raises `Malformed`."""
    link, replica_index = Object(MEMBERS_KEY, MEMBERS), ReplicaIndex()
    for part, value in parts.items():
        link.adopt(part, decode_part(link, value, replica_index))
    return MEMBERS.value(View(link.parts, replica_index))


def decode_names(field: str, value: bytes | None) -> tuple[str, ...]:
    """Return the list of names, or of replica ids, in the header's `field`; none for `None`. Raises `Malformed`."""
    try:
        names = orjson.loads(value or b"[]")
    except orjson.JSONDecodeError as error:
        raise Malformed("header", f"{field} are no JSON ({error})") from error
    if not isinstance(names, list) or not all(isinstance(item, str) for item in names):
        raise Malformed("header", f"{field} are no list of names")
    return tuple(names)


def _text(value: bytes | None) -> str:
    return (value or b"").decode("utf-8", "backslashreplace")
