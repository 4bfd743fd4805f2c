"""The values that travel between replicas: a delta (one commit) and a patch (what a given clock lacks).

These are plain values without behaviour. They name dots by replica id, so they mean the same at every replica. A
replica that takes one in packs the dots by its own replica index (`crdt_core.lattice.replica_index`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple
from zlib import crc32

if TYPE_CHECKING:
    from crdt_core.lattice.clocks import Dot, ReplicaId, Stamp, VersionVector
    from crdt_core.lattice.siblings import Payload

__all__ = ["Address", "Delta", "Patch", "PatchPart", "Write", "checksum"]

Address = tuple[bytes, str, bytes | None]
"""`(key, type name, part)`: where siblings are stored. The part `None` stands for the clears of the object."""


def checksum(address: Address) -> int:
    """Return a checksum of the key and the part of `address`: 32 bits, the same in every process."""
    key, _, part = address
    return crc32(part or b"", crc32(key))


class Write(NamedTuple):
    """One write of a commit, at the address `(key, type, part)`.

    A `part` of `None` is a *clear*: it removes everything of the object that the commit had seen. A clear has no
    payload.
    """

    key: bytes
    type: str
    part: bytes | None
    payload: Payload


@dataclass(frozen=True, slots=True)
class Delta:
    """What one commit wrote.

    `deps` is the clock of the replica just before the commit, so `deps[dot.replica] == dot.counter - 1`. A write
    replaces the siblings whose dots `deps` covers. `hlc` is the hybrid time of the commit. `writes` holds at most one
    write per address; the clears come first.
    """

    dot: Dot
    deps: VersionVector
    hlc: Stamp
    writes: tuple[Write, ...]


class PatchPart(NamedTuple):
    """All siblings of one part, tombstones included. For the part `None`: the clears of the object, as `{dot: deps}`.

    Empty `siblings` say that the origin holds nothing at this address, whatever it listed there earlier.
    """

    key: bytes
    type: str
    part: bytes | None
    siblings: dict[Dot, Payload]


@dataclass(frozen=True, slots=True)
class Patch:
    """One consistent snapshot of everything that replica `origin` knows at `clock`, beyond what `since` covers.

    `since` is `None` for a full state: a part that is not listed is empty at the origin. Otherwise a part that is not
    listed has had no write beyond `since`, and only a replica that has seen `since` can join the patch. `stable` is the
    stable frontier of the origin: it may have forgotten tombstones up to there. `hlc` is the origin's hybrid time.
    """

    origin: ReplicaId
    since: VersionVector | None
    clock: VersionVector
    stable: VersionVector
    hlc: Stamp
    parts: tuple[PatchPart, ...]
