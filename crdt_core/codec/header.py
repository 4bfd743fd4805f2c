"""The replica's own fields of its persisted header: what it has seen, what is stable, its digest, its hybrid clock.

clock    {"n1":4,"n3":1}          stable   {"n1":3}
digest   d3997b629729f449         hlc      [1763700000000,0]
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import orjson

from crdt_core.codec.canonical import decode_clock, decode_stamp
from crdt_core.errors import Malformed, brief
from crdt_core.lattice.clocks import Stamp, VersionVector

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Header", "decode_header", "encode_header"]

_DIGEST_DIGITS = 16
_HEXADECIMAL = frozenset(b"0123456789abcdef")


class Header(NamedTuple):
    """What a replica persists about itself with every commit."""

    clock: VersionVector
    stable: VersionVector
    digest: int
    hlc: Stamp


def encode_header(header: Header) -> dict[str, bytes]:
    """The fields, by name."""
    return {
        "clock": orjson.dumps(header.clock, option=orjson.OPT_SORT_KEYS),
        "stable": orjson.dumps(header.stable, option=orjson.OPT_SORT_KEYS),
        "digest": b"%0*x" % (_DIGEST_DIGITS, header.digest),
        "hlc": orjson.dumps(list(header.hlc)),
    }


def decode_header(fields: Mapping[bytes, bytes]) -> Header:
    """The inverse, other fields left aside; a replica that never committed has none of them. Raises `Malformed`.

    >>> decode_header({}).clock
    VersionVector({})
    """
    if not fields.keys() & {b"clock", b"stable", b"digest", b"hlc"}:
        return Header(VersionVector(), VersionVector(), 0, Stamp(0, 0))
    try:
        header = Header(
            decode_clock(orjson.loads(fields[b"clock"])),
            decode_clock(orjson.loads(fields[b"stable"])),
            _decode_digest(fields[b"digest"]),
            decode_stamp(orjson.loads(fields[b"hlc"])),
        )
    except KeyError as error:
        raise Malformed("header", f"field {error} is missing") from error
    except ValueError as error:
        raise Malformed("header", brief(str(error))) from error
    if not header.stable <= header.clock:
        raise Malformed("header", "its stable frontier is ahead of its clock")
    return header


def _decode_digest(digits: bytes) -> int:
    if len(digits) != _DIGEST_DIGITS or not _HEXADECIMAL.issuperset(digits):
        raise Malformed("header", f"digest {brief(digits)} is not {_DIGEST_DIGITS} hexadecimal digits")
    return int(digits, 16)
