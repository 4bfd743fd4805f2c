"""The canonical JSON of a patch: everything that a replica at a given clock lacks.

    {"v":1,"origin":"n2","since":{"n1":2},"clock":{"n1":3,"n2":4},"stable":{"n1":1},"hlc":[1763700000000,0],
     "parts":[["fruit","orset","apple",{"n1:3":true}],["fruit","orset",null,{"n2:2":{"n1":3,"n2":1}}]]}

A part is `[key, type, part, siblings]`. A part of `null` is the clears of the object, as dots with their `deps`.
Siblings of `null` say that the origin holds nothing there. The parts are sorted by key, type and part.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson

from crdt_core.codec.canonical import FORMAT, parse_list, parse_object, parse_row
from crdt_core.codec.clocks import clock_value, decode_clock, decode_replica_id, decode_stamp, parse_dot
from crdt_core.codec.siblings import decode_siblings, decode_type, encode_payload
from crdt_core.errors import Malformed, brief
from crdt_core.lattice.deltas import Patch, PatchPart
from crdt_core.types import TYPES, decode_text, encode_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from crdt_core.lattice.clocks import VersionVector
    from crdt_core.lattice.siblings import Payload
    from crdt_core.types import CrdtType

__all__ = [
    "EncodedPart",
    "check_parts",
    "check_patch",
    "decode_parts",
    "decode_patch",
    "encode_part_once",
    "encode_patch",
    "encode_patch_of",
    "part_order",
    "parts_value",
    "patch_value",
]


class EncodedPart(PatchPart):
    """A part of a patch together with its JSON, so that measuring a part and sending it encode it only once."""

    json: bytes


def encode_patch(patch: Patch) -> bytes:
    """Return `patch` as canonical JSON."""
    return orjson.dumps(patch_value(patch))


def encode_patch_of(outline: Patch, parts: Iterable[EncodedPart]) -> bytes:
    """Return what `encode_patch` returns for `outline` with `parts`, which are sorted. It has no parts itself."""
    return b"%b%b]}" % (encode_patch(outline)[:-2], b",".join(part.json for part in parts))


def patch_value(patch: Patch) -> dict[str, Any]:
    """Return `patch` as a JSON value."""
    return {
        "v": FORMAT,
        "origin": patch.origin,
        "since": None if patch.since is None else clock_value(patch.since),
        "clock": clock_value(patch.clock),
        "stable": clock_value(patch.stable),
        "hlc": list(patch.hlc),
        "parts": parts_value(patch.parts),
    }


def parts_value(parts: Iterable[PatchPart]) -> list[Any]:
    """Return the parts of a patch as a JSON value, sorted."""
    return [
        orjson.Fragment(part.json) if isinstance(part, EncodedPart) else _part_value(part)
        for part in sorted(parts, key=part_order)
    ]


def encode_part_once(part: PatchPart) -> EncodedPart:
    """Return `part` with its JSON."""
    encoded = EncodedPart(*part)
    encoded.json = orjson.dumps(_part_value(part))
    return encoded


def decode_patch(data: bytes | Mapping[str, Any]) -> Patch:
    """Return the patch in `data`: canonical JSON, or the JSON value that `patch_value` gives.

    Raises `Malformed`, also for a patch that no replica could have made.
    """
    fields = parse_object("patch", data, ("v", "origin", "since", "clock", "stable", "hlc", "parts"))
    clock = decode_clock(fields["clock"])
    patch = Patch(
        origin=decode_replica_id(fields["origin"]),
        since=None if fields["since"] is None else decode_clock(fields["since"]),
        clock=clock,
        stable=decode_clock(fields["stable"]),
        hlc=decode_stamp(fields["hlc"]),
        parts=decode_parts(fields["parts"]),
    )
    if not patch.stable <= clock or (patch.since is not None and not patch.stable <= patch.since):
        raise Malformed("patch", "its stable frontier is ahead of its clock, or of the clock that it builds on")
    check_patch(patch)
    return patch


def decode_parts(value: Any) -> tuple[PatchPart, ...]:
    """Return the parts in the JSON value that `parts_value` gives. Raises `Malformed`."""
    parts = tuple(_decode_part(part) for part in parse_list("parts", value))
    if len({part[:3] for part in parts}) != len(parts):
        raise Malformed("patch", "it lists one part twice")
    return parts


def check_patch(patch: Patch) -> None:
    """Raise `Malformed` if a part carries a dot or a clear that the clock of `patch` does not cover."""
    check_parts(patch.parts, patch.clock)


def check_parts(parts: Iterable[PatchPart], clock: VersionVector) -> None:
    """Do the same for some `parts` of a patch with `clock`."""
    for part in parts:
        for dot, payload in part.siblings.items():
            if not clock.covers(dot):
                raise Malformed("patch", f"it carries {dot}, which its clock {brief(dict(clock))} does not cover")
            if part.part is None and (payload[dot.replica] != dot.counter - 1 or not payload <= clock):
                raise Malformed("patch", f"the clear {dot} cannot have been made at clock {brief(dict(payload))}")


def _part_value(patch_part: PatchPart) -> list[Any]:
    key, name, part, siblings = patch_part
    type_ = TYPES[name]
    listed = {str(dot): _sibling_value(type_, part, payload) for dot, payload in sorted(siblings.items())}
    return [encode_text(key), name, None if part is None else encode_text(part), listed or None]


def _sibling_value(type_: CrdtType, part: bytes | None, payload: Payload) -> Any:
    return clock_value(payload) if part is None else encode_payload(type_, payload)


def part_order(part: PatchPart) -> tuple[bytes, str, bytes]:
    """Return by what the parts of a patch are sorted."""
    return part.key, part.type, b"" if part.part is None else b"\0" + part.part


def _decode_part(value: Any) -> PatchPart:
    key, name, part, siblings = parse_row("patch part", value)
    type_ = decode_type(name)
    if siblings is None and (part is not None or type_.collection):
        return PatchPart(decode_text(key), type_.name, None if part is None else type_.decode_part(part), {})
    if part is not None:
        return PatchPart(decode_text(key), type_.name, type_.decode_part(part), decode_siblings(type_, siblings))
    if not isinstance(siblings, dict) or not siblings or not type_.collection:
        raise Malformed("patch part", f"clears {brief(siblings)} of {type_.name} are not an object of dots")
    return PatchPart(
        decode_text(key), type_.name, None, {parse_dot(dot): decode_clock(deps) for dot, deps in siblings.items()}
    )
