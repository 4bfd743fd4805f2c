"""What travels between replicas: deltas (one commit each) and patches (what a clock lacks). Plain values, no behaviour.

Both name dots by replica id, so they mean the same everywhere; each replica packs them by its own roster when it takes
them in.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from crdt_core.lattice.clocks import Dot, ReplicaId, Stamp, VersionVector
    from crdt_core.lattice.siblings import Payload

__all__ = ["Address", "Delta", "Patch", "PatchPart", "Write"]

Address = tuple[bytes, str, bytes | None]
"""(key, type name, part); the part `None` stands for the object's clears."""


class Write(NamedTuple):
    """One write of a commit. `part` is `None` for a *clear*: it removes all that the commit had seen of the object."""

    key: bytes
    type: str
    part: bytes | None
    payload: Payload


@dataclass(frozen=True, slots=True)
class Delta:
    """What one commit did.

    `deps` is the clock it was made on (so `deps[dot.replica] == dot.counter - 1`); a write replaces the siblings that
    `deps` covers. `hlc` is the hybrid time of the commit. At most one write per address; clears come before parts.
    """

    dot: Dot
    deps: VersionVector
    hlc: Stamp
    writes: tuple[Write, ...]


class PatchPart(NamedTuple):
    """The siblings of one part, removals included; for `part` `None`, the object's clears as `{dot: deps}`.

    No siblings: the origin holds nothing there, whatever it has said before.
    """

    key: bytes
    type: str
    part: bytes | None
    siblings: dict[Dot, Payload]


@dataclass(frozen=True, slots=True)
class Patch:
    """Everything that replica `origin`, at `clock`, knows beyond `since`, as one consistent snapshot.

    `since` is `None` for a full state: then a part that is not listed is empty at the origin. Otherwise a part that is
    not listed has had no write beyond `since`, and only a replica that has seen `since` can join the patch.
    `stable` is the frontier up to which the origin has forgotten removals.
    """

    origin: ReplicaId
    since: VersionVector | None
    clock: VersionVector
    stable: VersionVector
    hlc: Stamp
    parts: tuple[PatchPart, ...]
