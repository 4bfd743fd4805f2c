"""The persisted state of a replica, as records. A record is one field of one Redis hash, with its JSON value.

    hash                field   value
    state               key     {"type":"pncounter","parts":{"n1":{"n1:9":[15,0]}}}    an object with few parts, whole
    state               key     {"type":"orset"}                                       a collection without clears
    state               key     {"type":"orset","clears":{"n2:4":{"n1":3}}}            a collection with a clear
    obj:<key>           part    {"n1:3":true}                                          one part of a collection
    rival:<type>:<key>  part    {"n1:3":true}                                          the same, of a type conflict

A change rewrites only the records that it concerns: for a collection, those of the parts that it touched. The store
adds only its own prefix to the names of the hashes.

A *type conflict* is an object of another type that was made concurrently under the same key. The object that this
replica met first is the *head* of the key. Its record lists the type conflicts:
`{"type":"orset","rivals":[{"type":"gset"}]}`. An attribute of the key, such as its expiry, is listed in the same way.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

import orjson

from crdt_core.codec.canonical import parse_json
from crdt_core.codec.clocks import clock_value, decode_clock, parse_dot
from crdt_core.codec.siblings import decode_siblings, decode_type, encode_siblings
from crdt_core.errors import Malformed, brief
from crdt_core.lattice.replica_index import INDEX_BITS, INDEX_MASK
from crdt_core.lattice.siblings import TOMBSTONE, fold, unfold
from crdt_core.types.object import Object

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from crdt_core.lattice.replica_index import ReplicaIndex
    from crdt_core.lattice.siblings import Siblings
    from crdt_core.types import CrdtType

__all__ = [
    "STATE",
    "Changes",
    "Record",
    "decode_object",
    "decode_part",
    "encode_object",
    "encode_part",
    "lasting",
    "object_hashes",
    "object_record",
    "part_record",
    "parts_hash",
]

STATE = b"state"
"""The hash that holds one record per key: the catalogue of all objects."""

_ADDED = b'":true}'
_COLLECTION_FIELDS = frozenset({"type", "clears"})
_SLOT_FIELDS = frozenset({"type", "parts"})


class Record(NamedTuple):
    """One field of one hash. A `value` of `None` removes the field, a `field` of `None` the whole hash."""

    hash: bytes
    field: bytes | None
    value: bytes | None


@dataclass(slots=True, eq=False)
class Changes:
    """The records of one commit, grouped by hash as the store writes them, without one Python object for each.

    `written` maps a hash to a flat list of fields and values in turn, `removed` maps a hash to the fields that go, and
    `dropped` holds the hashes that go as a whole.
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
        """Add `record`. Another record of the same field must have the same value."""
        hash_, field, value = record
        if field is None:
            self.dropped[hash_] = None
        elif value is None:
            self.removed.setdefault(hash_, []).append(field)
        else:
            self.written.setdefault(hash_, []).extend((field, value))


def lasting(slices: Sequence[Changes]) -> Iterator[Changes]:
    """Yield what lasts of each of `slices`, the last slice first.

    A hash that goes as a whole takes its earlier records along, and perhaps leaves nothing of a slice.

    >>> first, last = Changes(removed={b"obj:set": [b"a"]}), Changes(dropped={b"obj:set": None})
    >>> [changes for changes in lasting([first, last]) if changes]
    [Changes(written={}, removed={}, dropped={b'obj:set': None})]
    """
    gone: set[bytes] = set()
    for changes in reversed(slices):
        for records in (changes.written, changes.removed, changes.dropped) if gone else ():
            for hash_ in [hash_ for hash_ in records if hash_ in gone]:
                del records[hash_]
        gone |= changes.dropped.keys() - changes.written.keys()
        yield changes


def parts_hash(head: Object, object_: Object) -> bytes:
    """Return the hash that holds the parts of the collection `object_`. `head` is the head of the same key."""
    if object_ is head:
        return b"obj:" + object_.key
    return b"rival:%s:%s" % (object_.type.name.encode(), object_.key)


def part_record(head: Object, object_: Object, part: bytes, replica_index: ReplicaIndex) -> Record:
    """Return the record of one part of `object_`, a collection. It removes the field of a part without siblings."""
    siblings = object_.get(part)
    value = None if siblings is None else encode_part(object_.type, siblings, replica_index)
    return Record(parts_hash(head, object_), part, value)


def object_record(head: Object, replica_index: ReplicaIndex) -> Record:
    """Return the record of a key in the hash `STATE`: its head and the type conflicts.

    The record removes the field if all of these objects are empty.
    """
    if all(object_.empty for object_ in head.chain()):
        return Record(STATE, head.key, None)
    value = encode_object(head, replica_index)
    if head.type_conflicts:
        conflicts = b",".join(encode_object(other, replica_index) for other in head.type_conflicts)
        value = b'%b,"rivals":[%b]}' % (value[:-1], conflicts)
    return Record(STATE, head.key, value)


def encode_object(object_: Object, replica_index: ReplicaIndex) -> bytes:
    """Return `object_` as the canonical JSON that the hash `STATE` holds.

    The JSON contains the parts, unless `object_` is a collection: a collection keeps its parts in a hash of its own.
    """
    type_ = object_.type
    if not type_.collection:
        only, held = object_.only, object_.held
        if only is not None and type(held) is tuple and held[1] is not TOMBSTONE:
            # As nearly all are: `encode_part` without a call.
            id_, counter = replica_index.encoded[held[0] & INDEX_MASK], held[0] >> INDEX_BITS
            row = type_.encoded_name, only, id_, counter, type_.payload_json(held[1])
            return b'{"type":"%b","parts":{"%b":{"%b:%d":%b}}}' % row
        # The names of such parts are replica ids or empty, so they need no escaping.
        listed = [b'"%b":%b' % (part, encode_part(type_, held, replica_index)) for part, held in object_.parts.items()]
        return b'{"type":"%b","parts":{%b}}' % (type_.encoded_name, b",".join(sorted(listed)))
    if not object_.clears:
        return b'{"type":"%b"}' % type_.encoded_name
    clears = sorted((replica_index.unpack(dot), deps) for dot, deps in object_.clears.items())
    encoded = orjson.dumps({str(dot): clock_value(deps) for dot, deps in clears})
    return b'{"type":"%b","clears":%b}' % (type_.encoded_name, encoded)


def encode_part(type_: CrdtType, siblings: Siblings, replica_index: ReplicaIndex) -> bytes:
    """Return the siblings of one part, of an object of type `type_`, as canonical JSON. There is at least one."""
    if type(siblings) is int:
        return b'{"%b:%d":true}' % (replica_index.encoded[siblings & INDEX_MASK], siblings >> INDEX_BITS)
    if type(siblings) is tuple:
        dot, payload = siblings
        json = b"null" if payload is TOMBSTONE else type_.payload_json(payload)
        return b'{"%b:%d":%b}' % (replica_index.encoded[dot & INDEX_MASK], dot >> INDEX_BITS, json)
    return encode_siblings(type_, {replica_index.unpack(dot): payload for dot, payload in unfold(siblings).items()})


def decode_object(key: bytes, value: bytes, replica_index: ReplicaIndex) -> Object:
    """Return the head of `key`, with its type conflicts, from the record `value` in the hash `STATE`.

    Collections come without their parts; `object_hashes` says where those are. Raises `Malformed`.
    """
    fields = _parse_record("object", value)
    conflicts = fields.pop("rivals", [])
    if not isinstance(conflicts, list):
        raise Malformed("object", "rivals are not a list")
    head = _decode_one(key, fields, replica_index)
    head.type_conflicts = [_decode_one(key, conflict, replica_index) for conflict in conflicts]
    if len({object_.type for object_ in head.chain()}) <= len(conflicts):
        raise Malformed("object", "it lists one type twice")
    return head


def object_hashes(head: Object) -> Iterator[tuple[Object, bytes]]:
    """Yield each collection under the key of `head`, with the hash that holds its parts."""
    return ((object_, parts_hash(head, object_)) for object_ in head.chain() if object_.type.collection)


def decode_part(object_: Object, value: bytes, replica_index: ReplicaIndex) -> Siblings:
    """Return the siblings in the record `value` of one part of `object_`. Raises `Malformed`."""
    if value.endswith(_ADDED) and value.startswith(b'{"'):  # the short way, for nearly all parts
        dot = replica_index.pack_encoded(value[2 : -len(_ADDED)])
        if dot is not None:
            object_.type.decode_payload(True)  # raises if the type has no such payload
            return dot
    return _pack(object_, _parse_record("part", value), replica_index)


def _decode_one(key: bytes, fields: Any, replica_index: ReplicaIndex) -> Object:
    if not isinstance(fields, dict):
        raise Malformed("object", f"{brief(fields)} is not an object")
    object_ = Object(key, decode_type(fields.get("type")))
    unknown = fields.keys() - (_COLLECTION_FIELDS if object_.type.collection else _SLOT_FIELDS)
    if unknown:
        raise Malformed("object", f"{object_.type.name} has no field {brief(sorted(unknown))}")
    for part, siblings in _members(fields, "parts"):
        object_.adopt(object_.type.decode_part(part), _pack(object_, siblings, replica_index))
    clears = {}
    for text, seen in _members(fields, "clears"):
        dot, deps = parse_dot(text), decode_clock(seen)
        if deps[dot.replica] != dot.counter - 1:
            raise Malformed("object", f"the clear {dot} cannot have been made at clock {brief(dict(deps))}")
        clears[replica_index.pack(*dot)] = deps
    object_.clears = clears
    return object_


def _pack(object_: Object, value: Any, replica_index: ReplicaIndex) -> Siblings:
    siblings = decode_siblings(object_.type, value)
    return fold({replica_index.pack(*dot): payload for dot, payload in siblings.items()})


def _members(fields: dict[str, Any], name: str) -> Iterable[tuple[str, Any]]:
    value = fields.get(name, {})
    if not isinstance(value, dict):
        raise Malformed("object", f"{name} {brief(value)} are not an object")
    return value.items()


def _parse_record(what: str, data: bytes) -> dict[str, Any]:
    value = parse_json(what, data)
    if not isinstance(value, dict):
        raise Malformed(what, f"{brief(value)} is not an object")
    return value
