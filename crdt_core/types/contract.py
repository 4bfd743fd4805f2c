"""What a replicated type is: a name, a shape of parts, a codec of payloads, and the fold of siblings into a value.

A type is thin. Its mutators (plain functions beside it) turn an operation into writes, as seen from one state; its
`value` folds siblings. Nothing in a type joins, removes or compares clocks: `crdt_core.lattice.siblings` does that for
all.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from base64 import b64decode, b64encode
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

import orjson

from crdt_core.errors import Malformed, brief
from crdt_core.lattice.siblings import TOMBSTONE, WINNING_TOMBSTONE, is_tombstone, shows, unfold

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from crdt_core.lattice.clocks import Dot
    from crdt_core.lattice.replica_index import ReplicaIndex
    from crdt_core.lattice.siblings import Payload, Siblings

__all__ = ["SLOT", "CrdtType", "View", "decode_grant", "decode_text", "encode_text"]

SLOT = b""
"""The one part of an object that has only one (a register, a flag)."""


class View(NamedTuple):
    """What a mutator or a query sees of an object: its parts, and the ids behind packed dots."""

    parts: Mapping[bytes, Siblings]
    replica_index: ReplicaIndex

    def live(self, part: bytes) -> list[tuple[tuple[str, int], Payload]]:
        """The live siblings of `part` as (dot, payload), by dot."""
        held = unfold(self.parts.get(part))
        return sorted((self.replica_index.unpack(d), p) for d, p in held.items() if not is_tombstone(p))

    def shows(self, part: bytes) -> bool:
        """Whether `part` has a live write."""
        return shows(self.parts.get(part))

    def shown(self) -> Iterator[bytes]:
        """The parts that have a live write."""
        return (part for part, siblings in self.parts.items() if shows(siblings))


class CrdtType(ABC):
    """One replicated type.

    `name` is its name in every persisted or sent form; `rank`: its place in the registry, the smaller prevails;
    `collection`: its objects have many parts, each persisted as one field of a hash of their own; `attribute`: its
    objects say something about what stands beside them under the same key, and never show themselves.
    """

    name: ClassVar[str]
    encoded_name: ClassVar[bytes]
    rank: int
    collection: ClassVar[bool] = False
    attribute: ClassVar[bool] = False

    def __init_subclass__(cls) -> None:
        cls.encoded_name = getattr(cls, "name", "").encode()

    @abstractmethod
    def value(self, view: View) -> Any:
        """The object's value; for an object without live parts, the value of an empty one."""

    def winning_dot(self, view: View) -> Dot | None:  # noqa: ARG002
        """The write that shows, for types of which only one shows, whole; else `None`."""
        return None

    def removal(self, view: View, part: bytes) -> Payload:  # noqa: ARG002
        """The payload by which `part` is removed, as seen from `view`."""
        return TOMBSTONE

    def owner(self, part: bytes) -> bytes | None:  # noqa: ARG002
        """The replica id whose running total a part is; `None` for parts that anybody writes."""
        return None

    def remainders(self, view: View) -> list[tuple[bytes, Payload]]:  # noqa: ARG002
        """What has to be said of single parts when a collection is cleared: what it has seen of running totals."""
        return []

    def decode_part(self, value: Any) -> bytes:
        """The part in a JSON value; raises `Malformed` for one that objects of this type do not have."""
        part = decode_text(value)
        if not self.collection and part != SLOT:
            raise Malformed("part", f"{self.name}: {brief(value)} is not its one slot")
        return part

    def encode_payload(self, payload: Payload) -> Any:
        """`payload`, which is no plain removal, as a JSON value."""
        return payload

    def payload_json(self, payload: Payload) -> bytes:
        """The JSON of `encode_payload`."""
        return orjson.dumps(self.encode_payload(payload))

    def decode_payload(self, value: Any) -> Payload:
        """The inverse of `encode_payload`; raises `Malformed`."""
        if value is not True:
            raise Malformed("payload", f"{self.name}: {brief(value)} is not true")
        return True


def decode_grant(name: str, value: Any) -> Payload:
    """`True`, or `WINNING_TOMBSTONE`, in an object of type `name` whose removals win; raises `Malformed`."""
    if value is not True and value is not WINNING_TOMBSTONE:
        raise Malformed("payload", f"{name}: {brief(value)} is neither true nor false")
    return value


def encode_text(text: bytes) -> str | dict[str, str]:
    """Bytes as a JSON value: the text itself where it is UTF-8, else wrapped as base64.

    >>> encode_text("né".encode()), encode_text(b"\\xff")
    ('né', {'b64': '/w=='})
    """
    try:
        return text.decode()
    except UnicodeDecodeError:
        return {"b64": b64encode(text).decode()}


def decode_text(value: Any) -> bytes:
    """The inverse of `encode_text`; raises `Malformed`."""
    try:
        if isinstance(value, str):
            return value.encode()
        if isinstance(value, dict) and value.keys() == {"b64"} and isinstance(value["b64"], str):
            return b64decode(value["b64"], validate=True)
    except ValueError:
        pass
    raise Malformed("text", f"{brief(value)} is neither a string nor base64")
