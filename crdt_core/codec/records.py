"""A replica's state as records: which JSON stands in which field of which hash. The store only adds its key prefix.

    hash                field   value
    state               key     {"type":"pncounter","parts":{"n1":{"n1:9":[15,0]}}}   an object of few parts, whole
    state               key     {"type":"orset"}   {"type":"orset","clears":{"n2:4":{"n1":3}}}   a collection's own data
    obj:<key>           part    {"n1:3":true}   one part of a collection: a change rewrites only the parts it touched
    rival:<type>:<key>  part    the same, for an object of another type made concurrently under the same key

Rivals are listed inside the record of the object that was there first: `{"type":"orset","rivals":[{"type":"gset"}]}`.
A record whose field is `None` drops its whole hash.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

import orjson

from crdt_core.codec.canonical import decode_clock, decode_dots, decode_type, encode_dots, parse_dot
from crdt_core.errors import Malformed, brief
from crdt_core.lattice.replica_index import INDEX_BITS, INDEX_MASK
from crdt_core.lattice.siblings import TOMBSTONE, fold, unfold
from crdt_core.types.object import Object

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from crdt_core.lattice.replica_index import ReplicaIndex
    from crdt_core.lattice.siblings import Siblings
    from crdt_core.types import CrdtType

__all__ = [
    "STATE",
    "Changes",
    "Record",
    "decode_object",
    "decode_part",
    "encode_link",
    "encode_part",
    "object_hashes",
    "object_record",
    "part_record",
    "parts_hash",
]

STATE = b"state"

_ADDED = b'":true}'
_COLLECTION_FIELDS = frozenset({"type", "clears"})
_SLOT_FIELDS = frozenset({"type", "parts"})


class Record(NamedTuple):
    """One field of one hash; `value` `None` removes the field, `field` `None` the hash."""

    hash: bytes
    field: bytes | None
    value: bytes | None


@dataclass(slots=True, eq=False)
class Changes:
    """The records of one commit, by hash: as a store wants them, and without an object for each.

    `written`: fields and their values in turn. `removed`: fields that go. `dropped`: hashes that go.
    """

    written: dict[bytes, list[bytes]] = field(default_factory=dict)
    removed: dict[bytes, list[bytes]] = field(default_factory=dict)
    dropped: dict[bytes, None] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.written or self.removed or self.dropped)

    def __iter__(self) -> Iterator[Record]:
        for hash_, items in self.written.items():
            fields = iter(items)
            yield from (Record(hash_, field, value) for field, value in zip(fields, fields, strict=True))
        for hash_, items in self.removed.items():
            yield from (Record(hash_, field, None) for field in items)
        yield from (Record(hash_, None, None) for hash_ in self.dropped)

    def add(self, record: Record) -> None:
        """Adds what is not said yet of that field."""
        hash_, field, value = record
        if field is None:
            self.dropped[hash_] = None
        elif value is None:
            self.removed.setdefault(hash_, []).append(field)
        else:
            self.written.setdefault(hash_, []).extend((field, value))


def parts_hash(head: Object, link: Object) -> bytes:
    """The hash that holds the parts of `link`, a collection in the chain of `head`."""
    return b"obj:" + link.key if link is head else b"rival:%s:%s" % (link.type.name.encode(), link.key)


def part_record(head: Object, link: Object, part: bytes, replica_index: ReplicaIndex) -> Record:
    """The record of one part of a collection."""
    siblings = link.parts.get(part)
    value = None if siblings is None else encode_part(link.type, siblings, replica_index)
    return Record(parts_hash(head, link), part, value)


def object_record(head: Object, replica_index: ReplicaIndex) -> Record:
    """The catalogue's record of an object and its rivals; removes it where all of them are empty."""
    if all(link.empty for link in head.chain()):
        return Record(STATE, head.key, None)
    value = encode_link(head, head.parts, replica_index)
    if head.type_conflicts:
        type_conflicts = b",".join(encode_link(link, link.parts, replica_index) for link in head.type_conflicts)
        value = b'%b,"rivals":[%b]}' % (value[:-1], type_conflicts)
    return Record(STATE, head.key, value)


def encode_link(link: Object, parts: Mapping[bytes, Siblings], replica_index: ReplicaIndex) -> bytes:
    """One object of a catalogue's record, with `parts` if it is none that keeps its parts in a hash of their own."""
    type_ = link.type
    if not type_.collection:
        # The names of such parts are replica ids, or empty: JSON as they stand.
        shown = [b'"%b":%b' % (part, encode_part(type_, held, replica_index)) for part, held in parts.items()]
        listed = shown[0] if len(shown) == 1 else b",".join(sorted(shown))
        return b'{"type":"%b","parts":{%b}}' % (type_.encoded_name, listed)
    if not link.clears:
        return b'{"type":"%b"}' % type_.encoded_name
    clears = sorted((replica_index.unpack(dot), deps) for dot, deps in link.clears.items())
    listed = orjson.dumps({str(dot): dict(sorted(deps.items())) for dot, deps in clears})
    return b'{"type":"%b","clears":%b}' % (type_.encoded_name, listed)


def encode_part(type_: CrdtType, siblings: Siblings, replica_index: ReplicaIndex) -> bytes:
    """The siblings of one part, of an object of type `type_`, as canonical JSON."""
    if type(siblings) is int:
        return b'{"%b:%d":true}' % (replica_index.encoded[siblings & INDEX_MASK], siblings >> INDEX_BITS)
    if type(siblings) is tuple:
        dot, payload = siblings
        json = b"null" if payload is TOMBSTONE else type_.payload_json(payload)
        return b'{"%b:%d":%b}' % (replica_index.encoded[dot & INDEX_MASK], dot >> INDEX_BITS, json)
    return encode_dots(type_, {replica_index.unpack(dot): payload for dot, payload in unfold(siblings).items()})


def decode_object(key: bytes, value: bytes, replica_index: ReplicaIndex) -> Object:
    """The object (with its rivals) in a catalogue record; collections come without parts. Raises `Malformed`."""
    fields = _json_object("object", value)
    type_conflicts = fields.pop("rivals", [])
    if not isinstance(type_conflicts, list):
        raise Malformed("object", "rivals are no list")
    head = _decode_link(key, fields, replica_index)
    head.type_conflicts = [_decode_link(key, rival, replica_index) for rival in type_conflicts]
    if len({link.type for link in head.chain()}) <= len(type_conflicts):
        raise Malformed("object", "it lists one type twice")
    return head


def object_hashes(head: Object) -> Iterator[tuple[Object, bytes]]:
    """The collections in the chain of `head`, each with the hash that holds its parts."""
    return ((link, parts_hash(head, link)) for link in head.chain() if link.type.collection)


def decode_part(link: Object, value: bytes, replica_index: ReplicaIndex) -> Siblings:
    """The siblings in a part's record; raises `Malformed`."""
    if value.endswith(_ADDED) and value.startswith(b'{"'):  # nearly all of them
        dot = replica_index.read(value[2 : -len(_ADDED)])
        if dot is not None:
            return dot
    return _pack(link, _json_object("part", value), replica_index)


def _decode_link(key: bytes, fields: Any, replica_index: ReplicaIndex) -> Object:
    if not isinstance(fields, dict):
        raise Malformed("object", f"{brief(fields)} is no object")
    link = Object(key, decode_type(fields.get("type")))
    foreign = fields.keys() - (_COLLECTION_FIELDS if link.type.collection else _SLOT_FIELDS)
    if foreign:
        raise Malformed("object", f"{link.type.name} has no {brief(sorted(foreign))}")
    for part, siblings in _members(fields, "parts"):
        link.adopt(link.type.decode_part(part), _pack(link, siblings, replica_index))
    for dot, deps in _members(fields, "clears"):
        link.clears[replica_index.pack(*parse_dot(dot))] = decode_clock(deps)
    return link


def _pack(link: Object, value: Any, replica_index: ReplicaIndex) -> Siblings:
    return fold({replica_index.pack(*dot): payload for dot, payload in decode_dots(link.type, value).items()})


def _members(fields: dict[str, Any], name: str) -> Iterable[tuple[str, Any]]:
    value = fields.get(name, {})
    if not isinstance(value, dict):
        raise Malformed("object", f"{name} {brief(value)} are no object")
    return value.items()


def _json_object(what: str, data: bytes) -> dict[str, Any]:
    try:
        value = orjson.loads(data)
    except orjson.JSONDecodeError as error:
        raise Malformed(what, f"no JSON ({error})") from error
    if not isinstance(value, dict):
        raise Malformed(what, f"{brief(value)} is no object")
    return value
