"""The canonical JSON of everything that is persisted or sent: by orjson, versioned, binary-safe, strict when read.

Equal values give equal bytes: dots are sorted, optional forms have one spelling. What cannot be read is `Malformed`,
with the reason; nothing is guessed and nothing is skipped.

    delta     {"v":1,"dot":"n1:7","deps":{"n1":6,"n2":3},"hlc":[1763700000000,0],
               "writes":[["hits","pncounter","n1",[15,0]]]}
    patch     {"v":1,"origin":"n2","since":{..},"clock":{..},"stable":{..},"hlc":[..],
               "parts":[["fruit","orset","apple",{"n1:3":true}]]}
    siblings  {"n1:3":true}   {"n1:4":"alice","n2:9":"bob"}   a removal: {"n2:5":null}

Keys, parts and values are text where they are UTF-8, else `{"b64":"..."}`. A part of `null` is the object's clears;
siblings of `null` in a patch say that the origin holds nothing there.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import orjson

from crdt_core.errors import InvalidArgument, Malformed, brief
from crdt_core.lattice.clocks import Dot, Stamp, VersionVector, check_replica_id
from crdt_core.lattice.deltas import Delta, Patch, PatchPart, Write
from crdt_core.lattice.replica_index import REPLICAS_MAX
from crdt_core.lattice.siblings import TOMBSTONE
from crdt_core.types import TYPES, decode_text, encode_text

if TYPE_CHECKING:
    from collections.abc import Iterable

    from crdt_core.lattice.siblings import Payload
    from crdt_core.types import CrdtType

__all__ = [
    "FORMAT",
    "PackedPart",
    "check_patch",
    "decode_clock",
    "decode_delta",
    "decode_dots",
    "decode_parts",
    "decode_patch",
    "decode_stamp",
    "decode_type",
    "encode_clock",
    "encode_delta",
    "encode_dots",
    "encode_patch",
    "pack_part",
    "parse_dot",
    "parse_object",
    "parts_value",
    "patch_value",
]

FORMAT = 1
"""Version of every form on this page; a reader refuses others."""

_COUNTER_MAX = 10**15
"""Counters are below it, in clocks and dots alike: what a clock says can be said of a dot, and packed."""


class PackedPart(PatchPart):
    """A part with its JSON at hand, so that whoever had to know its size need not encode it again to send it."""

    json: bytes


def encode_delta(delta: Delta) -> bytes:
    """The delta as canonical JSON."""
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


def decode_delta(data: bytes) -> Delta:
    """The inverse of `encode_delta`; raises `Malformed`."""
    fields = parse_object("delta", data, ("v", "dot", "deps", "hlc", "writes"))
    dot = parse_dot(fields["dot"])
    deps = decode_clock(fields["deps"])
    if deps[dot.replica] != dot.counter - 1:
        raise Malformed("delta", f"{dot} does not follow its own deps {brief(dict(deps))}")
    writes = tuple(_decode_write(write) for write in _list("writes", fields["writes"]))
    if len({write[:3] for write in writes}) != len(writes):
        raise Malformed("delta", "two writes to one part")
    return Delta(dot, deps, decode_stamp(fields["hlc"]), writes)


def encode_patch(patch: Patch) -> bytes:
    """The patch as canonical JSON."""
    return orjson.dumps(patch_value(patch))


def patch_value(patch: Patch) -> dict[str, Any]:
    """The patch as a JSON value."""
    return {
        "v": FORMAT,
        "origin": patch.origin,
        "since": None if patch.since is None else _clock_value(patch.since),
        "clock": _clock_value(patch.clock),
        "stable": _clock_value(patch.stable),
        "hlc": list(patch.hlc),
        "parts": parts_value(patch.parts),
    }


def parts_value(parts: Iterable[PatchPart]) -> list[Any]:
    """The parts of a patch as a JSON value, in their one order."""
    return [
        orjson.Fragment(part.json) if isinstance(part, PackedPart) else _part_value(part)
        for part in sorted(parts, key=_patch_part_order)
    ]


def pack_part(part: PatchPart) -> PackedPart:
    """The part, encoded."""
    packed = PackedPart(*part)
    packed.json = orjson.dumps(_part_value(part))
    return packed


def _part_value(patch_part: PatchPart) -> list[Any]:
    key, name, part, siblings = patch_part
    type_ = TYPES[name]
    listed = {str(dot): _clear_or_payload(type_, part, payload) for dot, payload in sorted(siblings.items())}
    return [encode_text(key), name, None if part is None else encode_text(part), listed or None]


def decode_patch(data: bytes | Mapping[str, Any]) -> Patch:
    """The inverse of `encode_patch` (or of `patch_value`); raises `Malformed`."""
    fields = parse_object("patch", data, ("v", "origin", "since", "clock", "stable", "hlc", "parts"))
    clock = decode_clock(fields["clock"])
    patch = Patch(
        origin=_decode_replica(fields["origin"]),
        since=None if fields["since"] is None else decode_clock(fields["since"]),
        clock=clock,
        stable=decode_clock(fields["stable"]),
        hlc=decode_stamp(fields["hlc"]),
        parts=decode_parts(fields["parts"]),
    )
    if not patch.stable <= clock or (patch.since is not None and not patch.stable <= patch.since):
        raise Malformed("patch", "its stable frontier is ahead of its clock, or of what it builds on")
    check_patch(patch)
    return patch


def decode_parts(value: Any) -> tuple[PatchPart, ...]:
    """The inverse of `parts_value`; raises `Malformed`."""
    parts = tuple(_decode_patch_part(part) for part in _list("parts", value))
    if len({part[:3] for part in parts}) != len(parts):
        raise Malformed("patch", "one part is listed twice")
    return parts


def check_patch(patch: Patch) -> None:
    """Raises `Malformed` where a part carries what the patch's clock cannot have seen."""
    clock = patch.clock
    for part in patch.parts:
        for dot, payload in part.siblings.items():
            if not clock.covers(dot):
                raise Malformed("patch", f"it carries {dot}, which its clock {brief(dict(clock))} does not cover")
            if part.part is None and (payload[dot.replica] != dot.counter - 1 or not payload <= clock):
                raise Malformed("patch", f"the clear {dot} cannot have been made at {brief(dict(payload))}")


def encode_dots(type_: CrdtType, siblings: Mapping[Dot, Payload]) -> bytes:
    """The siblings of one part as canonical JSON, in the order of their dots.

    >>> encode_dots(TYPES["orset"], {Dot("n2", 5): TOMBSTONE, Dot("n1", 3): True})
    b'{"n1:3":true,"n2:5":null}'
    """
    return orjson.dumps({str(dot): _encode_payload(type_, payload) for dot, payload in sorted(siblings.items())})


def decode_dots(type_: CrdtType, value: Any) -> dict[Dot, Payload]:
    """The siblings in a JSON value; raises `Malformed`."""
    if not isinstance(value, dict) or not value:
        raise Malformed("siblings", f"{brief(value)} is no object of dots")
    return {parse_dot(dot): _decode_payload(type_, payload) for dot, payload in value.items()}


def encode_clock(clock: Mapping[str, int]) -> bytes:
    """A version vector as canonical JSON."""
    return orjson.dumps(clock, option=orjson.OPT_SORT_KEYS)


def decode_clock(value: Any) -> VersionVector:
    """The version vector in a JSON value; raises `Malformed`."""
    if not isinstance(value, dict):
        raise Malformed("clock", f"{brief(value)} is no object")
    if len(value) > REPLICAS_MAX:
        raise Malformed("clock", f"{len(value)} replica ids, more than {REPLICAS_MAX}")
    for replica, counter in value.items():
        _decode_replica(replica)
        if type(counter) is not int or not 0 < counter < _COUNTER_MAX:
            raise Malformed("clock", f"{replica}: {brief(counter)} is no counter")
    return VersionVector(value)


def parse_dot(text: Any) -> Dot:
    """The dot in its text form `n1:7`; raises `Malformed`."""
    if isinstance(text, str):
        replica, _, counter = text.rpartition(":")
        if counter.isascii() and counter.isdigit() and counter[0] != "0" and len(counter) < len(str(_COUNTER_MAX)):
            return Dot(_decode_replica(replica), int(counter))
    raise Malformed("dot", f"{brief(text)} is not replica:counter")


def parse_object(what: str, data: bytes | Mapping[str, Any], fields: tuple[str, ...]) -> Mapping[str, Any]:
    """The JSON object in `data`, of this format version and with exactly `fields`; raises `Malformed`."""
    if isinstance(data, bytes):
        try:
            data = orjson.loads(data)
        except orjson.JSONDecodeError as error:
            raise Malformed(what, f"no JSON ({error})") from error
    if not isinstance(data, Mapping):
        raise Malformed(what, f"{brief(data)} is no object")
    if type(data.get("v")) is not int or data["v"] != FORMAT:
        raise Malformed(what, f"format version {brief(data.get('v'))} is not {FORMAT}")
    if data.keys() != set(fields):
        raise Malformed(what, f"fields {brief(list(data))} are not {sorted(fields)}")
    return data


def _clock_value(clock: Mapping[str, int]) -> dict[str, int]:
    return dict(sorted(clock.items()))


def _patch_part_order(part: PatchPart) -> tuple[bytes, str, bytes]:
    return part.key, part.type, b"" if part.part is None else b"\0" + part.part


def _encode_payload(type_: CrdtType, payload: Payload) -> Any:
    return None if payload is TOMBSTONE else type_.encode_payload(payload)


def _decode_payload(type_: CrdtType, value: Any) -> Payload:
    return TOMBSTONE if value is None else type_.decode_payload(value)


def _clear_or_payload(type_: CrdtType, part: bytes | None, payload: Payload) -> Any:
    return _clock_value(payload) if part is None else _encode_payload(type_, payload)


def _decode_write(value: Any) -> Write:
    key, name, part, payload = _four("write", value)
    type_ = decode_type(name)
    if part is None:
        if payload is not None or not type_.collection:
            raise Malformed("write", "a clear is of a collection, and carries no payload")
        return Write(decode_text(key), type_.name, None, None)
    return Write(decode_text(key), type_.name, type_.decode_part(part), _decode_payload(type_, payload))


def _decode_patch_part(value: Any) -> PatchPart:
    key, name, part, siblings = _four("patch part", value)
    type_ = decode_type(name)
    if siblings is None and (part is not None or type_.collection):
        return PatchPart(decode_text(key), type_.name, None if part is None else type_.decode_part(part), {})
    if part is not None:
        return PatchPart(decode_text(key), type_.name, type_.decode_part(part), decode_dots(type_, siblings))
    if not isinstance(siblings, dict) or not siblings or not type_.collection:
        raise Malformed("patch part", f"clears {brief(siblings)} of {type_.name} are no object of dots")
    return PatchPart(
        decode_text(key), type_.name, None, {parse_dot(dot): decode_clock(c) for dot, c in siblings.items()}
    )


def decode_type(name: Any) -> CrdtType:
    """The type of that name; raises `Malformed`."""
    type_ = TYPES.get(name) if isinstance(name, str) else None
    if type_ is None:
        raise Malformed("type", f"{brief(name)} is not one of {', '.join(TYPES)}")
    return type_


def _decode_replica(value: Any) -> str:
    try:
        return check_replica_id(value)
    except InvalidArgument as error:
        raise Malformed("replica id", error.reason) from error


def decode_stamp(value: Any) -> Stamp:
    """The stamp in a JSON value; raises `Malformed`."""
    if not isinstance(value, list) or len(value) != 2 or any(type(n) is not int or not 0 <= n < 2**63 for n in value):
        raise Malformed("stamp", f"{brief(value)} is not [ms, logical]")
    return Stamp(*value)


def _list(what: str, value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise Malformed(what, f"{brief(value)} is no list")
    return value


def _four(what: str, value: Any) -> tuple[Any, Any, Any, Any]:
    if not isinstance(value, list) or len(value) != 4:
        raise Malformed(what, f"{brief(value)} has not four elements")
    return value[0], value[1], value[2], value[3]
