"""The fields that a replica persists about itself in its header, with every commit.

    clock    {"n1":4,"n3":1}        what the replica has seen
    stable   {"n1":3}               its stable frontier
    digest   d3997b629729f449       its digest: 64 bits as 16 hexadecimal digits
    hlc      [1763700000000,0]      its hybrid logical clock
    seal     7 52ab0c1f90e4d3b7     a hash of the other four and of the removals, behind the number of the commit

The digest covers what shows, and peers compare it. The seal is for the replica itself: it shows whether the state that
it loads is what it had persisted. The store puts the number there: a version that knows no seal leaves it behind.

The worker keeps more fields in the same Redis hash; they do not concern the core.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import orjson
from xxhash import xxh3_64_intdigest

from crdt_core.codec.clocks import decode_clock, decode_stamp
from crdt_core.errors import Malformed, brief
from crdt_core.lattice.clocks import Stamp, VersionVector

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Header", "decode_header", "encode_header", "is_sealed", "seal_at"]

_DIGEST_DIGITS = 16
_HEXADECIMAL = frozenset(b"0123456789abcdef")


class Header(NamedTuple):
    """What a replica persists about itself. `digest` is from 0 to 2^64 - 1.

    `removals` is the sum of the hashes of its removals (`Catalogue.removals`), `None` for a header without a seal.
    """

    clock: VersionVector
    stable: VersionVector
    digest: int
    hlc: Stamp
    removals: int | None = None


def encode_header(header: Header) -> dict[str, bytes]:
    """Return the fields of `header` by name, each in its persisted form; the seal without the number of a commit."""
    fields = {
        "clock": orjson.dumps(header.clock, option=orjson.OPT_SORT_KEYS),
        "stable": orjson.dumps(header.stable, option=orjson.OPT_SORT_KEYS),
        "digest": b"%0*x" % (_DIGEST_DIGITS, header.digest),
        "hlc": orjson.dumps(list(header.hlc)),
    }
    if header.removals is not None:
        sealed = b" ".join((*fields.values(), b"%x" % header.removals))
        fields["seal"] = b"%0*x" % (_DIGEST_DIGITS, xxh3_64_intdigest(sealed))
    return fields


def seal_at(fields: Mapping[bytes, bytes], turn: bytes) -> bytes:
    """Return the seal in `fields` without the number of the commit; empty if commit `turn` has not sealed them."""
    number, _, seal = fields.get(b"seal", b"").partition(b" ")
    return seal if number == turn else b""


def is_sealed(header: Header, seal: bytes, removals: int) -> bool:
    """Return whether `seal` is that of `header`, with this sum of its removals."""
    return encode_header(header._replace(removals=removals))["seal"] == seal


def decode_header(fields: Mapping[bytes, bytes]) -> Header:
    """Return the header in `fields`, the fields of a Redis hash. Other fields are ignored.

    A replica that has never committed has none of the first four fields; its header is that of an empty replica. Raises
    `Malformed` if only some of them are there, or if one of them cannot be read.

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
