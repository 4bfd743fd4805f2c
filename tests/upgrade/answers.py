"""What a node answers about its keys and about itself, in a form that JSON holds and a test compares.

The answers of 0.1.0 are a fixture. So everything here has to read the same of every later version: what explains a
value in words is left out, and replies without an order are sorted.
"""

from __future__ import annotations

import json
from base64 import b64encode
from typing import TYPE_CHECKING, Any

from tests.workers.resp.raw import Raw
from workers.rpc import deltaic_pb2 as pb

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from tests.client import NodeClient

__all__ = ["about_itself", "about_keys", "differences", "keys_of"]

Json = Any


# Keys


def keys_of(port: int) -> list[bytes]:
    """Return the keys that the Redis face at `port` lists, sorted."""
    with Raw(port) as client:
        return sorted(client.call(b"KEYS", b"*"))


def about_keys(port: int, keys: Iterable[bytes]) -> list[dict[str, Json]]:
    """Return, for each key, what the Redis face at `port` answers to the questions that fit its type."""
    with Raw(port) as client:
        return [_about_key(client, key) for key in keys]


def _about_key(client: Raw, key: bytes) -> dict[str, Json]:
    type_ = client.call(b"TYPE", key)
    always: dict[bytes, Callable[[Any], Json]] = {
        b"EXISTS": encoded,
        b"PEXPIRETIME": encoded,
        b"DELTAIC.EXPLAIN": _explained,
        b"DELTAIC.SIBLINGS": encoded,
    }
    questions = always | QUESTIONS.get(type_, {})
    answers = {name.decode(): form(client.call(name, key)) for name, form in questions.items()}
    return {"key": encoded(key), "TYPE": encoded(type_), **answers}


def encoded(reply: Any) -> Json:
    """Return a reply as JSON: text that is not UTF-8 as base64, an error by its text."""
    if isinstance(reply, bytes):
        try:
            return reply.decode()
        except UnicodeDecodeError:
            return {"base64": b64encode(reply).decode()}
    if isinstance(reply, list):
        return [encoded(item) for item in reply]
    if isinstance(reply, Exception):
        return {"error": str(reply)}
    return reply


def _members(reply: list[bytes]) -> Json:
    return encoded(sorted(reply))


def _fields(reply: list[bytes]) -> Json:
    return encoded(sorted([list(pair) for pair in zip(reply[::2], reply[1::2], strict=True)]))


def _explained(reply: Any) -> Json:
    """What DELTAIC.EXPLAIN says, without its sentences."""
    if reply is None:
        return None
    found = _map(reply)
    writes = [{name: value for name, value in _map(write).items() if name != "so"} for write in found["writes"]]
    return {name: encoded(value) for name, value in found.items()} | {
        "writes": [{name: encoded(value) for name, value in write.items()} for write in writes]
    }


def _map(reply: list[Any]) -> dict[str, Any]:
    return {name.decode(): value for name, value in zip(reply[::2], reply[1::2], strict=True)}


QUESTIONS: dict[bytes, dict[bytes, Callable[[Any], Json]]] = {
    b"string": {b"GET": encoded, b"STRLEN": encoded, b"DELTAIC.MVGET": encoded},
    b"set": {b"SMEMBERS": _members, b"SCARD": encoded},
    b"hash": {b"HGETALL": _fields, b"HLEN": encoded},
    b"ewflag": {b"DELTAIC.ENABLED": encoded},
    b"dwflag": {b"DELTAIC.ENABLED": encoded},
}


# Nodes


def about_itself(node: NodeClient, keys: Iterable[bytes]) -> dict[str, Json]:
    """Return what the gRPC face of `node` says of its replica, of the members, and of those keys that gRPC can name."""
    status = node.status()
    members = node.control.Members(pb.MembersRequest(), timeout=10).members
    return {
        "replica": status.replica,
        "clock": dict(sorted(status.clock.items())),
        "stable": dict(sorted(status.stable.items())),
        "digest": status.digest,
        "links": dict(sorted(status.links.items())),
        "members": {member.replica: _member(member) for member in sorted(members, key=lambda member: member.replica)},
        "inspected": {key.decode(): _inspected(node, key.decode()) for key in keys if _has_grpc_name(key)},
    }


def _member(member: pb.Member) -> dict[str, Json]:
    return {
        "node": member.node,
        "standing": pb.Standing.Name(member.standing),
        "grpc": member.grpc,
        "redis": member.redis,
        "reason": member.reason,
        "left_ms": member.left_ms,
        "final": member.final,
        "seen": member.seen,
    }


def _inspected(node: NodeClient, key: str) -> dict[str, Json]:
    seen = node.inspect(key)
    return {
        "type": seen.type,
        "value": json.loads(seen.value_json),
        "siblings": json.loads(seen.siblings_json),
        "conflicts": list(seen.conflicts),
    }


def _has_grpc_name(key: bytes) -> bool:
    """Whether gRPC can name the key: it is UTF-8, and not empty."""
    if not key:
        return False
    try:
        key.decode()
    except UnicodeDecodeError:
        return False
    return True


# Comparing


def differences(expected: Json, found: Json, place: str = "") -> list[str]:
    """Return one line per leaf in which two JSON values differ: its place, what was expected, what was found."""
    if isinstance(expected, dict) and isinstance(found, dict):
        names = [*expected, *(name for name in found if name not in expected)]
        pairs = [(str(name), expected.get(name, ABSENT), found.get(name, ABSENT)) for name in names]
    elif isinstance(expected, list) and isinstance(found, list) and len(expected) == len(found):
        pairs = [(_label(number, item), item, found[number]) for number, item in enumerate(expected)]
    else:
        return [] if expected == found else [f"{place or 'all'}: expected {expected!r}, found {found!r}"]
    return [line for name, one, other in pairs for line in differences(one, other, f"{place} {name}".strip())]


def _label(number: int, item: Json) -> str:
    return str(item["key"]) if isinstance(item, dict) and "key" in item else f"[{number}]"


ABSENT = "(nothing)"
