"""The canonical JSON of the siblings of one part, and of the types and payloads in it.

    {"n1:3":true}                     one add to a set
    {"n1:4":"alice","n2:9":"bob"}     two concurrent values of a register
    {"n2:5":null}                     a tombstone

The dots are sorted. How a payload looks is up to the type of the object; `null` is a tombstone in every type.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson

from crdt_core.codec.clocks import parse_dot
from crdt_core.errors import Malformed, brief
from crdt_core.lattice.siblings import TOMBSTONE
from crdt_core.types import TYPES

if TYPE_CHECKING:
    from collections.abc import Mapping

    from crdt_core.lattice.clocks import Dot
    from crdt_core.lattice.siblings import Payload
    from crdt_core.types import CrdtType

__all__ = ["decode_payload", "decode_siblings", "decode_type", "encode_payload", "encode_siblings"]


def encode_siblings(type_: CrdtType, siblings: Mapping[Dot, Payload]) -> bytes:
    """Return the siblings of one part, of an object of type `type_`, as canonical JSON.

    >>> from crdt_core.lattice.clocks import Dot
    >>> encode_siblings(TYPES["orset"], {Dot("n2", 5): TOMBSTONE, Dot("n1", 3): True})
    b'{"n1:3":true,"n2:5":null}'
    """
    return orjson.dumps({str(dot): encode_payload(type_, payload) for dot, payload in sorted(siblings.items())})


def decode_siblings(type_: CrdtType, value: Any) -> dict[Dot, Payload]:
    """Return the siblings in the JSON value `value`. There is at least one. Raises `Malformed`."""
    if not isinstance(value, dict) or not value:
        raise Malformed("siblings", f"{brief(value)} is not an object of dots")
    return {parse_dot(dot): decode_payload(type_, payload) for dot, payload in value.items()}


def encode_payload(type_: CrdtType, payload: Payload) -> Any:
    """Return `payload` as a JSON value."""
    return None if payload is TOMBSTONE else type_.encode_payload(payload)


def decode_payload(type_: CrdtType, value: Any) -> Payload:
    """Return the payload in the JSON value `value`. Raises `Malformed`."""
    return TOMBSTONE if value is None else type_.decode_payload(value)


def decode_type(name: Any) -> CrdtType:
    """Return the registered type that is called `name`. Raises `Malformed`."""
    type_ = TYPES.get(name) if isinstance(name, str) else None
    if type_ is None:
        raise Malformed("type", f"{brief(name)} is not one of {', '.join(TYPES)}")
    return type_
