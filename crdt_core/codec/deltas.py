"""The canonical JSON of a delta: what one commit wrote, as the log and the peers get it.

    {"v":1,"dot":"n1:7","deps":{"n1":6,"n2":3},"hlc":[1763700000000,0],
     "writes":[["hits","pncounter","n1",[15,0]],["fruit","orset",null,null]]}

A write is `[key, type, part, payload]`. A part of `null` is a clear; it has no payload.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson

from crdt_core.codec.canonical import FORMAT, parse_list, parse_object, parse_row
from crdt_core.codec.clocks import decode_clock, decode_stamp, parse_dot
from crdt_core.codec.pieces import Pieces
from crdt_core.codec.siblings import decode_payload, decode_type
from crdt_core.errors import Malformed, brief
from crdt_core.lattice.clocks import Dot, Stamp, VersionVector
from crdt_core.lattice.deltas import Delta, Write
from crdt_core.lattice.siblings import TOMBSTONE
from crdt_core.types import TYPES, decode_text, encode_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

__all__ = ["WRITES", "decode_delta", "decode_write", "encode_delta", "encode_delta_of", "encode_writes"]

WRITES = b'"writes":['
"""What comes before the writes, in the JSON that `encode_delta` makes."""


def encode_delta(delta: Delta) -> bytes:
    """Return `delta` as canonical JSON."""
    replica, counter = delta.dot
    writes: list[list[Any]] = []
    for key, name, part, payload in delta.writes:
        value = payload
        if payload is not True and payload is not TOMBSTONE:
            value = orjson.Fragment(TYPES[name].payload_json(payload))
        try:
            writes.append([key.decode(), name, None if part is None else part.decode(), value])
        except UnicodeDecodeError:
            writes.append([encode_text(key), name, None if part is None else encode_text(part), value])
    deps, hlc = dict(sorted(delta.deps.items())), list(delta.hlc)
    return orjson.dumps({"v": FORMAT, "dot": f"{replica}:{counter}", "deps": deps, "hlc": hlc, "writes": writes})


def encode_writes(writes: Sequence[Write]) -> bytes:
    """Return some of the writes of a delta, of which there is at least one, as `encode_delta_of` takes them."""
    return _split(encode_delta(Delta(Dot("", 0), VersionVector(), Stamp(0, 0), tuple(writes))))[1][:-2]


def encode_delta_of(outline: Delta, pieces: Iterable[bytes]) -> Pieces:
    """Return what `encode_delta` returns for `outline` with the writes in `pieces`, each from `encode_writes`.

    The pieces are not copied: together they may have many megabytes.
    """
    head, tail = _split(encode_delta(outline))
    parts = [head]
    for piece in pieces:
        parts += (piece, b",")
    return Pieces([*(parts[:-1] if len(parts) > 1 else parts), tail])


def decode_delta(data: bytes) -> Delta:
    """Return the delta in the canonical JSON `data`.

    Raises `Malformed`, also for a dot that does not follow its `deps`, and for two writes to one address.
    """
    fields = parse_object("delta", data, ("v", "dot", "deps", "hlc", "writes"))
    dot = parse_dot(fields["dot"])
    deps = decode_clock(fields["deps"])
    if deps[dot.replica] != dot.counter - 1:
        raise Malformed("delta", f"{dot} does not follow its own deps {brief(dict(deps))}")
    writes = tuple(decode_write(write) for write in parse_list("writes", fields["writes"]))
    if len({write[:3] for write in writes}) != len(writes):
        raise Malformed("delta", "it has two writes to one part")
    return Delta(dot, deps, decode_stamp(fields["hlc"]), writes)


def _split(data: bytes) -> tuple[bytes, bytes]:
    """Return the JSON of a delta before and from its first write on."""
    head, mark, tail = data.partition(WRITES)
    return head + mark, tail


def decode_write(value: Any) -> Write:
    """Return the write in the JSON value `value`. Raises `Malformed`."""
    key, name, part, payload = parse_row("write", value)
    type_ = decode_type(name)
    if part is None:
        if payload is not None or not type_.collection:
            raise Malformed("write", "a clear must be of a collection and have no payload")
        return Write(decode_text(key), type_.name, None, None)
    return Write(decode_text(key), type_.name, type_.decode_part(part), decode_payload(type_, payload))
