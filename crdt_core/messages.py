"""What nodes and jobs put into a node's inbox, as canonical JSON.

    Ask      a peer is at `clock` and asks for what it lacks
    Answer   ... which is this patch; its clock tells the asker what the answering side lacks in turn
    Push     a patch that nobody asked for: the other half of an exchange
    Done     the push was joined, and brought `new` writes
    Round    a job asks for an exchange with `peers`; the result goes to the key `answer_to`
    Admit    a node that may not go on under its id asks to be written down under another
    Compact  a job reports the published clocks of all members, and who is away; likewise

`round` ties a message to the exchange it belongs to. Messages may be lost, doubled, late or re-ordered: each is
complete in itself, and joining is idempotent.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import orjson

from crdt_core.codec import FORMAT, decode_clock, decode_patch, parse_object, patch_value
from crdt_core.errors import Malformed, brief

if TYPE_CHECKING:
    from crdt_core.clocks import VersionVector
    from crdt_core.deltas import Patch

__all__ = ["Admit", "Answer", "Ask", "Compact", "Done", "Message", "Push", "Round", "decode_message", "encode_message"]


@dataclass(frozen=True, slots=True)
class Ask:
    """Node `sender`, at `clock`, asks for what it lacks."""

    sender: str
    round: str
    clock: VersionVector


@dataclass(frozen=True, slots=True)
class Answer:
    """The patch that was asked for."""

    sender: str
    round: str
    patch: Patch


@dataclass(frozen=True, slots=True)
class Push:
    """A patch for a node that was found to be behind."""

    sender: str
    round: str
    patch: Patch


@dataclass(frozen=True, slots=True)
class Done:
    """A push was joined; it brought `new` writes."""

    sender: str
    round: str
    new: int


@dataclass(frozen=True, slots=True)
class Admit:
    """Node `sender` asks to be a member as `replica`; `grpc` and `redis` are where it is reached."""

    sender: str
    replica: str
    grpc: str
    redis: str


@dataclass(frozen=True, slots=True)
class Round:
    """A job's request for an exchange with `peers`."""

    round: str
    peers: tuple[str, ...]
    answer_to: str


@dataclass(frozen=True, slots=True)
class Compact:
    """A job's report of the clocks that replica ids have published, and of the nodes that give no sign of life."""

    clocks: dict[str, VersionVector]
    absent: tuple[str, ...]
    answer_to: str


Message = Ask | Answer | Push | Done | Admit | Round | Compact

_FIELDS: dict[str, tuple[str, ...]] = {
    "ask": ("v", "kind", "from", "round", "clock"),
    "answer": ("v", "kind", "from", "round", "patch"),
    "push": ("v", "kind", "from", "round", "patch"),
    "done": ("v", "kind", "from", "round", "new"),
    "admit": ("v", "kind", "from", "replica", "grpc", "redis"),
    "round": ("v", "kind", "round", "peers", "answer_to"),
    "compact": ("v", "kind", "clocks", "absent", "answer_to"),
}


def encode_message(message: Message) -> bytes:
    """The message as canonical JSON."""
    return orjson.dumps({"v": FORMAT, "kind": type(message).__name__.lower(), **_fields(message)})


def decode_message(data: bytes) -> Message:  # noqa: PLR0911
    """The inverse of `encode_message`; raises `Malformed`."""
    try:
        value = orjson.loads(data)
    except orjson.JSONDecodeError as error:
        raise Malformed("message", f"no JSON ({error})") from error
    kind = value.get("kind") if isinstance(value, dict) else None
    if not isinstance(kind, str) or kind not in _FIELDS:
        raise Malformed("message", f"{brief(kind)} is no kind of message")
    fields = parse_object(kind, value, _FIELDS[kind])
    match kind:
        case "ask":
            return Ask(_text(fields, "from"), _text(fields, "round"), decode_clock(fields["clock"]))
        case "answer":
            return Answer(_text(fields, "from"), _text(fields, "round"), decode_patch(fields["patch"]))
        case "push":
            return Push(_text(fields, "from"), _text(fields, "round"), decode_patch(fields["patch"]))
        case "done":
            return Done(_text(fields, "from"), _text(fields, "round"), _count(fields, "new"))
        case "admit":
            return Admit(*(_text(fields, name) for name in ("from", "replica", "grpc", "redis")))
        case "round":
            return Round(_text(fields, "round"), _texts(fields, "peers"), _text(fields, "answer_to"))
        case _:
            return Compact(_clocks(fields["clocks"]), _texts(fields, "absent"), _text(fields, "answer_to"))


def _fields(message: Message) -> dict[str, Any]:
    match message:
        case Ask():
            return {"from": message.sender, "round": message.round, "clock": dict(sorted(message.clock.items()))}
        case Answer() | Push():
            return {"from": message.sender, "round": message.round, "patch": patch_value(message.patch)}
        case Done():
            return {"from": message.sender, "round": message.round, "new": message.new}
        case Admit():
            where = {"grpc": message.grpc, "redis": message.redis}
            return {"from": message.sender, "replica": message.replica, **where}
        case Round():
            return {"round": message.round, "peers": list(message.peers), "answer_to": message.answer_to}
        case Compact():
            clocks = {id_: dict(sorted(clock.items())) for id_, clock in sorted(message.clocks.items())}
            return {"clocks": clocks, "absent": list(message.absent), "answer_to": message.answer_to}


def _text(fields: Any, name: str) -> str:
    value = fields[name]
    if not isinstance(value, str):
        raise Malformed(name, f"{brief(value)} is no string")
    return value


def _texts(fields: Any, name: str) -> tuple[str, ...]:
    value = fields[name]
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise Malformed(name, f"{brief(value)} is no list of strings")
    return tuple(value)


def _count(fields: Any, name: str) -> int:
    value = fields[name]
    if type(value) is not int or value < 0:
        raise Malformed(name, f"{brief(value)} is no count")
    return value


def _clocks(value: Any) -> dict[str, VersionVector]:
    if not isinstance(value, dict):
        raise Malformed("clocks", f"{brief(value)} is no object")
    return {node: decode_clock(clock) for node, clock in value.items()}
