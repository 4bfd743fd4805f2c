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

from typing import TYPE_CHECKING, Any, NamedTuple

import orjson

from crdt_core.codec import decode_clock, decode_dots, decode_type, encode_dot, encode_dots, parse_dot
from crdt_core.errors import Malformed, brief
from crdt_core.objects import Object
from crdt_core.siblings import fold, unfold

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from crdt_core.siblings import Roster, Siblings

__all__ = [
    "STATE",
    "Record",
    "decode_object",
    "decode_part",
    "encode_part",
    "object_hashes",
    "object_record",
    "part_record",
]

STATE = b"state"

_COLLECTION_FIELDS = frozenset({"type", "clears"})
_SLOT_FIELDS = frozenset({"type", "parts"})


class Record(NamedTuple):
    """One field of one hash; `value` `None` removes the field, `field` `None` the hash."""

    hash: bytes
    field: bytes | None
    value: bytes | None


def parts_hash(head: Object, link: Object) -> bytes:
    """The hash that holds the parts of `link`, a collection in the chain of `head`."""
    return b"obj:" + link.key if link is head else b"rival:%s:%s" % (link.type.name.encode(), link.key)


def part_record(head: Object, link: Object, part: bytes, roster: Roster) -> Record:
    """The record of one part of a collection."""
    siblings = link.parts.get(part)
    value = None if siblings is None else encode_part(link, siblings, roster)
    return Record(parts_hash(head, link), part, value)


def emptied_record(head: Object, link: Object) -> Record:
    """The record that drops all parts of a collection."""
    return Record(parts_hash(head, link), None, None)


def object_record(head: Object, roster: Roster) -> Record:
    """The catalogue's record of an object and its rivals; removes it where all of them are empty."""
    if all(link.empty for link in head.chain()):
        return Record(STATE, head.key, None)
    value = _object_value(head, roster)
    if head.rivals:
        value["rivals"] = [_object_value(link, roster) for link in head.rivals]
    return Record(STATE, head.key, orjson.dumps(value))


def encode_part(link: Object, siblings: Siblings, roster: Roster) -> bytes:
    """The siblings of one part as canonical JSON."""
    if type(siblings) is int:
        return b'{"%s":true}' % str(roster.unpack(siblings)).encode()
    if type(siblings) is tuple:
        return encode_dot(link.type, roster.unpack(siblings[0]), siblings[1])
    return encode_dots(link.type, {roster.unpack(dot): payload for dot, payload in unfold(siblings).items()})


def decode_object(key: bytes, value: bytes, roster: Roster) -> Object:
    """The object (with its rivals) in a catalogue record; collections come without parts. Raises `Malformed`."""
    fields = _json_object("object", value)
    rivals = fields.pop("rivals", [])
    if not isinstance(rivals, list):
        raise Malformed("object", "rivals are no list")
    head = _decode_link(key, fields, roster)
    head.rivals = [_decode_link(key, rival, roster) for rival in rivals]
    if len({link.type for link in head.chain()}) <= len(rivals):
        raise Malformed("object", "it lists one type twice")
    return head


def object_hashes(head: Object) -> Iterator[tuple[Object, bytes]]:
    """The collections in the chain of `head`, each with the hash that holds its parts."""
    return ((link, parts_hash(head, link)) for link in head.chain() if link.type.collection)


def decode_part(link: Object, value: bytes, roster: Roster) -> Siblings:
    """The siblings in a part's record; raises `Malformed`."""
    return _pack(link, _json_object("part", value), roster)


def _object_value(link: Object, roster: Roster) -> dict[str, Any]:
    value: dict[str, Any] = {"type": link.type.name}
    if not link.type.collection:
        value["parts"] = {
            part.decode(): orjson.Fragment(encode_part(link, siblings, roster))
            for part, siblings in sorted(link.parts.items())
        }
    if link.clears:
        clears = sorted((roster.unpack(dot), deps) for dot, deps in link.clears.items())
        value["clears"] = {str(dot): dict(sorted(deps.items())) for dot, deps in clears}
    return value


def _decode_link(key: bytes, fields: Any, roster: Roster) -> Object:
    if not isinstance(fields, dict):
        raise Malformed("object", f"{brief(fields)} is no object")
    link = Object(key, decode_type(fields.get("type")))
    foreign = fields.keys() - (_COLLECTION_FIELDS if link.type.collection else _SLOT_FIELDS)
    if foreign:
        raise Malformed("object", f"{link.type.name} has no {brief(sorted(foreign))}")
    for part, siblings in _members(fields, "parts"):
        link.adopt(link.type.decode_part(part), _pack(link, siblings, roster))
    for dot, deps in _members(fields, "clears"):
        link.clears[roster.pack(*parse_dot(dot))] = decode_clock(deps)
    return link


def _pack(link: Object, value: Any, roster: Roster) -> Siblings:
    return fold({roster.pack(*dot): payload for dot, payload in decode_dots(link.type, value).items()})


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
