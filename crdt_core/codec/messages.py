"""What nodes and jobs put into a node's inbox, as canonical JSON.

    Ask      a peer is at `clock` and asks for what it lacks
    Answer   ... which is this patch; its clock tells the asker what the answering side lacks in turn
    Push     a patch that nobody asked for: the other half of an exchange
    Done     the push was joined, and brought `new` writes
    Chunk    some parts of a patch that is too large for one message; the `Answer` or `Push` with the rest comes `after`
    More     the chunks before `number` have come; the next one, please
    Round    a job asks for an exchange with `peers`; the result goes to the key `answer_to`
    Admit    a node that may not go on under its id asks to be written down under another
    Compact  a job reports the published clocks of all members, and who is away; likewise

`round` ties a message to the exchange it belongs to. Messages may be lost, doubled, late or re-ordered: each is
complete in itself, but for chunks and what comes after them, and joining is idempotent. A `transfer` is one attempt to
send one patch in chunks: those of different attempts never make a patch together. `More` says what an `Ask` says, too,
so that a sender that has forgotten the transfer can start anew.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import orjson

from crdt_core.codec.canonical import (
    FORMAT,
    decode_clock,
    decode_parts,
    decode_patch,
    parse_object,
    parts_value,
    patch_value,
)
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
]


class Chunks(NamedTuple):
    """The chunks that a patch's last message comes after: of which transfer, and how many."""

    transfer: str
    chunks: int


@dataclass(frozen=True, slots=True)
class Ask:
    """Node `sender`, at `clock`, asks for what it lacks."""

    sender: str
    round: str
    clock: VersionVector


@dataclass(frozen=True, slots=True)
class Answer:
    """The patch that was asked for; with `after`, only what the chunks have not brought."""

    sender: str
    round: str
    patch: Patch
    after: Chunks | None = None


@dataclass(frozen=True, slots=True)
class Push:
    """A patch for a node that was found to be behind; with `after`, only what the chunks have not brought."""

    sender: str
    round: str
    patch: Patch
    after: Chunks | None = None


@dataclass(frozen=True, slots=True)
class Done:
    """A push was joined; it brought `new` writes."""

    sender: str
    round: str
    new: int


@dataclass(frozen=True, slots=True)
class Chunk:
    """Some parts of a patch, the `number`th such message from 0. The sender has looked at `done` parts, about, `of`.

    A part that comes again replaces what came before.
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
    """Node `sender`, now at `clock`, wants chunk `number` of the transfer, or whatever comes in its place."""

    sender: str
    round: str
    transfer: str
    number: int
    clock: VersionVector


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


PeerMessage = Ask | Answer | Push | Done | Chunk | More
Message = PeerMessage | Admit | Round | Compact

_COUNT_MAX = 10**15
"""No patch brings so many writes; and what all peers of a round report together stays a 64-bit number."""

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


def encode_message(message: Message) -> bytes:
    """The message as canonical JSON."""
    return orjson.dumps({"v": FORMAT, "kind": type(message).__name__.lower(), **_fields(message)})


def decode_message(data: bytes) -> Message:
    """The inverse of `encode_message`; raises `Malformed`."""
    try:
        value = orjson.loads(data)
    except orjson.JSONDecodeError as error:
        raise Malformed("message", f"no JSON ({error})") from error
    kind = value.get("kind") if isinstance(value, dict) else None
    if not isinstance(kind, str) or kind not in _FIELDS:
        raise Malformed("message", f"{brief(kind)} is no kind of message")
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
        clocks = {id_: _clock_value(clock) for id_, clock in sorted(message.clocks.items())}
        return {"clocks": clocks, "absent": list(message.absent), "answer_to": message.answer_to}
    if isinstance(message, Admit):
        where = {"grpc": message.grpc, "redis": message.redis}
        return {"from": message.sender, "replica": message.replica, **where}
    return {"from": message.sender, "round": message.round, **_content(message)}


def _content(message: PeerMessage) -> dict[str, Any]:
    match message:
        case Ask():
            return {"clock": _clock_value(message.clock)}
        case Answer() | Push():
            after = {} if message.after is None else {"after": list(message.after)}
            return {"patch": patch_value(message.patch), **after}
        case Done():
            return {"new": message.new}
        case Chunk():
            numbers = {"number": message.number, "done": message.done, "of": message.of}
            return {"transfer": message.transfer, **numbers, "parts": parts_value(message.parts)}
        case More():
            return {"transfer": message.transfer, "number": message.number, "clock": _clock_value(message.clock)}


def _clock_value(clock: VersionVector) -> dict[str, int]:
    return dict(sorted(clock.items()))


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
        raise Malformed(name, f"{brief(value)} is no string")
    return value


def _texts(fields: Any, name: str) -> tuple[str, ...]:
    value = fields[name]
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise Malformed(name, f"{brief(value)} is no list of strings")
    return tuple(value)


def _count(fields: Any, name: str) -> int:
    value = fields[name]
    if type(value) is not int or not 0 <= value < _COUNT_MAX:
        raise Malformed(name, f"{brief(value)} is no count")
    return value


def _clocks(value: Any) -> dict[str, VersionVector]:
    if not isinstance(value, dict):
        raise Malformed("clocks", f"{brief(value)} is no object")
    return {node: decode_clock(clock) for node, clock in value.items()}
