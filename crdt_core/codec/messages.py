"""The messages that nodes and jobs put into a node's inbox, and their canonical JSON.

    Ask      a peer tells its clock and asks for what it lacks
    Answer   the patch that was asked for; its clock tells the asker what the answering node lacks in turn
    Push     a patch that nobody asked for: the second half of an exchange
    Done     the push was joined, and brought `new` writes
    Chunk    some parts of a patch that is too large for one message; an `Answer` or `Push` with the rest comes `after`
    More     the chunks before `number` have arrived; asks for the next one
    Round    a job asks for a round of anti-entropy with `peers`; the result goes to the Redis key `answer_to`
    Admit    a node that must not go on under its replica id asks to be admitted under a new one
    Compact  a job reports the published clocks of all members, and which nodes are away; its answer goes to `answer_to`

`round` ties a message to the round that it belongs to. Messages may be lost, doubled, late or reordered. Each message
is complete in itself, and joining is idempotent. The exceptions are chunks and the message that comes after them: a
`transfer` names one attempt to send one patch in chunks, and chunks of different attempts never make one patch. A
`More` carries a clock like an `Ask`, so a sender that has forgotten the transfer can start a new one.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import orjson

from crdt_core.codec.canonical import FORMAT, parse_json, parse_object
from crdt_core.codec.clocks import clock_value, decode_clock
from crdt_core.codec.patches import decode_parts, decode_patch, parts_value, patch_value
from crdt_core.errors import Malformed, brief

if TYPE_CHECKING:
    from collections.abc import Callable

    from crdt_core.lattice.clocks import VersionVector
    from crdt_core.lattice.deltas import Patch, PatchPart

__all__ = [
    "Admit",
    "Answer",
    "Ask",
    "Chunk",
    "Chunks",
    "Compact",
    "Done",
    "Message",
    "More",
    "PeerMessage",
    "Push",
    "Round",
    "decode_message",
    "encode_message",
    "job_asking",
    "may_be_outdated",
]


class Chunks(NamedTuple):
    """The chunks that the last message of a patch comes after: `chunks` chunks of `transfer`."""

    transfer: str
    chunks: int


@dataclass(frozen=True, slots=True)
class Ask:
    """Node `sender`, whose clock is `clock`, asks for what it lacks."""

    sender: str
    round: str
    clock: VersionVector


@dataclass(frozen=True, slots=True)
class Answer:
    """The patch that an `Ask` asked for. With `after`, it holds only the parts that the chunks have not brought."""

    sender: str
    round: str
    patch: Patch
    after: Chunks | None = None


@dataclass(frozen=True, slots=True)
class Push:
    """A patch for a node that is behind. With `after`, it holds only the parts that the chunks have not brought."""

    sender: str
    round: str
    patch: Patch
    after: Chunks | None = None


@dataclass(frozen=True, slots=True)
class Done:
    """Node `sender` has joined a push, which brought it `new` writes."""

    sender: str
    round: str
    new: int


@dataclass(frozen=True, slots=True)
class Chunk:
    """Some parts of a patch. `number` counts the chunks of one transfer from 0.

    The sender has looked at `done` parts out of about `of`. A part that comes again replaces the one that came before.
    """

    sender: str
    round: str
    transfer: str
    number: int
    done: int
    of: int
    parts: tuple[PatchPart, ...]


@dataclass(frozen=True, slots=True)
class More:
    """Node `sender`, whose clock is `clock`, asks for chunk `number` of the transfer, or what comes in its place."""

    sender: str
    round: str
    transfer: str
    number: int
    clock: VersionVector


@dataclass(frozen=True, slots=True)
class Admit:
    """Node `sender` asks to become a member as `replica`. `grpc` and `redis` are the addresses where it is reached."""

    sender: str
    replica: str
    grpc: str
    redis: str


@dataclass(frozen=True, slots=True)
class Round:
    """A job asks for a round with `peers`. The node writes the result to the Redis key `answer_to`."""

    round: str
    peers: tuple[str, ...]
    answer_to: str


@dataclass(frozen=True, slots=True)
class Compact:
    """A job reports the clocks that replica ids have published, and the nodes that give no sign of life (`absent`)."""

    clocks: dict[str, VersionVector]
    absent: tuple[str, ...]
    answer_to: str


PeerMessage = Ask | Answer | Push | Done | Chunk | More
Message = PeerMessage | Admit | Round | Compact

_COUNT_MAX = 10**15
"""Counts are below this. No patch brings more writes, and the sum over all peers of a round fits into 64 bits."""

_FIELDS: dict[str, tuple[str, ...]] = {
    "ask": ("v", "kind", "from", "round", "clock"),
    "answer": ("v", "kind", "from", "round", "patch"),
    "push": ("v", "kind", "from", "round", "patch"),
    "done": ("v", "kind", "from", "round", "new"),
    "chunk": ("v", "kind", "from", "round", "transfer", "number", "done", "of", "parts"),
    "more": ("v", "kind", "from", "round", "transfer", "number", "clock"),
    "admit": ("v", "kind", "from", "replica", "grpc", "redis"),
    "round": ("v", "kind", "round", "peers", "answer_to"),
    "compact": ("v", "kind", "clocks", "absent", "answer_to"),
}


_BEGINNING = re.compile(rb'\{"v":%d,"kind":"([a-z]+)"' % FORMAT)
_OUTDATED_KINDS = (b"answer", b"push", b"chunk", b"compact")


def encode_message(message: Message) -> bytes:
    """Return `message` as canonical JSON."""
    return orjson.dumps({"v": FORMAT, "kind": type(message).__name__.lower(), **_fields(message)})


def job_asking(data: bytes) -> str:
    """Return where a job waits for the answer to its report of clocks, if `data` is one; otherwise an empty string.

    >>> job_asking(encode_message(Compact({}, (), "here"))), job_asking(b'{"v":1,"kind":"push",'), job_asking(b"junk")
    ('here', '', '')
    """
    if _kind_of(data) != b"compact":
        return ""
    try:
        message = decode_message(data)
    except Malformed:
        return ""
    return message.answer_to if isinstance(message, Compact) else ""


def may_be_outdated(data: bytes) -> bool:
    """Return whether `data` may tell of what its author has lost since, as far as its kind says; junk does not.

    That is a patch, a piece of one, or a report of clocks. Only the beginning of `data` is looked at: a patch may have
    megabytes.

    >>> may_be_outdated(b'{"v":1,"kind":"push",'), may_be_outdated(b'{"v":1,"kind":"ask",'), may_be_outdated(b"junk")
    (True, False, False)
    """
    return _kind_of(data) in _OUTDATED_KINDS


def _kind_of(data: bytes) -> bytes:
    """Return the kind of the canonical message `data`, whose version and kind come first; empty for anything else."""
    found = _BEGINNING.match(data)
    return found[1] if found else b""


def decode_message(data: bytes) -> Message:
    """Return the message in the canonical JSON `data`. Raises `Malformed`."""
    value = parse_json("message", data)
    kind = value.get("kind") if isinstance(value, dict) else None
    if not isinstance(kind, str) or kind not in _FIELDS:
        raise Malformed("message", f"{brief(kind)} is not a kind of message")
    optional = ("after",) if kind in {"answer", "push"} and "after" in value else ()
    fields = parse_object(kind, value, _FIELDS[kind] + optional)
    return _DECODERS[kind](fields)


def _decode_chunk(fields: Any) -> Chunk:
    number, done, of = (_count(fields, name) for name in ("number", "done", "of"))
    return Chunk(*_from(fields), _text(fields, "transfer"), number, done, of, decode_parts(fields["parts"]))


def _decode_more(fields: Any) -> More:
    return More(*_from(fields), _text(fields, "transfer"), _count(fields, "number"), decode_clock(fields["clock"]))


def _decode_compact(fields: Any) -> Compact:
    return Compact(_clocks(fields["clocks"]), _texts(fields, "absent"), _text(fields, "answer_to"))


_DECODERS: dict[str, Callable[[Any], Message]] = {
    "ask": lambda fields: Ask(*_from(fields), decode_clock(fields["clock"])),
    "answer": lambda fields: Answer(*_from(fields), decode_patch(fields["patch"]), _after(fields)),
    "push": lambda fields: Push(*_from(fields), decode_patch(fields["patch"]), _after(fields)),
    "done": lambda fields: Done(*_from(fields), _count(fields, "new")),
    "chunk": _decode_chunk,
    "more": _decode_more,
    "admit": lambda fields: Admit(*(_text(fields, name) for name in ("from", "replica", "grpc", "redis"))),
    "round": lambda fields: Round(_text(fields, "round"), _texts(fields, "peers"), _text(fields, "answer_to")),
    "compact": _decode_compact,
}


def _fields(message: Message) -> dict[str, Any]:
    if isinstance(message, Round):
        return {"round": message.round, "peers": list(message.peers), "answer_to": message.answer_to}
    if isinstance(message, Compact):
        clocks = {id_: clock_value(clock) for id_, clock in sorted(message.clocks.items())}
        return {"clocks": clocks, "absent": list(message.absent), "answer_to": message.answer_to}
    if isinstance(message, Admit):
        addresses = {"grpc": message.grpc, "redis": message.redis}
        return {"from": message.sender, "replica": message.replica, **addresses}
    return {"from": message.sender, "round": message.round, **_content(message)}


def _content(message: PeerMessage) -> dict[str, Any]:
    match message:
        case Ask():
            return {"clock": clock_value(message.clock)}
        case Answer() | Push():
            after = {} if message.after is None else {"after": list(message.after)}
            return {"patch": patch_value(message.patch), **after}
        case Done():
            return {"new": message.new}
        case Chunk():
            numbers = {"number": message.number, "done": message.done, "of": message.of}
            return {"transfer": message.transfer, **numbers, "parts": parts_value(message.parts)}
        case More():
            return {"transfer": message.transfer, "number": message.number, "clock": clock_value(message.clock)}


def _from(fields: Any) -> tuple[str, str]:
    return _text(fields, "from"), _text(fields, "round")


def _after(fields: Any) -> Chunks | None:
    if "after" not in fields:
        return None
    value = fields["after"]
    if not isinstance(value, list) or len(value) != 2:
        raise Malformed("after", f"{brief(value)} is not [transfer, chunks]")
    named = dict(zip(Chunks._fields, value, strict=True))
    return Chunks(_text(named, "transfer"), _count(named, "chunks"))


def _text(fields: Any, name: str) -> str:
    value = fields[name]
    if not isinstance(value, str):
        raise Malformed(name, f"{brief(value)} is not a string")
    return value


def _texts(fields: Any, name: str) -> tuple[str, ...]:
    value = fields[name]
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise Malformed(name, f"{brief(value)} is not a list of strings")
    return tuple(value)


def _count(fields: Any, name: str) -> int:
    value = fields[name]
    if type(value) is not int or not 0 <= value < _COUNT_MAX:
        raise Malformed(name, f"{brief(value)} is not a count")
    return value


def _clocks(value: Any) -> dict[str, VersionVector]:
    if not isinstance(value, dict):
        raise Malformed("clocks", f"{brief(value)} is not an object")
    return {node: decode_clock(clock) for node, clock in value.items()}
